#pragma once

#include <nanobind/nanobind.h>

#include "conversation.h"
#include "flux2/run.h"

namespace flux2::python {

/// How a call runs and which functions of Python hear of it; each may be None.
struct Run {
  Output output = Output::images;
  VaeTiling vae_tiling = VaeTiling::automatic;
  nanobind::object progress = nanobind::none();              ///< of a Progress
  nanobind::object callback_on_step_end = nanobind::none();  ///< of a StepState
  nanobind::object preview = nanobind::none();               ///< of a Preview
  nanobind::object noise = nanobind::none();                 ///< of a shape, returns floats
};

/// The library's options: what Python hears is said through `conversation`. Both arguments must
/// outlive the call.
RunOptions run_options(const Run& run, Conversation& conversation);

/// The caller's noise; empty where `run` has none. As run_options.
NoiseFunction noise_function(const Run& run, Conversation& conversation);

}  // namespace flux2::python
