#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "flux2/prompt_cache.h"
#include "tensor/tensor.h"

namespace flux2 {

/// Embeddings of prompts in files KEY.safetensors. An entry appears complete or not at all, carries
/// the digest of its bytes, and is never changed, so that reading needs no lock; one that is
/// damaged is removed. A cache makes calls faster and must not make them fail: what goes wrong is a
/// warning.
class PromptCache {
 public:
  using Warn = std::function<void(std::string)>;

  /// @throws Error invalid_request: negative size
  explicit PromptCache(PromptCacheOptions options);

  /// The embeddings [1, tokens, width] that were kept as `key`, f32 on the host, and notes that
  /// they were used; undefined where there are none.
  Tensor find(const std::string& key, std::int64_t tokens, const Warn& warn) const;
  /// Keeps dense `embeddings` [1, tokens, width], f32 on the host, and removes what was not used
  /// for longest.
  void keep(const std::string& key, const Tensor& embeddings, const Warn& warn) const;

 private:
  std::filesystem::path folder() const;
  void make_folder() const;

  PromptCacheOptions options_;
};

/// One file of a cache.
struct CacheEntry {
  std::filesystem::path path;
  std::filesystem::file_time_type used;
  std::int64_t bytes = 0;
};

/// The entries in `folder`, the one that was not used for longest first. What has another name than
/// an entry's is no business of the cache.
/// @throws Error bad_file: it cannot be read
std::vector<CacheEntry> cache_entries(const std::filesystem::path& folder);

/// Removes files that processes left half written when they were killed.
void remove_abandoned(const std::filesystem::path& folder);

}  // namespace flux2
