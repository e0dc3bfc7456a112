#include "models/language/language_model.h"

#include <array>
#include <string>
#include <string_view>

#include "flux2/error.h"
#include "models/mistral3/mistral3.h"
#include "models/qwen3/qwen3.h"

namespace flux2 {
namespace {

template <typename Model>
std::unique_ptr<LanguageModel> make(const ConfigFile& config, const DecoderUse& use) {
  return std::make_unique<Model>(config, use);
}

struct Family {
  std::string_view model_type;
  std::unique_ptr<LanguageModel> (*make)(const ConfigFile&, const DecoderUse&);
};

constexpr std::array kFamilies = {Family{"qwen3", make<Qwen3>}, Family{"mistral3", make<Mistral3>}};

}  // namespace

std::unique_ptr<LanguageModel> make_language_model(const ConfigFile& config,
                                                   const DecoderUse& use) {
  const std::string type = config.text("model_type");
  for (const Family& family : kFamilies) {
    if (family.model_type == type) return family.make(config, use);
  }
  throw Error(ErrorCode::bad_file, "model_type '" + type + "' is no text encoder of FLUX.2",
              config.name(), "qwen3 and mistral3 are");
}

std::unique_ptr<LanguageModel> load_language_model(const std::filesystem::path& folder,
                                                   const DecoderUse& use, Ops& ops,
                                                   const LoadProgress& progress) {
  std::unique_ptr<LanguageModel> model =
      make_language_model(ConfigFile::read(folder / "config.json"), use);
  const Checkpoint checkpoint = Checkpoint::open(folder, "model");
  model->weights(checkpoint).load(checkpoint, ops, progress);
  return model;
}

}  // namespace flux2
