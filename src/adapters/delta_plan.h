#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "adapters/adapter_file.h"
#include "tensor/shape.h"
#include "tensor/weight.h"

namespace flux2 {

/// A matrix as an adapter stores it: whole, or as a product up * mid * down.
struct AdapterFactor {
  std::optional<StoredTensor> whole;
  std::optional<StoredTensor> up;    ///< [rows, r]; [r, rows] where there is a mid of Tucker's form
  std::optional<StoredTensor> mid;   ///< [r, r]
  std::optional<StoredTensor> down;  ///< [r, columns]
  bool up_transposed = false;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t rank = 0;  ///< 0 where it is whole
};

/// How the factors make the difference D of a weight.
enum class DeltaKind {
  product,    ///< D = s F0: LoRA, full differences
  hadamard,   ///< D = s F0 o F1, element by element: LoHa
  kronecker,  ///< D = s F0 (x) F1: LoKr
};

/// The difference that a module of an adapter makes, its tensors understood and none yet read.
struct DeltaPlan {
  std::string module;  ///< for people
  DeltaKind kind = DeltaKind::product;
  std::vector<AdapterFactor> factors;
  double scale = 1;                       ///< s: alpha / rank
  std::optional<StoredTensor> magnitude;  ///< DoRA: the lengths of rows, or of columns
  Shape shape;                            ///< of D: [out, in], or [n] of a vector
  bool by_columns = false;                ///< magnitude is [1, in]
};

/// "LoRA", "DoRA", "LoKr", ...: for people.
std::string kind_of(const DeltaPlan& plan);

/// @throws Error bad_file: a tensor is missing, misshapen or does not belong to the others
DeltaPlan plan_delta(const AdapterModule& module, const std::string& file);

}  // namespace flux2
