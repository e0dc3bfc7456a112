#pragma once

#include <array>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/name_rules.h"
#include "tensor/weight.h"

namespace flux2 {

/// The parts of a pipeline that have weights.
enum class PartKind { transformer, text_encoder, vae };

/// "transformer", "text_encoder", "vae": the names of the folders, too.
std::string_view name_of(PartKind part);

/// A family of names under which checkpoints of one part are written.
struct Naming {
  PartKind part;
  std::string_view name;  ///< "BFL", ...: for people
  /// A file of which one tensor has one of these names is of this family, unless an earlier row of
  /// namings() claims it. Unused places are empty.
  std::array<std::string_view, 2> signs;
  /// What may stand before every name, the empty prefix included.
  std::span<const std::string_view> prefixes;
  /// Names that no rule matches stay what they are.
  std::span<const NameRule> rules;
};

/// Every family that can be read, in the order in which they are looked for. The first row of a
/// part's Diffusers or transformers spelling has no rules: its names are the canonical ones.
std::span<const Naming> namings();

/// The family of that part and name.
const Naming& naming_of(PartKind part, std::string_view name);

/// A part of a model, found in a file by its names.
struct FoundPart {
  const Naming* naming = nullptr;
  std::string prefix;  ///< before every name: "", "model.diffusion_model.", ...
};

using TensorMap = std::map<std::string, StoredTensor>;

/// Every part that `tensors` hold, each once.
std::vector<FoundPart> find_parts(const TensorMap& tensors);

/// Rows of a head, where rows have to be taken apart by heads.
struct HeadDims {
  std::int64_t text = 128;   ///< Mistral-Small's
  std::int64_t vision = 64;  ///< Pixtral's
};

/// One part's tensors under their canonical names, as views of the stored ones.
struct CanonicalTensors {
  TensorMap tensors;
  /// What some programs write beside the weights, by the last word of its name: "tekken_model"
  /// (an embedded tokenizer), "spiece_model", "logit_scale".
  TensorMap aside;
};

/// @param part   one of find_parts(tensors)
/// @param found  all of them: tensors under the prefix of another part are left to it
/// @param file   for errors
/// @throws Error bad_file: two tensors with one canonical name; rows that cannot be cut as the
///         family says
CanonicalTensors canonical_tensors(const FoundPart& part, std::span<const FoundPart> found,
                                   const TensorMap& tensors, const HeadDims& heads,
                                   const std::string& file);

/// What the files of `part` call the tensor of that canonical name, for errors.
std::string stored_name(const FoundPart& part, const std::string& canonical);

/// The way back: `canonical` as `naming` stores them, under `prefix`, rows joined and put back in
/// order. Reading the result with canonical_tensors() gives `canonical` again.
/// @param file  for errors
/// @throws Error bad_file: a tensor that is stored as one with others is there without them
TensorMap stored_tensors(const Naming& naming, std::string_view prefix, const TensorMap& canonical,
                         const HeadDims& heads, const std::string& file);

}  // namespace flux2
