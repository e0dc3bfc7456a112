#include "output_names.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <numeric>
#include <set>
#include <string_view>

#include "flux2/error.h"

namespace flux2::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSeedPlace = "{seed}";
constexpr std::size_t kMostWidth = 9;  // of a number: "%09d"

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Where a "%d" or "%03d" is in a name.
struct NumberPlace {
  std::size_t begin = 0;
  std::size_t length = 0;  // 0: there is none
  std::size_t width = 0;   // digits, filled with zeros
};

NumberPlace find_number_place(std::string_view name) {
  for (std::size_t begin = name.find('%'); begin != std::string_view::npos;
       begin = name.find('%', begin + 1)) {
    std::size_t end = begin + 1;
    while (end < name.size() && name[end] == '0')
      ++end;
    const bool has_width = end < name.size() && is_digit(name[end]) && end > begin + 1;
    const std::size_t width = has_width ? static_cast<std::size_t>(name[end++] - '0') : 0;
    if (end < name.size() && name[end] == 'd' && width <= kMostWidth) {
      return {.begin = begin, .length = end + 1 - begin, .width = width};
    }
  }
  return {};
}

std::string with_number(std::string name, std::size_t number) {
  const NumberPlace place = find_number_place(name);
  if (place.length == 0) return name;
  return name.replace(place.begin, place.length, fmt::format("{:0{}}", number, place.width));
}

std::string with_seed(std::string name, std::uint64_t seed) {
  for (std::size_t at = name.find(kSeedPlace); at != std::string::npos;
       at = name.find(kSeedPlace)) {
    name.replace(at, kSeedPlace.size(), std::to_string(seed));
  }
  return name;
}

// cat.png: cat0.png; cat7.png: cat7-0.png, lest it read as picture 70.
fs::path numbered(const fs::path& path, std::size_t number) {
  const std::string stem = path.stem().string();
  const bool digit = !stem.empty() && is_digit(stem.back());
  return path.parent_path() /
         fmt::format("{}{}{}{}", stem, digit ? "-" : "", number, path.extension().string());
}

std::string lower_ending(const fs::path& picture) {
  std::string ending = picture.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return ending;
}

bool is_jpeg(const fs::path& picture) {
  const std::string ending = lower_ending(picture);
  return ending == ".jpg" || ending == ".jpeg";
}

// UTF-16 units of UTF-8: one for each character, two for those of four bytes.
std::size_t utf16_length(const std::string& text) {
  const auto units = [](std::size_t sum, char c) {
    const auto byte = static_cast<unsigned char>(c);
    return sum + (byte >= 0xF0 ? 2 : (byte & 0xC0U) == 0x80U ? 0 : 1);
  };
  return std::accumulate(text.begin(), text.end(), std::size_t{0}, units);
}

void check_ending(const fs::path& picture) {
  const std::string ending = lower_ending(picture);
  constexpr std::array<std::string_view, 4> kEndings = {".png", ".jpg", ".jpeg", ".webp"};
  if (std::find(kEndings.begin(), kEndings.end(), ending) != kEndings.end()) return;
  throw Error(ErrorCode::invalid_request,
              fmt::format("no picture format has the ending \"{}\"", ending), picture.string(),
              "use .png, .jpg or .webp");
}

void check_writable(const fs::path& file) {
  const fs::path folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored)) {
    throw Error(ErrorCode::bad_file,
                fs::exists(folder, ignored) ? fmt::format("{} is not a folder", folder.string())
                                            : fmt::format("there is no folder {}", folder.string()),
                file.string(), "create the folder first");
  }
  if (access(folder.c_str(), W_OK | X_OK) != 0) {
    throw Error(ErrorCode::bad_file,
                fmt::format("cannot write into {}: {}", folder.string(), std::strerror(errno)),
                file.string(), "choose another folder");
  }
  if (file.filename().empty() || fs::is_directory(file, ignored)) {
    throw Error(ErrorCode::bad_file, "this is a folder, not a file", file.string(),
                "add a file name");
  }
}

}  // namespace

std::vector<fs::path> output_names(const std::string& pattern, std::size_t count,
                                   const std::vector<std::uint64_t>& seeds) {
  const fs::path path = pattern;
  const std::string name = path.filename().string();
  if (name.empty()) {
    throw Error(ErrorCode::invalid_request,
                pattern.empty() ? "the name is empty" : "this is a folder, not a file", "--output",
                "give a file name that ends in .png, .jpg or .webp");
  }
  if (name.find(kSeedPlace) != std::string::npos && seeds.empty()) {
    throw Error(ErrorCode::invalid_request, "there is no seed to put in place of {seed}",
                "--output", "give --seed, or use %d");
  }
  std::vector<fs::path> names;
  std::set<fs::path> different;
  for (std::size_t i = 0; i < count; ++i) {
    std::string own = with_number(name, i);
    if (!seeds.empty()) own = with_seed(own, seeds.size() == count ? seeds[i] : seeds.front());
    names.push_back(path.parent_path() / own);
    different.insert(names.back());
  }
  if (different.size() < count) {
    for (std::size_t i = 0; i < count; ++i)
      names[i] = numbered(names[i], i);
  }
  return names;
}

void check_text_fits(const std::vector<fs::path>& pictures,
                     const std::vector<std::string>& prompts) {
  const auto jpeg = std::find_if(pictures.begin(), pictures.end(), is_jpeg);
  if (jpeg == pictures.end()) return;
  // A comment has 32 000 units, and steps, seed, size and model follow the prompt.
  constexpr std::size_t kMostUnits = 31'000;
  for (const std::string& prompt : prompts) {
    if (utf16_length(prompt) <= kMostUnits) continue;
    throw Error(ErrorCode::invalid_request,
                fmt::format("a JPEG cannot carry a prompt of over {} characters", kMostUnits),
                jpeg->string(), "write a PNG, or give --no-metadata");
  }
}

void check_outputs(const std::vector<fs::path>& pictures, const std::vector<fs::path>& tensors) {
  std::set<fs::path> seen;
  const auto check = [&seen](const fs::path& file) {
    check_writable(file);
    if (!seen.insert(fs::weakly_canonical(file)).second) {
      throw Error(ErrorCode::invalid_request, "two outputs have this name", file.string(),
                  "give each a name of its own");
    }
  };
  for (const fs::path& picture : pictures) {
    check_ending(picture);
    check(picture);
  }
  for (const fs::path& tensor : tensors)
    check(tensor);
}

}  // namespace flux2::cli
