#include <fmt/format.h>

#include <algorithm>
#include <cassert>

#include "backends/reference/elements.h"
#include "backends/reference/reference_backend.h"
#include "backends/reference/reference_ops.h"
#include "flux2/error.h"

namespace flux2 {

std::unique_ptr<Ops> make_reference_ops() {
  return std::make_unique<reference::ReferenceOps>();
}

namespace reference {
namespace {

std::vector<float> dequantised(const StoredTensor& stored) {
  if (!holds_numbers(stored)) {
    throw Error(ErrorCode::bad_file,
                fmt::format("tensor {} holds {}, which are not real numbers", stored.name,
                            name_of(stored.dtype)),
                stored.file);
  }
  std::vector<float> values(index(stored.shape.elements()));
  read_rows(stored, 0, stored.shape[0], values.data());
  return values;
}

std::vector<float> bias_or_zeros(const Tensor& bias, std::int64_t size) {
  assert(!bias.defined() || bias.elements() == size);
  return bias.defined() ? read(bias) : std::vector<float>(index(size));
}

}  // namespace

Tensor ReferenceOps::empty(const Shape& shape, Role) {
  return make_host_tensor(shape);
}

Tensor ReferenceOps::upload(const Tensor& host, Role) {
  return make_host_tensor(host.shape(), read(host));
}

Tensor ReferenceOps::download(const Tensor& device) {
  return make_host_tensor(device.shape(), read(device));
}

Weight ReferenceOps::prepare_linear(std::span<const StoredTensor> row_blocks, const Tensor& bias,
                                    Sensitivity) {
  assert(!row_blocks.empty());
  const std::int64_t in = row_blocks[0].shape[1];
  std::int64_t out = 0;
  for (const StoredTensor& block : row_blocks) {
    assert(block.shape.rank() == 2 && block.shape[1] == in);
    out += block.shape[0];
  }
  auto prepared = std::make_shared<FloatWeight>();
  prepared->values.resize(index(in * out));
  prepared->bias = bias_or_zeros(bias, out);
  std::int64_t row = 0;
  for (const StoredTensor& block : row_blocks) {
    const std::vector<float> values = dequantised(block);
    for (std::int64_t r = 0; r < block.shape[0]; ++r, ++row) {
      for (std::int64_t k = 0; k < in; ++k)
        prepared->values[index(k * out + row)] = values[index(r * in + k)];
    }
  }
  return {Shape{out, in}, prepared};
}

Weight ReferenceOps::prepare_conv2d(const StoredTensor& kernel, const Tensor& bias) {
  assert(kernel.shape.rank() == 4);
  const std::int64_t out = kernel.shape[0], in = kernel.shape[1];
  const std::int64_t taps = kernel.shape[2] * kernel.shape[3];
  const std::vector<float> values = dequantised(kernel);
  auto prepared = std::make_shared<FloatWeight>();
  prepared->values.resize(values.size());
  prepared->bias = bias_or_zeros(bias, out);
  for (std::int64_t o = 0; o < out; ++o) {
    for (std::int64_t i = 0; i < in; ++i) {
      for (std::int64_t t = 0; t < taps; ++t)
        prepared->values[index((t * in + i) * out + o)] = values[index((o * in + i) * taps + t)];
    }
  }
  return {kernel.shape, prepared};
}

Weight ReferenceOps::prepare_embedding(const StoredTensor& table) {
  assert(table.shape.rank() == 2);
  auto prepared = std::make_shared<FloatWeight>();
  prepared->values = dequantised(table);
  return {table.shape, prepared};
}

}  // namespace reference
}  // namespace flux2
