#include "machine_options.h"

#include "option_binding.h"

namespace flux2::cli {
namespace {

constexpr int kMostThreads = 1024;

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
