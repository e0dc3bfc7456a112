// The autoencoder, stage by stage, against Diffusers' own. Goldens are channels first.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "ops/tracing_ops.h"
#include "vae_golden.h"

namespace flux2::golden {
namespace {

using Parameter = std::tuple<std::string, Backend>;

std::string name_of_case(const testing::TestParamInfo<Parameter>& info) {
  std::string name = std::get<0>(info.param) + "_" + std::get<1>(info.param).name;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

class VaeGoldens : public testing::TestWithParam<Parameter> {
 protected:
  std::string checkpoint() const { return std::get<0>(GetParam()); }
  std::unique_ptr<Ops> make_ops() const { return std::get<1>(GetParam()).make(); }
  GoldenFile golden() const { return GoldenFile("vae/" + checkpoint() + ".safetensors"); }
};

TEST_P(VaeGoldens, EncodeAndDecode) {
  const std::unique_ptr<Ops> ops = make_ops();
  const GoldenFile file = golden();
  const Autoencoder vae = load_vae(checkpoint(), *ops);
  for (const std::string picture : {"small.", "wide."}) {
    const auto expected = [&](const char* name) {
      return channels_last(file.tensor(picture + name));
    };
    const auto hold = [&](const char* name, const Tensor& ours, const Tensor& golden) {
      const std::string full_name = checkpoint() + "/" + picture + name;
      EXPECT_LT(relative_error(ours, golden), vae_tolerance(full_name)) << full_name;
    };
    const Tensor moments = vae.encode(*ops, expected("image"));
    hold("moments", moments, expected("moments"));
    const Tensor mode = moments.slice(3, 0, vae.config().latent_channels);
    hold("mode", mode, expected("mode"));

    Tensor tokens = patchify_to_tokens(mode);
    statistics_of(vae).normalise(tokens);
    hold("normalised", tokens, pack(file.tensor(picture + "normalised")));
    hold("decoded_mode", vae.decode(*ops, expected("mode")), expected("decoded_mode"));

    tokens = pack(file.tensor(picture + "z_normalised"));
    statistics_of(vae).denormalise(tokens);
    const Tensor z = unpatchify_tokens(tokens, {mode.dim(1) / 2, mode.dim(2) / 2});
    hold("z", z, expected("z"));
    hold("decoded_z", vae.decode(*ops, z), expected("decoded_z"));
  }
}

TEST_P(VaeGoldens, Statistics) {
  const std::unique_ptr<Ops> ops = make_ops();
  const GoldenFile file = golden();
  const LatentStatistics statistics = statistics_of(load_vae(checkpoint(), *ops));
  const auto as_tensor = [](std::span<const float> values) {
    return make_host_tensor({static_cast<std::int64_t>(values.size())}, values);
  };
  EXPECT_LT(relative_error(as_tensor(statistics.mean()), file.tensor("bn.mean")), 1e-7);
  EXPECT_LT(relative_error(as_tensor(statistics.deviation()), file.tensor("bn.std")), 1e-6);
}

INSTANTIATE_TEST_SUITE_P(Goldens, VaeGoldens,
                         testing::Combine(testing::Values("tiny-klein", "tiny-klein-base",
                                                          "tiny-dev", "tiny-klein-kv"),
                                          testing::ValuesIn(float_backends())),
                         name_of_case);

class VaeStages : public testing::TestWithParam<Backend> {};

TEST_P(VaeStages, EveryStage) {
  const std::unique_ptr<Ops> backend = GetParam().make();
  const GoldenFile file("vae/tiny-klein.safetensors");
  TracingOps ops(*backend);
  const Autoencoder vae = load_vae("tiny-klein", ops);
  vae.encode(ops, channels_last(file.tensor("small.image")));
  vae.decode(ops, channels_last(file.tensor("small.mode")));
  int compared = 0;
  for (const auto& [name, trace] : ops.traces()) {
    if (!file.has("small." + name)) continue;  // dec.conv_out is decoded_mode
    Tensor golden = channels_last(file.tensor("small." + name));
    if (name.ends_with("norm_out")) {  // ours comes after the SiLU that is fused with the norm
      std::for_each(golden.f32(), golden.f32() + golden.elements(),
                    [](float& x) { x = x / (1 + std::exp(-x)); });
    }
    EXPECT_LT(relative_error(trace, golden), kTolerance) << name;
    ++compared;
  }
  EXPECT_EQ(compared, 18);
}

TEST_P(VaeStages, Tiles) {
  const std::unique_ptr<Ops> ops = GetParam().make();
  const GoldenFile file("vae/tiled.safetensors");
  const Autoencoder vae = load_vae("tiny-klein", *ops);
  const Tiling tiling = {.sample_size = 64, .latent_size = 8, .overlap = 0.25};
  const auto expected = [&](const char* name) { return channels_last(file.tensor(name)); };
  EXPECT_LT(relative_error(vae.encode(*ops, expected("image"), tiling), expected("moments")),
            vae_tolerance("tiled/moments"));
  EXPECT_LT(relative_error(vae.decode(*ops, expected("z"), tiling), expected("decoded")),
            kTolerance);
  EXPECT_LT(relative_error(vae.decode(*ops, expected("edge.z"), tiling), expected("edge.decoded")),
            kTolerance);
}

INSTANTIATE_TEST_SUITE_P(Goldens, VaeStages, testing::ValuesIn(float_backends()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace flux2::golden
