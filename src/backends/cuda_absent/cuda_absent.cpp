#include "backends/cuda/cuda_ops.h"
#include "flux2/error.h"

namespace flux2 {

std::unique_ptr<Ops> make_cuda_ops() {
  throw Error(ErrorCode::invalid_request, "this build has no CUDA backend", "device",
              "use the cpu");
}

}  // namespace flux2
