#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backends/cpu/footprint_ops.h"
#include "checkpoint/streaming_ops.h"
#include "flux2/pipeline.h"

namespace flux2 {

/// The operations that a pipeline runs on, and what `automatic` became.
struct Backend {
  std::unique_ptr<StreamingOps> ops;
  Compute compute = Compute::f32;
  int threads = 1;
  Pinning pinning = Pinning::off;
  CpuOptions cpu = {};  ///< what `ops` were made with

  /// Bytes of a matmul input.
  std::int64_t operand_size() const;
};

/// Where the threads of a call that begins now are to stay: see PinnedThreads.
std::vector<int> processors_to_pin(const Backend& backend);

/// "cpu bf16 avx512_bf16, 2 threads"
std::string describe_backend(const Backend& backend);

/// The only place that names a backend.
/// @throws Error invalid_request: a device or compute type that this build or machine lacks
Backend make_backend(const PipelineOptions& options);

/// What counts in place of the backend's own operations.
std::unique_ptr<FootprintOps> make_footprint_ops(const Backend& backend);

}  // namespace flux2
