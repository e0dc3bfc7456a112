#include "bench_report.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "json_report.h"

namespace flux2::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kGiga = 1e9;
constexpr double kTera = 1e12;

double steps_of(const BenchReport& report) {
  return static_cast<double>(report.step_seconds.size());
}

Json json_of(const MachineCeilings& machine) {
  Json json = {{"matmul_f32_flops", machine.matmul_f32_flops}};
  if (machine.matmul_bf16_flops) json["matmul_bf16_flops"] = *machine.matmul_bf16_flops;
  json["matmul_int8_flops"] = machine.matmul_int8_flops;
  json["convolution_flops"] = machine.convolution_flops;
  json["read_bytes"] = machine.read_bytes;
  json["copy_bytes"] = machine.copy_bytes;
  return json;
}

Json json_of(const std::vector<OpCost>& ops) {
  Json rows = Json::array();
  for (const OpCost& op : ops) {
    Json row = {{"name", op.name},
                {"calls", op.calls},
                {"seconds", op.seconds},
                {"bytes", op.bytes},
                {"flops", op.flops}};
    if (op.ceiling_share) row["ceiling_share"] = *op.ceiling_share;
    rows.push_back(std::move(row));
  }
  return rows;
}

// A line of the table, and what the ratios are made from.
struct Line {
  const char* name;
  const char* key;
  double seconds;
  double flops;
  std::optional<double> floor;

  std::optional<double> ratio() const {
    return floor && *floor > 0 ? std::optional<double>(seconds / *floor) : std::nullopt;
  }
};

std::array<Line, 4> lines_of(const BenchReport& report) {
  const double steps = steps_of(report);
  const StageCost& all_steps = report.denoise;
  std::optional<double> step_floor = all_steps.floor_seconds;
  if (step_floor) *step_floor /= steps;
  return {{{"text", "text", report.text.seconds, report.text.flops, report.text.floor_seconds},
           {"first step", "first_step", report.step_seconds.front(), all_steps.flops / steps,
            step_floor},
           {"later step", "step", report.seconds_per_step(), all_steps.flops / steps, step_floor},
           {"decode", "decode", report.decode.seconds, report.decode.flops,
            report.decode.floor_seconds}}};
}

std::string table_of(const std::string& stage, const StageCost& cost) {
  std::string text = fmt::format("\n{}\n{:<20} {:>7} {:>10} {:>6} {:>9} {:>7} {:>8}", stage,
                                 "operation", "calls", "ms", "share", "GFLOP/s", "GB/s", "ceiling");
  for (const OpCost& op : cost.ops) {
    const std::string share =
        op.ceiling_share ? fmt::format("{:.0f} %", 100 * *op.ceiling_share) : "";
    text += fmt::format("\n{:<20} {:>7} {:>10.2f} {:>4.1f} % {:>9.1f} {:>7.1f} {:>8}", op.name,
                        op.calls, 1e3 * op.seconds, 100 * op.seconds / cost.seconds,
                        op.flops / op.seconds / kGiga, op.bytes / op.seconds / kGiga, share);
  }
  return text;
}

}  // namespace

std::string bench_json(const BenchReport& report) {
  Json json = {{"model", report.model},
               {"backend", report.backend},
               {"compute", name_of(report.compute)},
               {"threads", report.threads},
               {"width", report.width},
               {"height", report.height},
               {"steps", report.step_seconds.size()},
               {"text_tokens", report.text_tokens},
               {"seconds_load", report.seconds_load()},
               {"seconds_load_text", report.seconds_load_text},
               {"seconds_load_transformer", report.seconds_load_transformer},
               {"seconds_load_vae", report.seconds_load_vae},
               {"seconds_text", report.text.seconds},
               {"seconds_first_step", report.step_seconds.front()},
               {"seconds_per_step", report.seconds_per_step()},
               {"step_seconds", report.step_seconds},
               {"seconds_decode", report.decode.seconds},
               {"peak_memory_bytes", report.peak_memory_bytes},
               {"peak_anonymous_bytes", report.peak_anonymous_bytes},
               {"planned_peak_bytes", report.planned_peak_bytes},
               {"flops",
                {{"text", report.text.flops},
                 {"step", report.denoise.flops / steps_of(report)},
                 {"decode", report.decode.flops}}}};
  json["ops"] = {{"text", json_of(report.text.ops)},
                 {"denoise", json_of(report.denoise.ops)},
                 {"decode", json_of(report.decode.ops)}};
  if (report.ceilings) {
    json["ceilings"] = json_of(*report.ceilings);
    for (const Line& line : lines_of(report))
      json["ratios"][line.key] = line.ratio().value_or(0);
  }
  constexpr int kIndent = 2;
  return json.dump(kIndent);
}

std::string bench_table(const BenchReport& report) {
  std::string text = fmt::format("{}, {} x {}, {} text tokens; {}\n", report.model, report.width,
                                 report.height, report.text_tokens, report.backend);
  text += fmt::format("{:<18} {:>9} {:>8} {:>9} {:>8}", "stage", "seconds", "TFLOP", "GFLOP/s",
                      "ratio");
  for (const auto& [name, seconds] : {std::pair{"load text encoder", report.seconds_load_text},
                                      {"load transformer", report.seconds_load_transformer},
                                      {"load VAE", report.seconds_load_vae}}) {
    text += fmt::format("\n{:<18} {:>9.3f}", name, seconds);
  }
  for (const Line& line : lines_of(report)) {
    const std::string ratio = line.ratio() ? fmt::format("{:.2f}", *line.ratio()) : "";
    text += fmt::format("\n{:<18} {:>9.3f} {:>8.3f} {:>9.1f} {:>8}", line.name, line.seconds,
                        line.flops / kTera, line.flops / line.seconds / kGiga, ratio);
  }
  text += fmt::format("\npeak memory {:.2f} GB, {:.2f} GB of it anonymous ({:.2f} planned)",
                      static_cast<double>(report.peak_memory_bytes) / kGiga,
                      static_cast<double>(report.peak_anonymous_bytes) / kGiga,
                      static_cast<double>(report.planned_peak_bytes) / kGiga);
  if (!report.ceilings) return text;
  const MachineCeilings& machine = *report.ceilings;
  return text + fmt::format(
                    "\nceilings: {:.0f} GFLOP/s f32, {} bf16, {:.0f} int8, {:.0f} "
                    "convolution; memory {:.1f} GB/s read, {:.1f} copied",
                    machine.matmul_f32_flops / kGiga,
                    machine.matmul_bf16_flops
                        ? fmt::format("{:.0f}", *machine.matmul_bf16_flops / kGiga)
                        : "no",
                    machine.matmul_int8_flops / kGiga, machine.convolution_flops / kGiga,
                    machine.read_bytes / kGiga, machine.copy_bytes / kGiga);
}

std::string ops_table(const BenchReport& report) {
  return table_of("text", report.text) + "\n" + table_of("all steps", report.denoise) + "\n" +
         table_of("decode", report.decode);
}

}  // namespace flux2::cli
