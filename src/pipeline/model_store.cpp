#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <map>

#include "flux2/error.h"
#include "flux2/hub.h"
#include "flux2/model.h"
#include "pipeline/model_folder.h"

namespace flux2 {
namespace {

namespace fs = std::filesystem;

constexpr const char* kBuiltIn = "nano";

// The program, and the shared library where this code is in one.
std::vector<fs::path> files_of_this_code() {
  std::vector<fs::path> files;
  std::error_code ignored;
  files.push_back(fs::read_symlink("/proc/self/exe", ignored));
  Dl_info library{};
  if (dladdr(reinterpret_cast<const void*>(&find_model), &library) != 0) {
    files.push_back(fs::weakly_canonical(library.dli_fname, ignored));
  }
  return files;
}

// Where models that come with the program may be, best first. An installation may be moved: its
// data folder is looked for above the program (PREFIX/bin) and the library (PREFIX/lib/...).
std::vector<fs::path> built_in_folders() {
  constexpr int kLevels = 3;
  std::vector<fs::path> folders;
  if (const char* named = std::getenv("FLUX2_MODELS")) folders.emplace_back(named);
  for (const fs::path& file : files_of_this_code()) {
    fs::path prefix = file.parent_path();
    for (int level = 0; level < kLevels && prefix.has_relative_path(); ++level) {
      prefix = prefix.parent_path();
      folders.push_back(prefix / FLUX2_DATA_DIR / "models");
    }
  }
  folders.push_back(fs::path(FLUX2_INSTALL_PREFIX) / FLUX2_DATA_DIR / "models");
  return folders;
}

ModelPart describe_part(const ModelFolder& model, const std::string& name) {
  ModelPart part;
  part.name = name;
  const auto component = model.index.components.find(name);
  if (component != model.index.components.end()) part.class_name = component->second.class_name;
  const Checkpoint weights = model.weights_of(name);
  std::map<std::string, std::int64_t> bytes_of_type;
  for (const auto& [tensor_name, tensor] : weights.tensors()) {
    const auto bytes = static_cast<std::int64_t>(tensor.bytes.size());
    ++part.tensors;
    part.parameters += tensor.shape.elements();
    part.bytes += bytes;
    bytes_of_type[std::string(name_of(tensor.dtype))] += bytes;
  }
  std::vector<std::pair<std::int64_t, std::string>> types;
  for (const auto& [type, bytes] : bytes_of_type)
    types.emplace_back(-bytes, type);
  std::sort(types.begin(), types.end());
  for (const auto& [bytes, type] : types)
    part.dtypes.push_back(type);
  return part;
}

}  // namespace

fs::path find_model(const std::string& model) {
  if (names_repository(model)) return pull(model, {.access = HubAccess::cached}).path;
  if (model != kBuiltIn) return model;
  std::string searched;
  for (const fs::path& folder : built_in_folders()) {
    const fs::path candidate = folder / kBuiltIn;
    if (fs::exists(candidate / "model_index.json")) return candidate;
    searched += (searched.empty() ? "" : ", ") + candidate.string();
  }
  throw Error(ErrorCode::bad_file, "the built-in model is not where it should be: " + searched,
              kBuiltIn, "set FLUX2_MODELS to the folder that holds it, or give a model folder");
}

ModelInfo inspect_model(const fs::path& folder) {
  return describe_model(ModelFolder::open(folder));
}

ModelInfo describe_model(const ModelFolder& model) {
  ModelInfo info = {.name = model.name,
                    .path = model.path,
                    .family = model.traits->family,
                    .pipeline_class = model.index.class_name,
                    .defaults = model.defaults,
                    .parts = {}};
  for (const char* part : {"text_encoder", "transformer", "vae"}) {
    info.parts.push_back(describe_part(model, part));
  }
  return info;
}

}  // namespace flux2
