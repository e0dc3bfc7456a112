#include "pipeline/arrays.h"

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
