#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "checkpoint/safetensors.h"
#include "checkpoint/weights_file.h"
#include "support.h"

namespace flux2::test {

/// A safetensors file in the making.
struct Draft {
  std::map<std::string, Tensor> tensors = {};
  std::map<std::string, std::string> metadata = {};

  Draft& add(const std::string& name, const Shape& shape, DType dtype, const std::string& bytes) {
    Tensor tensor = make_host_tensor(shape, dtype);
    EXPECT_EQ(bytes.size(), bytes_for(shape, dtype)) << name;
    std::memcpy(tensor.bytes(), bytes.data(), bytes.size());
    tensors.insert_or_assign(name, tensor);
    return *this;
  }
  Draft& floats(const std::string& name, const Shape& shape, const std::vector<float>& values) {
    tensors.insert_or_assign(name, make_host_tensor(shape, values));
    return *this;
  }
  Draft& text(const std::string& name, const std::string& text) {
    return add(name, {static_cast<std::int64_t>(text.size())}, DType::u8, text);
  }

  WeightsFile read() const {
    const TemporaryFolder folder;
    write_safetensors(folder / "file.safetensors", tensors, metadata);
    return read_weights_file(folder / "file.safetensors");
  }
  std::string refusal() const {
    return refusal_of([&] { read(); });
  }
};

/// One row of `tensor`.
inline std::vector<float> row_of(const StoredTensor& tensor, std::int64_t index) {
  std::vector<float> values(static_cast<std::size_t>(row_elements(tensor)));
  read_rows(tensor, index, 1, values.data());
  return values;
}

/// The file `name` beside the tests of this layer.
inline std::filesystem::path test_data(const std::string& name) {
  return std::filesystem::path(FLUX2_SOURCE_DIR) / "tests/unit/checkpoint/data" / name;
}

}  // namespace flux2::test
