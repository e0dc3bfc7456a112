#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

#include "backends/reference/elements.h"
#include "backends/reference/reference_backend.h"

namespace flux2::reference {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// One call's inputs as dense floats, and its sizes.
struct Problem {
  std::int64_t batch, queries, keys, heads, key_heads, width;
  std::vector<float> q;     // [B, Lq, H, d]
  std::vector<float> k;     // [B, Hkv, d, Lk]: a query's scores are sums of its rows
  std::vector<float> v;     // [B, Lk, Hkv, d]
  std::vector<float> bias;  // [bias_batch, bias_heads, Lq, Lk], or empty
  std::int64_t bias_batch, bias_heads;
};

// [B, L, H, d] -> [B, H, d, L]
std::vector<float> tokens_innermost(const Tensor& k) {
  const std::int64_t tokens = k.dim(1), rows = k.dim(2) * k.dim(3);
  const std::vector<float> values = read(k);
  std::vector<float> turned(values.size());
  for_each(k.dim(0) * rows, tokens, [&](std::int64_t target) {
    const std::int64_t sample = target / rows, row = target % rows;
    for (std::int64_t j = 0; j < tokens; ++j)
      turned[index(target * tokens + j)] = values[index((sample * tokens + j) * rows + row)];
  });
  return turned;
}

Problem problem_of(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& bias) {
  assert(q.rank() == 4 && k.shape() == v.shape() && q.dim(0) == k.dim(0) && q.dim(3) == k.dim(3));
  assert(q.dim(2) % k.dim(2) == 0);
  assert(!bias.defined() || (bias.dim(2) == q.dim(1) && bias.dim(3) == k.dim(1)));
  return {.batch = q.dim(0),
          .queries = q.dim(1),
          .keys = k.dim(1),
          .heads = q.dim(2),
          .key_heads = k.dim(2),
          .width = q.dim(3),
          .q = read(q),
          .k = tokens_innermost(k),
          .v = read(v),
          .bias = bias.defined() ? read(bias) : std::vector<float>(),
          .bias_batch = bias.defined() ? bias.dim(0) : 1,
          .bias_heads = bias.defined() ? bias.dim(1) : 1};
}

// One query of one head.
struct Place {
  std::int64_t sample, query, head, key_head;
};

KeyRange visible_keys(const Problem& problem, const AttentionMask& mask, const Place& at) {
  KeyRange range = mask.keys.empty() ? KeyRange{0, problem.keys} : mask.keys[index(at.sample)];
  if (mask.causality == Causality::causal) {
    range.end = std::min(range.end, at.query + problem.keys - problem.queries + 1);
  }
  return range;
}

// scores[j] = scale q . k[j] + bias[j], for all keys.
void score(const Problem& problem, const Place& at, double* scores) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(problem.width));
  const std::int64_t row = (at.sample * problem.queries + at.query) * problem.heads + at.head;
  const float* q = &problem.q[index(row * problem.width)];
  const std::int64_t key_row = (at.sample * problem.key_heads + at.key_head) * problem.width;
  std::fill(scores, scores + problem.keys, 0.0);
  for (std::int64_t c = 0; c < problem.width; ++c) {
    const float* k = problem.k.data() + (key_row + c) * problem.keys;
    for (std::int64_t j = 0; j < problem.keys; ++j)
      scores[j] += static_cast<double>(q[c]) * static_cast<double>(k[j]);
  }
  const std::int64_t bias_row =
      (at.sample % problem.bias_batch * problem.bias_heads + at.head % problem.bias_heads) *
          problem.queries +
      at.query;
  for (std::int64_t j = 0; j < problem.keys; ++j) {
    scores[j] *= scale;
    if (!problem.bias.empty())
      scores[j] += static_cast<double>(problem.bias[index(bias_row * problem.keys + j)]);
  }
}

// y = sum_j softmax_j(scores) v[j] over the keys of `range`; y arrives as zeros, and stays so
// where every key is masked.
void weigh(const Problem& problem, const Place& at, KeyRange range, double* scores, double* y) {
  double top = -kInfinity;
  for (std::int64_t j = range.begin; j < range.end; ++j)
    top = std::max(top, scores[j]);
  if (top == -kInfinity) return;
  double total = 0;
  for (std::int64_t j = range.begin; j < range.end; ++j) {
    scores[j] = std::exp(scores[j] - top);
    total += scores[j];
  }
  for (std::int64_t j = range.begin; j < range.end; ++j) {
    const std::int64_t row = (at.sample * problem.keys + j) * problem.key_heads + at.key_head;
    const float* v = &problem.v[index(row * problem.width)];
    for (std::int64_t c = 0; c < problem.width; ++c)
      y[c] += scores[j] / total * static_cast<double>(v[c]);
  }
}

}  // namespace

void ReferenceOps::attention(const Tensor& q, const Tensor& k, const Tensor& v,
                             const AttentionMask& mask, const Tensor& out) {
  const Problem problem = problem_of(q, k, v, mask.bias);
  assert(out.shape() == q.shape());
  assert(mask.keys.empty() || static_cast<std::int64_t>(mask.keys.size()) == problem.batch);
  const std::int64_t rows = problem.batch * problem.queries * problem.heads;
  const std::int64_t parts = std::min<std::int64_t>(thread_count(), rows);
  std::vector<double> scores(index(parts * problem.keys));
  std::vector<double> sums(index(out.elements()));
  for_each(parts, rows / std::max<std::int64_t>(1, parts) * problem.keys * problem.width,
           [&](std::int64_t part) {
             double* scratch = scores.data() + part * problem.keys;
             for (std::int64_t row = rows * part / parts; row < rows * (part + 1) / parts; ++row) {
               const std::int64_t head = row % problem.heads;
               const Place at = {.sample = row / problem.heads / problem.queries,
                                 .query = row / problem.heads % problem.queries,
                                 .head = head,
                                 .key_head = head * problem.key_heads / problem.heads};
               score(problem, at, scratch);
               weigh(problem, at, visible_keys(problem, mask, at), scratch,
                     &sums[index(row * problem.width)]);
             }
           });
  write(out, sums);
}

}  // namespace flux2::reference
