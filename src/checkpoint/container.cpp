#include "checkpoint/container.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "flux2/error.h"

namespace flux2 {
namespace {

using namespace std::string_view_literals;

// What else lies around under the name of weights, by how it begins.
struct Stranger {
  std::string_view start;
  const char* what;
  const char* hint;
};

constexpr const char* kPickleHint =
    "loading a pickle runs the code in it; get or make the .safetensors file of the model";

constexpr Stranger kStrangers[] = {
    {"version https://git-lfs"sv, "is a Git LFS pointer, not the file itself",
     "run 'git lfs pull'"},
    {"PK\x03\x04"sv, "is a ZIP archive, such as PyTorch's .pt, .pth, .ckpt and .bin files",
     kPickleHint},
    {"\x80\x02"sv, "is a Python pickle, an old PyTorch file", kPickleHint},
    {"\x80\x03"sv, "is a Python pickle", kPickleHint},
    {"\x80\x04"sv, "is a Python pickle", kPickleHint},
    {"\x80\x05"sv, "is a Python pickle", kPickleHint},
    {"\x93NUMPY"sv, "is a NumPy array", "weights are read as safetensors or GGUF"},
    {"\x1F\x8B"sv, "is compressed by gzip", "unpack it first"},
    {"\x28\xB5\x2F\xFD"sv, "is compressed by zstd", "unpack it first"},
    {"7z\xBC\xAF\x27\x1C"sv, "is a 7z archive", "unpack it first"},
    {"ggjt"sv, "is one of ggml's formats before GGUF", "get a GGUF file"},
    {"tjgg"sv, "is one of ggml's formats before GGUF", "get a GGUF file"},
    {"lmgg"sv, "is one of ggml's formats before GGUF", "get a GGUF file"},
    {"fmgg"sv, "is one of ggml's formats before GGUF", "get a GGUF file"},
    {"\x89HDF"sv, "is an HDF5 file", "weights are read as safetensors or GGUF"},
};

constexpr const char* kPageHint =
    "the download gave an error page: the address is wrong, or the licence of the model has to be "
    "accepted and HF_TOKEN set";

[[noreturn]] void refuse(const std::string& file, const std::string& what, const char* hint) {
  throw Error(ErrorCode::bad_file, what, file, hint);
}

// The first letters of a text, in lower case and without the space before them.
std::string beginning(std::string_view text) {
  constexpr std::size_t kLetters = 16;
  const std::size_t start = text.find_first_not_of("\xEF\xBB\xBF \t\r\n");
  std::string letters(start == std::string_view::npos ? "" : text.substr(start, kLetters));
  std::transform(letters.begin(), letters.end(), letters.begin(),
                 [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
  return letters;
}

// safetensors: a 64-bit length, then JSON.
bool is_safetensors(std::string_view text) {
  return text.size() > sizeof(std::uint64_t) && text[sizeof(std::uint64_t)] == '{';
}

}  // namespace

WeightsFormat recognise_container(std::span<const std::byte> bytes, const std::string& file) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.starts_with("GGUF")) return WeightsFormat::gguf;
  if (is_safetensors(text)) return WeightsFormat::safetensors;
  if (text.empty()) refuse(file, "is empty", "the download is incomplete: get it again");
  for (const Stranger& stranger : kStrangers)
    if (text.starts_with(stranger.start)) refuse(file, stranger.what, stranger.hint);
  const std::string letters = beginning(text.substr(0, 256));
  if (letters.starts_with("<!doctype") || letters.starts_with("<html")) {
    refuse(file, "is a web page (HTML), not weights", kPageHint);
  }
  if (letters.starts_with("<?xml")) refuse(file, "is an XML document, not weights", kPageHint);
  if (letters.starts_with("{") || letters.starts_with("[")) {
    refuse(file, "is JSON, not weights", "name the weights file itself, or the folder of it");
  }
  return WeightsFormat::safetensors;  // whose reader says what is wrong with it
}

}  // namespace flux2
