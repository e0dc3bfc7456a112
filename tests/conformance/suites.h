#pragma once

#include <vector>

#include "conformance/judge.h"

namespace flux2::conformance {

void judge_linear(Judge& judge);
void judge_linear_add_gated(Judge& judge);
void judge_attention(Judge& judge);
void judge_conv2d(Judge& judge);
void judge_conv2d_add(Judge& judge);
void judge_upsample_conv2d(Judge& judge);
void judge_adaln(Judge& judge);
void judge_rms_norm(Judge& judge);
void judge_rms_norm_rope(Judge& judge);
void judge_group_norm(Judge& judge);
void judge_swiglu(Judge& judge);
void judge_activate(Judge& judge);
void judge_add_gated(Judge& judge);
void judge_embedding(Judge& judge);
void judge_upsample_nearest(Judge& judge);
void judge_copy(Judge& judge);
void judge_storage(Judge& judge);

/// All cases of one operation.
struct Suite {
  const char* name;
  void (*run)(Judge& judge);
};

inline const std::vector<Suite>& suites() {
  static const std::vector<Suite> list = {
      {"linear", judge_linear},
      {"linear_add_gated", judge_linear_add_gated},
      {"attention", judge_attention},
      {"conv2d", judge_conv2d},
      {"conv2d_add", judge_conv2d_add},
      {"upsample_conv2d", judge_upsample_conv2d},
      {"adaln", judge_adaln},
      {"rms_norm", judge_rms_norm},
      {"rms_norm_rope", judge_rms_norm_rope},
      {"group_norm", judge_group_norm},
      {"swiglu", judge_swiglu},
      {"activate", judge_activate},
      {"add_gated", judge_add_gated},
      {"embedding", judge_embedding},
      {"upsample_nearest", judge_upsample_nearest},
      {"copy", judge_copy},
      {"storage", judge_storage},
  };
  return list;
}

/// For operations that update an f32 tensor: every placement and role of the inputs.
std::vector<Variant> updating_variants();
/// For operations on pictures, which are always dense: every combination of roles.
std::vector<Variant> dense_variants();

}  // namespace flux2::conformance
