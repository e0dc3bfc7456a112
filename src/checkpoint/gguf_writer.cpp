#include "checkpoint/gguf_writer.h"

#include <algorithm>
#include <cassert>
#include <limits>
#include <type_traits>
#include <variant>

// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#include "base/rounding.h"

namespace flux2 {
namespace {

constexpr std::uint64_t kAlignment = 32;
constexpr std::uint32_t kVersion = 3;

// gguf_metadata_value_type
enum class ValueType : std::uint32_t {
  u32 = 4,
  i32 = 5,
  f32 = 6,
  boolean = 7,
  text = 8,
  list = 9,
  i64 = 11,
  f64 = 12,
};

std::uint64_t padded(std::uint64_t size) {
  return round_up(size, kAlignment);
}

// The bytes of a header, one after another.
class Header {
 public:
  const std::string& bytes() const { return bytes_; }

  template <typename Number>
  void number(Number value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  void text(const std::string& value) {
    number(static_cast<std::uint64_t>(value.size()));
    bytes_ += value;
  }
  void raw(std::string_view value) { bytes_ += value; }

  void value(bool flag) {
    type(ValueType::boolean);
    number(static_cast<std::uint8_t>(flag));
  }
  void value(std::int64_t whole) {
    if (whole >= 0 && whole <= std::numeric_limits<std::uint32_t>::max()) {
      type(ValueType::u32);
      number(static_cast<std::uint32_t>(whole));
    } else {
      type(ValueType::i64);
      number(whole);
    }
  }
  void value(double real) {
    type(ValueType::f32);
    number(static_cast<float>(real));
  }
  void value(const std::string& words) {
    type(ValueType::text);
    text(words);
  }
  void value(const std::vector<std::int64_t>& list) {
    begin_list(ValueType::i64, list.size());
    for (const std::int64_t item : list)
      number(item);
  }
  void value(const std::vector<double>& list) {
    begin_list(ValueType::f64, list.size());
    for (const double item : list)
      number(item);
  }
  void value(const std::vector<std::string>& list) {
    begin_list(ValueType::text, list.size());
    for (const std::string& item : list)
      text(item);
  }

 private:
  void type(ValueType type) { number(static_cast<std::uint32_t>(type)); }
  void begin_list(ValueType of, std::size_t count) {
    type(ValueType::list);
    type(of);
    number(static_cast<std::uint64_t>(count));
  }

  std::string bytes_;
};

void add_info(Header& header, const PlannedBlocks& tensor, std::uint64_t offset) {
  header.text(tensor.name);
  header.number(static_cast<std::uint32_t>(tensor.shape.rank()));
  for (int axis = tensor.shape.rank() - 1; axis >= 0; --axis)
    header.number(static_cast<std::uint64_t>(tensor.shape[axis]));
  header.number(tensor.encoder->id);
  header.number(offset);
}

}  // namespace

GgufWriter::GgufWriter(const std::filesystem::path& path, std::span<const PlannedBlocks> tensors,
                       const Metadata& metadata)
    : file_(path) {
  Header header;
  header.raw("GGUF");
  header.number(kVersion);
  header.number(static_cast<std::uint64_t>(tensors.size()));
  header.number(static_cast<std::uint64_t>(metadata.values().size()));
  for (const auto& [key, value] : metadata.values()) {
    header.text(key);
    std::visit([&](const auto& held) { header.value(held); }, value);
  }
  std::uint64_t offset = 0;
  for (const PlannedBlocks& tensor : tensors) {
    add_info(header, tensor, offset);
    sizes_.push_back(
        static_cast<std::uint64_t>(encoded_bytes(*tensor.encoder, tensor.shape.elements())));
    offset += padded(sizes_.back());
    total_ += sizes_.back();
  }
  left_ = sizes_.empty() ? 0 : sizes_.front();
  file_.write(std::as_bytes(std::span(header.bytes())));
  pad(header.bytes().size());
}

void GgufWriter::pad(std::uint64_t written) {
  constexpr std::byte kZeros[kAlignment] = {};
  file_.write(std::span(kZeros).first(padded(written) - written));
}

void GgufWriter::write(std::span<const std::byte> bytes) {
  written_ += bytes.size();
  assert(written_ <= total_);
  while (!bytes.empty()) {
    const std::size_t now = std::min<std::uint64_t>(left_, bytes.size());
    file_.write(bytes.first(now));
    bytes = bytes.subspan(now);
    left_ -= now;
    if (left_ > 0) continue;
    pad(sizes_[current_]);
    ++current_;
    left_ = current_ < sizes_.size() ? sizes_[current_] : 0;
  }
}

void GgufWriter::commit() {
  assert(written_ == total_);
  file_.commit();
}

}  // namespace flux2
