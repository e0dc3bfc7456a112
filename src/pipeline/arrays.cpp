#include "pipeline/arrays.h"

#include <algorithm>

#include "checkpoint/safetensors.h"

namespace flux2 {

FloatArray to_array(const Tensor& host) {
  FloatArray array;
  for (int axis = 0; axis < host.rank(); ++axis)
    array.shape.push_back(host.dim(axis));
  array.values = to_vector(host);
  return array;
}

Tensor to_tensor(const FloatArray& array) {
  return make_host_tensor(Shape(array.shape), array.values);
}

Tensor copy_of(const Tensor& dense) {
  return make_host_tensor(dense.shape(), values_of(dense));
}

Tensor repeat_rows(const Tensor& x, std::int64_t batch) {
  Shape shape = x.shape();
  shape.set(0, batch);
  Tensor repeated = make_host_tensor(shape);
  const std::int64_t each = batch / x.dim(0);
  for (std::int64_t row = 0; row < batch; ++row) {
    const Tensor from = x.slice(0, row / each, 1);
    std::copy_n(from.f32(), from.elements(), repeated.slice(0, row, 1).f32());
  }
  return repeated;
}

std::span<float> values_of(const Tensor& dense) {
  return {dense.f32(), static_cast<std::size_t>(dense.elements())};
}

FloatArray load_array(const std::filesystem::path& path, const std::string& name) {
  FloatArray array = to_array(read_host_tensor(path, name));
  array.file = path.string();
  return array;
}

void save_array(const FloatArray& array, const std::filesystem::path& path,
                const std::string& name) {
  write_safetensors(path, {{name, to_tensor(array)}});
}

}  // namespace flux2
