#include "pipeline/inpaint_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

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
  exclude(!inpaint.image.empty(), "image");
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

void check_pictures(const Inpaint& inpaint) {
  if (inpaint.image_latents) return check_latents(inpaint);
  if (inpaint.image.empty()) refuse("inpaint", "there is no picture to paint over");
  for (const Image& image : inpaint.image) {
    if (image.pixels.empty()) refuse("inpaint", "there is no picture to paint over");
    require_valid(image, name_of(image, "inpaint"));
  }
}

void check_crop(const Inpaint& inpaint) {
  if (*inpaint.padding_mask_crop < 0) {
    refuse("padding_mask_crop",
           fmt::format("must not be negative, but is {}", *inpaint.padding_mask_crop));
  }
  if (inpaint.mask_image.empty() && !inpaint.outpaint) {
    refuse("padding_mask_crop", "there is no mask to crop to", "give a mask");
  }
  if (inpaint.image.size() > 1 || inpaint.mask_image.size() > 1) {
    refuse("padding_mask_crop", "crops one picture to one mask, and there are several",
           "make a call for each");
  }
}

void check(const Inpaint& inpaint) {
  check_pictures(inpaint);
  for (const Image& mask : inpaint.mask_image)
    require_valid(mask, name_of(mask, "mask"));
  if (inpaint.outpaint) check_outpaint(*inpaint.outpaint);
  if (inpaint.strength && !(*inpaint.strength >= 0 && *inpaint.strength <= 1)) {
    refuse("strength", fmt::format("must be 0 to 1, not {}", *inpaint.strength));
  }
  if (inpaint.padding_mask_crop) check_crop(inpaint);
}

// Diffusers duplicates what divides the batch and refuses the rest.
void check_count(const char* argument, std::size_t count, std::int64_t batch) {
  if (batch % static_cast<std::int64_t>(count) == 0) return;
  refuse(argument, fmt::format("{} of them cannot be shared out to {} pictures", count, batch),
         "their number must divide that of the pictures");
}

TokenGrid grid_of(Size size) {
  return {size.height / kSideMultiple, size.width / kSideMultiple};
}

// `mask` at the size of `image`.
Image matched(const Image& mask, const Image& image) {
  return size_of(mask) == size_of(image) ? mask : resize(mask, size_of(image), Filter::lanczos);
}

// One picture and its mask. Those after the first are brought to its size.
class Planner {
 public:
  Planner(const Inpaint& inpaint, const Image& image, const Image* mask, std::optional<Size> size)
      : inpaint_(inpaint), image_(image), mask_(mask), size_(size) {
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
    if (mask_ != nullptr) set_mask(*mask_, size, Fit::stretch);
  }

  void plan_picture() {
    Image capped = cap_area(image_);
    const Size size = size_ ? *size_ : inpaint_size(capped);
    plan_.grid = grid_of(size);
    if (inpaint_.padding_mask_crop) {
      plan_crop(std::move(capped), size);
    } else {
      plan_.picture = fit_image(capped, size, Fit::stretch);
      if (mask_ != nullptr) set_mask(*mask_, size, Fit::stretch);
    }
    if (inpaint_.keep_unmasked) plan_keeping();
  }

  void plan_crop(Image capped, Size size) {
    const Image mask = matched(*mask_, capped);
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
    if (mask_ == nullptr) {
      warn("keep_unmasked has no effect: without a mask all is painted");
      return;
    }
    plan_.finish = InpaintPlan::Finish::keep;
    plan_.original = convert_to_rgb(image_);
    plan_.seam = seam_mask(matched(*mask_, image_));
  }

  void set_mask(const Image& mask, Size size, Fit fit) {
    plan_.mask = token_mask(binary_mask(mask, size, fit), {static_cast<int>(plan_.grid.columns),
                                                           static_cast<int>(plan_.grid.rows)});
  }

  const Inpaint& inpaint_;
  const Image& image_;
  const Image* mask_;
  std::optional<Size> size_;
  InpaintPlan plan_;
};

// With a picture and mask on the grown canvas, which from then on are like any others.
InpaintPlan plan_one(const Inpaint& inpaint, const Image& image, const Image* mask,
                     std::optional<Size> size) {
  if (!inpaint.outpaint) return Planner(inpaint, image, mask, size).run();
  const Margins& m = *inpaint.outpaint;
  const Box box = {-m.left, -m.top, image.width + m.right, image.height + m.bottom};
  const Image whole = extend_edges(image, box);
  const Image whole_mask = extend_mask(mask, size_of(image), box);
  return Planner(inpaint, whole, &whole_mask, size).run();
}

Image overlaid(const InpaintPlan& plan, const Image& painted, OverlayFit fit) {
  return apply_overlay(
      painted, {.mask = plan.capped_mask, .original = plan.capped, .box = plan.box, .fit = fit});
}

}  // namespace

std::vector<InpaintPlan> plan_inpaint(const Inpaint& inpaint, std::int64_t batch) {
  check(inpaint);
  const std::size_t pictures = inpaint.image_latents
                                   ? static_cast<std::size_t>(inpaint.image_latents->shape[0])
                                   : inpaint.image.size();
  const std::size_t masks = inpaint.mask_image.size();
  check_count(inpaint.image_latents ? "image_latents" : "inpaint", pictures, batch);
  if (masks > 0) check_count("mask", masks, batch);

  const Image none;
  std::vector<InpaintPlan> plans;
  std::optional<Size> size;
  for (std::size_t i = 0; i < std::lcm(pictures, std::max<std::size_t>(masks, 1)); ++i) {
    const Image& image = inpaint.image_latents ? none : inpaint.image[i % pictures];
    const Image* mask = masks > 0 ? &inpaint.mask_image[i % masks] : nullptr;
    plans.push_back(plan_one(inpaint, image, mask, size));
    plans.back().source = i % pictures;
    size = Size{static_cast<int>(plans.front().grid.columns) * kSideMultiple,
                static_cast<int>(plans.front().grid.rows) * kSideMultiple};
  }
  return plans;
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
