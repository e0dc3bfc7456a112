#include "images/seam.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "images/codec.h"
#include "images/convert.h"
#include "images/geometry.h"

namespace flux2 {
namespace {

constexpr int kHalf = 128;  // v / 255 >= 0.5
// Chamfer distance in thirds of a pixel. Source: Borgefors 1986, the 3-4 weights.
constexpr int kBeside = 3;
constexpr int kAcross = 4;
constexpr int kFar = std::numeric_limits<int>::max() / 2;

// Distance to the nearest kept pixel, in thirds of a pixel; a border that needs no test surrounds
// the picture.
class DistanceMap {
 public:
  explicit DistanceMap(const Image& gray)
      : width_(gray.width),
        height_(gray.height),
        stride_(static_cast<std::size_t>(gray.width) + 2),
        values_(stride_ * (static_cast<std::size_t>(gray.height) + 2), kFar) {
    std::size_t i = 0;
    for (int y = 0; y < height_; ++y) {
      for (int x = 0; x < width_; ++x, ++i)
        if (gray.pixels[i] < kHalf) values_[index(x, y)] = 0;
    }
    for (int y = 0; y < height_; ++y) {
      for (int x = 0; x < width_; ++x)
        lower(index(x, y), Neighbours::before);
    }
    for (int y = height_ - 1; y >= 0; --y) {
      for (int x = width_ - 1; x >= 0; --x)
        lower(index(x, y), Neighbours::behind);
    }
  }

  int at(int x, int y) const { return values_[index(x, y)]; }

  int largest() const {
    int most = 0;
    for (int y = 0; y < height_; ++y) {
      for (int x = 0; x < width_; ++x)
        most = std::max(most, at(x, y));
    }
    return most;
  }

 private:
  enum class Neighbours { before, behind };

  std::size_t index(int x, int y) const {
    return static_cast<std::size_t>(y + 1) * stride_ + static_cast<std::size_t>(x + 1);
  }

  void lower(std::size_t i, Neighbours which) {
    const bool before = which == Neighbours::before;
    const auto value = [&](std::size_t distance) {
      return before ? values_[i - distance] : values_[i + distance];
    };
    const int beside = std::min(value(1), value(stride_)) + kBeside;
    const int across = std::min(value(stride_ + 1), value(stride_ - 1)) + kAcross;
    values_[i] = std::min({values_[i], beside, across});
  }

  int width_;
  int height_;
  std::size_t stride_;
  std::vector<int> values_;
};

}  // namespace

Image seam_mask(const Image& mask) {
  require_valid(mask, "mask");
  constexpr int kOpaque = 255;
  const DistanceMap distances(convert_to_gray(mask));
  // A thin mask shows what was painted in its middle all the same.
  const int full = std::min((kSeamWidth + 1) * kBeside, std::max(distances.largest(), 1));
  Image seam = blank_image(mask.width, mask.height, PixelFormat::gray);
  std::size_t i = 0;
  for (int y = 0; y < mask.height; ++y) {
    for (int x = 0; x < mask.width; ++x, ++i) {
      const int distance = std::min(distances.at(x, y), full);
      seam.pixels[i] = static_cast<std::uint8_t>((kOpaque * distance + full / 2) / full);
    }
  }
  return seam;
}

}  // namespace flux2
