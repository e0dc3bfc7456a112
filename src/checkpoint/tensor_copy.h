#pragma once

#include <functional>
#include <string>

#include "checkpoint/encodings/number_encoder.h"
#include "checkpoint/weights_writer.h"
#include "tensor/weight.h"

namespace flux2 {

/// A tensor on its way into another file.
struct TensorCopy {
  std::string name;                        ///< there
  StoredTensor source;                     ///< read row by row, wherever its rows lie
  const NumberEncoder* encoder = nullptr;  ///< what it is stored as; nullptr: its bytes as they are
};

/// The type that holds the numbers of `tensor` as they are, where there is one among those that can
/// be written: F32, F16, BF16 (also for 8-bit floats); nullptr for everything else.
const NumberEncoder* exact_encoder(const StoredTensor& tensor);

/// Bytes that `copy` takes.
std::int64_t copied_bytes(const TensorCopy& copy);

/// Writes the bytes of `copy`, on all threads, with memory for a few million numbers. Elements that
/// keep their type are copied bit by bit.
/// @param report  called between pieces; may throw to end it
/// @throws Error bad_file: NaN, infinity, or a number that the type cannot hold
void write_copy(const TensorCopy& copy, WeightsWriter& writer, const std::function<void()>& report);

}  // namespace flux2
