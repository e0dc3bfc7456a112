#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

namespace flux2::nano {

using Rgb = std::array<float, 3>;  ///< 0 to 255

struct NamedColor {
  std::string_view name;
  Rgb rgb;
};

/// The backgrounds and the colours of objects that nano was trained on (tools/nano/scenes.py).
std::span<const NamedColor> backgrounds();
std::span<const NamedColor> object_colors();

/// How visible a difference is, roughly: sum over the channels of weight * |a - b|.
float visible_difference(const Rgb& a, const Rgb& b);

/// Index of the colour in `choice` that is nearest to `rgb` by the same weights, squared.
std::size_t nearest_color(const Rgb& rgb, std::span<const NamedColor> choice);

}  // namespace flux2::nano
