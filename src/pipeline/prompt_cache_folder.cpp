#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstdlib>
#include <string>
#include <string_view>

#include "flux2/error.h"
#include "pipeline/prompt_cache.h"

namespace flux2 {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kEnding = ".safetensors";
constexpr std::size_t kKeyDigits = 64;
// A file is written in less than a second; longer than this, its writer is gone.
constexpr std::chrono::hours kAbandoned{1};

// KEY.safetensors
bool is_entry(const std::string& name) {
  return name.size() == kKeyDigits + kEnding.size() && name.ends_with(kEnding) &&
         std::all_of(name.begin(), name.begin() + kKeyDigits,
                     [](unsigned char c) { return std::isxdigit(c) != 0; });
}

// .KEY.safetensors.PROCESS.NUMBER.tmp, as AtomicFile calls what it has not finished.
bool is_unfinished(const std::string& name) {
  const std::size_t length = 1 + kKeyDigits + kEnding.size();
  return name.size() > length && name.starts_with('.') && name.ends_with(".tmp") &&
         is_entry(name.substr(1, length - 1));
}

// The files in `folder` whose names `wanted` takes.
template <typename Wanted>
std::vector<CacheEntry> files_in(const fs::path& folder, const Wanted& wanted) {
  std::vector<CacheEntry> files;
  std::error_code error;
  fs::directory_iterator at(folder, error);
  if (error == std::errc::no_such_file_or_directory) return files;
  for (; !error && at != fs::directory_iterator(); at.increment(error)) {
    if (!wanted(at->path().filename().string())) continue;
    std::error_code gone;  // removed meanwhile
    const auto bytes = static_cast<std::int64_t>(at->file_size(gone));
    const fs::file_time_type used = gone ? fs::file_time_type() : at->last_write_time(gone);
    if (!gone) files.push_back({at->path(), used, bytes});
  }
  if (error) {
    throw Error(ErrorCode::bad_file, "cannot read the folder: " + error.message(), folder.string());
  }
  return files;
}

const char* value_of(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : nullptr;
}

fs::path or_default(const fs::path& folder) {
  return folder.empty() ? prompt_cache_folder() : folder;
}

PromptCacheContents contents_of(const fs::path& folder, const std::vector<CacheEntry>& entries) {
  PromptCacheContents contents = {.folder = folder,
                                  .entries = static_cast<std::int64_t>(entries.size())};
  for (const CacheEntry& entry : entries)
    contents.bytes += entry.bytes;
  return contents;
}

}  // namespace

std::vector<CacheEntry> cache_entries(const fs::path& folder) {
  std::vector<CacheEntry> entries = files_in(folder, is_entry);
  std::sort(entries.begin(), entries.end(),
            [](const CacheEntry& a, const CacheEntry& b) { return a.used < b.used; });
  return entries;
}

void remove_abandoned(const fs::path& folder) {
  const fs::file_time_type limit = fs::file_time_type::clock::now() - kAbandoned;
  for (const CacheEntry& file : files_in(folder, is_unfinished)) {
    std::error_code ignored;
    if (file.used < limit) fs::remove(file.path, ignored);
  }
}

fs::path prompt_cache_folder() {
  constexpr const char* kPrompts = "prompts";
  if (const char* own = value_of("FLUX2_CACHE")) return fs::path(own) / kPrompts;
  if (const char* caches = value_of("XDG_CACHE_HOME")) return fs::path(caches) / "flux2" / kPrompts;
  if (const char* home = value_of("HOME")) return fs::path(home) / ".cache/flux2" / kPrompts;
  throw Error(ErrorCode::bad_file, "there is no folder for it: HOME is not set", "",
              "set FLUX2_CACHE to a folder");
}

PromptCacheContents inspect_prompt_cache(const fs::path& folder) {
  const fs::path place = or_default(folder);
  return contents_of(place, cache_entries(place));
}

PromptCacheContents clear_prompt_cache(const fs::path& folder) {
  const fs::path place = or_default(folder);
  const std::vector<CacheEntry> entries = cache_entries(place);
  remove_abandoned(place);
  for (const CacheEntry& entry : entries) {
    std::error_code error;
    fs::remove(entry.path, error);
    if (error)
      throw Error(ErrorCode::bad_file, "cannot remove it: " + error.message(), entry.path.string());
  }
  return contents_of(place, entries);
}

}  // namespace flux2
