#include "golden.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>

#include "backends/cpu/cpu_ops.h"
#include "backends/reference/reference_ops.h"

namespace flux2::golden {

std::filesystem::path data_path(const std::string& relative) {
  return std::filesystem::path(FLUX2_SOURCE_DIR) / "tests/goldens/data" / relative;
}

GoldenFile::GoldenFile(const std::string& relative)
    : file_(read_safetensors(data_path(relative))) {}

bool GoldenFile::has(const std::string& name) const {
  return file_.tensors.contains(name);
}

const StoredTensor& GoldenFile::stored(const std::string& name) const {
  const auto found = file_.tensors.find(name);
  if (found == file_.tensors.end()) throw std::runtime_error("no golden named " + name);
  return found->second;
}

Shape GoldenFile::shape(const std::string& name) const {
  return stored(name).shape;
}

Tensor GoldenFile::tensor(const std::string& name) const {
  const StoredTensor& source = stored(name);
  Tensor result = make_host_tensor(source.shape);
  convert_to_float(source.dtype, source.bytes.data(), result.f32(),
                   static_cast<std::size_t>(result.elements()));
  return result;
}

std::vector<std::int64_t> GoldenFile::integers(const std::string& name) const {
  const StoredTensor& source = stored(name);
  if (source.dtype != DType::i64) throw std::runtime_error(name + " does not hold integers");
  std::vector<std::int64_t> values(source.bytes.size() / sizeof(std::int64_t));
  std::memcpy(values.data(), source.bytes.data(), source.bytes.size());
  return values;
}

double relative_error(const Tensor& actual, const Tensor& expected) {
  const std::vector<float> a = to_vector(actual);
  const std::vector<float> e = to_vector(expected);
  EXPECT_EQ(a.size(), e.size()) << actual.shape().to_string() << " against "
                                << expected.shape().to_string();
  if (a.size() != e.size()) return std::numeric_limits<double>::infinity();
  double difference = 0;
  double magnitude = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference += std::pow(static_cast<double>(a[i]) - e[i], 2);
    magnitude += std::pow(static_cast<double>(e[i]), 2);
  }
  const double error = std::sqrt(difference / magnitude);
  return std::isnan(error) ? std::numeric_limits<double>::infinity() : error;
}

std::vector<Backend> float_backends() {
  return {{"reference", [] { return make_reference_ops(); }},
          {"cpu", [] { return make_cpu_ops({.compute = ComputeType::f32, .most = {}}); }}};
}

}  // namespace flux2::golden
