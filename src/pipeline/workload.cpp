#include "pipeline/workload.h"

namespace flux2 {
namespace {

Size size_of(const Image& image) {
  return {image.width, image.height};
}

std::vector<Size> encoded_pictures(const Call& call) {
  std::vector<Size> sizes;
  if (!call.inpaint.empty() && !call.request.inpaint->image_latents) {
    for (std::size_t i = 0; i < call.request.inpaint->image.size(); ++i)
      sizes.push_back(size_of(call.inpaint[i].picture));
  }
  for (const Image& image : call.references.shared)
    sizes.push_back(size_of(image));
  for (const std::vector<Image>& list : call.references.per_sample) {
    for (const Image& image : list)
      sizes.push_back(size_of(image));
  }
  return sizes;
}

}  // namespace

Workload workload_of(const Call& call, const RunOptions& options) {
  const Request& request = call.request;
  Workload work;
  const bool guided = call.classifier_free && options.output != Output::prompt_embeds;
  const std::int64_t negatives = request.negative_prompt.empty()
                                     ? 1
                                     : static_cast<std::int64_t>(request.negative_prompt.size());
  work.prompts = call.prompts;
  if (!request.prompt_embeds) work.texts = call.prompts;
  if (guided && !request.negative_prompt_embeds) work.texts += negatives;
  if (request.caption_upsample_temperature) work.rewritten = call.prompts;
  work.encoder_tokens = *request.max_sequence_length;
  work.taps.assign(request.text_encoder_out_layers.begin(), request.text_encoder_out_layers.end());

  work.batch = call.batch;
  work.pass_tokens = {call.text_tokens()};
  if (guided) {
    work.pass_tokens.push_back(request.negative_prompt_embeds
                                   ? request.negative_prompt_embeds->shape[1]
                                   : work.encoder_tokens);
  }
  work.grid = call.grid;
  work.reference_tokens = call.joint_tokens() - call.text_tokens() - call.grid.tokens();
  work.encoded = encoded_pictures(call);
  work.steps = call.schedule.steps();
  if (request.attention_mask) {
    work.mask_elements = static_cast<std::int64_t>(request.attention_mask->values.size());
  }
  if (options.preview) work.previews = Workload::Previews::yes;
  work.output = options.output;
  return work;
}

Workload usual_workload(const ModelFolder& model) {
  Request request;
  request.prompt = {""};
  request.seeds = {0};
  return workload_of(resolve(request, model), {});
}

}  // namespace flux2
