#include "request_builder.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <random>

namespace flux2::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostPromptBytes = std::size_t{1} << 20;
constexpr std::int64_t kMostPictures = 1024;  // of one call, as the library has it
constexpr const char* kBuiltInModel = "nano";

std::string read_all(std::istream& in, const std::string& name) {
  std::string text(kMostPromptBytes + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (in.bad()) throw Error(ErrorCode::bad_file, "cannot be read", name);
  if (text.size() > kMostPromptBytes) {
    throw Error(ErrorCode::bad_file, "a prompt of more than 1 MiB", name);
  }
  return text;
}

// The whole file is one prompt, so that it can have several lines.
std::string read_prompt(const std::string& file) {
  std::string text;
  if (file == "-") {
    text = read_all(std::cin, "standard input");
  } else {
    if (fs::is_directory(file)) throw Error(ErrorCode::bad_file, "this is a folder", file);
    std::ifstream in(file, std::ios::binary);
    if (!in) {
      throw Error(ErrorCode::bad_file, fmt::format("cannot open: {}", std::strerror(errno)), file);
    }
    text = read_all(in, file);
  }
  if (text.find('\0') != std::string::npos) {
    throw Error(ErrorCode::bad_file, "holds a zero byte, which no prompt has", file,
                "give a text file in UTF-8");
  }
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
  return text;
}

template <typename T>
void replace(T& value, const std::optional<T>& given) {
  if (given) value = *given;
}

template <typename T>
void replace(std::optional<T>& value, const std::optional<T>& given) {
  if (given) value = given;
}

template <typename T>
void replace(std::vector<T>& value, const std::vector<T>& given) {
  if (!given.empty()) value = given;
}

// Prompts and embeddings stand for each other: what is given replaces both that were recorded.
void replace_text(Request& request, const GenerateOptions& options) {
  std::vector<std::string> prompts = options.prompts;
  for (const std::string& file : options.prompt_files)
    prompts.push_back(read_prompt(file));
  if (!prompts.empty() || options.prompt_embeds) {
    request.prompt = std::move(prompts);
    request.prompt_embeds.reset();
  }
  if (options.prompt_embeds) {
    request.prompt_embeds = load_array(*options.prompt_embeds, "prompt_embeds");
  }
  if (!options.negative_prompts.empty()) {
    request.negative_prompt = options.negative_prompts;
    request.negative_prompt_embeds.reset();
  }
  if (options.negative_prompt_embeds) {
    if (options.negative_prompts.empty()) request.negative_prompt.clear();
    request.negative_prompt_embeds =
        load_array(*options.negative_prompt_embeds, "negative_prompt_embeds");
  }
  replace(request.caption_upsample_temperature, options.caption_upsample_temperature);
  replace(request.max_sequence_length, options.max_sequence_length);
  replace(request.text_encoder_out_layers, options.text_encoder_out_layers);
}

// Steps and sigmas decide the same thing, seeds and latents too: a new one drops the recorded
// other.
void replace_sampling(Request& request, const GenerateOptions& options) {
  if (!options.sigmas.empty()) request.num_inference_steps.reset();
  if (options.steps) request.sigmas.clear();
  replace(request.num_inference_steps, options.steps);
  replace(request.sigmas, options.sigmas);
  replace(request.guidance_scale, options.guidance);

  if (!options.seeds.empty()) request.latents.reset();
  replace(request.seeds, options.seeds);
  if (options.latents) {
    request.latents = load_array(*options.latents, "latents");
    request.seeds = options.seeds;
    request.width.reset();
    request.height.reset();
  }
  if (options.attention_mask) {
    request.attention_mask = load_array(*options.attention_mask, "attention_mask");
  }
  replace(request.noise, options.noise);
  replace(request.noise_dtype, options.noise_dtype);
  replace(request.cuda_card, options.cuda_card);
  replace(request.width, options.width);
  replace(request.height, options.height);
  replace(request.num_images_per_prompt, options.num_images);
}

void replace_images(Request& request, const GenerateOptions& options) {
  if (!options.images.empty()) request.image.clear();
  for (const std::string& file : options.images)
    request.image.push_back(load_image(file));
  if (!options.image_latents.empty()) request.image_latents.clear();
  for (const std::string& file : options.image_latents)
    request.image_latents.push_back(load_array(file, "image_latents"));
  if (!options.images_per_sample.empty()) request.image_per_sample.clear();
  for (const std::string& file : options.images_per_sample)
    request.image_per_sample.push_back({load_image(file)});
}

RecordedRequest read_recorded(const std::string& file) {
  return recorded_request(load_image_text(file), file);
}

// A picture records its model's name; only the built-in one can be found by that. A transformer
// that is named needs no model around it.
std::string model_of(const GenerateOptions& options, const std::string& recorded) {
  if (options.model) return *options.model;
  if (options.parts.transformer) return {};
  if (recorded.empty() || recorded == kBuiltInModel) return kBuiltInModel;
  throw Error(ErrorCode::invalid_request, fmt::format("was drawn by the model \"{}\"", recorded),
              *options.from, "give its folder with --model");
}

void note_what_has_no_effect(const GenerateOptions& options, BuiltRequest& built) {
  if (options.cuda_card && built.request.noise != Noise::torch_cuda) {
    built.warnings.emplace_back("--cuda-card has no effect without --noise torch-cuda");
  }
  if (!options.seeds.empty() && options.latents) {
    built.warnings.emplace_back("--seed has no effect: --latents are the noise");
  }
}

}  // namespace

BuiltRequest build_request(const GenerateOptions& options) {
  BuiltRequest built;
  std::string recorded_model;
  if (options.from) {
    RecordedRequest recorded = read_recorded(*options.from);
    recorded_model = recorded.model;
    built.request = std::move(recorded.request);
  }
  built.model = options.parts.over(model_of(options, recorded_model));
  replace_text(built.request, options);
  replace_images(built.request, options);
  replace_inpaint(built.request, options.inpaint);
  replace_adapters(built.request, options.adapters);
  replace_sampling(built.request, options);
  const bool nothing = built.request.prompt.empty() && !built.request.prompt_embeds;
  if (nothing && options.prompt_needed == GenerateOptions::PromptNeeded::no) {
    built.request.prompt = {""};
  } else if (nothing) {
    throw Error(ErrorCode::invalid_request, "there is nothing to draw", "--prompt",
                "give a prompt with -p, --prompt-file or --prompt-embeds");
  }
  if (built.request.seeds.empty() && !built.request.latents) {
    built.request.seeds = {std::random_device{}()};
    built.seed_drawn = true;
  }
  note_what_has_no_effect(options, built);
  return built;
}

std::size_t picture_count(const Request& request) {
  const auto prompts = request.prompt_embeds && !request.prompt_embeds->shape.empty()
                           ? request.prompt_embeds->shape.front()
                           : static_cast<std::int64_t>(request.prompt.size());
  if (prompts > kMostPictures || prompts * request.num_images_per_prompt > kMostPictures) {
    throw Error(ErrorCode::invalid_request,
                fmt::format("{} prompts with {} pictures each are too many for one call", prompts,
                            request.num_images_per_prompt),
                "", fmt::format("at most {} pictures", kMostPictures));
  }
  return static_cast<std::size_t>(prompts * request.num_images_per_prompt);
}

}  // namespace flux2::cli
