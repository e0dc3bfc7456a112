#include "flux2/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/parallel.h"
#include "flux2/error.h"
#include "models/flux2/config.h"
#include "pipeline/model_folder.h"
#include "pipeline/verify_part.h"

namespace flux2 {
namespace {

namespace fs = std::filesystem;

// Runs `action`; a file that cannot be read is a finding here, a stop is not.
template <typename Action>
void or_problem(const std::string& where, VerifyReport& report, Action action) {
  try {
    action();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::bad_file) throw;
    const std::string hint = error.hint().empty() ? "" : " (" + error.hint() + ")";
    report.problems.push_back(
        {error.where().empty() ? where : error.where(), error.message() + hint});
  }
}

// The only part of a kind; empty where there is none or more than one.
fs::path only(PartKind kind, const std::vector<PlacedPart>& parts) {
  const auto of_kind = [kind](const PlacedPart& part) { return part.kind == kind; };
  if (std::count_if(parts.begin(), parts.end(), of_kind) != 1) return {};
  return std::find_if(parts.begin(), parts.end(), of_kind)->path;
}

// Whether nothing tells which member of the family the transformer is.
bool is_ambiguous(const ModelSource& source) {
  return !source.variant && pipeline_folder_of(source.transformer).empty() &&
         !TransformerConfig::read(config_of_part(source.transformer, PartKind::transformer).file)
              .guidance_embeds;
}

// Holds the parts against each other, where there are a transformer and a VAE.
void verify_whole(const std::vector<PlacedPart>& parts, const VerifyOptions& options,
                  VerifyReport& report) {
  ModelSource source = {.transformer = only(PartKind::transformer, parts),
                        .text_encoder = only(PartKind::text_encoder, parts),
                        .vae = only(PartKind::vae, parts),
                        .variant = options.variant};
  if (source.transformer.empty() || source.vae.empty()) return;
  or_problem("model", report, [&] {
    const bool ambiguous = is_ambiguous(source);
    if (ambiguous) source.variant = Family::klein;  // all of them fit the same parts
    const ModelFolder model = ModelFolder::open(source);
    report.taken_for = ambiguous ? "FLUX.2 [klein], [klein] base or [klein] KV: their tensors are "
                                   "the same, and nothing here tells"
                                 : fmt::format("{}, by {}", model.traits->title, model.family_from);
  });
}

}  // namespace

VerifyReport verify_files(const std::vector<std::string>& files, const VerifyOptions& options) {
  if (files.empty()) throw Error(ErrorCode::invalid_request, "there is nothing to verify", "files");
  if (options.threads < 0) {
    throw Error(ErrorCode::invalid_request, "threads must not be negative", "threads");
  }
  set_thread_count(options.threads > 0 ? options.threads : available_cores());
  std::map<PartKind, fs::path> parents;
  if (!options.against.empty()) parents = find_parts({.model = options.against}).parts;
  VerifyReport report;
  std::vector<PlacedPart> parts;
  for (const std::string& file : files) {
    or_problem(file, report, [&] {
      for (const auto& [kind, path] : find_parts({.model = file}).parts)
        parts.push_back({kind, path});
    });
  }
  for (const PlacedPart& place : parts) {
    or_problem(place.path.string(), report, [&] {
      report.parts.push_back(verify_part(place, parents, options, report.problems));
    });
  }
  if (report.problems.empty()) verify_whole(parts, options, report);
  return report;
}

}  // namespace flux2
