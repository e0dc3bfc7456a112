#pragma once

#include "pipeline/model_folder.h"
#include "pipeline/monitor.h"
#include "pipeline/parts.h"

namespace flux2 {

/// What works with the parts of a model.
struct PartsContext {
  const ModelFolder& model;
  Parts& parts;
  Ops& ops;
  Monitor& monitor;
};

}  // namespace flux2
