#include "pipeline/prompt_cache.h"

#include <fmt/format.h>

#include <chrono>
#include <utility>

#include "checkpoint/safetensors.h"
#include "flux2/error.h"
#include "hub/digest.h"

namespace flux2 {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTensor = "prompt_embeds";
constexpr const char* kKey = "key";
constexpr const char* kDigest = "sha256";
constexpr const char* kEnding = ".safetensors";

std::string digest_of(const Tensor& dense) {
  return sha256_of({dense.bytes(), bytes_for(dense.shape(), dense.dtype())});
}

std::string text_or_empty(const SafetensorsFile& file, const char* name) {
  const auto found = file.metadata.find(name);
  return found == file.metadata.end() ? std::string() : found->second;
}

// @throws Error bad_file: it is not what was written
Tensor read_entry(const fs::path& path, const std::string& key, std::int64_t tokens) {
  const SafetensorsFile file = read_safetensors(path);
  const auto stored = file.tensors.find(kTensor);
  if (stored != file.tensors.end() && stored->second.dtype == DType::f32 &&
      text_or_empty(file, kKey) == key) {
    const Shape& shape = stored->second.shape;
    const bool fits = shape.rank() == 3 && shape[0] == 1 && shape[1] == tokens;
    Tensor embeddings = to_host_tensor(stored->second);
    if (fits && digest_of(embeddings) == text_or_empty(file, kDigest)) return embeddings;
  }
  throw Error(ErrorCode::bad_file, "is damaged", path.string());
}

void trim(const fs::path& folder, std::int64_t most) {
  remove_abandoned(folder);
  const std::vector<CacheEntry> entries = cache_entries(folder);
  std::int64_t bytes = 0;
  for (const CacheEntry& entry : entries)
    bytes += entry.bytes;
  for (const CacheEntry& entry : entries) {
    if (bytes <= most) return;
    std::error_code ignored;  // another process removed it first
    fs::remove(entry.path, ignored);
    bytes -= entry.bytes;
  }
}

}  // namespace

PromptCache::PromptCache(PromptCacheOptions options) : options_(std::move(options)) {
  if (options_.max_bytes >= 0) return;
  throw Error(ErrorCode::invalid_request, "the size of the prompt cache is negative",
              "prompt_cache");
}

fs::path PromptCache::folder() const {
  return options_.folder.empty() ? prompt_cache_folder() : options_.folder;
}

// What was drawn is nobody else's business.
void PromptCache::make_folder() const {
  std::error_code error;
  const bool made = fs::create_directories(folder(), error);
  if (error) {
    throw Error(ErrorCode::bad_file, "cannot make the folder: " + error.message(),
                folder().string());
  }
  if (made) fs::permissions(folder(), fs::perms::owner_all, error);
}

Tensor PromptCache::find(const std::string& key, std::int64_t tokens, const Warn& warn) const {
  fs::path path;
  try {
    path = folder() / (key + kEnding);
    std::error_code error;
    if (!fs::exists(path, error)) return {};
    Tensor embeddings = read_entry(path, key, tokens);
    fs::last_write_time(path, fs::file_time_type::clock::now(), error);  // or it ages too soon
    return embeddings;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::bad_file) throw;
    std::error_code ignored;
    if (path.empty()) return {};  // there is no folder: keep() says so
    // Where it vanished another process removed it.
    if (fs::remove(path, ignored))
      warn(fmt::format("prompt cache: {}; it is encoded again", error.what()));
    return {};
  }
}

void PromptCache::keep(const std::string& key, const Tensor& embeddings, const Warn& warn) const {
  const auto bytes = static_cast<std::int64_t>(bytes_for(embeddings.shape(), embeddings.dtype()));
  if (bytes > options_.max_bytes) return;
  try {
    make_folder();
    write_safetensors(folder() / (key + kEnding), {{kTensor, embeddings}},
                      {{kKey, key}, {kDigest, digest_of(embeddings)}});
    trim(folder(), options_.max_bytes);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::bad_file) throw;
    warn(fmt::format("prompt cache: {}", error.what()));
  }
}

}  // namespace flux2
