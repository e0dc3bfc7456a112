#include "pipeline/family.h"

#include <fmt/format.h>

#include <algorithm>

#include "flux2/error.h"

namespace flux2 {
namespace {

constexpr std::array<FamilyTraits, 4> kFamilies = {{
    {.family = Family::dev,
     .title = "FLUX.2 [dev]",
     .pipeline_class = "Flux2Pipeline",
     .prompt = PromptFamily::dev,
     .text_layers = {10, 20, 30},
     .guidance = GuidanceKind::embedded,
     .references = ReferenceUse::tokens,
     .default_steps = 50,
     .default_guidance = 4.0,
     .signature_steps = 50},
    {.family = Family::klein,
     .title = "FLUX.2 [klein]",
     .pipeline_class = "Flux2KleinPipeline",
     .prompt = PromptFamily::klein,
     .text_layers = {9, 18, 27},
     .guidance = GuidanceKind::none,
     .references = ReferenceUse::tokens,
     .default_steps = 4,
     .default_guidance = 1.0,
     .signature_steps = 50},
    {.family = Family::klein_base,
     .title = "FLUX.2 [klein] base",
     .pipeline_class = "Flux2KleinPipeline",
     .prompt = PromptFamily::klein,
     .text_layers = {9, 18, 27},
     .guidance = GuidanceKind::classifier_free,
     .references = ReferenceUse::tokens,
     .default_steps = 50,
     .default_guidance = 4.0,
     .signature_steps = 50},
    {.family = Family::klein_kv,
     .title = "FLUX.2 [klein] KV",
     .pipeline_class = "Flux2KleinKVPipeline",
     .prompt = PromptFamily::klein,
     .text_layers = {9, 18, 27},
     .guidance = GuidanceKind::none,
     .references = ReferenceUse::cached,
     .default_steps = 4,
     .default_guidance = 1.0,
     .signature_steps = 4},
}};

}  // namespace

const FamilyTraits& traits_of(Family family) {
  return *std::find_if(kFamilies.begin(), kFamilies.end(),
                       [&](const FamilyTraits& traits) { return traits.family == family; });
}

Family family_of(const ModelIndex& index, const std::string& name) {
  // Inpainting is a way of calling klein, not another model.
  const std::string_view wanted = index.class_name == "Flux2KleinInpaintPipeline"
                                      ? std::string_view("Flux2KleinPipeline")
                                      : std::string_view(index.class_name);
  const auto found =
      std::find_if(kFamilies.begin(), kFamilies.end(),
                   [&](const FamilyTraits& traits) { return traits.pipeline_class == wanted; });
  if (found == kFamilies.end()) {
    throw Error(ErrorCode::bad_file,
                fmt::format("this is a {}, not a FLUX.2 model", index.class_name), name,
                "Flux2Pipeline, Flux2KleinPipeline and Flux2KleinKVPipeline can be loaded");
  }
  if (found->family != Family::klein) return found->family;
  return index.is_distilled.value_or(false) ? Family::klein : Family::klein_base;
}

std::string to_string(Family family) {
  return std::string(traits_of(family).title);
}

}  // namespace flux2
