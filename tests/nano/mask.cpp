#include "mask.h"

#include <algorithm>
#include <utility>

namespace flux2::nano {
namespace {

std::size_t index_of(const Mask& mask, int x, int y) {
  return static_cast<std::size_t>(y) * static_cast<std::size_t>(mask.width()) +
         static_cast<std::size_t>(x);
}

// Moves the part around (x, y) from `rest` into a mask of its own.
Mask take_part(Mask& rest, int x, int y) {
  Mask part(rest.width(), rest.height());
  std::vector<std::pair<int, int>> open;
  const auto visit = [&](int px, int py) {
    if (!rest.at(px, py)) return;
    rest.set(index_of(rest, px, py), false);
    part.set(index_of(part, px, py));
    open.emplace_back(px, py);
  };
  visit(x, y);
  while (!open.empty()) {
    const auto [px, py] = open.back();
    open.pop_back();
    visit(px - 1, py);
    visit(px + 1, py);
    visit(px, py - 1);
    visit(px, py + 1);
  }
  return part;
}

bool touches_border(const Mask& mask) {
  for (int x = 0; x < mask.width(); ++x)
    if (mask.at(x, 0) || mask.at(x, mask.height() - 1)) return true;
  for (int y = 0; y < mask.height(); ++y)
    if (mask.at(0, y) || mask.at(mask.width() - 1, y)) return true;
  return false;
}

}  // namespace

Mask::Mask(int width, int height)
    : width_(width),
      height_(height),
      on_(static_cast<std::size_t>(width) * static_cast<std::size_t>(height)) {}

bool Mask::at(int x, int y) const {
  return x >= 0 && y >= 0 && x < width_ && y < height_ && (*this)[index_of(*this, x, y)];
}

bool Mask::beside(int x, int y) const {
  return at(x - 1, y) || at(x + 1, y) || at(x, y - 1) || at(x, y + 1);
}

int Mask::count() const {
  return static_cast<int>(std::count(on_.begin(), on_.end(), std::uint8_t{1}));
}

Box box_of(const Mask& mask) {
  int left = mask.width();
  int right = 0;
  int top = mask.height();
  int bottom = 0;
  for (int y = 0; y < mask.height(); ++y) {
    for (int x = 0; x < mask.width(); ++x) {
      if (!mask.at(x, y)) continue;
      left = std::min(left, x);
      right = std::max(right, x + 1);
      top = std::min(top, y);
      bottom = std::max(bottom, y + 1);
    }
  }
  return {.center_x = (left + right) / 2.0,
          .center_y = (top + bottom) / 2.0,
          .width = static_cast<double>(right - left),
          .height = static_cast<double>(bottom - top)};
}

Mask core_of(const Mask& mask) {
  Mask core(mask.width(), mask.height());
  for (int y = 0; y < mask.height(); ++y)
    for (int x = 0; x < mask.width(); ++x)
      core.set(index_of(mask, x, y), mask.at(x, y) && mask.at(x - 1, y) && mask.at(x + 1, y) &&
                                         mask.at(x, y - 1) && mask.at(x, y + 1));
  return core;
}

std::vector<Mask> parts_of(const Mask& mask) {
  std::vector<Mask> parts;
  Mask rest = mask;
  for (int y = 0; y < mask.height(); ++y)
    for (int x = 0; x < mask.width(); ++x)
      if (rest.at(x, y)) parts.push_back(take_part(rest, x, y));
  return parts;
}

Mask fill_holes(const Mask& mask, const Mask& foreground) {
  Mask outside(mask.width(), mask.height());
  for (std::size_t i = 0; i < mask.size(); ++i)
    outside.set(i, !mask[i]);
  Mask filled = mask;
  for (const Mask& part : parts_of(outside)) {
    if (touches_border(part)) continue;
    for (std::size_t i = 0; i < part.size(); ++i)
      if (part[i] && foreground[i]) filled.set(i);
  }
  return filled;
}

double overlap(const Mask& a, const Mask& b) {
  int both = 0;
  int either = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    both += a[i] && b[i] ? 1 : 0;
    either += a[i] || b[i] ? 1 : 0;
  }
  return static_cast<double>(both) / std::max(1, either);
}

}  // namespace flux2::nano
