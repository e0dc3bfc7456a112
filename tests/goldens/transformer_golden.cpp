#include "transformer_golden.h"

#include <algorithm>

#include "checkpoint/config_file.h"

namespace flux2::golden {
namespace {

// The [L, 4] ids of the first sample; the others have the same.
std::vector<Position> read_positions(const GoldenFile& file, const std::string& name) {
  const std::vector<std::int64_t> ids = file.integers(name);
  std::vector<Position> positions(static_cast<std::size_t>(file.shape(name)[1]));
  for (std::size_t i = 0; i < positions.size(); ++i) {
    std::copy_n(ids.begin() + static_cast<std::ptrdiff_t>(4 * i), 4, positions[i].begin());
  }
  return positions;
}

}  // namespace

std::filesystem::path transformer_folder(const std::string& checkpoint) {
  return data_path("checkpoints/" + checkpoint + "/transformer");
}

TransformerConfig transformer_config(const std::string& checkpoint) {
  return TransformerConfig::read(ConfigFile::read(transformer_folder(checkpoint) / "config.json"));
}

Transformer load_transformer(const std::string& checkpoint, const TransformerConfig& config,
                             Ops& ops) {
  return Transformer::load(
      Checkpoint::open(transformer_folder(checkpoint), "diffusion_pytorch_model"), config, ops);
}

Forward::Forward(const GoldenFile& file, const std::string& prefix)
    : latents(file.tensor(prefix + "in.hidden_states")),
      text(file.tensor(prefix + "in.encoder_hidden_states")),
      timesteps(to_vector(file.tensor(prefix + "in.timestep"))),
      img_positions(read_positions(file, prefix + "in.img_ids")),
      txt_positions(read_positions(file, prefix + "in.txt_ids")) {
  if (file.has(prefix + "in.guidance")) {
    guidance = to_vector(file.tensor(prefix + "in.guidance"));
  }
}

ConditioningInputs Forward::inputs() const {
  return {.text = text, .text_positions = txt_positions, .latent_positions = img_positions};
}

ConditioningInputs Forward::inputs_with_leading_references(std::int64_t count) const {
  const std::span<const Position> positions = img_positions;
  const auto split = static_cast<std::size_t>(count);
  return {.text = text,
          .text_positions = txt_positions,
          .latent_positions = positions.subspan(split),
          .references = latents.slice(1, 0, count),
          .reference_positions = positions.first(split),
          .use = ReferenceUse::cached};
}

ConditioningInputs Forward::inputs_with_trailing_references(std::int64_t latent_count) const {
  const std::span<const Position> positions = img_positions;
  const auto split = static_cast<std::size_t>(latent_count);
  return {.text = text,
          .text_positions = txt_positions,
          .latent_positions = positions.first(split),
          .references = latents.slice(1, latent_count, latents.dim(1) - latent_count),
          .reference_positions = positions.subspan(split)};
}

Tensor velocity(Ops& ops, const Transformer& model, const Forward& forward) {
  Conditioning conditioning = model.condition(ops, forward.inputs());
  return ops.download(
      model.velocity(ops, conditioning, forward.latents, forward.timesteps, forward.guidance));
}

}  // namespace flux2::golden
