#pragma once

/// Everything: see pipeline.h for where to start.
#include "flux2/array.h"
#include "flux2/error.h"
#include "flux2/image.h"
#include "flux2/model.h"
#include "flux2/pipeline.h"
#include "flux2/version.h"
