#include "models/qwen3/qwen3.h"

#include "flux2/error.h"

namespace flux2 {
namespace {

constexpr const char* kHead = "lm_head.weight";

DecoderConfig read_config(const ConfigFile& config) {
  DecoderConfig decoder = read_decoder_config(config, HeadWeights::separate);
  decoder.block.qk_norm = QkNorm::rms;
  return decoder;
}

}  // namespace

Qwen3::Qwen3(const ConfigFile& config, const DecoderUse& use)
    : decoder_(read_config(config), use) {}

WeightsTable Qwen3::weights(const Checkpoint& checkpoint) {
  WeightsTable table;
  decoder_.declare(table, {.decoder = "model.", .head = kHead}, checkpoint);
  return table;
}

Tensor Qwen3::embed_prompt(Ops& ops, std::span<const std::int32_t> ids,
                           std::span<const Tensor> pictures) const {
  if (!pictures.empty())
    throw Error(ErrorCode::invalid_request, "the text encoder Qwen3 cannot see pictures", "image");
  return decoder_.embed(ops, ids);
}

}  // namespace flux2
