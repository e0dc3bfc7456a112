#include "pipeline/call.h"

#include <fmt/format.h>

#include <cmath>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>

#include "pipeline/adapters.h"
#include "pipeline/check.h"

namespace flux2 {
namespace {

constexpr int kMostPictures = 1024;
constexpr int kMostTextTokens = 1 << 15;
constexpr std::int64_t kLatentRank = 4;
constexpr double kHottest = 100;  // a temperature; above it every token is as likely as any other

// Fills in a Call step by step; each step relies on those before it.
class Resolution {
 public:
  Resolution(const Request& request, const ModelFolder& model) : model_(model) {
    call_.request = request;
  }

  Call run() && {
    check_prompts();
    check_upsampling();
    check_embeddings();
    call_.references =
        prepare_references(request(), call_.prompts, call_.batch, model_.transformer.in_channels);
    prepare_inpaint();
    resolve_size();
    resolve_guidance();
    resolve_text();
    check_mask();
    resolve_schedule();
    resolve_seeds();
    check_adapters(request().adapters, request().adapter_scale);
    return std::move(call_);
  }

 private:
  Request& request() { return call_.request; }
  void warn(std::string warning) { call_.warnings.push_back(std::move(warning)); }

  void check_prompts() {
    Request& r = request();
    if (!r.prompt.empty() && r.prompt_embeds) {
      refuse("prompt", "prompt and prompt_embeds cannot both be given", "leave one out");
    }
    if (r.prompt.empty() && !r.prompt_embeds) {
      refuse("prompt", "either prompt or prompt_embeds must be given");
    }
    if (r.num_images_per_prompt < 1 || r.num_images_per_prompt > kMostPictures) {
      refuse("num_images_per_prompt",
             fmt::format("must be 1 to {}, not {}", kMostPictures, r.num_images_per_prompt));
    }
    if (r.prompt_embeds) check_array(*r.prompt_embeds, "prompt_embeds", 3);
    call_.prompts =
        r.prompt_embeds ? r.prompt_embeds->shape[0] : static_cast<std::int64_t>(r.prompt.size());
    call_.batch = call_.prompts * r.num_images_per_prompt;
    if (call_.batch > kMostPictures) {
      refuse("prompt", fmt::format("{} pictures in one call are too many", call_.batch),
             fmt::format("at most {}", kMostPictures));
    }
  }

  void check_upsampling() {
    Request& r = request();
    if (!r.caption_upsample_temperature) return;
    const double temperature = *r.caption_upsample_temperature;
    if (!(temperature >= 0 && temperature <= kHottest)) {
      refuse("caption_upsample_temperature",
             fmt::format("must be 0 to {}, not {}", kHottest, temperature));
    }
    if (r.prompt_embeds) {
      refuse("caption_upsample_temperature", "there is no prompt to rewrite, only prompt_embeds");
    }
    const bool pictures = !r.image.empty() || r.inpaint;
    if (pictures && model_.traits->prompt == PromptFamily::klein) {
      warn(fmt::format("the prompt is rewritten without a look at the pictures: {} cannot see",
                       model_.traits->title));
    }
  }

  void check_embeddings() {
    Request& r = request();
    check_negative_prompt();
    if (r.negative_prompt_embeds)
      check_array(*r.negative_prompt_embeds, "negative_prompt_embeds", 3);
    if (r.prompt_embeds) check_width(*r.prompt_embeds, "prompt_embeds");
    if (!r.negative_prompt_embeds) return;
    check_width(*r.negative_prompt_embeds, "negative_prompt_embeds");
    const std::int64_t rows = r.negative_prompt_embeds->shape[0];
    if (rows != 1 && rows != call_.prompts) {
      refuse(
          "negative_prompt_embeds",
          fmt::format("has {} rows for {} prompts; 1 or as many are needed", rows, call_.prompts));
    }
  }

  void check_negative_prompt() {
    const Request& r = request();
    if (r.negative_prompt.empty()) return;
    if (r.negative_prompt_embeds) {
      refuse("negative_prompt", "negative_prompt and negative_prompt_embeds cannot both be given",
             "leave one out");
    }
    const auto rows = static_cast<std::int64_t>(r.negative_prompt.size());
    if (rows != 1 && rows != call_.prompts) {
      refuse("negative_prompt", fmt::format("{} negative prompts for {} prompts; 1 or as many are "
                                            "needed",
                                            rows, call_.prompts));
    }
  }

  void check_width(const FloatArray& embeds, const std::string& argument) {
    if (embeds.shape[2] != model_.transformer.text_dim) {
      refuse(argument, fmt::format("width {} does not fit the model's {}", embeds.shape[2],
                                   model_.transformer.text_dim));
    }
    if (embeds.shape[1] > kMostTextTokens) {
      refuse(argument, fmt::format("{} text tokens are too many", embeds.shape[1]));
    }
  }

