#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "flux2/adapter.h"
#include "flux2/array.h"
#include "flux2/export.h"
#include "flux2/image.h"

namespace FLUX2_API flux2 {

/// Whose random numbers the initial latents are.
enum class Noise {
  torch_cpu,         ///< torch.Generator("cpu") of torch 2.15 or later
  torch_cpu_legacy,  ///< of an earlier torch: other numbers in bf16 and f16, the same in f32
  torch_cuda,        ///< torch.Generator("cuda"): depends on the card, see `cuda_card`
};

/// The type the noise is drawn in, as torch rounds it.
enum class NoiseDType { f32, bf16, f16 };

/// Draws noise in the caller's own way: standard normal numbers of a shape [B, 128, h, w].
using NoiseFunction = std::function<FloatArray(const std::vector<std::int64_t>& shape)>;

/// Pixels on each side of a picture.
struct Margins {
  int left = 0;    ///< 0 or more
  int top = 0;     ///< 0 or more
  int right = 0;   ///< 0 or more
  int bottom = 0;  ///< 0 or more
};

/// Pictures to paint over. Names and meanings are those of Diffusers'
/// `Flux2KleinInpaintPipeline.__call__`; here every family can do it.
///
/// Usually one picture and one mask, for all that is drawn. Where there are more, their numbers
/// divide the number of pictures drawn, and picture b is painted over `image[b % image.size()]`
/// under `mask_image[b % mask_image.size()]`.
///
/// The picture is also the first reference. What is painted has the size of the first picture,
/// shrunk to at most 1024 x 1024 pixels' area and floored to multiples of 16; width and height of
/// the request have no say.
struct Inpaint {
  std::vector<Image> image;  ///< of any size and format; further ones get the size of the first
  /// In place of `image`: [n, 128, H/16, W/16], patches of the VAE's latents, not normalised.
  std::optional<FloatArray> image_latents;
  /// White is painted, black is kept; of any size. None: all is painted (image to image).
  std::vector<Image> mask_image;
  /// 0 to 1: how much of the schedule runs, and so how much may change. Default 0.8; 1 with
  /// `outpaint`.
  std::optional<double> strength;
  /// Paints only the part around the mask, with so many pixels more on each side, at full size.
  /// For one picture and one mask.
  std::optional<int> padding_mask_crop;
  /// The result is the picture as it was given, in its own size: byte for byte where the mask is
  /// black, painted where it is white, with a seam that fades inside the white. Otherwise it is
  /// what Diffusers returns: the VAE's rendering of the whole picture.
  bool keep_unmasked = false;
  /// Grows the pictures by so many pixels and paints what is new, beside `mask_image` if given.
  std::optional<Margins> outpaint;
};

/// One call of a pipeline. Names and meanings are those of Diffusers' `Flux2Pipeline.__call__`;
/// what is left unset follows from the model (ModelDefaults).
struct Request {
  /// One or more prompts: a batch. Empty where `prompt_embeds` is given.
  std::vector<std::string> prompt;
  /// Reference pictures, in order; all of them condition every sample.
  std::vector<Image> image;
  /// References as latents, behind `image`: [1 or B, 128, H/16, W/16] each, patches of the VAE's
  /// latents, not normalised. B rows: one for each sample.
  std::vector<FloatArray> image_latents;
  /// References that differ by sample, behind the others: one list for each sample, or for each
  /// prompt. The lists are equally long, and their k-th pictures come out equally large.
  std::vector<std::vector<Image>> image_per_sample;
  /// A picture to paint over; `image` then holds further references.
  std::optional<Inpaint> inpaint;
  std::optional<int> height;  ///< pixels; floored to a multiple of 16. Default: first reference
  std::optional<int> width;   ///< pixels
  std::optional<int> num_inference_steps;  ///< 1 or more
  /// Custom schedule before the resolution shift, each in (0, 1]; its length is the step count.
  std::vector<double> sigmas;
  /// [dev]: an input of the model. klein base: true guidance where over 1. Else without effect.
  std::optional<double> guidance_scale;
  int num_images_per_prompt = 1;  ///< 1 or more
  /// None: drawn at random. One: one generator for the whole batch. Else one a picture.
  std::vector<std::uint64_t> seeds;
  Noise noise = Noise::torch_cpu;            ///< whose generator the seeds are for
  NoiseDType noise_dtype = NoiseDType::f32;  ///< type of the reference run to repeat
  std::string cuda_card = "h100";  ///< for torch_cuda: a known card, or "SMSxTHREADS" (132x2048)
  /// Draws the noise of the whole batch in place of seeds: a generator that goes on from call to
  /// call, or several of them. Called once a call, from the thread that called generate.
  NoiseFunction noise_source;
  /// Initial noise [B, 128, H/16, W/16] in place of seeds; sets the size. When painting over a
  /// picture it is also what the first step starts from, as in Diffusers.
  std::optional<FloatArray> latents;
  /// [prompts, L, text width] in place of `prompt`.
  std::optional<FloatArray> prompt_embeds;
  /// What true guidance leads away from: one text, or one a prompt. Default: the empty prompt.
  std::vector<std::string> negative_prompt;
  /// [prompts or 1, L, text width] in place of `negative_prompt`.
  std::optional<FloatArray> negative_prompt_embeds;
  std::optional<int> max_sequence_length;  ///< text tokens, padding included
  /// Layers of the text encoder whose outputs are stacked, counted from 1; empty: the family's.
  std::vector<int> text_encoder_out_layers;
  /// Added to the scores of every attention of the transformer (`attention_kwargs`'
  /// "attention_mask"): broadcast as torch does to [B, heads, L, L] over the tokens of [text;
  /// picture; references]; [B, L] is a mask of keys. May hold -infinity. klein KV ignores it where
  /// there are references, as in Diffusers.
  std::optional<FloatArray> attention_mask;
  /// Lets the text encoder rewrite the prompts first, sampling at this temperature (0.15 is
  /// recommended; 0 takes the likeliest words). [dev] looks at the pictures as well.
  std::optional<double> caption_upsample_temperature;
  /// Changes to the weights, for this call: all of them are added to the model as it was loaded. A
  /// later call without them draws what it would have drawn before.
  std::vector<Adapter> adapters;
  /// Multiplies the weight of every adapter (`attention_kwargs`' "scale").
  double adapter_scale = 1;
};

}  // namespace flux2
