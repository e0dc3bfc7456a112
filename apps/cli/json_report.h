#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "flux2/convert.h"
#include "flux2/hub.h"
#include "flux2/pipeline.h"
#include "flux2/verify.h"

namespace flux2::cli {

/// "bf16"
const char* name_of(Compute compute);

/// A finished run, for its report.
struct Run {
  const Pipeline& pipeline;
  const Result& result;
  std::vector<std::filesystem::path> files;  ///< the pictures, in order
  std::vector<std::filesystem::path> preview_files;
  std::optional<std::string> latents_file;
  std::optional<std::string> prompt_embeds_file;
  std::vector<std::string> warnings;
  double seconds = 0;  ///< from loading to the last file
};

/// One JSON object, indented, without a newline at its end:
/// files, seeds, width, height, steps, guidance_scale, model {name, path, family, pipeline},
/// backend, compute, threads, seconds, stages [{name, seconds}], step_seconds, peak_memory_bytes,
/// cached_prompts, warnings; adapters [{name, file, sha256, kind, weight, matched, modules,
/// left_out}] where there are some; rewritten_prompts where prompts were rewritten; latents_file
/// and prompt_embeds_file where they were written; preview_files where previews were asked for.
std::string run_report(const Run& run);

/// The same for models: an array of {name, path, family, pipeline, defaults {width, height, steps,
/// guidance_scale, max_sequence_length}, parts [{name, class, tensors, parameters, bytes,
/// dtypes, computed_as}]}.
std::string models_report(const std::vector<ModelInfo>& models,
                          const std::vector<ModelFile>& files);

/// What verifying found: good, taken_for, parts [as in models_report, and because, missing,
/// surplus, listed [{name, stored_name, role, stored_as, shape, bytes, numbers, scales,
/// difference}]], problems [{where, what}].
std::string verify_report(const VerifyReport& report);

/// A finished conversion: output, parts, tensors, quantized, bytes_before, bytes_after.
std::string convert_report(const std::string& output, const ConvertResult& result);

/// A finished pull: repo, revision, commit, path, files, bytes.
std::string pull_report(const PulledModel& model);

/// Writes `text` and a newline to standard output.
/// @throws Error bad_file: standard output is closed or full
void print_to_stdout(const std::string& text);

}  // namespace flux2::cli
