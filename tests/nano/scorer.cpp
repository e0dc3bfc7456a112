#include "scorer.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "analysis.h"
#include "shapes.h"

namespace flux2::nano {
namespace {

constexpr double kShapeOverlap = 0.6;  // how well a shape must fit
constexpr double kApart = 10;          // pixels between things that stand in an order
constexpr double kInLine = 14;         // pixels by which things in a row may be out of line
constexpr double kConcentric = 8;      // pixels
constexpr double kNear = 0.14;         // of the picture's side
constexpr double kFirstThird = 0.385;  // of the picture's side: left or top
constexpr double kLastThird = 0.615;   // right or bottom
constexpr double kMinArea = 0.55;      // of the area that was asked for
constexpr double kMaxArea = 1.8;

using Match = std::optional<FoundObject>;

struct Size {
  int width = 0;
  int height = 0;
};

enum class MatchBy { color_and_shape, color, shape };

bool matches(const FoundObject& found, const WantedObject& wanted, MatchBy by) {
  const bool color = found.color == wanted.color;
  const bool shape = found.shape == wanted.shape;
  if (by == MatchBy::color_and_shape) return color && shape;
  return by == MatchBy::color ? color : shape;
}

double squared_distance(const FoundObject& found, const WantedObject& wanted) {
  const double x = found.center_x - wanted.center_x;
  const double y = found.center_y - wanted.center_y;
  return x * x + y * y;
}

// Takes the nearest object that matches out of `found`.
Match take_nearest(std::vector<FoundObject>& found, const WantedObject& wanted, MatchBy by) {
  auto best = found.end();
  for (auto it = found.begin(); it != found.end(); ++it) {
    if (!matches(*it, wanted, by)) continue;
    if (best == found.end() || squared_distance(*it, wanted) < squared_distance(*best, wanted))
      best = it;
  }
  if (best == found.end()) return std::nullopt;
  const FoundObject object = *best;
  found.erase(best);
  return object;
}

// For every wanted object the one that stands for it: of its colour and shape if there is one, else
// of its colour, else of its shape.
std::vector<Match> assign(std::vector<FoundObject> found, const std::vector<WantedObject>& wanted) {
  std::vector<Match> used(wanted.size());
  for (const MatchBy by : {MatchBy::color_and_shape, MatchBy::color, MatchBy::shape})
    for (std::size_t i = 0; i < wanted.size(); ++i)
      if (!used[i]) used[i] = take_nearest(found, wanted[i], by);
  return used;
}

std::string zone_of(const FoundObject& object, const Size& size) {
  const double x = object.center_x / size.width;
  const double y = object.center_y / size.height;
  const std::string row = y < kFirstThird ? "top" : y > kLastThird ? "bottom" : "";
  const std::string column = x < kFirstThird ? "left" : x > kLastThird ? "right" : "";
  if (row.empty() && column.empty()) return "center";
  return row.empty() || column.empty() ? row + column : row + " " + column;
}

bool has_size(const FoundObject& object, const WantedObject& wanted, const Size& size) {
  const Placement place{
      .center_x = wanted.center_x, .center_y = wanted.center_y, .radius = wanted.radius};
  const int area = paint_shape(wanted.shape, place, size.width, size.height).count();
  const double share = object.area / std::max(1.0, static_cast<double>(area));
  return share > kMinArea && share < kMaxArea;
}

bool in_order(const std::vector<double>& along) {
  for (std::size_t i = 1; i < along.size(); ++i)
    if (along[i] - along[i - 1] <= kApart) return false;
  return true;
}

bool in_line(std::vector<double> along, const std::vector<double>& across) {
  std::sort(along.begin(), along.end());
  const auto [low, high] = std::minmax_element(across.begin(), across.end());
  return in_order(along) && *high - *low < kInLine;
}

bool in_zones(const std::vector<FoundObject>& used, const Wanted& wanted, const Size& size) {
  for (std::size_t i = 0; i < used.size(); ++i)
    if (zone_of(used[i], size) != wanted.objects[i].position) return false;
  return true;
}

// @param used  one for every object that was wanted
bool has_relation(const std::vector<FoundObject>& used, const Wanted& wanted, const Size& size) {
  const std::string& relation = wanted.relation;
  if (relation == "corners") return in_zones(used, wanted, size);
  if (relation == "inside")
    return std::abs(used[0].center_x - used[1].center_x) < kConcentric &&
           std::abs(used[0].center_y - used[1].center_y) < kConcentric;
  std::vector<double> along;
  std::vector<double> across;
  for (const FoundObject& object : used) {
    along.push_back(object.center_x);
    across.push_back(object.center_y);
  }
  if (relation == "tb" || relation == "column") along.swap(across);
  return relation == "row" || relation == "column" ? in_line(along, across) : in_order(along);
}

bool is_near(const FoundObject& object, const WantedObject& wanted, const Size& size) {
  return std::abs(object.center_x - wanted.center_x) < kNear * size.width &&
         std::abs(object.center_y - wanted.center_y) < kNear * size.height;
}

// Position and size of a single object, or the relation of several.
void score_place(const std::vector<Match>& matches, const Wanted& wanted, const Size& size,
                 Verdict& verdict) {
  std::vector<FoundObject> used;
  for (const Match& match : matches)
    if (match) used.push_back(*match);
  const bool all_there = used.size() == matches.size();
  if (matches.empty()) return;
  const WantedObject& first = wanted.objects[0];
  if (matches.size() > 1 && !wanted.relation.empty()) {
    verdict["relation"] = all_there && has_relation(used, wanted, size);
  } else if (matches.size() == 1 && !wanted.relation.empty()) {
    verdict["position"] = all_there && is_near(used[0], first, size);
  } else if (matches.size() == 1) {
    verdict["position"] = all_there && zone_of(used[0], size) == first.position;
    if (first.size != "medium") verdict["size"] = all_there && has_size(used[0], first, size);
  }
}

}  // namespace

Verdict score(const Image& image, const Wanted& wanted) {
  const Analysis analysis = analyse(image);
  const std::vector<Match> used = assign(analysis.objects, wanted.objects);
  Verdict verdict;
  verdict["background"] = analysis.background == wanted.background;
  verdict["count"] = analysis.objects.size() == wanted.objects.size();
  bool color = true;
  bool shape = true;
  for (std::size_t i = 0; i < used.size(); ++i) {
    const WantedObject& want = wanted.objects[i];
    color = color && used[i] && used[i]->color == want.color;
    shape = shape && used[i] && used[i]->shape == want.shape && used[i]->overlap > kShapeOverlap;
  }
  verdict["color"] = color;
  verdict["shape"] = shape;
  score_place(used, wanted, {.width = image.width, .height = image.height}, verdict);
  verdict["all"] =
      std::all_of(verdict.begin(), verdict.end(), [](const auto& v) { return v.second; });
  return verdict;
}

std::map<std::string, Rate> rates_of(const std::vector<Verdict>& verdicts) {
  std::map<std::string, Rate> rates;
  for (const Verdict& verdict : verdicts) {
    for (const auto& [criterion, met] : verdict) {
      rates[criterion].had += met ? 1 : 0;
      ++rates[criterion].asked;
    }
  }
  return rates;
}

}  // namespace flux2::nano
