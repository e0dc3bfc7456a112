#include "analysis.h"

#include <algorithm>
#include <cmath>

#include "mask.h"
#include "palette.h"
#include "shapes.h"

namespace flux2::nano {
namespace {

constexpr int kBorder = 3;           // pixels that show the background
constexpr float kVisible = 24;       // difference from the background that makes an object
constexpr int kMinArea = 70;         // pixels: what is smaller is a speck
constexpr int kMinCore = 25;         // pixels: what has fewer inside is a rim
constexpr double kMinOverlap = 0.5;  // what fits no shape this well ...
constexpr int kShapelessArea = 150;  // ... counts only if it is bigger than this

// The pixels of a picture as colours, row by row.
struct Canvas {
  int width = 0;
  int height = 0;
  std::vector<Rgb> pixels;
};

Canvas canvas_of(const Image& image) {
  Canvas canvas{.width = image.width, .height = image.height, .pixels = {}};
  canvas.pixels.resize(image.pixels.size() / 3);
  for (std::size_t i = 0; i < image.pixels.size(); ++i)
    canvas.pixels[i / 3][i % 3] = static_cast<float>(image.pixels[i]);
  return canvas;
}

// Of an even number of values the mean of the middle two, as numpy.
float median(std::vector<float> values) {
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

Rgb median_color(const std::vector<Rgb>& pixels) {
  Rgb result;
  for (std::size_t c = 0; c < 3; ++c) {
    std::vector<float> channel;
    for (const Rgb& pixel : pixels)
      channel.push_back(pixel[c]);
    result[c] = median(std::move(channel));
  }
  return result;
}

float distance(const Rgb& a, const Rgb& b) {
  return std::abs(a[0] - b[0]) + std::abs(a[1] - b[1]) + std::abs(a[2] - b[2]);
}

// Rows and columns overlap in the corners, which count twice.
std::vector<Rgb> border_of(const Canvas& canvas) {
  std::vector<Rgb> border;
  for (int y = 0; y < canvas.height; ++y) {
    for (int x = 0; x < canvas.width; ++x) {
      const bool row = y < kBorder || y >= canvas.height - kBorder;
      const bool column = x < kBorder || x >= canvas.width - kBorder;
      for (int times = (row ? 1 : 0) + (column ? 1 : 0); times > 0; --times)
        border.push_back(canvas.pixels[static_cast<std::size_t>(y * canvas.width + x)]);
    }
  }
  return border;
}

struct Background {
  std::string_view name;
  Rgb color;  // as the picture has it
};

Background find_background(const Canvas& canvas) {
  std::vector<std::vector<Rgb>> votes(backgrounds().size());
  for (const Rgb& pixel : border_of(canvas))
    votes[nearest_color(pixel, backgrounds())].push_back(pixel);
  const auto most = std::max_element(
      votes.begin(), votes.end(), [](const auto& a, const auto& b) { return a.size() < b.size(); });
  const auto index = static_cast<std::size_t>(most - votes.begin());
  return {.name = backgrounds()[index].name, .color = median_color(*most)};
}

// Adds the pixels beside `part` that are more like it than like the background.
Mask with_rim(const Canvas& canvas, const Mask& part, const Rgb& background) {
  std::vector<Rgb> pixels;
  for (std::size_t i = 0; i < part.size(); ++i)
    if (part[i]) pixels.push_back(canvas.pixels[i]);
  const Rgb color = median_color(pixels);
  Mask rim = part;
  for (std::size_t i = 0; i < part.size(); ++i) {
    const int x = static_cast<int>(i) % canvas.width;
    const int y = static_cast<int>(i) / canvas.width;
    const Rgb& pixel = canvas.pixels[i];
    if (part.beside(x, y) && distance(pixel, color) < distance(pixel, background)) rim.set(i);
  }
  return rim;
}

bool is_object(const Mask& part, const Mask& core) {
  int inside = 0;
  for (std::size_t i = 0; i < part.size(); ++i)
    inside += part[i] && core[i] ? 1 : 0;
  return part.count() >= kMinArea && inside >= kMinCore;
}

FoundObject describe(const Mask& part, std::string_view color, const Mask& rim,
                     const Mask& foreground) {
  const ShapeMatch open = match_shape(rim);
  const ShapeMatch filled = match_shape(fill_holes(rim, foreground));
  const ShapeMatch& best = filled.overlap > open.overlap ? filled : open;
  const Box box = box_of(part);
  return {.color = color,
          .shape = best.shape,
          .overlap = best.overlap,
          .area = part.count(),
          .center_x = box.center_x,
          .center_y = box.center_y};
}

}  // namespace

Analysis analyse(const Image& image) {
  const Canvas canvas = canvas_of(image);
  const Background background = find_background(canvas);
  Mask foreground(canvas.width, canvas.height);
  std::vector<Mask> by_color(object_colors().size(), foreground);
  for (std::size_t i = 0; i < canvas.pixels.size(); ++i) {
    if (visible_difference(canvas.pixels[i], background.color) <= kVisible) continue;
    foreground.set(i);
    by_color[nearest_color(canvas.pixels[i], object_colors())].set(i);
  }
  Analysis found{.background = background.name, .objects = {}};
  for (std::size_t c = 0; c < by_color.size(); ++c) {
    const std::string_view color = object_colors()[c].name;
    if (color == background.name) continue;
    const Mask core = core_of(by_color[c]);
    for (const Mask& part : parts_of(by_color[c])) {
      if (!is_object(part, core)) continue;
      const Mask rim = with_rim(canvas, part, background.color);
      const FoundObject object = describe(part, color, rim, foreground);
      if (object.overlap > kMinOverlap || object.area > kShapelessArea)
        found.objects.push_back(object);
    }
  }
  return found;
}

}  // namespace flux2::nano
