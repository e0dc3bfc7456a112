#pragma once

#include <cstdint>
#include <filesystem>

#include "flux2/export.h"

namespace FLUX2_API flux2 {

/// Where prompt embeddings are kept between calls, and how many of them. A prompt that was encoded
/// before is then read from there: its text encoder is neither loaded nor run, and the picture has
/// the same bytes. Several processes may use one folder at once.
struct PromptCacheOptions {
  /// It is made where it is missing. Empty: prompt_cache_folder().
  std::filesystem::path folder = {};
  /// What was not used for longest is removed beyond it. A prompt of klein 4B takes 15.7 MB.
  std::int64_t max_bytes = 512'000'000;
};

/// What a prompt cache holds.
struct PromptCacheContents {
  std::filesystem::path folder;  ///< where it is, whether it exists or not
  std::int64_t entries = 0;      ///< one a text
  std::int64_t bytes = 0;        ///< of all entries
};

/// $FLUX2_CACHE/prompts, else $XDG_CACHE_HOME/flux2/prompts, else ~/.cache/flux2/prompts.
/// @throws Error bad_file: none of the variables (HOME is the last one) is set
std::filesystem::path prompt_cache_folder();

/// Looks into a cache without changing it; one that does not exist is empty.
/// @param folder  empty: prompt_cache_folder()
/// @throws Error bad_file: it cannot be read
PromptCacheContents inspect_prompt_cache(const std::filesystem::path& folder = {});

/// Removes every entry, also while other processes use the cache: they encode again.
/// @param folder  empty: prompt_cache_folder()
/// @return what was removed
/// @throws Error bad_file: an entry cannot be removed
PromptCacheContents clear_prompt_cache(const std::filesystem::path& folder = {});

}  // namespace flux2
