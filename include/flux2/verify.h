#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "flux2/export.h"
#include "flux2/model.h"

namespace FLUX2_API flux2 {

/// How far verifying is.
struct VerifyProgress {
  std::string part;        ///< "transformer", "text_encoder" or "vae"
  std::int64_t done = 0;   ///< bytes of its tensors
  std::int64_t total = 0;  ///< bytes
};

/// How files are verified.
struct VerifyOptions {
  /// A model, folder or file that the files were made from, as ModelSource::model; its parts are
  /// compared with those of the same kind. Empty: nothing is compared.
  std::string against = {};
  /// Which member of the family the transformer is meant to be; none: what the files say.
  std::optional<Family> variant = {};
  int threads = 0;                                           ///< 0: as many as may be used
  std::stop_token stop = {};                                 ///< ends it with Error cancelled
  std::function<void(const VerifyProgress&)> progress = {};  ///< called often
};

/// What the numbers of a tensor are like; NaN and infinity are counted and else left out.
struct TensorNumbers {
  double least = 0;           ///< the smallest
  double most = 0;            ///< the largest
  double mean_magnitude = 0;  ///< mean of their absolute values
  std::int64_t nan = 0;       ///< how many are not a number
  std::int64_t infinite = 0;  ///< how many are infinite, or too large for a float
};

/// The scales that a quantised tensor is stored with.
struct TensorScales {
  double least = 0;        ///< the smallest
  double most = 0;         ///< the largest
  std::int64_t count = 0;  ///< how many there are
};

/// A tensor held against its parent's. Which differences are too large: docs/formats.md.
struct TensorDifference {
  double relative_error = 0;  ///< |a - parent| / |parent|, Euclidean
  double cosine = 1;          ///< of the angle between both
  double gain = 1;            ///< how much longer it is along its parent; 1: as long
  double allowed_error = 0;   ///< the relative error that the stored types explain
  bool off = false;           ///< more than rounding
};

/// One tensor of a part.
struct VerifiedTensor {
  std::string name;                            ///< Diffusers' or transformers' name
  std::string stored_name;                     ///< what the file calls it
  std::string role;                            ///< "linear layer of a block", "norm", "scale", ...
  std::string stored_as;                       ///< "BF16", "Q4_K", "F8_E4M3 with a scale a row"
  std::vector<std::int64_t> shape;             ///< of the numbers
  std::int64_t bytes = 0;                      ///< as stored
  std::optional<TensorNumbers> numbers;        ///< none where it holds no real numbers
  std::optional<TensorScales> scales;          ///< none where there are none
  std::optional<TensorDifference> difference;  ///< with VerifyOptions::against
};

/// Something that is wrong.
struct VerifyProblem {
  std::string where;  ///< part, or file
  std::string what;   ///< a sentence
};

/// One part of a model, looked at tensor by tensor.
struct VerifiedPart {
  ModelPart part;                       ///< what it was taken for, and from what
  std::string because;                  ///< why it was taken for that
  std::vector<VerifiedTensor> tensors;  ///< all of them, by name
  std::vector<std::string> missing;     ///< tensors that it should have, as its files would say
  std::vector<std::string> surplus;     ///< stored names that belong to no FLUX.2 model
};

/// What verifying found.
struct VerifyReport {
  std::vector<VerifiedPart> parts;      ///< those that could be read
  std::string taken_for;                ///< "FLUX.2 [klein]", by what; empty where it is no model
  std::vector<VerifyProblem> problems;  ///< all that is wrong; empty: good
};

/// Reads every tensor of some files and says what they are and what is wrong with them: tensors
/// that are missing, surplus, misshapen, that hold NaN or infinity, parts that do not fit each
/// other, and layers that are not what they were made from. Needs memory for a few pieces of a
/// tensor.
/// @param files    model folders, folders or files of parts, or repositories in the hub's cache, as
///                 ModelSource::model
/// @param options  parent, variant, threads, stop, progress
/// @return         problems are no exceptions
/// @throws Error invalid_request: no files, negative threads; bad_file: `against` cannot be read;
///         cancelled
VerifyReport verify_files(const std::vector<std::string>& files, const VerifyOptions& options = {});

}  // namespace flux2
