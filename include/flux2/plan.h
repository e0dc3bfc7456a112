#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "flux2/export.h"
#include "flux2/run.h"

namespace FLUX2_API flux2 {

/// How one part of the model is held in memory.
struct PartPlan {
  std::string name;         ///< "text_encoder", "transformer", "vae"
  std::string weight_type;  ///< what its linear layers are prepared in: "f32", "bf16", "int8"
  /// Bytes of prepared weights that stay in memory while the part is used.
  std::int64_t resident_bytes = 0;
  /// Bytes of prepared weights that are made from the file each time they are used.
  std::int64_t streamed_bytes = 0;
  double streamed_share = 0;  ///< of the layers that can be streamed, 0 to 1
  /// Whether the part goes once the stages that need it are over.
  enum class Afterwards { kept, released };
  Afterwards afterwards = Afterwards::kept;  ///< kept: a later call finds it in memory
};

/// One stage of a call, loading included.
struct StagePlan {
  Stage stage = Stage::denoise;  ///< upsample, encode_text, encode_images, denoise or decode
  /// Predicted peak of the process's own memory (anonymous; mapped files are no part of it).
  std::int64_t peak_bytes = 0;
  double flops = 0;    ///< of matmuls, convolutions and attention, all steps together
  double seconds = 0;  ///< predicted, loading included; 0 where no rates were given
  int tile = 0;        ///< the VAE works on tiles of so many pixels a side; 0: on whole pictures
};

/// What a machine does in a second, for predictions of time.
struct MachineRates {
  double matmul_flops = 0;    ///< FLOP/s of matmuls, convolutions and attention
  double int8_flops = 0;      ///< of linear layers in int8
  double memory_bytes = 0;    ///< bytes/s of everything that is no matmul
  double prepared_bytes = 0;  ///< bytes/s of weights that are prepared from a cached file
  double fresh_bytes = 0;     ///< bytes/s of memory that the process takes for the first time
  std::string from;           ///< how they were found
};

/// What a call will need, stage by stage, and how it is kept within a limit.
struct Plan {
  std::string backend;                ///< see Pipeline::backend
  std::int64_t limit_bytes = 0;       ///< of the process's own memory
  std::string limit_from;             ///< "memory_limit", "free memory", "control group /x", ...
  std::int64_t program_bytes = 0;     ///< of the process itself: code, threads, tokenizer
  std::vector<PartPlan> parts;        ///< those that the call needs, in order of use
  std::vector<StagePlan> stages;      ///< in order
  std::vector<std::string> given_up;  ///< what was chosen to stay within the limit, for people
  std::optional<MachineRates> rates;  ///< none: no times were predicted

  /// The most of all stages.
  std::int64_t peak_bytes() const;
  /// All stages together.
  double seconds() const;
  /// The part of that name; nullptr: the call does not need it.
  const PartPlan* part(const std::string& name) const;
  /// That stage; nullptr: the call does not have it.
  const StagePlan* stage(Stage stage) const;
};

}  // namespace flux2
