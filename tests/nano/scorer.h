#pragma once

#include <map>
#include <string>
#include <vector>

#include "flux2/image.h"
#include "scene.h"

namespace flux2::nano {

/// Which properties of what was wanted `image` has: background, color, shape, count, where asked
/// for position, size or relation, and all of them. A port of `score` in tools/nano/score.py.
Verdict score(const Image& image, const Wanted& wanted);

/// Of how many pictures something was asked and how many have it.
struct Rate {
  int had = 0;
  int asked = 0;

  double value() const { return static_cast<double>(had) / asked; }
};

/// Criterion to rate.
std::map<std::string, Rate> rates_of(const std::vector<Verdict>& verdicts);

}  // namespace flux2::nano
