#include "adapters/module_index.h"

#include <algorithm>
#include <array>
#include <utility>

namespace flux2 {
namespace {

constexpr std::string_view kWeight = ".weight";
constexpr int kMostPrefixes = 4;

// Modules that Diffusers joins (fuse_qkv_projections), and a name that some exports cut.
constexpr NameRule kJoinedRules[] = {
    {"transformer_blocks.{i}.attn.to_q.weight",
     "transformer_blocks.{i}.attn.to_qkv.weight",
     {0, 3}},
    {"transformer_blocks.{i}.attn.to_k.weight",
     "transformer_blocks.{i}.attn.to_qkv.weight",
     {1, 3}},
    {"transformer_blocks.{i}.attn.to_v.weight",
     "transformer_blocks.{i}.attn.to_qkv.weight",
     {2, 3}},
    {"transformer_blocks.{i}.attn.add_q_proj.weight",
     "transformer_blocks.{i}.attn.to_added_qkv.weight",
     {0, 3}},
    {"transformer_blocks.{i}.attn.add_k_proj.weight",
     "transformer_blocks.{i}.attn.to_added_qkv.weight",
     {1, 3}},
    {"transformer_blocks.{i}.attn.add_v_proj.weight",
     "transformer_blocks.{i}.attn.to_added_qkv.weight",
     {2, 3}},
};
constexpr NameRule kCutRules[] = {{"transformer_blocks.*", "sformer_blocks.*"}};

// PEFT wraps a model; ComfyUI, kohya's scripts, OneTrainer, LyCORIS and DiffSynth name the part.
constexpr std::array<std::string_view, 15> kTransformerPrefixes = {"base_model.model.",
                                                                   "model.diffusion_model.",
                                                                   "diffusion_model.",
                                                                   "transformer.",
                                                                   "unet.",
                                                                   "pipe.dit.",
                                                                   "dit.",
                                                                   "model.",
                                                                   "lora_unet_",
                                                                   "lora_transformer_",
                                                                   "lora_prior_unet_",
                                                                   "lycoris_transformer_",
                                                                   "lycoris_unet_",
                                                                   "lycoris_",
                                                                   "lora_"};
constexpr std::array<std::string_view, 14> kTextPrefixes = {"base_model.model.",
                                                            "text_encoder.",
                                                            "text_encoders.",
                                                            "qwen3_4b.transformer.",
                                                            "qwen3_8b.transformer.",
                                                            "mistral3_24b.transformer.",
                                                            "te.",
                                                            "model.",
                                                            "lora_te_",
                                                            "lora_te1_",
                                                            "lora_text_encoder_",
                                                            "lycoris_text_encoder_",
                                                            "lycoris_te_",
                                                            "lora_"};

std::span<const std::string_view> prefixes_of(PartKind part) {
  if (part == PartKind::transformer) return kTransformerPrefixes;
  return kTextPrefixes;
}

// Rows in the order of rotating pairs belong to files of weights alone; no adapter is written so.
bool plain(Rearrangement change) {
  return change == Rearrangement::none || change == Rearrangement::swap_halves;
}

// The same of dots and underscores, which programs write into one another's names.
std::string underscored(std::string_view name) {
  std::string result(name);
  std::replace(result.begin(), result.end(), '.', '_');
  return result;
}

}  // namespace

ModuleIndex::ModuleIndex(PartKind part, const TensorMap& tensors) : part_(part) {
  for (const auto& [name, tensor] : tensors) {
    if (name.ends_with(kWeight)) add(name, {name, tensor.shape, {}, false});
  }
  for (const Naming& naming : namings()) {
    if (naming.part == part) add_rules(naming.rules, tensors);
  }
  if (part == PartKind::transformer) {
    add_rules(kJoinedRules, tensors);
    add_rules(kCutRules, tensors);
  }
  for (auto& [name, targets] : modules_) {
    std::sort(targets.begin(), targets.end(), [](const ModuleTarget& a, const ModuleTarget& b) {
      return a.part.index < b.part.index;
    });
  }
  std::erase_if(modules_, [](const auto& entry) {
    return static_cast<int>(entry.second.size()) != entry.second.front().part.count;
  });
  add_underscored();
}

void ModuleIndex::add(std::string_view stored, ModuleTarget target) {
  ModuleTargets& targets = modules_[std::string(stored.substr(0, stored.rfind('.')))];
  const bool known = std::any_of(targets.begin(), targets.end(), [&](const ModuleTarget& other) {
    return other.weight == target.weight;
  });
  if (!known) targets.push_back(std::move(target));
}

void ModuleIndex::add_rules(std::span<const NameRule> rules, const TensorMap& tensors) {
  for (const auto& [name, tensor] : tensors) {
    if (!name.ends_with(kWeight)) continue;
    for (const NameRule& rule : rules) {
      const std::optional<NameParts> parts = match_name(rule.canonical, name);
      if (!parts) continue;
      const std::string stored = expand_name(rule.stored, *parts);
      if (plain(rule.change)) {
        add(stored, {name, tensor.shape, rule.part, rule.change == Rearrangement::swap_halves});
      }
      break;
    }
  }
}

void ModuleIndex::add_underscored() {
  std::map<std::string, ModuleTargets, std::less<>> all = modules_;
  for (const auto& [name, targets] : modules_)
    all.try_emplace(underscored(name), targets);
  modules_ = std::move(all);
}

const ModuleTargets* ModuleIndex::find(std::string_view module) const {
  return find_behind_prefixes(module, 0);
}

const ModuleTargets* ModuleIndex::find_behind_prefixes(std::string_view module, int depth) const {
  const auto found = modules_.find(module);
  if (found != modules_.end()) return &found->second;
  if (depth == kMostPrefixes) return nullptr;
  for (const std::string_view prefix : prefixes_of(part_)) {
    if (!module.starts_with(prefix)) continue;
    const ModuleTargets* targets = find_behind_prefixes(module.substr(prefix.size()), depth + 1);
    if (targets != nullptr) return targets;
  }
  return nullptr;
}

Shape shape_of(const ModuleTargets& targets) {
  Shape shape = targets.front().shape;
  std::int64_t rows = 0;
  for (const ModuleTarget& target : targets)
    rows += target.shape.rank() == 0 ? 1 : target.shape[0];
  if (shape.rank() > 0) shape.set(0, rows);
  return shape;
}

}  // namespace flux2
