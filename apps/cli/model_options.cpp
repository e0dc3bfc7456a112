#include "model_options.h"

#include <utility>

#include "option_binding.h"

namespace flux2::cli {

ModelSource ModelOptions::over(std::string model) const {
  return {.model = std::move(model),
          .transformer = transformer.value_or(""),
          .text_encoder = text_encoder.value_or(""),
          .vae = vae.value_or(""),
          .tokenizer = tokenizer.value_or(""),
          .variant = variant};
}

void add_variant(CLI::App& app, std::optional<Family>& variant, const std::string& group) {
  add_choice<Family>(app, "--variant", variant,
                     {{"dev", Family::dev},
                      {"klein", Family::klein},
                      {"klein-base", Family::klein_base},
                      {"klein-kv", Family::klein_kv}},
                     "which model the transformer is, where its file does not tell")
      ->group(group);
}

void add_model_parts(CLI::App& app, ModelOptions& options, const std::string& group) {
  add_text(app, "--transformer", options.transformer, "FILE",
           "a file or folder in place of the model's transformer")
      ->group(group);
  add_text(app, "--text-encoder", options.text_encoder, "FILE",
           "in place of the model's text encoder")
      ->group(group);
  add_text(app, "--vae", options.vae, "FILE", "in place of the model's VAE")->group(group);
  add_text(app, "--tokenizer", options.tokenizer, "FILE",
           "tokenizer.json, tekken.json or the folder with it; default: the text encoder's")
      ->group(group);
  add_variant(app, options.variant, group);
}

}  // namespace flux2::cli
