#include "pipeline/inpaint_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "images/canvas.h"
#include "images/convert.h"
#include "images/inpaint.h"
#include "images/reference.h"
#include "images/resample.h"
#include "images/seam.h"
#include "pipeline/check.h"

namespace flux2 {
namespace {

constexpr double kDefaultStrength = 0.8;  // Diffusers'
// New ground has nothing below it that is worth keeping.
constexpr double kOutpaintStrength = 1.0;
constexpr int kMostMargin = 16384;  // pixels

Size size_of(const Image& image) {
  return {image.width, image.height};
}

std::string name_of(const Image& image, const char* argument) {
  return image.file.empty() ? argument : image.file;
}

// Latents take the place of the picture, so nothing that works on pixels can be asked for.
void check_latents(const Inpaint& inpaint) {
  const auto exclude = [](bool given, const char* argument) {
    if (given) refuse(argument, "works on pixels, and the picture is given as latents");
  };
  exclude(!inpaint.image.pixels.empty(), "image");
  exclude(inpaint.padding_mask_crop.has_value(), "padding_mask_crop");
  exclude(inpaint.keep_unmasked, "keep_unmasked");
  exclude(inpaint.outpaint.has_value(), "outpaint");
}

void check_outpaint(const Margins& m) {
  for (const int side : {m.left, m.top, m.right, m.bottom}) {
    if (side < 0 || side > kMostMargin) {
      refuse("outpaint", fmt::format("must be 0 to {} pixels a side, not {}", kMostMargin, side));
    }
  }
  if (m.left + m.top + m.right + m.bottom == 0) {
    refuse("outpaint", "grows the picture on no side", "give left, top, right and bottom");
  }
}

void check(const Inpaint& inpaint) {
  if (inpaint.image_latents) {
    check_latents(inpaint);
  } else if (inpaint.image.pixels.empty()) {
    refuse("inpaint", "there is no picture to paint over");
  } else {
    require_valid(inpaint.image, name_of(inpaint.image, "inpaint"));
  }
  if (inpaint.mask_image) require_valid(*inpaint.mask_image, name_of(*inpaint.mask_image, "mask"));
  if (inpaint.outpaint) check_outpaint(*inpaint.outpaint);
  if (inpaint.strength && !(*inpaint.strength >= 0 && *inpaint.strength <= 1)) {
    refuse("strength", fmt::format("must be 0 to 1, not {}", *inpaint.strength));
  }
  if (!inpaint.padding_mask_crop) return;
  if (*inpaint.padding_mask_crop < 0) {
    refuse("padding_mask_crop",
           fmt::format("must not be negative, but is {}", *inpaint.padding_mask_crop));
  }
  if (!inpaint.mask_image && !inpaint.outpaint) {
    refuse("padding_mask_crop", "there is no mask to crop to", "give a mask");
  }
}

// Picture and mask on the grown canvas, which from then on are like any others.
Inpaint grown(const Inpaint& inpaint) {
  const Margins& m = *inpaint.outpaint;
  const Image& image = inpaint.image;
  const Box box = {-m.left, -m.top, image.width + m.right, image.height + m.bottom};
  Inpaint result = inpaint;
  result.image = extend_edges(image, box);
  result.mask_image =
      extend_mask(inpaint.mask_image ? &*inpaint.mask_image : nullptr, size_of(image), box);
  return result;
}

TokenGrid grid_of(Size size) {
  return {size.height / kSideMultiple, size.width / kSideMultiple};
}

// `mask` at the size of `image`.
Image matched(const Image& mask, const Image& image) {
  return size_of(mask) == size_of(image) ? mask : resize(mask, size_of(image), Filter::lanczos);
}

class Planner {
 public:
  explicit Planner(const Inpaint& inpaint) : inpaint_(inpaint) {
    plan_.strength =
        inpaint.strength.value_or(inpaint.outpaint ? kOutpaintStrength : kDefaultStrength);
  }

