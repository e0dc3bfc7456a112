#pragma once

#include <nanobind/nanobind.h>

#include "flux2/flux2.h"

namespace flux2::python {

/// Each adds one header of include/flux2 to the module.
void bind_errors(nanobind::module_& module);
void bind_arrays(nanobind::module_& module);
void bind_adapters(nanobind::module_& module);
void bind_request(nanobind::module_& module);
void bind_run(nanobind::module_& module);
void bind_model(nanobind::module_& module);
void bind_hub(nanobind::module_& module);
void bind_pipeline(nanobind::module_& module);

}  // namespace flux2::python
