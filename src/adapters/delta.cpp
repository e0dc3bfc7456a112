#include "adapters/delta.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "adapters/low_rank.h"

namespace flux2 {
namespace {

std::vector<float> floats_of(const StoredTensor& tensor) {
  std::vector<float> values(static_cast<std::size_t>(tensor.shape.elements()));
  read_rows(tensor, 0, tensor.shape.rank() == 0 ? 1 : tensor.shape[0], values.data());
  return values;
}

std::vector<float> transposed(const std::vector<float>& values, std::int64_t rows,
                              std::int64_t columns) {
  std::vector<float> result(values.size());
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j)
      result[static_cast<std::size_t>(j * rows + i)] =
          values[static_cast<std::size_t>(i * columns + j)];
  }
  return result;
}

// The lower factor, with what stands between it and the upper one multiplied in.
LowRankPanels lower_of(const AdapterFactor& factor) {
  const LowRankPanels down(floats_of(*factor.down), factor.rank, factor.columns);
  if (!factor.mid) return down;
  const std::int64_t inner = factor.mid->shape[0];
  std::vector<float> folded(static_cast<std::size_t>(inner * factor.columns));
  add_low_rank(floats_of(*factor.mid).data(), inner, down, 1.0f, folded.data());
  return {folded, inner, factor.columns};
}

// D = up * down, up [out, r], down [r, in].
class Product : public Delta {
 public:
  explicit Product(const AdapterFactor& factor)
      : up_(floats_of(*factor.up)), down_(lower_of(factor)) {
    if (factor.up_transposed) up_ = transposed(up_, down_.rank(), factor.rows);
  }

  void add(std::int64_t begin, std::int64_t count, float scale, float* rows) const override {
    add_low_rank(up_.data() + begin * down_.rank(), count, down_, scale, rows);
  }

 private:
  std::vector<float> up_;
  LowRankPanels down_;
};

// D as it is stored.
class Whole : public Delta {
 public:
  explicit Whole(StoredTensor tensor) : tensor_(std::move(tensor)) {}

  void add(std::int64_t begin, std::int64_t count, float scale, float* rows) const override {
    std::vector<float> difference(static_cast<std::size_t>(count * row_elements(tensor_)));
    read_rows(tensor_, begin, count, difference.data());
    for (const float value : difference)
      *rows++ += scale * value;
  }

 private:
  StoredTensor tensor_;
};

std::unique_ptr<const Delta> matrix_of(const AdapterFactor& factor) {
  if (factor.whole) return std::make_unique<Whole>(*factor.whole);
  return std::make_unique<Product>(factor);
}

std::vector<float> values_of(const AdapterFactor& factor) {
  if (factor.whole) return floats_of(*factor.whole);
  std::vector<float> values(static_cast<std::size_t>(factor.rows * factor.columns));
  Product(factor).add(0, factor.rows, 1.0f, values.data());
  return values;
}

// D = F0 o F1, element by element.
class Hadamard : public Delta {
 public:
  explicit Hadamard(const DeltaPlan& plan)
      : first_(matrix_of(plan.factors[0])),
        second_(matrix_of(plan.factors[1])),
        columns_(plan.factors[0].columns) {}

  void add(std::int64_t begin, std::int64_t count, float scale, float* rows) const override {
    const auto size = static_cast<std::size_t>(count * columns_);
    std::vector<float> first(size);
    std::vector<float> second(size);
    first_->add(begin, count, 1.0f, first.data());
    second_->add(begin, count, 1.0f, second.data());
    for (std::size_t i = 0; i < size; ++i)
      rows[i] += scale * first[i] * second[i];
  }

 private:
  std::unique_ptr<const Delta> first_;
  std::unique_ptr<const Delta> second_;
  std::int64_t columns_;
};

// D[i c + k, j d + l] = F0[i, j] F1[k, l]     F0 [a, b], F1 [c, d]
class Kronecker : public Delta {
 public:
  explicit Kronecker(const DeltaPlan& plan)
      : left_(values_of(plan.factors[0])),
        right_(values_of(plan.factors[1])),
        b_(plan.factors[0].columns),
        c_(plan.factors[1].rows),
        d_(plan.factors[1].columns) {}

  void add(std::int64_t begin, std::int64_t count, float scale, float* rows) const override {
    for (std::int64_t row = begin; row < begin + count; ++row) {
      const float* left = left_.data() + row / c_ * b_;
      const float* right = right_.data() + row % c_ * d_;
      for (std::int64_t j = 0; j < b_; ++j) {
        const float factor = scale * left[j];
        for (std::int64_t l = 0; l < d_; ++l)
          rows[l] += factor * right[l];
        rows += d_;
      }
    }
  }

 private:
  std::vector<float> left_;
  std::vector<float> right_;
  std::int64_t b_, c_, d_;
};

}  // namespace

std::unique_ptr<const Delta> make_delta(const DeltaPlan& plan) {
  switch (plan.kind) {
    case DeltaKind::hadamard:
      return std::make_unique<Hadamard>(plan);
    case DeltaKind::kronecker:
      return std::make_unique<Kronecker>(plan);
    case DeltaKind::product:
      break;
  }
  return matrix_of(plan.factors[0]);
}

}  // namespace flux2
