#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "tensor/weight.h"

namespace flux2 {

/// What the numbers of a tensor are like. Those that are NaN or infinite are counted and left out
/// of everything else.
struct NumberStatistics {
  std::int64_t count = 0;
  std::int64_t nan = 0;
  std::int64_t infinite = 0;
  double least = 0;
  double most = 0;
  double mean_magnitude = 0;
};

/// How far `numbers` are from `parent`, over all elements.
struct NumberDifference {
  double relative_error = 0;  ///< |numbers - parent| / |parent|, Euclidean
  double cosine = 1;          ///< numbers . parent / (|numbers| |parent|)
  double gain = 1;            ///< numbers . parent / |parent|^2: by what factor they are larger
  double rounding = 0;        ///< the relative error that both tensors' stored types account for
};

/// Called between pieces of a tensor with the bytes that were read since the last time; may throw
/// to end it.
using PieceRead = std::function<void(std::int64_t bytes)>;

/// Reads `tensor` once, on all threads, with memory for a few pieces of it.
/// @pre holds_numbers(tensor)
NumberStatistics measure_numbers(const StoredTensor& tensor, const PieceRead& read = {});

/// Reads both tensors once.
/// @pre they have one shape and hold numbers
NumberDifference compare_numbers(const StoredTensor& numbers, const StoredTensor& parent,
                                 const PieceRead& read = {});

/// The largest difference that rounding explains: twice the relative error of the stored types,
/// which allows for scales that are rounded too and for numbers that lie unevenly.
double allowed_error(const NumberDifference& difference);
/// How far `gain` may be from 1. Rounding hardly changes the length of a weight: by about the
/// square of its relative error, and by chance with a standard deviation of error / sqrt(count).
double allowed_gain(const NumberDifference& difference, std::int64_t count);

}  // namespace flux2