  void prepare_inpaint() {
    if (!request().inpaint) return;
    Inpaint& inpaint = *request().inpaint;
    if (inpaint.image_latents) check_image_latents(*inpaint.image_latents);
    call_.inpaint = plan_inpaint(inpaint, call_.batch);
    inpaint.strength = call_.inpaint.front().strength;
    std::set<std::string> warnings;  // of several pictures they may be the same
    for (const InpaintPlan& plan : call_.inpaint)
      warnings.insert(plan.warnings.begin(), plan.warnings.end());
    for (const std::string& warning : warnings)
      warn(warning);
  }

  void check_image_latents(const FloatArray& latents) {
    check_array(latents, "image_latents", kLatentRank);
    const std::int64_t most = kMostPixels / Call::kPixelsPerToken;
    if (latents.shape[1] != model_.transformer.in_channels || latents.shape[2] > most ||
        latents.shape[3] > most) {
      refuse("image_latents", fmt::format("shape {} does not fit [n, {}, height / 16, width / 16]",
                                          shape_text(latents), model_.transformer.in_channels));
    }
  }

  // Width and height each come from the request, else from the first reference, else from the
  // model. Given latents decide above all.
  void resolve_size() {
    Request& r = request();
    if (!call_.inpaint.empty()) return resolve_inpaint_size();
    const std::optional<Size> first = call_.references.first_size(r);
    const bool referenced = first.has_value();
    const auto side = [&](const char* name, std::optional<int> given, int reference, int fallback) {
      const int pixels = given && *given != 0 ? *given : referenced ? reference : fallback;
      if (pixels < Call::kPixelsPerToken || pixels > kMostPixels) {
        refuse(name, fmt::format("must be {} to {} pixels, not {}", Call::kPixelsPerToken,
                                 kMostPixels, pixels));
      }
      if (pixels % Call::kPixelsPerToken != 0) {
        warn(fmt::format("{} {} is not a multiple of {}: {} is used", name, pixels,
                         Call::kPixelsPerToken, pixels - pixels % Call::kPixelsPerToken));
      }
      return pixels / Call::kPixelsPerToken;
    };
    call_.grid.columns = side("width", r.width, first ? first->width : 0, model_.defaults.width);
    call_.grid.rows = side("height", r.height, first ? first->height : 0, model_.defaults.height);
    if (r.latents) resolve_latents(*r.latents);
    r.width = call_.width();
    r.height = call_.height();
  }

  // The picture that is painted over decides.
  void resolve_inpaint_size() {
    Request& r = request();
    call_.grid = call_.inpaint.front().grid;
    const auto other = [](std::optional<int> given, int size) {
      return given && *given != 0 && *given != size;
    };
    if (other(r.width, call_.width()) || other(r.height, call_.height())) {
      warn(fmt::format("width and height have no effect: what is painted has {} x {} pixels",
                       call_.width(), call_.height()));
    }
    r.width = call_.width();
    r.height = call_.height();
    if (r.latents) resolve_latents(*r.latents);
  }

  void resolve_latents(const FloatArray& latents) {
    check_array(latents, "latents", kLatentRank);
    if (latents.shape[0] != call_.batch || latents.shape[1] != model_.transformer.in_channels) {
      refuse("latents",
             fmt::format("shape {} does not fit [{}, {}, height / 16, width / 16]",
                         shape_text(latents), call_.batch, model_.transformer.in_channels));
    }
    const TokenGrid grid = {latents.shape[2], latents.shape[3]};
    if (grid.rows > kMostPixels / Call::kPixelsPerToken ||
        grid.columns > kMostPixels / Call::kPixelsPerToken) {
      refuse("latents", fmt::format("shape {} is too large", shape_text(latents)));
    }
    const bool sized = request().width || request().height;
    const bool fits = grid.rows == call_.grid.rows && grid.columns == call_.grid.columns;
    if (sized && !fits) {
      // klein scatters such latents over a picture of the other size: nobody wants that.
      const bool painting = !call_.inpaint.empty();
      if (model_.traits->family != Family::dev || painting) {
        refuse("latents",
               fmt::format("shape {} does not fit {} x {} pixels", shape_text(latents),
                           call_.width(), call_.height()),
               painting ? "the picture that is painted over decides"
                        : "leave width and height out: the latents decide");
      }
      warn(fmt::format("the latents decide the size: {} x {}", 16 * grid.columns, 16 * grid.rows));
    }
    call_.grid = grid;
  }

