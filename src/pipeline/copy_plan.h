#pragma once

#include <map>
#include <string>
#include <vector>

#include "checkpoint/tensor_copy.h"
#include "checkpoint/weights_file.h"
#include "checkpoint/weights_table.h"

namespace flux2 {

/// Which type a tensor gets in another file.
///   safetensors: matrices and kernels the asked one; without it, and vectors always, the exact one
///                (what is quantised: BF16, vectors F32).
///   GGUF:        vectors and tensors of up to 1024 numbers F32, as ComfyUI's loader wants them;
///   what
///                bears no rounding (embedders, modulation, the last layer) its own plain type,
///                else BF16; the layers of the blocks the asked one where rows are whole blocks,
///                else Q8_0, else BF16. Plain types hold for all matrices.
struct TypeRule {
  WeightsFormat format = WeightsFormat::safetensors;
  const NumberEncoder* asked = nullptr;  ///< of GGUF always there

  const NumberEncoder* encoder_for(const StoredTensor& tensor, Sensitivity sensitivity) const;
};

/// How the tensors of a part are laid out in another file.
struct CopyTarget {
  const Naming* naming = nullptr;  ///< its family of names, without prefix; nullptr: canonical ones
  HeadDims heads;                  ///< by which that family may take rows apart
  TypeRule types;
};

/// Tensors of a part on their way into a file.
/// @param tensors  by canonical name
/// @param table    of the part: what bears rounding
/// @param file     for errors
/// @throws Error bad_file: a tensor that is stored as one with others is there without them; one
///         that holds no numbers and cannot be written
std::vector<TensorCopy> plan_copies(const TensorMap& tensors, const WeightsTable& table,
                                    const CopyTarget& target, const std::string& file);

/// Bytes that all of them take.
std::int64_t copied_bytes(const std::vector<TensorCopy>& copies);

/// What a file's header says of its model and still holds in another layout or type: texts, without
/// those about stored types and layouts.
std::map<std::string, std::string> kept_texts(const Metadata& metadata);

}  // namespace flux2
