#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "tensor/weight.h"

namespace flux2 {

/// How a storage type rounds: its numbers lie a step apart, and rounding to the nearest errs by
/// step / sqrt(12) on average. Steps are
///   of integers  (most - least) / intervals, over a group that shares a scale
///   of floats    2^(exponent - mantissa bits), at least that of the smallest numbers
struct RoundingRule {
  enum class Range {
    magnitude,  ///< from -max |w| to max |w|
    span,       ///< from min(w, 0) to max(w, 0): there is a minimum beside the scale
  };

  std::string_view encoding;  ///< how encoding_of() begins
  std::int64_t group = 0;     ///< numbers that share a scale; 0: a row; -1: all
  int intervals = 0;          ///< of integers; 0: floats
  Range range = Range::magnitude;
  int mantissa = 23;         ///< bits of a float
  double smallest = 0;       ///< step of the smallest floats, in units of the scale
  double scale_at_most = 0;  ///< max |w| of a group / its scale; 0: one scale for all, or none
};

/// What storing does to numbers, for the type that a tensor is stored in.
class RoundingModel {
 public:
  /// A type that is not in the table counts as exact.
  explicit RoundingModel(const StoredTensor& stored);

  /// The sum of the squared errors that `numbers`, rows of `width`, are to be expected to have.
  double squared_error(std::span<const float> numbers, std::int64_t width) const;

 private:
  double of_group(std::span<const float> numbers) const;

  const RoundingRule* rule_;
  double scale_ = 1;  // the one scale for all; 1 where there is none
};

}  // namespace flux2
