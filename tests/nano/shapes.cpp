#include "shapes.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <vector>

#include "flux2/error.h"

namespace flux2::nano {
namespace {

struct Point {
  double x = 0;
  double y = 0;
};
using Polygon = std::vector<Point>;  // of radius 1

// In the order of the renderer's list: of two that match equally well, the first one counts.
constexpr std::array<std::string_view, 8> kShapes = {"circle", "square",  "triangle", "star",
                                                     "ring",   "diamond", "cross",    "heart"};

Polygon make_star() {
  Polygon points;
  for (int i = 0; i < 10; ++i) {
    const double radius = i % 2 == 0 ? 1.15 : 0.48;
    const double angle = i * std::numbers::pi / 5;
    points.push_back({std::sin(angle) * radius, -std::cos(angle) * radius + 0.08});
  }
  return points;
}

Polygon make_heart() {
  Polygon points;
  for (int i = 0; i < 40; ++i) {
    const double a = i * (2 * std::numbers::pi / 40);
    const double rise =
        13 * std::cos(a) - 5 * std::cos(2 * a) - 2 * std::cos(3 * a) - std::cos(4 * a);
    points.push_back({16 * std::pow(std::sin(a), 3) / 16.5, -rise / 16.5 - 0.08});
  }
  return points;
}

const Polygon& polygon_of(std::string_view shape) {
  static const Polygon star = make_star();
  static const Polygon heart = make_heart();
  static const Polygon triangle = {{0, -1.05}, {1.05, 0.78}, {-1.05, 0.78}};
  static const Polygon diamond = {{0, -1.12}, {0.82, 0}, {0, 1.12}, {-0.82, 0}};
  if (shape == "star") return star;
  if (shape == "heart") return heart;
  if (shape == "triangle") return triangle;
  if (shape == "diamond") return diamond;
  throw Error(ErrorCode::invalid_request, "unknown shape", std::string(shape));
}

// Signed distance of (x, y) from the polygon times `radius`, negative inside.
double polygon_distance(const Polygon& polygon, double radius, double x, double y) {
  double squared = INFINITY;
  bool inside = false;
  for (std::size_t i = 0; i < polygon.size(); ++i) {
    const Point& from = polygon[i];
    const Point& to = polygon[i == 0 ? polygon.size() - 1 : i - 1];
    const Point a{from.x * radius, from.y * radius};
    const Point edge{to.x * radius - a.x, to.y * radius - a.y};
    const Point way{x - a.x, y - a.y};
    const double along = std::clamp(
        (way.x * edge.x + way.y * edge.y) / (edge.x * edge.x + edge.y * edge.y), 0.0, 1.0);
    squared = std::min(squared,
                       std::pow(way.x - edge.x * along, 2) + std::pow(way.y - edge.y * along, 2));
    const bool crosses = (y >= a.y) != (y >= a.y + edge.y);
    if (crosses && x < a.x + edge.x * (y - a.y) / edge.y) inside = !inside;
  }
  return (inside ? -1 : 1) * std::sqrt(squared);
}

// Signed distance in pixels of the offset (x, y) from a shape of radius r, negative inside.
double distance_from(std::string_view shape, double x, double y, double r) {
  if (shape == "circle") return std::sqrt(x * x + y * y) - r;
  if (shape == "ring") return std::abs(std::sqrt(x * x + y * y) - 0.80 * r) - 0.22 * r;
  const double a = std::abs(x);
  const double b = std::abs(y);
  if (shape == "square") return std::max(a, b) - 0.86 * r;
  if (shape == "cross")
    return std::min(std::max(a - r, b - 0.34 * r), std::max(a - 0.34 * r, b - r));
  return polygon_distance(polygon_of(shape), r, x, y);
}

// The box of a shape of radius 1, relative to its centre; measured at radius 40.
Box unit_box(std::string_view shape) {
  constexpr double kCenter = 64;
  constexpr double kRadius = 40;
  const Box box = box_of(
      paint_shape(shape, {.center_x = kCenter, .center_y = kCenter, .radius = kRadius}, 128, 128));
  return {.center_x = (box.center_x - kCenter) / kRadius,
          .center_y = (box.center_y - kCenter) / kRadius,
          .width = box.width / kRadius,
          .height = box.height / kRadius};
}

const std::array<Box, kShapes.size()>& unit_boxes() {
  static const auto boxes = [] {
    std::array<Box, kShapes.size()> all;
    std::transform(kShapes.begin(), kShapes.end(), all.begin(), unit_box);
    return all;
  }();
  return boxes;
}

double best_overlap(const Mask& mask, std::string_view shape, const Box& box, const Box& unit) {
  const double radius = 0.5 * (box.width / unit.width + box.height / unit.height);
  double best = 0;
  for (const double scale : {0.95, 1.0, 1.05}) {
    const double r = radius * scale;
    const Placement place{.center_x = box.center_x - unit.center_x * r,
                          .center_y = box.center_y - unit.center_y * r,
                          .radius = r};
    best = std::max(best, overlap(paint_shape(shape, place, mask.width(), mask.height()), mask));
  }
  return best;
}

}  // namespace

Mask paint_shape(std::string_view shape, const Placement& place, int width, int height) {
  Mask mask(width, height);
  const double reach = 1.3 * place.radius + 2;
  const int left = std::max(0, static_cast<int>(place.center_x - reach));
  const int right = std::min(width, static_cast<int>(place.center_x + reach) + 2);
  const int top = std::max(0, static_cast<int>(place.center_y - reach));
  const int bottom = std::min(height, static_cast<int>(place.center_y + reach) + 2);
  for (int y = top; y < bottom; ++y) {
    for (int x = left; x < right; ++x) {
      const double distance =
          distance_from(shape, x + 0.5 - place.center_x, y + 0.5 - place.center_y, place.radius);
      // The renderer paints 255 * coverage, and 127 is not enough.
      const double coverage = std::clamp(0.5 - distance, 0.0, 1.0);
      if (static_cast<float>(coverage * 255) > 127)
        mask.set(static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
                 static_cast<std::size_t>(x));
    }
  }
  return mask;
}

ShapeMatch match_shape(const Mask& mask) {
  const Box box = box_of(mask);
  ShapeMatch best;
  for (std::size_t i = 0; i < kShapes.size(); ++i) {
    const double covered = best_overlap(mask, kShapes[i], box, unit_boxes()[i]);
    if (i == 0 || covered > best.overlap) best = {.shape = kShapes[i], .overlap = covered};
  }
  return best;
}

}  // namespace flux2::nano
