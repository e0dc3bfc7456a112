#include "images/reference.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "flux2/error.h"
#include "images/convert.h"
#include "images/resample.h"

namespace flux2 {

void check_reference(const Image& image, const std::string& where) {
  const auto fail = [&](const std::string& what, const char* hint) {
    throw Error(
        ErrorCode::invalid_request,
        fmt::format("the reference image is {}x{} pixels, {}", image.width, image.height, what),
        where, hint);
  };
  if (std::min(image.width, image.height) < kMinReferenceSide) {
    fail(fmt::format("but both sides must be at least {}", kMinReferenceSide),
         "use a larger picture");
  }
  const double ratio = static_cast<double>(image.width) / image.height;
  const double aspect = std::max(ratio, static_cast<double>(image.height) / image.width);
  if (aspect > kMaxReferenceAspect) {
    fail(fmt::format("an aspect of {:.1f}:1, but at most {}:1 is allowed", aspect,
                     kMaxReferenceAspect),
         "crop it");
  }
}

Image cap_area(Image image, int most) {
  const double area = static_cast<double>(image.width) * image.height;
  if (area <= most) return image;
  const double scale = std::sqrt(most / area);
  const Size size{static_cast<int>(image.width * scale), static_cast<int>(image.height * scale)};
  return resize(image, size, Filter::lanczos);
}

Size floor_to_multiple(Size size) {
  return {size.width - size.width % kSideMultiple, size.height - size.height % kSideMultiple};
}

Image prepare_reference(const Image& image, const std::string& where) {
  require_valid(image, where);
  check_reference(image, where);
  const Image capped = cap_area(image);
  const Size size = floor_to_multiple({capped.width, capped.height});
  return convert_for_model(crop(capped, centre_box(capped, size)));
}

}  // namespace flux2
