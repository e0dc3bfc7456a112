#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "flux2/plan.h"
#include "models/autoencoder/tiling.h"
#include "ops/timing_ops.h"
#include "pipeline/backend.h"
#include "pipeline/model_folder.h"
#include "pipeline/workload.h"

namespace flux2 {

/// What a plan may choose.
struct Choices {
  double text_streamed = 0;         ///< share of the text encoder's layers
  double transformer_streamed = 0;  ///< share of the transformer's
  /// Of text encoder and transformer, once the stages that need them are over.
  PartPlan::Afterwards afterwards = PartPlan::Afterwards::kept;
  std::optional<Tiling> encode_tiles;  ///< none: whole pictures
  std::optional<Tiling> decode_tiles;
};

/// One stage as it was rehearsed.
struct RehearsedStage {
  Stage stage = Stage::denoise;
  std::int64_t peak_bytes = 0;  ///< without the program itself
  std::vector<OpTiming> ops;    ///< what all of its operations cost; seconds mean nothing
  double prepared_bytes = 0;    ///< of weights that were prepared, streamed ones every time
  std::string linear_type;      ///< of the layers that it multiplies with, see PartPlan
  int tile = 0;                 ///< see StagePlan
};

struct Rehearsed {
  std::vector<RehearsedStage> stages;
  std::vector<PartPlan> parts;
};

/// A model, and how its large parts are stored; nothing where a call does not need them.
struct RehearsedModel {
  const ModelFolder& folder;
  std::optional<Checkpoint> text_encoder;
  std::optional<Checkpoint> transformer;
};

/// Goes through a call on operations that only count (FootprintOps): the models themselves, with
/// the shapes of their weights and of everything that flows through them, and nothing in them. So
/// a prediction follows whatever the models do.
Rehearsed rehearse(const RehearsedModel& model, const Workload& work, const Choices& choices,
                   const Backend& backend);

}  // namespace flux2
