#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "flux2/model.h"

namespace flux2::cli {

/// Which model a command works on, and where parts of it come from.
struct ModelOptions {
  std::optional<std::string> transformer;
  std::optional<std::string> text_encoder;
  std::optional<std::string> vae;
  std::optional<std::string> tokenizer;
  std::optional<Family> variant;

  /// Whether any part was named.
  bool any() const { return transformer || text_encoder || vae || tokenizer || variant; }
  /// These parts over those of `model`.
  ModelSource over(std::string model) const;
};

/// --variant
void add_variant(CLI::App& app, std::optional<Family>& variant, const std::string& group);

/// --transformer, --text-encoder, --vae, --tokenizer and --variant, parsed into `options`.
void add_model_parts(CLI::App& app, ModelOptions& options, const std::string& group);

}  // namespace flux2::cli
