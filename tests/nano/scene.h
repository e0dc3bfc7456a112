#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "flux2/image.h"

namespace flux2::nano {

/// Criterion ("color", "shape", "position", ..., "all") to whether a picture meets it; only those
/// that its scene asks for.
using Verdict = std::map<std::string, bool>;

/// An object as a prompt asks for it.
struct WantedObject {
  std::string shape;
  std::string color;
  std::string size;      ///< small, medium (also: not said) or large
  std::string position;  ///< "top left", ...; empty where the prompt names none
  double center_x = 0;   ///< pixels
  double center_y = 0;   ///< pixels
  double radius = 0;     ///< pixels
};

/// What a prompt asks for.
struct Wanted {
  std::string background;
  std::string kind;      ///< tools/nano/scenes.py: single, single_pos, lr, ...
  std::string relation;  ///< lr, tb, corners, inside, row, column, list3; empty for single objects
  std::vector<WantedObject> objects;
};

struct Scene {
  std::string prompt;
  std::uint64_t seed = 0;
  Wanted wanted;
  Verdict diffusers;  ///< score.py about the picture that Diffusers draws from prompt and seed
};

/// How the pictures are drawn.
struct DrawSettings {
  int width = 0;
  int height = 0;
  int num_inference_steps = 0;
  double guidance_scale = 0;
  int max_sequence_length = 0;
};

struct SceneFile {
  DrawSettings settings;
  std::vector<Scene> scenes;
};

/// Reads tests/nano/scenes.json.
SceneFile load_scenes();

/// A picture with what score.py says about it.
struct ScoredPicture {
  Image image;
  std::size_t scene = 0;  ///< its number in scenes.json
  std::string fault;      ///< what was made wrong in it, or "none"
  Verdict verdict;
};

/// Cuts up tests/nano/data/NAME.png as NAME.json beside it says.
std::vector<ScoredPicture> load_sheet(const std::string& name);

}  // namespace flux2::nano
