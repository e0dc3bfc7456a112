#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace flux2::test {

/// A matrix [rows, columns] to be stored.
struct Matrix {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::vector<float> values = {};

  std::size_t at(std::int64_t row, std::int64_t column) const {
    return static_cast<std::size_t>(row * columns + column);
  }
};

/// What stands for a matrix in a file, and the numbers that its writer meant.
struct StoredMatrix {
  std::map<std::string, Tensor> tensors = {};  ///< by what follows the layer's name
  std::vector<float> meaning = {};
};

/// A way to store matrices in safetensors: by the formula of its source (docs/formats.md).
struct TypeWriter {
  std::string name;  ///< as `encoding_of` calls it
  double error = 0;  ///< most that the meaning is off a trained matrix, relative
  StoredMatrix (*write)(const Matrix&) = nullptr;
};
std::vector<TypeWriter> type_writers();

/// A type of GGUF's blocks.
struct BlockWriter {
  std::string name;
  double error = 0;
  std::uint32_t type = 0;    ///< its number in the file
  std::size_t elements = 0;  ///< of a block
  /// The bytes of the block of numbers at `x`; what they mean goes to `meaning`.
  std::string (*write)(const float* x, float* meaning) = nullptr;
};
std::vector<BlockWriter> block_writers();

}  // namespace flux2::test
