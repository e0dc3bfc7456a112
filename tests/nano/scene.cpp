#include "scene.h"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

namespace flux2::nano {
namespace {

using Json = nlohmann::json;

const std::filesystem::path kFolder = std::filesystem::path(FLUX2_SOURCE_DIR) / "tests/nano";
constexpr int kTile = 128;  // pixels: a picture in a sheet

Json read_json(const std::filesystem::path& path) {
  std::ifstream file(path);
  return Json::parse(file);
}

std::string text_or_empty(const Json& value) {
  return value.is_null() ? std::string() : value.get<std::string>();
}

WantedObject parse_object(const Json& json) {
  return {.shape = json.at("shape"),
          .color = json.at("color"),
          .size = json.at("size"),
          .position = text_or_empty(json.at("pos")),
          .center_x = json.at("cx"),
          .center_y = json.at("cy"),
          .radius = json.at("r")};
}

Scene parse_scene(const Json& json) {
  const Json& want = json.at("want");
  Scene scene{.prompt = json.at("prompt"),
              .seed = json.at("seed"),
              .wanted = {.background = want.at("bg"),
                         .kind = want.at("kind"),
                         .relation = text_or_empty(want.at("rel")),
                         .objects = {}},
              .diffusers = json.at("diffusers").get<Verdict>()};
  for (const Json& object : want.at("objs"))
    scene.wanted.objects.push_back(parse_object(object));
  return scene;
}

Image cut_tile(const Image& sheet, int column, int row) {
  Image tile{.width = kTile, .height = kTile, .pixels = {}, .palette = {}, .file = {}};
  for (int y = 0; y < kTile; ++y) {
    const auto start =
        sheet.pixels.begin() + ((row * kTile + y) * sheet.width + column * kTile) * 3;
    tile.pixels.insert(tile.pixels.end(), start, start + kTile * 3);
  }
  return tile;
}

}  // namespace

SceneFile load_scenes() {
  const Json json = read_json(kFolder / "scenes.json");
  const Json& settings = json.at("settings");
  SceneFile file{.settings = {.width = settings.at("width"),
                              .height = settings.at("height"),
                              .num_inference_steps = settings.at("num_inference_steps"),
                              .guidance_scale = settings.at("guidance_scale"),
                              .max_sequence_length = settings.at("max_sequence_length")},
                 .scenes = {}};
  for (const Json& scene : json.at("scenes"))
    file.scenes.push_back(parse_scene(scene));
  return file;
}

std::vector<ScoredPicture> load_sheet(const std::string& name) {
  const Image sheet = load_image(kFolder / "data" / (name + ".png"));
  const Json json = read_json(kFolder / "data" / (name + ".json"));
  const int columns = json.at("columns");
  std::vector<ScoredPicture> pictures;
  for (const Json& entry : json.at("cases")) {
    const int number = static_cast<int>(pictures.size());
    pictures.push_back({.image = cut_tile(sheet, number % columns, number / columns),
                        .scene = entry.at("scene"),
                        .fault = entry.at("fault"),
                        .verdict = entry.at("verdict").get<Verdict>()});
  }
  return pictures;
}

}  // namespace flux2::nano