  void resolve_guidance() {
    Request& r = request();
    const bool asked = r.guidance_scale.has_value();
    const double scale = r.guidance_scale.value_or(model_.defaults.guidance_scale);
    if (!std::isfinite(scale) || std::abs(scale) > 1e6) {
      refuse("guidance_scale", fmt::format("must be a number, not {}", scale));
    }
    r.guidance_scale = scale;
    const GuidanceKind kind = model_.traits->guidance;
    if (kind == GuidanceKind::none && asked && scale > 1) {
      warn(fmt::format("guidance_scale {} has no effect: {} is distilled", scale,
                       model_.traits->title));
    }
    call_.classifier_free = kind == GuidanceKind::classifier_free && scale > 1;
    const bool negative = r.negative_prompt_embeds || !r.negative_prompt.empty();
    if (negative && !call_.classifier_free) {
      warn(fmt::format("{} no effect without true guidance", r.negative_prompt_embeds
                                                                 ? "negative_prompt_embeds have"
                                                                 : "negative_prompt has"));
    }
  }

  void resolve_text() {
    Request& r = request();
    const int length = r.max_sequence_length.value_or(model_.defaults.max_sequence_length);
    if (length < 1 || length > kMostTextTokens) {
      refuse("max_sequence_length",
             fmt::format("must be 1 to {}, not {}", kMostTextTokens, length));
    }
    r.max_sequence_length = length;
    if (r.text_encoder_out_layers.empty()) {
      const auto& layers = model_.traits->text_layers;
      r.text_encoder_out_layers.assign(layers.begin(), layers.end());
    }
    for (const int layer : r.text_encoder_out_layers) {
      if (layer < 0) refuse("text_encoder_out_layers", fmt::format("{} is no layer", layer));
    }
  }

  void check_mask() {
    const Request& r = request();
    if (!r.attention_mask) return;
    const bool referenced = !call_.inpaint.empty() || call_.references.tokens(r) > 0;
    if (model_.traits->references == ReferenceUse::cached && referenced) {
      warn(fmt::format("attention_mask has no effect beside the references of {}",
                       model_.traits->title));
      return;
    }
    const std::int64_t negative =
        r.negative_prompt_embeds ? r.negative_prompt_embeds->shape[1] : *r.max_sequence_length;
    if (call_.classifier_free && negative != call_.text_tokens()) {
      refuse("attention_mask",
             fmt::format("cannot fit {} text tokens and {} of the negative prompt",
                         call_.text_tokens(), negative),
             "give both of one length");
    }
    check_attention_mask(*r.attention_mask, call_.attention_shape(model_.transformer));
  }

  void resolve_schedule() {
    Request& r = request();
    const int fallback =
        r.sigmas.empty() ? model_.defaults.num_inference_steps : model_.traits->signature_steps;
    const int steps = r.num_inference_steps.value_or(fallback);
    if (steps < 1) refuse("num_inference_steps", fmt::format("must be at least 1, not {}", steps));
    // mu follows the argument even where custom sigmas give another number of steps.
    call_.schedule =
        make_schedule(model_.scheduler,
                      {.steps = steps, .tokens = call_.grid.tokens(), .custom_sigmas = r.sigmas});
    r.num_inference_steps = steps;
    if (call_.inpaint.empty()) return;
    skip_steps(first_step(call_.schedule.steps(), call_.inpaint.front().strength));
  }

  void skip_steps(int count) {
    Schedule& schedule = call_.schedule;
    schedule.sigmas.erase(schedule.sigmas.begin(), schedule.sigmas.begin() + count);
    schedule.timesteps.erase(schedule.timesteps.begin(), schedule.timesteps.begin() + count);
  }

  void resolve_seeds() {
    Request& r = request();
    if (r.noise_source && r.latents) {
      refuse("noise_source", "latents are the noise, so that nothing is left to draw",
             "leave one out");
    }
    const auto given = static_cast<std::int64_t>(r.seeds.size());
    if (given > 1 && given != call_.batch) {
      refuse("seed", fmt::format("{} seeds for {} pictures: give one, or one a picture", given,
                                 call_.batch));
    }
    // Rewriting a prompt draws from the first seed as well.
    const bool samples = r.caption_upsample_temperature.value_or(0) > 0;
    if (given > 0 || ((r.latents || r.noise_source) && !samples)) return;
    std::random_device random;
    r.seeds = {random()};
  }

  const ModelFolder& model_;
  Call call_;
};

}  // namespace

std::int64_t Call::text_tokens() const {
  return request.prompt_embeds ? request.prompt_embeds->shape[1] : *request.max_sequence_length;
}

std::int64_t Call::joint_tokens() const {
  const std::int64_t painted_over = inpaint.empty() ? 0 : grid.tokens();
  return text_tokens() + grid.tokens() + painted_over + references.tokens(request);
}

AttentionShape Call::attention_shape(const TransformerConfig& transformer) const {
  return {.batch = batch, .heads = transformer.heads, .tokens = joint_tokens()};
}

Call resolve(const Request& request, const ModelFolder& model) {
  return Resolution(request, model).run();
}

}  // namespace flux2