  InpaintPlan run() && {
    if (inpaint_.image_latents) {
      plan_latents();
    } else {
      plan_picture();
    }
    const auto& mask = plan_.mask;
    if (!mask.empty() && std::all_of(mask.begin(), mask.end(), [](float v) { return v == 0; })) {
      warn("the mask leaves nothing to paint");
    }
    return std::move(plan_);
  }

 private:
  void warn(std::string warning) { plan_.warnings.push_back(std::move(warning)); }

  void plan_latents() {
    const std::vector<std::int64_t>& shape = inpaint_.image_latents->shape;
    plan_.grid = {shape[2], shape[3]};
    const Size size = {static_cast<int>(shape[3]) * kSideMultiple,
                       static_cast<int>(shape[2]) * kSideMultiple};
    if (inpaint_.mask_image) set_mask(*inpaint_.mask_image, size, Fit::stretch);
  }

  void plan_picture() {
    Image capped = cap_area(inpaint_.image);
    const Size size = inpaint_size(capped);
    plan_.grid = grid_of(size);
    if (inpaint_.padding_mask_crop) {
      plan_crop(std::move(capped), size);
    } else {
      plan_.picture = fit_image(capped, size, Fit::stretch);
      if (inpaint_.mask_image) set_mask(*inpaint_.mask_image, size, Fit::stretch);
    }
    if (inpaint_.keep_unmasked) plan_keeping();
  }

  void plan_crop(Image capped, Size size) {
    const Image mask = matched(*inpaint_.mask_image, capped);
    const Box box = crop_region(mask, size, *inpaint_.padding_mask_crop);
    plan_.picture = fit_image(crop(capped, box), size, Fit::fill);
    set_mask(crop(mask, box), size, Fit::fill);
    plan_.finish = InpaintPlan::Finish::overlay;
    plan_.capped = std::move(capped);
    plan_.capped_mask = mask;
    plan_.box = box;
    if (!inpaint_.keep_unmasked && Size{box.width(), box.height()} != size) {
      warn(
          fmt::format("padding_mask_crop: {}x{} pixels were painted for a part of {}x{}, and only "
                      "their middle is put back, as Diffusers does; keep_unmasked scales them",
                      size.width, size.height, box.width(), box.height()));
    }
  }

  void plan_keeping() {
    if (!inpaint_.mask_image) {
      warn("keep_unmasked has no effect: without a mask all is painted");
      return;
    }
    plan_.finish = InpaintPlan::Finish::keep;
    plan_.original = convert_to_rgb(inpaint_.image);
    plan_.seam = seam_mask(matched(*inpaint_.mask_image, inpaint_.image));
  }

  void set_mask(const Image& mask, Size size, Fit fit) {
    plan_.mask = token_mask(binary_mask(mask, size, fit), {static_cast<int>(plan_.grid.columns),
                                                           static_cast<int>(plan_.grid.rows)});
  }

  const Inpaint& inpaint_;
  InpaintPlan plan_;
};

Image overlaid(const InpaintPlan& plan, const Image& painted, OverlayFit fit) {
  return apply_overlay(
      painted, {.mask = plan.capped_mask, .original = plan.capped, .box = plan.box, .fit = fit});
}

}  // namespace

InpaintPlan plan_inpaint(const Inpaint& inpaint) {
  check(inpaint);
  if (!inpaint.outpaint) return Planner(inpaint).run();
  const Inpaint whole = grown(inpaint);
  return Planner(whole).run();
}

Image finish_inpaint(const InpaintPlan& plan, Image painted) {
  switch (plan.finish) {
    case InpaintPlan::Finish::as_painted:
      break;
    case InpaintPlan::Finish::overlay:
      return overlaid(plan, painted, OverlayFit::centre_crop);
    case InpaintPlan::Finish::keep: {
      if (plan.box) painted = overlaid(plan, painted, OverlayFit::cover);
      const Image whole = resize(painted, size_of(plan.original), Filter::lanczos);
      return apply_overlay(whole, {.mask = plan.seam, .original = plan.original});
    }
  }
  return painted;
}

}  // namespace flux2
