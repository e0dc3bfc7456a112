#include "json_report.h"

#include <cstdio>
#include <nlohmann/json.hpp>

namespace flux2::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kIndent = 2;

// File names may hold any bytes; JSON may not.
std::string dump(const Json& json) {
  return json.dump(kIndent, ' ', false, Json::error_handler_t::replace);
}

Json json_of(const ModelPart& part) {
  return {{"name", part.name},
          {"class", part.class_name},
          {"path", part.path.string()},
          {"names", part.names},
          {"sizes_from", part.sizes_from},
          {"tensors", part.tensors},
          {"parameters", part.parameters},
          {"bytes", part.bytes},
          {"dtypes", part.dtypes},
          {"computed_as", part.computed_as},
          {"notes", part.notes}};
}

Json json_of(const std::vector<ModelPart>& parts) {
  Json list = Json::array();
  for (const ModelPart& part : parts)
    list.push_back(json_of(part));
  return list;
}

Json json_of(const VerifiedTensor& tensor) {
  Json json = {{"name", tensor.name},   {"stored_name", tensor.stored_name},
               {"role", tensor.role},   {"stored_as", tensor.stored_as},
               {"shape", tensor.shape}, {"bytes", tensor.bytes}};
  if (tensor.numbers) {
    json["numbers"] = {{"least", tensor.numbers->least},
                       {"most", tensor.numbers->most},
                       {"mean_magnitude", tensor.numbers->mean_magnitude},
                       {"nan", tensor.numbers->nan},
                       {"infinite", tensor.numbers->infinite}};
  }
  if (tensor.scales) {
    json["scales"] = {{"least", tensor.scales->least},
                      {"most", tensor.scales->most},
                      {"count", tensor.scales->count}};
  }
  if (tensor.difference) {
    json["difference"] = {{"relative_error", tensor.difference->relative_error},
                          {"cosine", tensor.difference->cosine},
                          {"gain", tensor.difference->gain},
                          {"allowed_error", tensor.difference->allowed_error},
                          {"off", tensor.difference->off}};
  }
  return json;
}

Json json_of(const VerifiedPart& part) {
  Json json = json_of(part.part);
  json["because"] = part.because;
  json["missing"] = part.missing;
  json["surplus"] = part.surplus;
  json["listed"] = Json::array();
  for (const VerifiedTensor& tensor : part.tensors)
    json["listed"].push_back(json_of(tensor));
  return json;
}

Json json_of(const ModelInfo& model) {
  return {{"name", model.name},
          {"path", model.path.string()},
          {"family", to_string(model.family)},
          {"family_from", model.family_from},
          {"pipeline", model.pipeline_class}};
}

Json json_of(const AdapterReport& adapter) {
  return {{"name", adapter.name},       {"file", adapter.file},        {"sha256", adapter.sha256},
          {"kind", adapter.kind},       {"weight", adapter.weight},    {"matched", adapter.matched},
          {"modules", adapter.modules}, {"left_out", adapter.left_out}};
}

}  // namespace

const char* name_of(Compute compute) {
  switch (compute) {
    case Compute::bf16:
      return "bf16";
    case Compute::int8:
      return "int8";
    case Compute::f32:
    case Compute::automatic:
      break;
  }
  return "f32";
}

std::string run_report(const Run& run) {
  const Request& request = run.result.request;
  Json json;
  json["files"] = Json::array();
  for (const auto& file : run.files)
    json["files"].push_back(file.string());
  json["seeds"] = request.seeds;
  json["width"] = request.width.value_or(0);
  json["height"] = request.height.value_or(0);
  json["steps"] = run.result.step_seconds.size();
  json["guidance_scale"] = request.guidance_scale.value_or(0);
  json["model"] = json_of(run.pipeline.info());
  json["backend"] = run.pipeline.backend();
  json["compute"] = name_of(run.pipeline.compute());
  json["threads"] = run.pipeline.threads();
  json["seconds"] = run.seconds;
  json["stages"] = Json::array();
  for (const StageTime& time : run.result.times) {
    json["stages"].push_back({{"name", to_string(time.stage)}, {"seconds", time.seconds}});
  }
  json["step_seconds"] = run.result.step_seconds;
  json["peak_memory_bytes"] = run.result.peak_memory_bytes;
  json["cached_prompts"] = run.result.cached_prompts;
  if (!run.result.rewritten_prompts.empty()) {
    json["rewritten_prompts"] = run.result.rewritten_prompts;
  }
  for (const AdapterReport& adapter : run.result.adapters)
    json["adapters"].push_back(json_of(adapter));
  json["warnings"] = run.warnings;
  for (const auto& file : run.preview_files)
    json["preview_files"].push_back(file.string());
  if (run.latents_file) json["latents_file"] = *run.latents_file;
  if (run.prompt_embeds_file) json["prompt_embeds_file"] = *run.prompt_embeds_file;
  return dump(json);
}

std::string models_report(const std::vector<ModelInfo>& models,
                          const std::vector<ModelFile>& files) {
  Json all = Json::array();
  for (const ModelInfo& model : models) {
    Json json = json_of(model);
    json["defaults"] = {{"width", model.defaults.width},
                        {"height", model.defaults.height},
                        {"steps", model.defaults.num_inference_steps},
                        {"guidance_scale", model.defaults.guidance_scale},
                        {"max_sequence_length", model.defaults.max_sequence_length}};
    json["parts"] = json_of(model.parts);
    all.push_back(std::move(json));
  }
  for (const ModelFile& file : files)
    all.push_back({{"path", file.path.string()}, {"parts", json_of(file.parts)}});
  return dump(all);
}

std::string verify_report(const VerifyReport& report) {
  Json json = {{"good", report.problems.empty()}, {"taken_for", report.taken_for}};
  json["problems"] = Json::array();
  for (const VerifyProblem& problem : report.problems)
    json["problems"].push_back({{"where", problem.where}, {"what", problem.what}});
  json["parts"] = Json::array();
  for (const VerifiedPart& part : report.parts)
    json["parts"].push_back(json_of(part));
  return dump(json);
}

std::string convert_report(const std::string& output, const ConvertResult& result) {
  return dump({{"output", output},
               {"parts", result.parts},
               {"tensors", result.tensors},
               {"quantized", result.quantized},
               {"bytes_before", result.bytes_before},
               {"bytes_after", result.bytes_after}});
}

std::string pull_report(const PulledModel& model) {
  return dump({{"repo", model.repo},
               {"revision", model.revision},
               {"commit", model.commit},
               {"path", model.path.string()},
               {"files", model.files},
               {"bytes", model.bytes}});
}

void print_to_stdout(const std::string& text) {
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() &&
                       std::fputc('\n', stdout) != EOF && std::fflush(stdout) == 0;
  if (!written) throw Error(ErrorCode::bad_file, "cannot write", "standard output");
}

}  // namespace flux2::cli
