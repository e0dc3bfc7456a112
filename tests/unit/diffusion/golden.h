#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "checkpoint/safetensors.h"

namespace flux2::testing {

inline std::string golden_path(const std::string& name) {
  return std::string(FLUX2_SOURCE_DIR) + "/tests/goldens/data/" + name;
}

/// The tensors of one golden file.
class GoldenFile {
 public:
  explicit GoldenFile(const std::string& name) : file_(read_safetensors(golden_path(name))) {}

  const std::map<std::string, StoredTensor>& tensors() const { return file_.tensors; }
  const StoredTensor& stored(const std::string& name) const { return file_.tensors.at(name); }

  std::vector<float> floats(const std::string& name) const {
    const StoredTensor& tensor = stored(name);
    std::vector<float> values(static_cast<std::size_t>(tensor.shape.elements()));
    convert_to_float(tensor.dtype, tensor.bytes.data(), values.data(), values.size());
    return values;
  }
  std::vector<std::int64_t> integers(const std::string& name) const {
    const StoredTensor& tensor = stored(name);
    if (tensor.dtype != DType::i64) throw std::runtime_error(name + " is not I64");
    std::vector<std::int64_t> values(static_cast<std::size_t>(tensor.shape.elements()));
    std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
    return values;
  }
  /// An f32 host tensor of the stored shape.
  Tensor tensor(const std::string& name) const {
    return make_host_tensor(stored(name).shape, floats(name));
  }

 private:
  SafetensorsFile file_;
};

/// Index of the first element whose bits differ, -1 if none does.
inline std::ptrdiff_t first_difference(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size()) return 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::memcmp(&a[i], &b[i], sizeof(float)) != 0) return static_cast<std::ptrdiff_t>(i);
  }
  return -1;
}

/// FNV-1a over words of type Word instead of bytes.
template <typename Word>
std::uint64_t hash_words(const Tensor& tensor) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  const std::size_t count = bytes_for(tensor.shape(), tensor.dtype()) / sizeof(Word);
  for (const Word word : std::span(tensor.data<Word>(), count))
    hash = (hash ^ word) * 0x100000001b3u;
  return hash;
}

}  // namespace flux2::testing
