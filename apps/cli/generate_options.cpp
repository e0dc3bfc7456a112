#include "generate_options.h"

#include <array>
#include <limits>
#include <utility>

#include "machine_options.h"
#include "option_binding.h"

namespace flux2::cli {
namespace {

constexpr int kMostSide = 1 << 20;  // pixels; the library's own limit is lower and better explained
constexpr int kMostSteps = 10000;
constexpr int kMostPictures = 1024;
constexpr double kMostGuidance = 1e6;
constexpr double kHottest = 100;

constexpr const char* kExamples = R"(
Examples:
  flux2 generate -p "a red circle on a white background"
  flux2 generate -m FLUX.2-klein-4B -p "a cat with a sign" --width 768 --seed 42 -o cat.png
  flux2 generate -p "a red square" --num-images 4 -o "square-%d.png"
  flux2 generate -p "a red square" -p "a blue star" --seed 1 --seed 2 -o "{seed}.png"
  flux2 generate -m FLUX.2-dev -p "the same, at night" --image day.jpg -o night.png
  flux2 generate -p "a red hat" --inpaint cat.png --mask head.png --keep-unmasked -o hat.png
  flux2 generate -p "a garden" --inpaint cat.png --outpaint 128,0,128,0 --keep-unmasked -o wide.png
  flux2 generate -p "a cat" --inpaint photo.png --strength 0.6 -o painted.png
  flux2 generate -p "a cat" --lora watercolor.safetensors:0.8 -o cat.png
  flux2 generate -p "a cat" --caption-upsample-temperature 0.15 --preview now.png -o cat.png
  flux2 generate -p "a cat" --output-type prompt-embeds --save-prompt-embeds cat.safetensors
  flux2 generate -m comfy/models --variant klein -p "a cat"
  flux2 generate -m FLUX.2-klein-4B --transformer klein-4b-Q4_K_M.gguf --variant klein -p "a cat"
  flux2 generate --from cat.png --seed 43 -o other-cat.png

Several pictures: %d (or %03d) in FILE becomes a picture's number from 0, {seed} its seed;
else the number is put before the ending: cat0.png, cat1.png; flux2-0.png, flux2-1.png.
Exit status: 0 drawn, 2 wrong command line or request, 3 file or checkpoint problem,
4 too little memory, 5 cancelled, 1 anything else.)";

void add_subject(CLI::App& app, GenerateOptions& o) {
  const char* group = "What to draw";
  add_texts(app, "-p,--prompt", o.prompts, "TEXT", "what to draw; repeat for a batch")
      ->group(group);
  add_texts(
      app, "--prompt-file", o.prompt_files, "FILE",
      "the whole of FILE is one more prompt, less the newline at its end; - is standard input")
      ->group(group);
  add_texts(app, "--image", o.images, "FILE",
            "reference picture (PNG, JPEG, WebP); repeat for several, in order")
      ->group(group);
  add_texts(app, "--image-per-sample", o.images_per_sample, "FILE",
            "reference for one picture alone; as many as pictures, or as prompts")
      ->group(group);
  add_texts(app, "--image-latents", o.image_latents, "FILE",
            "reference as latents: safetensors with `image_latents` [1 or B, 128, H/16, W/16]")
      ->group(group);
  add_texts(app, "--negative-prompt", o.negative_prompts, "TEXT",
            "what to lead away from, for models with true guidance; once, or once a prompt")
      ->group(group);
  add_number<double>(app, "--caption-upsample-temperature", o.caption_upsample_temperature,
                     {0.0, kHottest},
                     "let the text encoder rewrite the prompts first; 0.15 is recommended, 0 takes "
                     "the likeliest words")
      ->group(group);
  add_text(app, "--from", o.from, "FILE.png",
           "start from the request that a picture carries; other options replace parts of it")
      ->group(group);
  add_text(app, "--prompt-embeds", o.prompt_embeds, "FILE",
           "safetensors with `prompt_embeds` [B, L, text width], in place of prompts")
      ->group(group);
  add_text(app, "--negative-prompt-embeds", o.negative_prompt_embeds, "FILE",
           "safetensors with `negative_prompt_embeds`, for models with true guidance")
      ->group(group);
  add_number<int>(app, "--max-sequence-length", o.max_sequence_length, {1, 1 << 20},
                  "text tokens, padding included; default: the model's, 512")
      ->group(group);
  add_number_list<int>(app, "--text-encoder-out-layers", o.text_encoder_out_layers, {0, 1 << 20},
                       "layers of the text encoder to stack; default: the family's")
      ->group(group);
}

void add_sampling(CLI::App& app, GenerateOptions& o) {
  const char* group = "How to sample";
  add_number<int>(app, "--width", o.width, {1, kMostSide},
                  "pixels; default: the first reference's, else the model's")
      ->group(group);
  add_number<int>(app, "--height", o.height, {1, kMostSide}, "pixels; default: as for --width")
      ->group(group);
  add_number<int>(app, "--steps", o.steps, {1, kMostSteps}, "default: the model's")->group(group);
  add_number<double>(app, "--guidance", o.guidance, {-kMostGuidance, kMostGuidance},
                     "guidance scale; default: the model's")
      ->group(group);
  add_number_list<double>(app, "--sigmas", o.sigmas, {0.0, 1.0},
                          "own schedule before its shift, from 1 down; one number a step")
      ->group(group);
  app.add_option(
         "--seed",
         [&o](const CLI::results_t& texts) {
           for (const std::string& text : texts)
             o.seeds.push_back(seed_of("--seed", text));
           return true;
         },
         "64 bits; once for the whole batch, or once a picture; default: drawn and printed")
      ->type_name("N")
      ->expected(1, CLI::detail::expected_max_vector_size)
      ->allow_extra_args(false)
      ->group(group);
  add_number<int>(app, "--num-images", o.num_images, {1, kMostPictures}, "pictures a prompt; 1")
      ->group(group);
  add_choice<Noise>(
      app, "--noise", o.noise,
      {{"torch-cpu", Noise::torch_cpu},
       {"torch-cpu-legacy", Noise::torch_cpu_legacy},
       {"torch-cuda", Noise::torch_cuda}},
      "whose random numbers the first noise is; torch-cpu (legacy: before torch 2.15)")
      ->group(group);
  add_choice<NoiseDType>(
      app, "--noise-dtype", o.noise_dtype,
      {{"f32", NoiseDType::f32}, {"bf16", NoiseDType::bf16}, {"f16", NoiseDType::f16}},
      "the type it is drawn in; f32")
      ->group(group);
  add_text(app, "--cuda-card", o.cuda_card, "NAME",
           "card whose noise torch-cuda imitates, or SMSxTHREADS (132x2048); h100")
      ->group(group);
  add_text(app, "--latents", o.latents, "FILE",
           "safetensors with `latents` [B, 128, H/16, W/16]: the first noise itself; sets the size")
      ->group(group);
  add_text(
      app, "--attention-mask", o.attention_mask, "FILE",
      "safetensors with `attention_mask`, added to the scores over [text; picture; references]")
      ->group(group);
}

void add_output(CLI::App& app, GenerateOptions& o) {
  const char* group = "Where it goes";
  add_text(app, "-o,--output", o.output, "FILE", ".png, .jpg or .webp; flux2.png")->group(group);
  add_choice<Output>(app, "--output-type", o.output_type,
                     {{"images", Output::images},
                      {"latents", Output::latents},
                      {"prompt-embeds", Output::prompt_embeds}},
                     "how far to go; what is left out is not computed; images")
      ->group(group);
  add_text(app, "--preview", o.preview, "FILE",
           "picture of what the steps are coming to, written again after each one")
      ->group(group);
  add_text(app, "--save-latents", o.save_latents, "FILE",
           "safetensors with `latents` [B, tokens, 128], what the last step left")
      ->group(group);
  add_text(app, "--save-prompt-embeds", o.save_prompt_embeds, "FILE",
           "safetensors with `prompt_embeds` [B, L, text width]")
      ->group(group);
  app.add_flag("--no-metadata", o.no_metadata, "write pictures without the request in them")
      ->group(group);
  app.add_flag("--json", o.json, "one JSON object about the run (or plan) on standard output")
      ->group(group);
}

void add_machine(CLI::App& app, GenerateOptions& o) {
  const char* group = "How it is done";
  add_model_parts(app, o.parts, group);
  add_machine_options(app, o.pipeline, group);
  add_choice<VaeTiling>(
      app, "--vae-tiling", o.vae_tiling,
      {{"auto", VaeTiling::automatic}, {"on", VaeTiling::on}, {"off", VaeTiling::off}},
      "let the VAE work in tiles; auto: where a whole picture does not fit")
      ->group(group);
  app.add_flag("--no-prompt-cache", o.no_prompt_cache,
               "encode every prompt; neither read nor keep embeddings on disk (see flux2 cache)")
      ->group(group);
  add_number<int>(app, "--prompt-cache-mb", o.prompt_cache_mb, {0, 1 << 30},
                  "size of the cache of encoded prompts; 0: none; 512")
      ->envname("FLUX2_PROMPT_CACHE_MB")
      ->group(group);
  add_progress_option(app, o.progress, group);
  add_verbosity(app, o.verbosity, group);
}

}  // namespace

