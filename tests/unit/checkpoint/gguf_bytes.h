#pragma once

#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

namespace flux2::test {

// Value types of gguf.h.
inline constexpr std::uint32_t kGgufU8 = 0;
inline constexpr std::uint32_t kGgufU32 = 4;
inline constexpr std::uint32_t kGgufText = 8;
inline constexpr std::uint32_t kGgufList = 9;
inline constexpr std::uint32_t kGgufU64 = 10;

/// The bytes of a number, little-endian.
template <typename T>
std::string number_bytes(T value) {
  static_assert(std::is_arithmetic_v<T>);
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

/// A length and a text, as GGUF has them.
inline std::string text_bytes(const std::string& text) {
  return number_bytes<std::uint64_t>(text.size()) + text;
}

struct GgufTensor {
  std::string name;
  std::vector<std::uint64_t> dims;  ///< GGUF's order
  std::uint32_t type = 0;           ///< F32
  std::uint64_t offset = 0;
  std::string data = {};
};

/// A GGUF file, byte by byte: also one that no writer would write.
class GgufBytes {
 public:
  explicit GgufBytes(std::uint32_t version = 3) : version_(version) {}

  GgufBytes& pair(const std::string& key, std::uint32_t type, const std::string& value) {
    ++pairs_;
    metadata_ += text_bytes(key) + number_bytes(type) + value;
    return *this;
  }

  GgufBytes& tensor(const GgufTensor& tensor) {
    ++tensors_;
    infos_ += text_bytes(tensor.name);
    infos_ += number_bytes(static_cast<std::uint32_t>(tensor.dims.size()));
    for (const std::uint64_t size : tensor.dims)
      infos_ += number_bytes(size);
    infos_ += number_bytes(tensor.type) + number_bytes(tensor.offset);
    if (tensor.offset == data_.size() + padding(data_.size(), 32)) {
      data_.append(padding(data_.size(), 32), '\0');
    } else if (tensor.offset > data_.size() && tensor.offset < 4096) {
      data_.append(tensor.offset - data_.size(), '\0');
    }
    data_ += tensor.data;
    return *this;
  }

  std::string text(std::size_t alignment = 32) const {
    std::string bytes = "GGUF" + number_bytes(version_) + number_bytes(tensors_) +
                        number_bytes(pairs_) + metadata_ + infos_;
    if (!data_.empty()) bytes.append(padding(bytes.size(), alignment), '\0');
    return bytes + data_;
  }

 private:
  static std::size_t padding(std::size_t size, std::size_t alignment) {
    return (alignment - size % alignment) % alignment;
  }

  std::uint32_t version_;
  std::uint64_t tensors_ = 0;
  std::uint64_t pairs_ = 0;
  std::string metadata_;
  std::string infos_;
  std::string data_;
};

}  // namespace flux2::test
