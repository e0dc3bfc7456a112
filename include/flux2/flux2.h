#pragma once

/// @file
/// Everything. Start with flux2::Pipeline.

/// @namespace flux2
/// FLUX.2 in C++: text to image, editing with references, painting over a picture.

#include "flux2/adapter.h"
#include "flux2/array.h"
#include "flux2/bench.h"
#include "flux2/convert.h"
#include "flux2/error.h"
#include "flux2/export.h"
#include "flux2/hub.h"
#include "flux2/image.h"
#include "flux2/model.h"
#include "flux2/noise.h"
#include "flux2/pipeline.h"
#include "flux2/plan.h"
#include "flux2/prompt_cache.h"
#include "flux2/quantize.h"
#include "flux2/request.h"
#include "flux2/run.h"
#include "flux2/verify.h"
#include "flux2/version.h"
