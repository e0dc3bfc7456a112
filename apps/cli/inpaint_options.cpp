#include "inpaint_options.h"

#include <fmt/format.h>

#include "option_binding.h"

namespace flux2::cli {
namespace {

constexpr int kMostPixels = 16384;
constexpr std::size_t kSides = 4;

// An option that asks for something; null if none does.
const char* first_given(const InpaintOptions& o) {
  if (!o.masks.empty()) return "--mask";
  if (o.strength) return "--strength";
  if (o.padding_mask_crop) return "--padding-mask-crop";
  if (o.keep_unmasked) return "--keep-unmasked";
  if (!o.outpaint.empty()) return "--outpaint";
  return nullptr;
}

Margins margins_of(const std::vector<int>& sides) {
  if (sides.size() != kSides) {
    throw Error(ErrorCode::invalid_request, fmt::format("{} numbers are not four", sides.size()),
                "--outpaint", "give left,top,right,bottom");
  }
  return {.left = sides[0], .top = sides[1], .right = sides[2], .bottom = sides[3]};
}

std::vector<Image> load_images(const std::vector<std::string>& files) {
  std::vector<Image> images;
  for (const std::string& file : files)
    images.push_back(load_image(file));
  return images;
}

}  // namespace

void add_inpaint(CLI::App& app, InpaintOptions& o) {
  const char* group = "What to paint over";
  add_texts(app, "--inpaint", o.images, "FILE",
            "picture to paint over; --image then gives further references; repeat for one a sample")
      ->group(group);
  add_texts(app, "--mask", o.masks, "FILE",
            "white is painted, black is kept; default: all is painted (image to image); repeatable")
      ->group(group);
  add_number<double>(app, "--strength", o.strength, {0.0, 1.0},
                     "how much may change, 0 to 1; 0.8, with --outpaint 1")
      ->group(group);
  add_number<int>(app, "--padding-mask-crop", o.padding_mask_crop, {0, kMostPixels},
                  "paint only what is around the mask, so many pixels more, at full size")
      ->group(group);
  app.add_flag("--keep-unmasked", o.keep_unmasked,
               "the result is the picture itself, untouched outside of the mask (recommended)")
      ->group(group);
  add_number_list<int>(app, "--outpaint", o.outpaint, {0, kMostPixels},
                       "grow the picture by left,top,right,bottom pixels and paint what is new")
      ->group(group);
}

void replace_inpaint(Request& request, const InpaintOptions& options) {
  if (!options.images.empty()) {
    request.inpaint.emplace();
    request.inpaint->image = load_images(options.images);
  }
  const char* given = first_given(options);
  if (given == nullptr) return;
  if (!request.inpaint) {
    throw Error(ErrorCode::invalid_request, "there is no picture to paint over", given,
                "give one with --inpaint");
  }
  Inpaint& inpaint = *request.inpaint;
  if (!options.masks.empty()) inpaint.mask_image = load_images(options.masks);
  if (options.strength) inpaint.strength = options.strength;
  if (options.padding_mask_crop) inpaint.padding_mask_crop = options.padding_mask_crop;
  if (options.keep_unmasked) inpaint.keep_unmasked = true;
  if (!options.outpaint.empty()) inpaint.outpaint = margins_of(options.outpaint);
}

}  // namespace flux2::cli
