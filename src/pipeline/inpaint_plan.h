#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "diffusion/positions.h"
#include "flux2/request.h"
#include "images/geometry.h"

namespace flux2 {

/// One picture and mask of an Inpaint that has been checked, as the model takes them.
struct InpaintPlan {
  /// How a painted picture becomes the result.
  enum class Finish {
    as_painted,  ///< it is the result
    overlay,     ///< laid into the original as Diffusers does it
    keep,        ///< into the original in its own size, with a seam
  };

  std::size_t source = 0;   ///< which of Inpaint::image, or which row of its latents
  TokenGrid grid;           ///< of what is painted
  Image picture;            ///< rgb or rgb_float of that size; none where latents stand in for it
  std::vector<float> mask;  ///< [tokens] 1: painted; empty: everything is
  double strength = 0.8;
  Finish finish = Finish::as_painted;

  /// What the box is a part of, at most 1024 * 1024 pixels, and its mask; only with a box.
  Image capped;
  Image capped_mask;
  std::optional<Box> box;

  Image original;  ///< rgb; only where it is kept
  Image seam;      ///< gray, of its size

  std::vector<std::string> warnings;
};

/// As many plans as combinations of a picture and a mask occur: picture b of a call has plan
/// b % size. All have one grid and one strength.
/// @param batch  pictures that are drawn
/// @throws Error invalid_request: names the argument
std::vector<InpaintPlan> plan_inpaint(const Inpaint& inpaint, std::int64_t batch);

/// The result for one painted picture (rgb, of the plan's size).
Image finish_inpaint(const InpaintPlan& plan, Image painted);

}  // namespace flux2
