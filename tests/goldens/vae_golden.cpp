#include "vae_golden.h"

#include "checkpoint/config_file.h"

namespace flux2::golden {

std::filesystem::path vae_folder(const std::string& checkpoint) {
  return data_path("checkpoints/" + checkpoint + "/vae");
}

AutoencoderConfig vae_config(const std::string& checkpoint) {
  return AutoencoderConfig::read(ConfigFile::read(vae_folder(checkpoint) / "config.json"));
}

Autoencoder load_vae(const std::string& checkpoint, Ops& ops) {
  return Autoencoder::load(Checkpoint::open(vae_folder(checkpoint), "diffusion_pytorch_model"),
                           vae_config(checkpoint), ops, CoderSides::both);
}

LatentStatistics statistics_of(const Autoencoder& vae) {
  const auto span = [](const Tensor& t) {
    return std::span<const float>(t.f32(), static_cast<std::size_t>(t.elements()));
  };
  return {span(vae.latent_mean()), span(vae.latent_variance()), vae.config().batch_norm_eps};
}

Tensor channels_last(const Tensor& x) {
  Tensor out = make_host_tensor({x.dim(0), x.dim(2), x.dim(3), x.dim(1)});
  float* target = out.f32();
  for (std::int64_t b = 0; b < x.dim(0); ++b) {
    for (std::int64_t i = 0; i < x.dim(2) * x.dim(3); ++i) {
      for (std::int64_t c = 0; c < x.dim(1); ++c) {
        *target++ = x.f32()[(b * x.dim(1) + c) * x.dim(2) * x.dim(3) + i];
      }
    }
  }
  return out;
}

double vae_tolerance(const std::string& name) {
  static const ConfigFile noise =
      ConfigFile::read(std::filesystem::path(FLUX2_SOURCE_DIR) / "tests/goldens/float_noise.json");
  return kTolerance + noise.number(name, 0, 2e-4, 0.0);
}

}  // namespace flux2::golden
