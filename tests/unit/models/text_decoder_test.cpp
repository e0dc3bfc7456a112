// What a decoder promises beyond its numbers, which the goldens hold.
#include <gtest/gtest.h>

#include <limits>
#include <map>

#include "backends/reference/reference_ops.h"
#include "flux2/error.h"
#include "models/language/generation.h"
#include "models/language/language_model.h"
#include "models/language/rotary.h"
#include "models/mistral3/mistral3.h"

namespace flux2 {
namespace {

const std::filesystem::path kCheckpoints =
    std::filesystem::path(FLUX2_SOURCE_DIR) / "tests/goldens/data/checkpoints";
const DecoderUse kGeneration = {.taps = {}, .generation = DecoderUse::Generation::yes};

// A tiny text encoder on the reference backend.
struct Loaded {
  Loaded(const std::string& name, const DecoderUse& use)
      : model(load_language_model(kCheckpoints / name / "text_encoder", use, *ops)) {}
  std::vector<float> states(const TokenBatch& batch, const std::vector<std::int64_t>& taps) {
    return to_vector(ops->download(model->decoder().hidden_states(*ops, batch, taps)));
  }

  std::unique_ptr<Ops> ops = make_reference_ops();
  std::unique_ptr<LanguageModel> model;
};

double largest_difference(std::span<const float> a, std::span<const float> b) {
  EXPECT_EQ(a.size(), b.size());
  double largest = 0;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    largest = std::max(largest, std::abs(static_cast<double>(a[i]) - b[i]));
  return largest;
}

template <typename Call>
ErrorCode code_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code();
  }
  ADD_FAILURE() << "no error";
  return ErrorCode::internal;
}

TEST(Decoder, TextsDoNotDependOnTheirBatch) {
  Loaded text("tiny-klein", {.taps = {2, 9}});
  const TokenBatch both = {
      .ids = {5, 6, 7, 8, 1, 1, 9, 8, 7, 6, 5, 1}, .real = {{0, 4}, {0, 5}}, .length = 6};
  const TokenBatch second = {.ids = {9, 8, 7, 6, 5, 1}, .real = {{0, 5}}, .length = 6};
  const std::vector<float> joint = text.states(both, {2, 9});
  const std::vector<float> alone = text.states(second, {2, 9});
  EXPECT_TRUE(std::equal(alone.begin(), alone.end(), joint.begin() + 6 * 80));
}

TEST(Decoder, TapsComeInTheOrderAskedFor) {
  Loaded text("tiny-klein", {.taps = {9}});
  const TokenBatch batch = {.ids = {5, 6, 7}, .real = {{0, 3}}, .length = 3};
  const std::vector<float> forward = text.states(batch, {0, 9});
  const std::vector<float> backward = text.states(batch, {9, 0, 9});
  for (std::size_t token = 0; token < 3; ++token) {
    const auto a = forward.begin() + static_cast<std::ptrdiff_t>(token * 80);
    const auto b = backward.begin() + static_cast<std::ptrdiff_t>(token * 120);
    EXPECT_TRUE(std::equal(a, a + 40, b + 40));
    EXPECT_TRUE(std::equal(a + 40, a + 80, b));
    EXPECT_TRUE(std::equal(b, b + 40, b + 80));
  }
}

// All left pads stand for each other only while they are the same token.
TEST(Decoder, UnlikeLeftPadsAreComputedOneByOne) {
  Loaded text("tiny-dev", {.taps = {3}});
  const auto pads_of = [&](std::int32_t first) {
    return text.states({.ids = {first, 11, 11, 11, 40, 50}, .real = {{4, 6}}, .length = 6}, {3});
  };
  const std::vector<float> alike = pads_of(11);
  const std::vector<float> unlike = pads_of(12);
  EXPECT_LT(largest_difference(std::span(alike).subspan(48), std::span(unlike).subspan(48)), 1e-5);
  EXPECT_GT(largest_difference(std::span(alike).first(48), std::span(unlike).first(48)), 1e-2);
}

TEST(Decoder, ATextOfPaddingOnly) {
  Loaded text("tiny-dev", {.taps = {3}});
  const std::vector<float> states =
      text.states({.ids = {11, 11, 11}, .real = {{3, 3}}, .length = 3}, {3});
  EXPECT_TRUE(std::equal(states.begin(), states.begin() + 48, states.begin() + 96));
}

