#include "checkpoint/gguf_cursor.h"

#include <fmt/format.h>

#include <utility>

#include "checkpoint/in_quotes.h"
#include "flux2/error.h"

namespace flux2 {
namespace {

constexpr const char* kCut = "the download is incomplete: get it again";
constexpr const char* kDamaged = "the file is damaged: get it again";

constexpr int kMaxDepth = 4;                           // of lists in lists
constexpr std::uint64_t kMaxKeptElements = 8'000'000;  // the largest vocabularies have 300 thousand

// gguf.h, gguf_type
enum class ValueType : std::uint32_t {
  u8,
  i8,
  u16,
  i16,
  u32,
  i32,
  f32,
  boolean,
  text,
  list,
  u64,
  i64,
  f64,
};
constexpr std::uint32_t kValueTypes = 13;

// Calls use(T{}) with the C++ type of a value of one number; false for texts and lists.
template <typename Use>
bool with_number_type(ValueType type, Use use) {
  switch (type) {
    case ValueType::u8:
      return use(std::uint8_t{}), true;
    case ValueType::i8:
      return use(std::int8_t{}), true;
    case ValueType::u16:
      return use(std::uint16_t{}), true;
    case ValueType::i16:
      return use(std::int16_t{}), true;
    case ValueType::u32:
      return use(std::uint32_t{}), true;
    case ValueType::i32:
      return use(std::int32_t{}), true;
    case ValueType::f32:
      return use(float{}), true;
    case ValueType::boolean:
      return use(std::uint8_t{}), true;
    case ValueType::u64:
      return use(std::uint64_t{}), true;
    case ValueType::i64:
      return use(std::int64_t{}), true;
    case ValueType::f64:
      return use(double{}), true;
    case ValueType::text:
    case ValueType::list:
      return false;
  }
  return false;
}

ValueType type_of(std::uint32_t number, const std::string& key, const GgufCursor& cursor) {
  if (number < kValueTypes) return static_cast<ValueType>(number);
  cursor.refuse(fmt::format("metadata {} has the unknown value type {}", in_quotes(key), number),
                "the file is damaged or newer than this program");
}

// Bytes of one value, at least.
std::uint64_t least_bytes(ValueType type) {
  std::uint64_t bytes = type == ValueType::list ? 12 : 8;
  with_number_type(type, [&](auto number) { bytes = sizeof(number); });
  return bytes;
}

}  // namespace

void GgufCursor::refuse(const std::string& what, const std::string& hint) const {
  throw Error(ErrorCode::bad_file, what, file_, hint);
}

std::span<const std::byte> GgufCursor::take(std::uint64_t size, const char* what) {
  if (size > bytes_.size() - position_) {
    refuse(fmt::format("ends inside {}: {} bytes from byte {} on, of {} in all", what, size,
                       position_, bytes_.size()),
           kCut);
  }
  const auto taken = bytes_.subspan(position_, size);
  position_ += size;
  return taken;
}

std::string GgufCursor::text(const char* what) {
  const auto length = number<std::uint64_t>(what);
  const auto bytes = take(length, what);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::uint64_t GgufCursor::count(std::uint64_t least_bytes, const char* what) {
  const auto things = number<std::uint64_t>(what);
  const std::uint64_t left = bytes_.size() - position_;
  if (things > left / least_bytes) {
    refuse(fmt::format("claims {} {}, more than fit into the {} bytes that follow", things, what,
                       left),
           kDamaged);
  }
  return things;
}

std::optional<Metadata::Value> GgufCursor::value(const std::string& key) {
  const ValueType type = type_of(number<std::uint32_t>("a metadata value"), key, *this);
  if (type == ValueType::list) return list(key);
  if (type == ValueType::text) return text("a metadata text");
  Metadata::Value value;
  with_number_type(type, [&](auto kind) {
    using Number = decltype(kind);
    const auto read = number<Number>("a metadata value");
    if (type == ValueType::boolean) {
      value = read != 0;
    } else if constexpr (std::is_floating_point_v<Number>) {
      value = static_cast<double>(read);
    } else {
      if (!std::in_range<std::int64_t>(read))
        value = static_cast<double>(read);
      else
        value = static_cast<std::int64_t>(read);
    }
  });
  return value;
}

std::optional<Metadata::Value> GgufCursor::list(const std::string& key) {
  const ValueType type = type_of(number<std::uint32_t>("a metadata list"), key, *this);
  const std::uint64_t length = count(least_bytes(type), "elements of a metadata list");
  kept_elements_ += length;
  if (kept_elements_ > kMaxKeptElements) {
    refuse(fmt::format("metadata lists hold more than {} elements, at {}", kMaxKeptElements,
                       in_quotes(key)),
           "this is not a FLUX.2 file");
  }
  if (type == ValueType::list) {
    for (std::uint64_t i = 0; i < length; ++i)
      pass_over(static_cast<std::uint32_t>(ValueType::list), 1, key);
    return std::nullopt;
  }
  if (type == ValueType::text) {
    std::vector<std::string> texts;
    texts.reserve(length);
    for (std::uint64_t i = 0; i < length; ++i)
      texts.push_back(text("a text of a metadata list"));
    return texts;
  }
  std::optional<Metadata::Value> result;
  with_number_type(type, [&](auto kind) {
    using Number = decltype(kind);
    using Kept = std::conditional_t<std::is_floating_point_v<Number>, double, std::int64_t>;
    std::vector<Kept> numbers;
    numbers.reserve(length);
    for (std::uint64_t i = 0; i < length; ++i)
      numbers.push_back(static_cast<Kept>(number<Number>("a metadata list")));
    result = std::move(numbers);
  });
  return result;
}

void GgufCursor::pass_over(std::uint32_t number_of_type, int depth, const std::string& key) {
  const ValueType type = type_of(number_of_type, key, *this);
  if (type == ValueType::text) {
    take(number<std::uint64_t>("a metadata text"), "a metadata text");
    return;
  }
  if (type != ValueType::list) {
    take(least_bytes(type), "a metadata value");
    return;
  }
  if (depth >= kMaxDepth) {
    refuse(fmt::format("metadata {} nests lists more than {} deep", in_quotes(key), kMaxDepth),
           kDamaged);
  }
  const ValueType inner = type_of(number<std::uint32_t>("a metadata list"), key, *this);
  const std::uint64_t length = count(least_bytes(inner), "elements of a metadata list");
  for (std::uint64_t i = 0; i < length; ++i)
    pass_over(static_cast<std::uint32_t>(inner), depth + 1, key);
}

}  // namespace flux2
