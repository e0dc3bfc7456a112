// Reading config.json of text encoders.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "flux2/error.h"
#include "models/language/decoder_config.h"
#include "models/language/language_model.h"
#include "models/mistral3/config.h"

namespace flux2 {
namespace {

using Json = nlohmann::json;

const Json kQwen = {{"model_type", "qwen3"},       {"hidden_size", 40},
                    {"num_hidden_layers", 28},     {"num_attention_heads", 4},
                    {"num_key_value_heads", 2},    {"head_dim", 16},
                    {"intermediate_size", 56},     {"vocab_size", 528},
                    {"rms_norm_eps", 1e-6},        {"rope_theta", 1000000},
                    {"rope_scaling", nullptr},     {"sliding_window", nullptr},
                    {"use_sliding_window", false}, {"tie_word_embeddings", true},
                    {"hidden_act", "silu"},        {"layer_types", {"full_attention"}}};

const Json kPixtral = {{"hidden_size", 32},        {"num_hidden_layers", 3},
                       {"num_attention_heads", 2}, {"head_dim", 16},
                       {"intermediate_size", 48},  {"patch_size", 14},
                       {"rope_theta", 10000.0},    {"hidden_act", "silu"}};

const Json kMistral = {{"model_type", "mistral3"},  {"text_config", kQwen},
                       {"vision_config", kPixtral}, {"tie_word_embeddings", false},
                       {"spatial_merge_size", 2},   {"image_token_index", 10},
                       {"vision_feature_layer", -1}};

ConfigFile parse(const Json& json) {
  return ConfigFile::parse(json.dump(), "text_encoder/config.json");
}

Json with(Json json, const std::string& key, const Json& value) {
  json[key] = value;
  return json;
}

Json without(Json json, const std::string& key) {
  json.erase(key);
  return json;
}

template <typename Call>
std::string error_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::bad_file);
    return error.what();
  }
  return "no error";
}

TEST(TextConfig, ReadsThePublishedSpelling) {
  const DecoderConfig config = read_decoder_config(parse(kQwen), HeadWeights::separate);
  EXPECT_EQ(config.vocab_size, 528);
  EXPECT_EQ(config.layers, 28);
  EXPECT_EQ(config.rope_theta, 1e6);
  EXPECT_EQ(config.head, HeadWeights::tied);
  EXPECT_EQ(config.block.width, 40);
  EXPECT_EQ(config.block.heads, 4);
  EXPECT_EQ(config.block.kv_heads, 2);
  EXPECT_EQ(config.block.head_dim, 16);
  EXPECT_EQ(config.block.mlp_width, 56);
  EXPECT_EQ(config.block.eps, 1e-6f);
}

TEST(TextConfig, ReadsTheSpellingOfTransformers5) {
  const Json json = with(without(kQwen, "rope_theta"), "rope_parameters",
                         {{"rope_type", "default"}, {"rope_theta", 1e9}});
  EXPECT_EQ(read_decoder_config(parse(json), HeadWeights::separate).rope_theta, 1e9);
}

TEST(TextConfig, FillsInWhatTransformersFillsIn) {
  const Json json = without(without(kQwen, "head_dim"), "tie_word_embeddings");
  const DecoderConfig config = read_decoder_config(parse(json), HeadWeights::separate);
  EXPECT_EQ(config.block.head_dim, 10);
  EXPECT_EQ(config.head, HeadWeights::separate);
  EXPECT_EQ(read_decoder_config(parse(json), HeadWeights::tied).head, HeadWeights::tied);
}

