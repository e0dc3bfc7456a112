#include "machine_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "option_binding.h"

namespace flux2::cli {
namespace {

constexpr int kMostThreads = 1024;

// "6G", "800M", "2.5GiB", or a number of bytes.
std::int64_t bytes_of(const std::string& option, const std::string& text) {
  constexpr std::array<std::pair<std::string_view, double>, 9> kUnits = {{{"", 1},
                                                                          {"K", 1e3},
                                                                          {"M", 1e6},
                                                                          {"G", 1e9},
                                                                          {"T", 1e12},
                                                                          {"Ki", 0x1p10},
                                                                          {"Mi", 0x1p20},
                                                                          {"Gi", 0x1p30},
                                                                          {"Ti", 0x1p40}}};
  std::string_view rest = text;
  if (rest.ends_with('B')) rest.remove_suffix(1);
  const std::size_t digits = std::min(rest.find_first_not_of("0123456789."), rest.size());
  for (const auto& [unit, size] : kUnits) {
    const std::optional<double> number = parse_number<double>(rest.substr(0, digits));
    if (rest.substr(digits) != unit || !number) continue;
    const double bytes = *number * size;
    if (bytes < 1 || bytes > 0x1p60) break;
    return static_cast<std::int64_t>(bytes);
  }
  throw CLI::ValidationError(option, fmt::format("\"{}\" is no size, such as 6G or 800M", text));
}

}  // namespace

void add_machine_options(CLI::App& app, PipelineOptions& options, const std::string& group) {
  add_choice<Compute>(app, "--compute", options.compute,
                      {{"f32", Compute::f32},
                       {"bf16", Compute::bf16},
                       {"int8", Compute::int8},
                       {"auto", Compute::automatic}},
                      "what matrices are multiplied in; auto: bf16 where the processor has it, "
                      "int8 what is stored so")
      ->group(group);
  add_choice<Device>(app, "--device", options.device,
                     {{"cpu", Device::cpu}, {"cuda", Device::cuda}, {"auto", Device::automatic}},
                     "auto")
      ->group(group);
  add_number<int>(app, "--threads", options.threads, {1, kMostThreads},
                  "default: the cores that this process may use")
      ->group(group);
  add_choice<Pinning>(app, "--pin", options.pinning,
                      {{"auto", Pinning::automatic}, {"on", Pinning::on}, {"off", Pinning::off}},
                      "keep each thread on a core of its own; auto: where nothing else is running")
      ->group(group);
  app.add_option(
         "--memory",
         [&options](const CLI::results_t& texts) {
           options.memory_limit = bytes_of("--memory", texts.front());
           return true;
         },
         "keep within so much memory (6G, 800M; Gi: 2^30), or refuse; default: what is free")
      ->type_name("SIZE")
      ->group(group);
  add_choice<InstructionSet>(app, "--isa", options.isa,
                             {{"avx2", InstructionSet::avx2},
                              {"avx512", InstructionSet::avx512},
                              {"avx512-vnni", InstructionSet::avx512_vnni},
                              {"avx512-bf16", InstructionSet::avx512_bf16},
                              {"avx512-amx", InstructionSet::avx512_amx},
                              {"auto", InstructionSet::automatic}},
                             "use no more of the processor than this; auto: all of it")
      ->group(group);
}

void add_progress_option(CLI::App& app, ProgressStyle& style, const std::string& group) {
  add_choice<ProgressStyle>(app, "--progress", style,
                            {{"auto", ProgressStyle::automatic},
                             {"plain", ProgressStyle::plain},
                             {"none", ProgressStyle::none}},
                            "auto: a bar on a terminal, lines elsewhere")
      ->group(group);
}

}  // namespace flux2::cli
