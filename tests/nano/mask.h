#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace flux2::nano {

/// Which pixels of a picture belong to something.
class Mask {
 public:
  Mask(int width, int height);

  int width() const { return width_; }
  int height() const { return height_; }
  std::size_t size() const { return on_.size(); }
  /// Pixels are counted row by row.
  bool operator[](std::size_t pixel) const { return on_[pixel] != 0; }
  void set(std::size_t pixel, bool on = true) { on_[pixel] = on ? 1 : 0; }
  /// Outside the picture nothing is on.
  bool at(int x, int y) const;
  /// Whether the pixel above, below, left or right of (x, y) is on.
  bool beside(int x, int y) const;
  int count() const;

 private:
  int width_;
  int height_;
  std::vector<std::uint8_t> on_;
};

/// The smallest box around a mask, in pixels.
struct Box {
  double center_x = 0;
  double center_y = 0;
  double width = 0;
  double height = 0;
};

/// @param mask  not empty
Box box_of(const Mask& mask);

/// The pixels whose four neighbours are on as well.
Mask core_of(const Mask& mask);

/// The connected parts (by edges, not corners), by their first pixels row by row.
std::vector<Mask> parts_of(const Mask& mask);

/// `mask` and those pixels of `foreground` that it encloses.
Mask fill_holes(const Mask& mask, const Mask& foreground);

/// |a and b| / |a or b|, 0 to 1.
double overlap(const Mask& a, const Mask& b);

}  // namespace flux2::nano