TEST(TextConfig, RefusesWhatTheDecoderDoesNotDo) {
  const std::vector<std::pair<Json, std::string>> cases = {
      {with(kQwen, "attention_bias", true), "attention_bias"},
      {with(kQwen, "hidden_act", "gelu"), "gelu"},
      {with(kQwen, "num_key_value_heads", 3), "multiple"},
      {with(kQwen, "head_dim", 7), "head_dim"},
      {with(kQwen, "head_dim", -2), "head_dim"},
      {with(kQwen, "hidden_size", 0), "hidden_size"},
      {with(kQwen, "hidden_size", "40"), "hidden_size"},
      {with(kQwen, "num_hidden_layers", 1000000000), "num_hidden_layers"},
      {with(kQwen, "rope_theta", 0), "rope_theta"},
      {without(kQwen, "rope_theta"), "rope_theta"},
      {without(kQwen, "vocab_size"), "vocab_size"},
      {with(kQwen, "rope_scaling", {{"rope_type", "yarn"}, {"factor", 4}}), "yarn"},
      {with(kQwen, "rope_parameters", {{"rope_type", "llama3"}, {"rope_theta", 1}}), "llama3"},
      {with(kQwen, "layer_types", {"full_attention", "sliding_attention"}), "sliding_attention"},
      {with(with(kQwen, "use_sliding_window", true), "sliding_window", 4096), "sliding"},
      {with(without(kQwen, "use_sliding_window"), "sliding_window", 4096), "sliding"}};
  for (const auto& [json, word] : cases) {
    const ConfigFile config = parse(json);
    const std::string error = error_of([&] { read_decoder_config(config, HeadWeights::separate); });
    EXPECT_NE(error.find(word), std::string::npos) << error << " does not say " << word;
    EXPECT_NE(error.find("text_encoder/config.json"), std::string::npos) << error;
  }
}

TEST(TextConfig, ReadsMistral) {
  const Mistral3Config config = read_mistral3_config(parse(kMistral));
  ASSERT_TRUE(config.vision.has_value());
  EXPECT_EQ(config.vision->layers, 3);
  EXPECT_EQ(config.vision->patch_size, 14);
  EXPECT_EQ(config.vision->channels, 3);
  EXPECT_EQ(config.vision->block.kv_heads, 2);
  EXPECT_EQ(config.vision->block.eps, 1e-5f);
  EXPECT_EQ(config.merge_size, 2);
  EXPECT_EQ(config.picture_token, 10);
}

// As transformers 5 saves it.
TEST(TextConfig, ThePositionsOfAPictureAreAxial) {
  const Json axial = {{"rope_type", "axial"}, {"rope_theta", 1e4}};
  const Json vision = with(without(kPixtral, "rope_theta"), "rope_parameters", axial);
  const Mistral3Config config =
      read_mistral3_config(parse(with(kMistral, "vision_config", vision)));
  EXPECT_EQ(config.vision->rope_theta, 1e4);
  const Json text = with(without(kQwen, "rope_theta"), "rope_parameters", axial);
  const std::string error =
      error_of([&] { read_decoder_config(parse(text), HeadWeights::separate); });
  EXPECT_NE(error.find("axial"), std::string::npos) << error;
}

TEST(TextConfig, TextOnlyMistralHasNoVision) {
  EXPECT_FALSE(read_mistral3_config(parse(without(kMistral, "vision_config"))).vision.has_value());
}

TEST(TextConfig, RefusesAnotherVisionTower) {
  const std::vector<std::pair<Json, std::string>> cases = {
      {with(kMistral, "vision_feature_layer", -2), "vision_feature_layer"},
      {with(kMistral, "multimodal_projector_bias", true), "multimodal_projector_bias"},
      {with(kMistral, "projector_hidden_act", "relu"), "projector_hidden_act"},
      {with(kMistral, "vision_config", with(kPixtral, "hidden_act", "gelu")), "gelu"},
      {with(kMistral, "vision_config", with(kPixtral, "head_dim", 8)), "hidden_size 32"},
      {without(kMistral, "text_config"), "vocab_size"}};
  for (const auto& [json, word] : cases) {
    const ConfigFile config = parse(json);
    const std::string error = error_of([&] { read_mistral3_config(config); });
    EXPECT_NE(error.find(word), std::string::npos) << error << " does not say " << word;
  }
}

TEST(TextConfig, AnUnknownFamilyIsNamed) {
  const Json json = with(kQwen, "model_type", "t5");
  const std::string error = error_of([&] { make_language_model(parse(json), {.taps = {1}}); });
  EXPECT_NE(error.find("'t5'"), std::string::npos) << error;
}

TEST(TextConfig, TapsBeyondTheLastLayerAreRefused) {
  for (const std::vector<std::int64_t>& taps :
       {std::vector<std::int64_t>{29}, std::vector<std::int64_t>{-1, 9}, {}}) {
    EXPECT_THROW(make_language_model(parse(kQwen), {.taps = taps}), Error);
  }
  EXPECT_EQ(make_language_model(parse(kQwen), {.taps = {9, 28}})->decoder().loaded_layers(), 28);
  EXPECT_EQ(make_language_model(parse(kQwen), {.taps = {9, 3}})->decoder().loaded_layers(), 9);
}

}  // namespace
}  // namespace flux2
