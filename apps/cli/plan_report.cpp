#include "plan_report.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace flux2::cli {
namespace {

using Json = nlohmann::ordered_json;
using Afterwards = PartPlan::Afterwards;

constexpr double kGiga = 1e9;
constexpr double kTera = 1e12;

std::string gigabytes(std::int64_t bytes) {
  return fmt::format("{:.2f} GB", static_cast<double>(bytes) / kGiga);
}

Json json_of(const MachineRates& rates) {
  return {{"matmul_flops", rates.matmul_flops}, {"int8_flops", rates.int8_flops},
          {"memory_bytes", rates.memory_bytes}, {"prepared_bytes", rates.prepared_bytes},
          {"fresh_bytes", rates.fresh_bytes},   {"from", rates.from}};
}

std::string line_of(const StagePlan& stage) {
  const std::string how = stage.tile > 0 ? fmt::format("  in tiles of {} pixels", stage.tile) : "";
  return fmt::format("\n{:<16} {:>9} {:>9.1f} {:>9.3f}{}", to_string(stage.stage),
                     gigabytes(stage.peak_bytes), stage.seconds, stage.flops / kTera, how);
}

std::string line_of(const PartPlan& part) {
  std::string how = gigabytes(part.resident_bytes) + " of weights in memory";
  if (part.streamed_bytes > 0) {
    how += fmt::format(", {} read from the file whenever used", gigabytes(part.streamed_bytes));
  }
  return fmt::format("\n{:<16} {:<5} {}, {} afterwards", part.name, part.weight_type, how,
                     part.afterwards == Afterwards::kept ? "kept" : "released");
}

}  // namespace

std::string plan_table(const Plan& plan) {
  std::string text = fmt::format("{}; at most {} ({})\n{:<16} {:>9} {:>9} {:>9}", plan.backend,
                                 gigabytes(plan.limit_bytes), plan.limit_from, "stage", "peak",
                                 "seconds", "TFLOP");
  for (const StagePlan& stage : plan.stages)
    text += line_of(stage);
  text +=
      fmt::format("\n{:<16} {:>9} {:>9.1f}", "all", gigabytes(plan.peak_bytes()), plan.seconds());
  for (const PartPlan& part : plan.parts)
    text += line_of(part);
  text += fmt::format("\n{:<16} {}", "program", gigabytes(plan.program_bytes));
  for (const std::string& choice : plan.given_up)
    text += "\n" + choice;
  if (plan.rates) text += "\nseconds: " + plan.rates->from;
  return text;
}

std::string plan_json(const Plan& plan) {
  Json json = {{"peak_bytes", plan.peak_bytes()}, {"limit_bytes", plan.limit_bytes},
               {"limit_from", plan.limit_from},   {"program_bytes", plan.program_bytes},
               {"seconds", plan.seconds()},       {"backend", plan.backend},
               {"stages", Json::array()},         {"parts", Json::array()},
               {"given_up", plan.given_up}};
  for (const StagePlan& stage : plan.stages) {
    json["stages"].push_back({{"name", to_string(stage.stage)},
                              {"peak_bytes", stage.peak_bytes},
                              {"seconds", stage.seconds},
                              {"flops", stage.flops},
                              {"tile", stage.tile}});
  }
  for (const PartPlan& part : plan.parts) {
    json["parts"].push_back({{"name", part.name},
                             {"type", part.weight_type},
                             {"resident_bytes", part.resident_bytes},
                             {"streamed_bytes", part.streamed_bytes},
                             {"streamed_share", part.streamed_share},
                             {"released", part.afterwards == Afterwards::released}});
  }
  if (plan.rates) json["rates"] = json_of(*plan.rates);
  constexpr int kIndent = 2;
  return json.dump(kIndent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace flux2::cli