TEST(Decoder, ProgressCountsLayersOfAllTexts) {
  Loaded text("tiny-klein", {.taps = {3}});
  const TokenBatch batch = {.ids = {5, 6}, .real = {{0, 1}, {0, 1}}, .length = 1};
  std::vector<std::int64_t> seen;
  const std::vector<std::int64_t> taps = {3, 1};
  text.model->decoder().hidden_states(*text.ops, batch, taps,
                                      [&](std::int64_t done, std::int64_t total) {
                                        EXPECT_EQ(total, 6);
                                        seen.push_back(done);
                                      });
  EXPECT_EQ(seen, (std::vector<std::int64_t>{1, 2, 3, 4, 5, 6}));
}

TEST(Decoder, RefusesForeignTokensAndUnloadedLayers) {
  Loaded text("tiny-klein", {.taps = {3}});
  const auto code = [&](std::int32_t id, std::int64_t tap) {
    return code_of([&] { text.states({.ids = {id}, .real = {{0, 1}}, .length = 1}, {tap}); });
  };
  EXPECT_EQ(code(528, 3), ErrorCode::bad_file);
  EXPECT_EQ(code(-1, 3), ErrorCode::bad_file);
  EXPECT_EQ(code(5, 4), ErrorCode::invalid_request);
}

// Pieces of any size, through the cache, give what one pass gives.
TEST(Decoder, AdvancingInPiecesIsOnePass) {
  for (const std::string name : {"tiny-klein-base", "tiny-dev"}) {
    Loaded text(name, kGeneration);
    const Decoder& decoder = text.model->decoder();
    const std::vector<std::int32_t> ids = {3, 99, 4, 98, 5, 97, 6, 96, 7, 95, 8};
    const std::int64_t last = decoder.loaded_layers();
    const std::vector<float> whole =
        text.states({.ids = ids, .real = {{0, 11}}, .length = 11}, {last});

    KvCache cache = decoder.make_cache(*text.ops, 12);
    std::vector<float> pieces;
    const Tensor prompt = decoder.embed(*text.ops, ids);
    for (const std::int64_t size : {4, 1, 5, 1}) {
      const Tensor x = decoder.advance(*text.ops, cache, prompt.slice(1, cache.tokens(), size));
      const std::vector<float> part = to_vector(decoder.final_norm(*text.ops, x));
      pieces.insert(pieces.end(), part.begin(), part.end());
    }
    EXPECT_LT(largest_difference(whole, pieces), 2e-5) << name;
  }
}

TEST(Generation, StopsAtStopTokensAndAtTheLimit) {
  Loaded text("tiny-klein", kGeneration);
  const Tensor prompt = text.model->embed_prompt(*text.ops, std::vector<std::int32_t>{3, 4, 5}, {});
  const auto run = [&](std::int64_t limit, std::vector<std::int32_t> stops) {
    return generate(*text.ops, text.model->decoder(), prompt,
                    {.max_new_tokens = limit,
                     .sampling = {.temperature = 5, .top_k = 50, .seed = 1},
                     .stop_tokens = std::move(stops),
                     .on_token = {}});
  };
  const std::vector<std::int32_t> free = run(8, {});
  ASSERT_EQ(free.size(), 8u);
  EXPECT_EQ(run(0, {}).size(), 0u);
  EXPECT_EQ(run(3, {}), std::vector<std::int32_t>(free.begin(), free.begin() + 3));

  const auto first = std::find(free.begin(), free.end(), free[5]);
  EXPECT_EQ(run(8, {free[5]}), std::vector<std::int32_t>(free.begin(), first));
}

// A prompt longer than one piece is scored as if it were read at once.
TEST(Generation, ReadsLongPromptsInPieces) {
  Loaded text("tiny-klein", kGeneration);
  const Decoder& decoder = text.model->decoder();
  std::vector<std::int32_t> ids;
  for (std::int32_t i = 0; i < 530; ++i)
    ids.push_back(i * 7 % 528);
  const std::vector<std::int64_t> last = {decoder.loaded_layers()};
  const Tensor states =
      decoder.hidden_states(*text.ops, {.ids = ids, .real = {{0, 530}}, .length = 530}, last);
  const std::vector<float> expected = to_vector(decoder.logits(*text.ops, states.slice(1, 529, 1)));

  std::vector<float> scores;
  generate(*text.ops, decoder, text.model->embed_prompt(*text.ops, ids, {}),
           {.max_new_tokens = 1,
            .sampling = {},
            .stop_tokens = {},
            .on_token = [&](std::int32_t, std::span<const float> all) {
              scores.assign(all.begin(), all.end());
            }});
  EXPECT_LT(largest_difference(expected, scores), 1e-4);
}

