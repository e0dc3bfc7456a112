#include "palette.h"

#include <cmath>

namespace flux2::nano {
namespace {

constexpr Rgb kWeights = {0.55F, 0.75F, 0.45F};

constexpr NamedColor kBackgrounds[] = {
    {"white", {255, 255, 255}},    {"black", {12, 12, 12}},    {"gray", {128, 128, 128}},
    {"sky blue", {140, 200, 245}}, {"beige", {240, 222, 184}}, {"pink", {255, 150, 190}},
    {"mint", {170, 242, 205}},     {"navy", {18, 28, 92}},
};

constexpr NamedColor kColors[] = {
    {"red", {222, 36, 36}},     {"green", {32, 160, 60}},   {"blue", {40, 84, 232}},
    {"yellow", {250, 216, 32}}, {"purple", {140, 44, 176}}, {"orange", {250, 132, 22}},
    {"white", {255, 255, 255}}, {"black", {12, 12, 12}},    {"cyan", {24, 210, 220}},
    {"pink", {255, 150, 190}},  {"brown", {124, 74, 34}},
};

}  // namespace

std::span<const NamedColor> backgrounds() {
  return kBackgrounds;
}

std::span<const NamedColor> object_colors() {
  return kColors;
}

float visible_difference(const Rgb& a, const Rgb& b) {
  float sum = 0;
  for (std::size_t c = 0; c < 3; ++c)
    sum += std::abs(a[c] - b[c]) * kWeights[c];
  return sum;
}

std::size_t nearest_color(const Rgb& rgb, std::span<const NamedColor> choice) {
  std::size_t best = 0;
  float best_distance = INFINITY;
  for (std::size_t i = 0; i < choice.size(); ++i) {
    float distance = 0;
    for (std::size_t c = 0; c < 3; ++c) {
      const float difference = (rgb[c] - choice[i].rgb[c]) * kWeights[c];
      distance += difference * difference;
    }
    if (distance < best_distance) {
      best_distance = distance;
      best = i;
    }
  }
  return best;
}

}  // namespace flux2::nano
