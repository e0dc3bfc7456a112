#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "flux2/pipeline.h"
#include "flux2/version.h"
#include "pipeline/request_json.h"

namespace flux2 {
namespace {

using Json = nlohmann::ordered_json;

// The keyword that image tools look for, and our own.
constexpr const char* kParameters = "parameters";
constexpr const char* kRecord = "flux2";

// The text of `texts`, one a prompt, that picture `index` was made from.
std::string text_of(const std::vector<std::string>& texts, const Request& request,
                    std::size_t index) {
  if (texts.empty()) return {};
  return texts[index / static_cast<std::size_t>(request.num_images_per_prompt)];
}

// "Steps: 4, Sampler: Euler, ..." under the prompt, as A1111's tools write it.
std::string parameters_of(const Request& request, const ModelInfo& model, std::size_t index) {
  std::string text = text_of(request.prompt, request, index) + "\n";
  text +=
      fmt::format("Steps: {}, Sampler: Euler, Schedule type: FLUX.2",
                  request.sigmas.empty() ? static_cast<std::size_t>(*request.num_inference_steps)
                                         : request.sigmas.size());
  text += fmt::format(", CFG scale: {}", *request.guidance_scale);
  if (!request.seeds.empty()) {
    text += fmt::format(", Seed: {}",
                        request.seeds.size() > 1 ? request.seeds[index] : request.seeds.front());
  }
  text += fmt::format(", Size: {}x{}, Model: {}, Version: flux2cpp {}", *request.width,
                      *request.height, model.name, version());
  return text;
}

}  // namespace

ImageText describe(const Result& result, const ModelInfo& model, std::size_t index) {
  const Request& request = result.request;
  Json record;
  record["version"] = version();
  record["model"] = model.name;
  record["pipeline"] = model.pipeline_class;
  record["index"] = index;
  if (!result.rewritten_prompts.empty()) {
    record["rewritten_prompt"] = text_of(result.rewritten_prompts, request, index);
  }
  record["request"] = Json::parse(request_to_json(request));
  return {{kParameters, parameters_of(request, model, index)},
          {kRecord, record.dump(-1, ' ', false, Json::error_handler_t::replace)},
          {"Software", fmt::format("flux2cpp {}", version())}};
}

RecordedRequest recorded_request(const ImageText& text, const std::string& name) {
  const auto found = text.find(kRecord);
  if (found == text.end()) {
    throw Error(ErrorCode::bad_file, "this picture carries no request", name,
                "only PNG files that flux2 wrote have one");
  }
  const Json json = Json::parse(found->second, nullptr, false);
  if (!json.is_object() || !json.contains("request") || !json.contains("model") ||
      !json["model"].is_string()) {
    throw Error(ErrorCode::bad_file, "the recorded request is damaged", name);
  }
  return {json["model"].get<std::string>(), request_from_json(json["request"].dump(), name)};
}

}  // namespace flux2
