#include <dlfcn.h>
#include <fmt/format.h>

#include <cstdlib>
#include <utility>

#include "flux2/error.h"
#include "flux2/hub.h"
#include "flux2/model.h"
#include "pipeline/backend.h"
#include "pipeline/model_folder.h"
#include "pipeline/stored_types.h"

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

// The class that Diffusers or transformers would load a part into.
std::string class_of(const ConfigFile& config, PartKind part) {
  if (part != PartKind::text_encoder) return config.text("_class_name", "");
  return config.text("model_type", "") == "mistral3" ? "Mistral3ForConditionalGeneration"
                                                     : "Qwen3ForCausalLM";
}

std::string names_of(const Checkpoint& weights) {
  const std::string family(weights.naming()->name);
  return weights.prefix().empty() ? family : fmt::format("{} below {}", family, weights.prefix());
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

ModelFile inspect_file(const fs::path& file) {
  ModelFile info = {.path = file, .parts = {}};
  const Backend backend = make_backend({});
  for (const PartKind part : parts_in_file(file))
    info.parts.push_back(describe_part(file, part, *backend.ops));
  if (info.parts.empty()) Checkpoint::open(file, PartKind::transformer);  // says what it is instead
  return info;
}

ModelInfo inspect_model(const fs::path& path) {
  return inspect_model(ModelSource{.model = path.string()});
}

ModelInfo inspect_model(const ModelSource& source) {
  return describe_model(ModelFolder::open(source), *make_backend({}).ops);
}

ModelPart describe_part(const fs::path& path, PartKind kind, const Ops& ops) {
  const PartConfig config = config_of_part(path, kind);
  const Checkpoint weights = Checkpoint::open(path, kind);
  ModelPart part = {.name = std::string(name_of(kind)),
                    .class_name = class_of(config.file, kind),
                    .path = path,
                    .names = names_of(weights),
                    .sizes_from = config.from,
                    .tensors = static_cast<std::int64_t>(weights.tensors().size()),
                    .bytes = static_cast<std::int64_t>(weights.bytes()),
                    .dtypes = {},
                    .computed_as = {},
                    .notes = weights.notes()};
  for (StoredType& type : stored_types(kind, config.file, weights, ops)) {
    part.dtypes.push_back(std::move(type.name));
    part.computed_as.push_back(std::move(type.computed_as));
  }
  for (const auto& [name, tensor] : weights.tensors())
    part.parameters += tensor.shape.elements();
  return part;
}

ModelInfo describe_model(const ModelFolder& model, const Ops& ops) {
  ModelInfo info = {.name = model.name,
                    .path = model.path,
                    .family = model.traits->family,
                    .family_from = model.family_from,
                    .pipeline_class = model.pipeline_class,
                    .defaults = model.defaults,
                    .parts = {}};
  for (const PartKind part : {PartKind::text_encoder, PartKind::transformer, PartKind::vae}) {
    const auto place = model.places.parts.find(part);
    if (place == model.places.parts.end()) continue;
    info.parts.push_back(describe_part(place->second, part, ops));
  }
  return info;
}

}  // namespace flux2
