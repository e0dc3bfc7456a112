#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "adapters/adapter.h"
#include "adapters/adapter_change.h"
#include "checkpoint/checkpoint.h"
#include "flux2/error.h"

namespace flux2::test {

/// A matrix in the making: rows x columns, dense.
struct Matrix {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::vector<double> values;

  Matrix(std::int64_t r, std::int64_t c)
      : rows(r), columns(c), values(static_cast<std::size_t>(r * c)) {}
  double& at(std::int64_t i, std::int64_t j) {
    return values[static_cast<std::size_t>(i * columns + j)];
  }
  double at(std::int64_t i, std::int64_t j) const {
    return values[static_cast<std::size_t>(i * columns + j)];
  }
};

inline Matrix operator*(const Matrix& a, const Matrix& b) {
  Matrix c(a.rows, b.columns);
  for (std::int64_t i = 0; i < a.rows; ++i) {
    for (std::int64_t j = 0; j < b.columns; ++j) {
      for (std::int64_t k = 0; k < a.columns; ++k)
        c.at(i, j) += a.at(i, k) * b.at(k, j);
    }
  }
  return c;
}

inline Matrix operator*(double scale, Matrix a) {
  for (double& value : a.values)
    value *= scale;
  return a;
}

inline Matrix operator+(Matrix a, const Matrix& b) {
  for (std::size_t i = 0; i < a.values.size(); ++i)
    a.values[i] += b.values[i];
  return a;
}

inline Matrix transposed(const Matrix& a) {
  Matrix t(a.columns, a.rows);
  for (std::int64_t i = 0; i < a.rows; ++i) {
    for (std::int64_t j = 0; j < a.columns; ++j)
      t.at(j, i) = a.at(i, j);
  }
  return t;
}

inline Matrix rows_of(const Matrix& a, std::int64_t begin, std::int64_t count) {
  Matrix part(count, a.columns);
  for (std::int64_t i = 0; i < count; ++i) {
    for (std::int64_t j = 0; j < a.columns; ++j)
      part.at(i, j) = a.at(begin + i, j);
  }
  return part;
}

/// Tensors in memory, as a file would have them.
class Tensors {
 public:
  Tensors() = default;
  Tensors(const Tensors&) = delete;
  Tensors& operator=(const Tensors&) = delete;

  Matrix matrix(const std::string& name, std::int64_t rows, std::int64_t columns) {
    Matrix result(rows, columns);
    std::vector<float>& floats = kept_.emplace_back();
    for (double& value : result.values) {
      floats.push_back(static_cast<float>(static_cast<double>(random_() % 2001) / 1000.0 - 1.0));
      value = static_cast<double>(floats.back());
    }
    add(name, {rows, columns}, floats);
    return result;
  }
  void number(const std::string& name, float value) {
    add(name, {}, kept_.emplace_back(std::vector<float>{value}));
  }
  void floats(const std::string& name, const Shape& shape, const std::vector<float>& values) {
    add(name, shape, kept_.emplace_back(values));
  }
  void reshape(const std::string& name, const Shape& shape) {
    weights.tensors.at(name).shape = shape;
  }

  WeightsFile weights;

 private:
  void add(const std::string& name, const Shape& shape, const std::vector<float>& values) {
    weights.tensors[name] = {.name = name,
                             .file = "test",
                             .dtype = DType::f32,
                             .shape = shape,
                             .bytes = std::as_bytes(std::span(values)),
                             .owner = nullptr};
  }

  std::deque<std::vector<float>> kept_;
  std::mt19937 random_{5};
};

/// A transformer of one double and one single block and width 6, by its canonical names.
class SmallModel {
 public:
  static constexpr std::int64_t kWidth = 6;
  static constexpr std::int64_t kMlp = 10;

  SmallModel() {
    const std::int64_t d = kWidth;
    for (const char* name : {"to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj",
                             "add_v_proj", "to_add_out"})
      add("transformer_blocks.0.attn." + std::string(name), d, d);
    for (const char* ff : {"ff", "ff_context"}) {
      add("transformer_blocks.0." + std::string(ff) + ".linear_in", 2 * kMlp, d);
      add("transformer_blocks.0." + std::string(ff) + ".linear_out", d, kMlp);
    }
    add("single_transformer_blocks.0.attn.to_qkv_mlp_proj", 3 * d + 2 * kMlp, d);
    add("single_transformer_blocks.0.attn.to_out", d, d + kMlp);
    add("x_embedder", d, 130);
    add("context_embedder", d, 5);
    add("time_guidance_embed.timestep_embedder.linear_1", d, 4);
    add("double_stream_modulation_img.linear", 6 * d, d);
    add("single_stream_modulation.linear", 3 * d, d);
    add("norm_out.linear", 2 * d, d);
    add("proj_out", 7, d);
    tensors.floats("transformer_blocks.0.attn.norm_q.weight", {3}, {1, 2, 3});
    checkpoint = Checkpoint("model", tensors.weights.tensors);
    parts.emplace_back(PartKind::transformer, checkpoint.tensors());
  }

  const Matrix& weight(const std::string& module) const { return weights.at(module); }

  /// The weight of `module` with adapters, decoded in uneven pieces.
  Matrix changed(const std::string& module, const AdapterTerms& terms) const {
    const std::string name = module + ".weight";
    const AdapterChange change(terms);
    EXPECT_TRUE(change.changes(name)) << name;
    const StoredTensor tensor = change.changed(name, checkpoint);
    const Matrix& base = weight(module);
    std::vector<float> values(base.values.size());
    std::int64_t size = 1;
    for (std::int64_t row = 0; row < base.rows; row += size, ++size)
      read_rows(tensor, row, size = std::min(size, base.rows - row),
                values.data() + row * base.columns);
    Matrix result(base.rows, base.columns);
    std::copy(values.begin(), values.end(), result.values.begin());
    return result;
  }

  Tensors tensors;
  std::map<std::string, Matrix> weights;
  Checkpoint checkpoint;
  std::vector<ModuleIndex> parts;

 private:
  void add(const std::string& module, std::int64_t rows, std::int64_t columns) {
    weights.emplace(module, tensors.matrix(module + ".weight", rows, columns));
  }
};

inline void expect_near(const Matrix& actual, const Matrix& wanted) {
  ASSERT_EQ(actual.rows, wanted.rows);
  ASSERT_EQ(actual.columns, wanted.columns);
  for (std::size_t i = 0; i < wanted.values.size(); ++i)
    ASSERT_NEAR(actual.values[i], wanted.values[i], 2e-5) << "element " << i;
}

/// The terms of an adapter on the transformer.
inline AdapterTerms terms_of(const SmallModel& model, const Tensors& adapter,
                             const MatchOptions& options = {}) {
  MatchedAdapter matched =
      match_adapter(parse_adapter(adapter.weights, "adapter"), model.parts, options);
  return std::move(matched.terms[PartKind::transformer]);
}

/// The line of the Error bad_file that `body` throws.
inline std::string refusal_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::bad_file);
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

}  // namespace flux2::test
