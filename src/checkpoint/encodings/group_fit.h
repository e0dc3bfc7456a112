#pragma once

#include <span>

namespace flux2 {

/// Codes 0 ... levels stand for scale * code - minimum.
struct OffsetFit {
  float scale = 0;
  float minimum = 0;  ///< not negative
};

/// Which divisions of a group's range are tried: (first + step * i + levels) / (most - least), for
/// i = 0 ... tries.
struct OffsetSearch {
  int levels = 15;
  float first = -1;
  float step = 0.1f;
  int tries = 20;
};

/// The scale and minimum of the least squared error among those tried, weighted by mean magnitude
/// (root of the mean square) plus |w|. For each division the codes are fixed first and scale and
/// minimum follow as their regression line.
OffsetFit fit_with_offset(std::span<const float> numbers, const OffsetSearch& search);

/// The scale of codes -levels ... levels - 1, weighted by w^2: for each of 19 divisions near
/// -levels / w_max the codes are fixed and the scale is their regression. 0 for a group of zeros.
float fit_symmetric(std::span<const float> numbers, int levels);

/// The nearest whole number, ties to even, within four million of zero.
int nearest(float number);

}  // namespace flux2
