#pragma once

#include <cmath>
#include <cstdint>

#include "tensor/dtype.h"

/// The one place where the conformance suites get their tolerances from.
///
/// Rounding to a type with p significant bits changes a value by at most u = 2^-p of itself: 2^-24
/// for f32, 2^-8 for bf16 (the hidden bit counts).
/// All bounds follow from that, the length of the sums and the magnitudes in them:
///
/// - A sum of n terms t_k rounds n partial sums. For terms of random sign, a partial sum is at most
///   about the spread R = sqrt(sum t_k^2), and n independent errors of at most u R add up to about
///   u R sqrt(n / 6) (a third for the variance of a uniform error, a half because partial sums
///   grow). kSafety times u R sqrt(n) is thus ten standard deviations.
/// - For terms of one sign the partial sums are at most the sum S: kSafety u S sqrt(n).
/// - Operands that a matmul rounds first are off by u each, independently: kSafety u R.
/// - Rounding to integers moves a number by at most half the step between two of them, whatever its
///   size: the largest magnitude of a row / 254 in 8 bits. Against the other factor of each product
///   that is kSafety times half a step times the root of the sum of its squares, ten standard
///   deviations of a uniform error again. Dropped or misplaced terms hide under that in long sums:
///   int8_test.cpp looks for them with numbers that are integers and come out exactly.
/// - A handful of further operations adds a handful of u times the magnitudes they work on.
/// - Storing the result adds u(stored type) of it.
///
/// A fault of the size of one term of a sum is R / sqrt(n), so every bound here notices it as long
/// as kSafety u n < 1, for n up to a million in f32. planted_faults_test.cpp shows that they do.
namespace flux2::conformance {

inline constexpr double kSafety = 4.0;
/// Further operations after a sum: scaling, bias, reciprocals, polynomials of exp.
inline constexpr double kHandful = 8.0;
/// Slopes of silu and gelu are at most 1.13.
inline constexpr double kSteepest = 1.13;
/// An exponential may saturate a little before the smallest normal float.
inline constexpr double kUnderflow = 0x1p-119;

/// Unit roundoff of a storage type.
inline double roundoff(DType dtype) {
  return dtype == DType::bf16 ? 0x1p-8 : 0x1p-24;
}
inline constexpr double kFloat = 0x1p-24;

/// What one run of an operation may round.
struct Precision {
  double products = 0;     ///< u of softmax weights: bf16's where matmuls compute in bf16, else 0
  double operands = 0;     ///< u of f32 tensors that a matmul reads: bf16's or 0
  double weights = 0;      ///< u of weights that do not fit the compute type: bf16's or 0
  double stored = kFloat;  ///< u of the result's element type
};

/// The error of `value`, stored, that was computed with an error of up to `error`.
inline double after_storing(const Precision& p, double value, double error) {
  return error + p.stored * (std::fabs(value) + error);
}

/// sum of `length` products with spread sqrt(sum (x w)^2), plus a bias.
inline double matmul_error(const Precision& p, std::int64_t length, double spread, double bias) {
  const double sum = kFloat * (std::sqrt(static_cast<double>(length)) + 2.0);
  return kSafety * (sum + p.operands + p.weights) * spread + kHandful * kFloat * std::fabs(bias);
}

/// A row that is rounded to 8-bit integers.
struct Int8Row {
  double largest = 0;  ///< magnitude
  double length = 0;   ///< sqrt(sum x^2)

  double half_step() const { return largest / 254.0; }
};

/// The product of two such rows of `length` numbers, summed up exactly, then scaled. A step itself
/// is a float, and so is the inverse that numbers are multiplied with before they are rounded.
inline double int8_matmul_error(const Int8Row& x, const Int8Row& w, std::int64_t length,
                                double value, double bias) {
  const double hx = x.half_step(), hw = w.half_step();
  const double rounding =
      hx * w.length + hw * x.length + hx * hw * std::sqrt(static_cast<double>(length));
  return kSafety * (1.0 + kHandful * 254.0 * kFloat) * rounding +
         kHandful * kFloat * (std::fabs(value) + std::fabs(bias));
}

/// What the softmax of an attention works on, the largest of each.
struct AttentionScale {
  std::int64_t keys = 0;
  std::int64_t width = 0;
  double spread = 0;  ///< sqrt(sum_c (q_c k_c)^2) / sqrt(d)
  double score = 0;   ///< |scaled score + bias|, where finite
};

/// A result with sum_j softmax_j |v_j| = `average`. A score that is off by e changes its weight by
/// the factor 1 + e, and the normaliser by as much at most.
inline double attention_error(const Precision& p, const AttentionScale& scale, double average) {
  const double dot = std::sqrt(static_cast<double>(scale.width)) + 2.0;
  const double score = kSafety * (kFloat * dot + 2.0 * p.operands) * scale.spread;
  const double exponent = kFloat * (kHandful + 2.0 * scale.score);
  const double sums = kSafety * kFloat * std::sqrt(static_cast<double>(scale.keys));
  return average * (2.0 * (score + exponent + sums) + p.products + p.operands);
}

/// A normalised value that `magnitude` bounds (each term of it taken absolutely), with statistics
/// over `length` values.
inline double norm_error(std::int64_t length, double magnitude) {
  return kFloat * (kSafety * std::sqrt(static_cast<double>(length)) + kHandful) * magnitude;
}

/// silu(x) = `value`: reducing the exponential's argument costs u |x|.
inline double silu_error(double x, double value) {
  return kFloat * (kHandful + 2.0 * std::fabs(x)) * std::fabs(value) + kUnderflow;
}
/// gelu(x): 1 + erf cancels for negative x, so the error is relative to x.
inline double gelu_error(double x) {
  return kFloat * kHandful * std::fabs(x);
}
/// x + gate y, two roundings.
inline double sum_error(double x, double gated) {
  return kFloat * 2.0 * (std::fabs(x) + std::fabs(gated));
}

}  // namespace flux2::conformance
