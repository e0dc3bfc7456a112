#pragma once

#include <cstdint>
#include <optional>

#include "flux2/pipeline.h"
#include "flux2/plan.h"
#include "pipeline/backend.h"
#include "pipeline/model_folder.h"
#include "pipeline/workload.h"

namespace flux2 {

/// What a plan is made for.
struct PlanInputs {
  const ModelFolder& model;
  const Workload& work;
  const Backend& backend;
  const PipelineOptions& options;  ///< residency and memory_limit
  VaeTiling tiling = VaeTiling::automatic;
  std::int64_t program_bytes = 0;          ///< of the process as it is, without what a call makes
  std::optional<MachineRates> rates = {};  ///< none: no times
};

/// The first of these ways that keeps within the limit, each with what the one before gives up:
/// everything is kept; text encoder and transformer are released once they are done; the VAE works
/// in tiles; just as many layers as necessary are streamed from the file.
/// @throws Error out_of_memory: none does; says how much the last one needs
Plan make_plan(const PlanInputs& inputs);

/// make_backend; where the compute type is automatic and memory is limited, int8 if `work` needs no
/// streaming then but does otherwise.
Backend choose_backend(const ModelFolder& model, const PipelineOptions& options,
                       const Workload& work);

/// What a process has without any model, once its threads and generated code are there.
std::int64_t program_memory();

}  // namespace flux2
