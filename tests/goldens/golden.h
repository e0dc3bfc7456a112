#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "checkpoint/safetensors.h"
#include "ops/ops.h"
#include "tensor/tensor.h"

namespace flux2::golden {

/// A file below tests/goldens/data.
std::filesystem::path data_path(const std::string& relative);

/// One safetensors file of goldens.
class GoldenFile {
 public:
  explicit GoldenFile(const std::string& relative);

  bool has(const std::string& name) const;
  Shape shape(const std::string& name) const;
  /// As a dense f32 host tensor, whatever floating type it is stored in.
  Tensor tensor(const std::string& name) const;
  /// Elements of an I64 tensor, row-major.
  std::vector<std::int64_t> integers(const std::string& name) const;

 private:
  const StoredTensor& stored(const std::string& name) const;

  SafetensorsFile file_;
};

/// |actual - expected| / |expected|, Euclidean norms over all elements. Both on the host, with as
/// many elements; infinite if `actual` holds anything that is not a number.
double relative_error(const Tensor& actual, const Tensor& expected);

/// What a float32 implementation is held to on every golden; float32 against float64 is 1e-6.
inline constexpr double kTolerance = 2e-5;

/// A backend that computes in float32.
struct Backend {
  std::string name;
  std::unique_ptr<Ops> (*make)();

  friend std::ostream& operator<<(std::ostream& out, const Backend& backend) {
    return out << backend.name;
  }
};

/// Every backend that is held to the float32 goldens.
std::vector<Backend> float_backends();

}  // namespace flux2::golden
