// Noise that the caller draws, in place of seeds.
#include <gtest/gtest.h>

#include "flux2/flux2.h"

namespace flux2 {
namespace {

const Pipeline& klein() {
  static const Pipeline pipeline =
      Pipeline::load(std::string(FLUX2_SOURCE_DIR) + "/tests/goldens/data/checkpoints/tiny-klein",
                     {.compute = Compute::f32, .threads = 1});
  return pipeline;
}

Request request() {
  Request r;
  r.prompt = {"a cat"};
  r.width = r.height = 64;
  r.num_inference_steps = 1;
  r.max_sequence_length = 16;
  return r;
}

std::vector<float> latents(const Request& r) {
  return klein().generate(r, {.output = Output::latents}).latents.values;
}

NoiseFunction drawing_from(NoiseGenerator& generator, NoiseDType dtype = NoiseDType::f32) {
  return [&generator, dtype](const std::vector<std::int64_t>& shape) {
    return generator.randn(shape, dtype);
  };
}

Request seeded(std::uint64_t seed) {
  Request r = request();
  r.seeds = {seed};
  return r;
}

TEST(NoiseSource, AGeneratorGoesOn) {
  NoiseGenerator generator(7);
  Request r = request();
  r.noise_source = drawing_from(generator);
  const Result first = klein().generate(r, {.output = Output::latents});
  EXPECT_EQ(first.latents.values, latents(seeded(7)));
  EXPECT_TRUE(first.request.seeds.empty());
  EXPECT_NE(latents(r), first.latents.values);
}

TEST(NoiseSource, PaintingOver) {
  Request r = request();
  r.inpaint.emplace();
  Image picture;
  picture.width = picture.height = 64;
  picture.pixels.assign(64 * 64 * 3, 90);
  r.inpaint->image = {picture};
  r.inpaint->strength = 1.0;
  Request with_seed = r;
  with_seed.seeds = {7};
  NoiseGenerator generator(7);
  r.noise_source = drawing_from(generator);
  EXPECT_EQ(latents(r), latents(with_seed));
}

TEST(NoiseSource, IsRoundedToItsType) {
  for (const NoiseDType dtype : {NoiseDType::bf16, NoiseDType::f16}) {
    Request with_seed = seeded(7);
    with_seed.noise_dtype = dtype;
    NoiseGenerator generator(7);
    Request r = request();
    r.noise_source = drawing_from(generator, dtype);
    r.noise_dtype = dtype;
    EXPECT_EQ(latents(r), latents(with_seed));
    EXPECT_NE(latents(r), latents(seeded(7)));
  }
}

TEST(NoiseSource, LegacyBf16) {
  Request r = seeded(7);
  r.noise_dtype = NoiseDType::bf16;
  const std::vector<float> now = latents(r);
  r.noise = Noise::torch_cpu_legacy;
  const std::vector<float> before = latents(r);
  EXPECT_NE(before, now);
  NoiseGenerator generator(7, Noise::torch_cpu_legacy);
  Request drawn = request();
  drawn.noise_dtype = NoiseDType::bf16;
  drawn.noise_source = drawing_from(generator, NoiseDType::bf16);
  EXPECT_EQ(latents(drawn), before);
  r.noise_dtype = NoiseDType::f32;
  EXPECT_EQ(latents(r), latents(seeded(7)));  // in f32 torch has not changed
  EXPECT_THROW(NoiseGenerator(7, Noise::torch_cuda), Error);
}

TEST(NoiseSource, RefusesWhatDoesNotFit) {
  const auto refused = [](const NoiseFunction& draw) {
    Request r = request();
    r.noise_source = draw;
    try {
      latents(r);
      ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid_request);
      EXPECT_EQ(error.where(), "noise_source");
    }
  };
  refused([](const auto&) { return FloatArray{}; });
  refused([](const auto&) { return FloatArray{{1, 128, 2, 8}, std::vector<float>(2048), ""}; });
  refused([](const auto& shape) { return FloatArray{shape, std::vector<float>(7), ""}; });
  refused([](const auto& shape) {
    return FloatArray{shape, std::vector<float>(2048, std::numeric_limits<float>::quiet_NaN()), ""};
  });
  Request r = request();
  r.latents = FloatArray{{1, 128, 4, 4}, std::vector<float>(2048), ""};
  r.noise_source = [](const auto& shape) { return FloatArray{shape, {}, ""}; };
  EXPECT_THROW(latents(r), Error);
  r.latents.reset();
  r.noise_source = [](const auto&) -> FloatArray { throw std::runtime_error("mine"); };
  EXPECT_THROW(latents(r), std::runtime_error);
}

}  // namespace
}  // namespace flux2