TEST(Generation, NeedsADecoderThatGenerates) {
  Loaded text("tiny-klein", {.taps = {3}});
  const Tensor prompt = text.model->decoder().embed(*text.ops, std::vector<std::int32_t>{3});
  const auto call = [&] { generate(*text.ops, text.model->decoder(), prompt, {}); };
  EXPECT_EQ(code_of(call), ErrorCode::invalid_request);
}

TEST(Mistral3, PicturesMustFitThePrompt) {
  Loaded text("tiny-dev", kGeneration);
  const std::vector<std::int32_t> two = {1, 10, 10, 13, 4};  // picture tokens
  const auto embed = [&](const Shape& shape) {
    const Tensor picture = make_host_tensor(shape);
    std::fill_n(picture.f32(), picture.elements(), 0.5f);
    return text.model->embed_prompt(*text.ops, two, std::vector<Tensor>{picture});
  };
  EXPECT_NO_THROW(embed({1, 28, 56, 3}));
  for (const Shape& shape : {Shape{1, 28, 28, 3}, Shape{1, 28, 84, 3}, Shape{1, 28, 55, 3}})
    EXPECT_EQ(code_of([&] { embed(shape); }), ErrorCode::invalid_request) << shape.to_string();
}

TEST(Qwen3, SeesNoPictures) {
  Loaded text("tiny-klein", {.taps = {3}});
  const auto call = [&] {
    text.model->embed_prompt(*text.ops, std::vector<std::int32_t>{3},
                             std::vector<Tensor>{make_host_tensor({1, 28, 28, 3})});
  };
  EXPECT_EQ(code_of(call), ErrorCode::invalid_request);
}

// Values of torch.
TEST(Rotary, FrequenciesAreThoseOfTorch) {
  EXPECT_EQ(rope_frequencies(10, 1e6), (std::vector<float>{1.0f, 0x1.0270acp-4f, 0x1.04e74cp-8f,
                                                           0x1.0763eap-12f, 0x1.09e6a2p-16f}));
  EXPECT_EQ(
      rope_frequencies(16, 1e6),
      (std::vector<float>{1.0f, 0x1.6c310ep-3f, 0x1.030dc6p-5f, 0x1.708938p-8f, 0x1.0624dep-10f,
                          0x1.74eea6p-13f, 0x1.094564p-15f, 0x1.796182p-18f}));
}

TEST(Vision, AnglesAlternateBetweenRowAndColumn) {
  VisionConfig config;
  config.block.head_dim = 8;
  config.rope_theta = 10000;  // frequencies 1, 0.1, 0.01, 0.001
  const std::vector<float> angles = patch_angles(config, 3, 2);
  ASSERT_EQ(angles.size(), 24u);
  const std::span<const float> patch = std::span(angles).subspan(5 * 4, 4);  // row 2, column 1
  EXPECT_FLOAT_EQ(patch[0], 2.0f);
  EXPECT_FLOAT_EQ(patch[1], 0.02f);
  EXPECT_FLOAT_EQ(patch[2], 0.1f);
  EXPECT_FLOAT_EQ(patch[3], 0.001f);
}

TEST(Vision, UnfoldKeepsChannelsOutermost) {
  // Element (row, column, channel) of a 2 x 4 grid holds 100 row + 10 column + channel.
  const Tensor patches = make_host_tensor({1, 8, 2});
  for (int i = 0; i < 16; ++i)
    patches.f32()[i] = static_cast<float>(100 * (i / 8) + 10 * (i / 2 % 4) + i % 2);
  const Tensor unfolded = unfold_patches(patches, {2, 4}, 2);
  EXPECT_EQ(unfolded.shape(), (Shape{1, 2, 8}));
  EXPECT_EQ(to_vector(unfolded), (std::vector<float>{0, 10, 100, 110, 1, 11, 101, 111,  //
                                                     20, 30, 120, 130, 21, 31, 121, 131}));
}

}  // namespace
}  // namespace flux2
