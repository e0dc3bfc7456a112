#include "conformance/values.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>

namespace flux2::conformance {
namespace {

// The code of the 8-bit float nearest to `value`, by trying all of them.
std::uint8_t nearest_f8(float value, float (*to_float)(std::uint8_t)) {
  std::uint8_t best = 0;
  float distance = std::fabs(value);
  for (unsigned code = 1; code < 256; ++code) {
    const float other = std::fabs(to_float(static_cast<std::uint8_t>(code)) - value);
    if (other < distance) {
      distance = other;
      best = static_cast<std::uint8_t>(code);
    }
  }
  return best;
}

void encode(const std::vector<float>& numbers, DType dtype, std::byte* target) {
  if (dtype == DType::f8_e4m3 || dtype == DType::f8_e5m2) {
    const auto to_float = dtype == DType::f8_e4m3 ? f8_e4m3_to_float : f8_e5m2_to_float;
    for (std::size_t i = 0; i < numbers.size(); ++i)
      target[i] = static_cast<std::byte>(nearest_f8(numbers[i], to_float));
    return;
  }
  std::vector<float> packed(numbers.size());
  convert_from_float(numbers.data(), dtype, packed.data(), numbers.size());
  std::memcpy(target, packed.data(), numbers.size() * size_of(dtype));
}

}  // namespace

Values random_values(const Shape& shape, unsigned seed, const Distribution& distribution) {
  std::mt19937 generator(seed);
  std::normal_distribution<double> normal(distribution.mean, distribution.deviation);
  Values values{shape, std::vector<float>(static_cast<std::size_t>(shape.elements()))};
  for (float& number : values.numbers)
    number = static_cast<float>(normal(generator));
  return values;
}

Values absolute(Values values) {
  for (float& number : values.numbers)
    number = std::fabs(number);
  return values;
}

Values squared(Values values) {
  for (float& number : values.numbers)
    number *= number;
  return values;
}

Values rounded_to(Values values, DType dtype) {
  if (dtype != DType::bf16) return values;
  for (float& number : values.numbers)
    number = round_to_bf16(number);
  return values;
}

StoredTensor stored(const Values& values, DType dtype) {
  const std::size_t size = bytes_for(values.shape, dtype);
  const auto buffer = std::make_shared<std::vector<std::byte>>(size + 1);
  encode(values.numbers, dtype, buffer->data() + 1);
  return {.name = "weight",
          .file = "conformance.safetensors",
          .dtype = dtype,
          .shape = values.shape,
          .bytes = {buffer->data() + 1, size},
          .owner = buffer};
}

Values values_of(const StoredTensor& stored) {
  Values values{stored.shape,
                std::vector<float>(static_cast<std::size_t>(stored.shape.elements()))};
  convert_to_float(stored.dtype, stored.bytes.data(), values.numbers.data(), values.numbers.size());
  return values;
}

StoredTensor rows_of(const StoredTensor& stored, std::int64_t begin, std::int64_t count) {
  const std::size_t row = stored.bytes.size() / static_cast<std::size_t>(stored.shape[0]);
  StoredTensor part = stored;
  part.shape.set(0, count);
  part.bytes = stored.bytes.subspan(static_cast<std::size_t>(begin) * row,
                                    static_cast<std::size_t>(count) * row);
  return part;
}

}  // namespace flux2::conformance