void add_generate_options(CLI::App& app, GenerateOptions& options) {
  add_subject(app, options);
  add_inpaint(app, options.inpaint);
  add_adapters(app, options.adapters);
  add_sampling(app, options);
  add_output(app, options);
  add_machine(app, options);
}

CLI::App* add_generate(CLI::App& program, GenerateOptions& options) {
  CLI::App* app = program.add_subcommand("generate", "Draw pictures from a prompt and references");
  app->set_help_flag("-h,--help", "Print this and exit");
  add_text(*app, "-m,--model", options.model, "MODEL",
           "a model's folder or file, org/name[@revision] of the Hugging Face Hub, or nano; nano")
      ->group("How it is done");
  add_generate_options(*app, options);
  app->add_flag("--plan", options.plan, "draw nothing: say how much memory and time it would take")
      ->group("How it is done");
  app->footer(kExamples);
  return app;
}

std::string option_of_argument(const std::string& argument) {
  constexpr std::array<std::pair<const char*, const char*>, 32> kOptions = {{
      {"prompt", "--prompt"},
      {"image", "--image"},
      {"image_per_sample", "--image-per-sample"},
      {"image_latents", "--image-latents"},
      {"attention_mask", "--attention-mask"},
      {"vae_tiling", "--vae-tiling"},
      {"memory_limit", "--memory"},
      {"width", "--width"},
      {"height", "--height"},
      {"num_inference_steps", "--steps"},
      {"guidance_scale", "--guidance"},
      {"sigmas", "--sigmas"},
      {"seed", "--seed"},
      {"num_images_per_prompt", "--num-images"},
      {"cuda_card", "--cuda-card"},
      {"latents", "--latents"},
      {"prompt_embeds", "--prompt-embeds"},
      {"negative_prompt_embeds", "--negative-prompt-embeds"},
      {"max_sequence_length", "--max-sequence-length"},
      {"text_encoder_out_layers", "--text-encoder-out-layers"},
      {"device", "--device"},
      {"inpaint", "--inpaint"},
      {"adapters", "--lora"},
      {"adapter_scale", "--lora-scale"},
      {"mask", "--mask"},
      {"strength", "--strength"},
      {"padding_mask_crop", "--padding-mask-crop"},
      {"keep_unmasked", "--keep-unmasked"},
      {"outpaint", "--outpaint"},
      {"negative_prompt", "--negative-prompt"},
      {"prompt_cache", "--prompt-cache-mb"},
      {"caption_upsample_temperature", "--caption-upsample-temperature"},
  }};
  for (const auto& [name, option] : kOptions) {
    if (argument == name) return option;
  }
  return argument;
}

}  // namespace flux2::cli
