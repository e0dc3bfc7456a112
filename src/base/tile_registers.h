#pragma once

namespace flux2 {

/// Whether this processor multiplies tiles of bfloat16 and of bytes (AMX-BF16, AMX-INT8) and the
/// kernel lets this process use their registers, for which it has to be asked once. All threads may
/// then use them.
bool may_use_tiles();

}  // namespace flux2
