// The families of names: facts written down by hand from what the programs that write such files
// do, checked on the checkpoints that Diffusers wrote. tools/check_families.py holds the same
// layouts against Diffusers' converter, transformers and the gguf package.
#include "checkpoint/namings.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include "checkpoint/checkpoint.h"
#include "checkpoint/row_views.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/strangers.h"
#include "support.h"

namespace flux2::test {
namespace {

using Floats = std::vector<float>;

const HeadDims kDevHeads = {.text = 10, .vision = 16};  // of tiny-dev

TensorMap canonical_of(const std::string& model, PartKind part) {
  return Checkpoint::open(golden_checkpoints() / model / name_of(part), part).tensors();
}

Floats row(const TensorMap& tensors, const std::string& name, std::int64_t index) {
  const auto found = tensors.find(name);
  if (found == tensors.end()) {
    ADD_FAILURE() << "no tensor " << name;
    return {};
  }
  Floats values(static_cast<std::size_t>(row_elements(found->second)));
  read_rows(found->second, index, 1, values.data());
  return values;
}

Floats values_of(const StoredTensor& tensor) {
  Floats values(static_cast<std::size_t>(tensor.shape.elements()));
  read_rows(tensor, 0, tensor.shape.rank() == 0 ? 1 : tensor.shape[0], values.data());
  return values;
}

TEST(NameRules, PatternsMatchWholeNamesAndNumbers) {
  const auto parts = match_name("up.{3-i}.block.{j}.*", "up.1.block.12.conv1.bias");
  ASSERT_TRUE(parts);
  EXPECT_EQ(parts->i, 2);
  EXPECT_EQ(parts->j, 12);
  EXPECT_EQ(parts->rest, "conv1.bias");
  EXPECT_EQ(expand_name("up_blocks.{i}.resnets.{j}.*", *parts),
            "up_blocks.2.resnets.12.conv1.bias");
  EXPECT_EQ(expand_name("up.{3-i}.block.{j}.*", *parts), "up.1.block.12.conv1.bias");
  for (const char* name : {"up.4.block.0.x", "up.01.block.0.x", "up.x.block.0.x", "up.1.block.0",
                           "xup.1.block.0.x", "up.1.block.12345.x", "up..block.0.x"})
    EXPECT_FALSE(match_name("up.{3-i}.block.{j}.*", name)) << name;
  EXPECT_FALSE(match_name("a.weight", "a.weights"));
  EXPECT_FALSE(match_name("a.weight", "a.weigh"));
}

TEST(RowViews, RowsComeFromElsewhereWithoutACopy) {
  Floats values(12);
  std::iota(values.begin(), values.end(), 0.0f);
  const StoredTensor parent = stored(DType::f32, {6, 2}, values.data());
  const StoredTensor range = row_range(parent, 2, 3, "r");
  EXPECT_EQ(range.shape, Shape({3, 2}));
  EXPECT_EQ(range.bytes.data(), parent.bytes.data() + 2 * 2 * sizeof(float));
  EXPECT_EQ(values_of(range), (Floats{4, 5, 6, 7, 8, 9}));
  const StoredTensor swapped = reordered_rows(parent, {RowOrder::Kind::swapped_halves, 0}, "s");
  EXPECT_EQ(values_of(swapped), (Floats{6, 7, 8, 9, 10, 11, 0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(values_of(row_range(swapped, 2, 2, "t")), (Floats{10, 11, 0, 1}));
  EXPECT_EQ(values_of(joined_rows({row_range(parent, 5, 1, "a"), swapped}, "j")),
            (Floats{10, 11, 6, 7, 8, 9, 10, 11, 0, 1, 2, 3, 4, 5}));

  // One head of four rows and its pairs: (0, 1), (2, 3).
  const StoredTensor head = row_range(parent, 0, 4, "h");
  const StoredTensor halves = reordered_rows(head, {RowOrder::Kind::pairs_to_halves, 4}, "p");
  EXPECT_EQ(values_of(halves), (Floats{0, 1, 4, 5, 2, 3, 6, 7}));
  EXPECT_EQ(values_of(reordered_rows(halves, {RowOrder::Kind::halves_to_pairs, 4}, "q")),
            values_of(head));
}

// A row of a stored tensor and the row of a canonical one that it must be.
struct Fact {
  const char* stored;
  std::int64_t stored_row;
  const char* canonical;
  std::int64_t canonical_row;
};

struct FamilyFacts {
  const char* model;
  PartKind part;
  const char* naming;
  const char* prefix;
  std::vector<Fact> facts;
};

// tiny-klein's transformer is 64 wide; tiny-dev's text encoder has 4 heads of 10 rows for queries
// and 2 for keys, its vision tower 2 heads of 16.
const std::vector<FamilyFacts>& families() {
  static const std::vector<FamilyFacts> all = {
      {"tiny-klein",
       PartKind::transformer,
       "BFL",
       "model.diffusion_model.",
       {{"img_in.weight", 3, "x_embedder.weight", 3},
        {"time_in.out_layer.weight", 5, "time_guidance_embed.timestep_embedder.linear_2.weight", 5},
        {"double_blocks.1.img_attn.qkv.weight", 2, "transformer_blocks.1.attn.to_q.weight", 2},
        {"double_blocks.1.img_attn.qkv.weight", 64 + 2, "transformer_blocks.1.attn.to_k.weight", 2},
        {"double_blocks.0.txt_attn.qkv.weight", 128 + 7,
         "transformer_blocks.0.attn.add_v_proj.weight", 7},
        {"double_blocks.0.txt_attn.proj.weight", 1, "transformer_blocks.0.attn.to_add_out.weight",
         1},
        {"double_blocks.0.img_mlp.0.weight", 9, "transformer_blocks.0.ff.linear_in.weight", 9},
        {"double_blocks.0.txt_mlp.2.weight", 9, "transformer_blocks.0.ff_context.linear_out.weight",
         9},
        {"double_blocks.1.txt_attn.norm.key_norm.scale", 4,
         "transformer_blocks.1.attn.norm_added_k.weight", 4},
        {"single_blocks.2.linear1.weight", 100,
         "single_transformer_blocks.2.attn.to_qkv_mlp_proj.weight", 100},
        {"single_blocks.2.norm.query_norm.scale", 0,
         "single_transformer_blocks.2.attn.norm_q.weight", 0},
        {"single_stream_modulation.lin.weight", 70, "single_stream_modulation.linear.weight", 70},
        // rows shift, scale are wanted as scale, shift
        {"final_layer.adaLN_modulation.1.weight", 0, "norm_out.linear.weight", 64},
        {"final_layer.adaLN_modulation.1.weight", 64 + 5, "norm_out.linear.weight", 5},
        {"final_layer.linear.weight", 127, "proj_out.weight", 127}}},
      {"tiny-dev",
       PartKind::transformer,
       "BFL",
       "",
       {{"guidance_in.in_layer.weight", 1, "time_guidance_embed.guidance_embedder.linear_1.weight",
         1}}},
      {"tiny-klein-base",  // the decoder has channels of its own
       PartKind::vae,
       "BFL",
       "vae.",
       {{"encoder.quant_conv.weight", 3, "quant_conv.weight", 3},
        {"decoder.post_quant_conv.bias", 3, "post_quant_conv.bias", 3},
        {"encoder.down.2.block.1.norm1.weight", 2, "encoder.down_blocks.2.resnets.1.norm1.weight",
         2},
        {"encoder.down.1.downsample.conv.weight", 2,
         "encoder.down_blocks.1.downsamplers.0.conv.weight", 2},
        {"decoder.up.3.block.2.conv2.weight", 1, "decoder.up_blocks.0.resnets.2.conv2.weight", 1},
        {"decoder.up.0.block.0.nin_shortcut.weight", 1,
         "decoder.up_blocks.3.resnets.0.conv_shortcut.weight", 1},
        {"decoder.up.3.upsample.conv.bias", 1, "decoder.up_blocks.0.upsamplers.0.conv.bias", 1},
        {"decoder.mid.block_2.conv1.bias", 1, "decoder.mid_block.resnets.1.conv1.bias", 1},
        {"decoder.mid.attn_1.proj_out.weight", 7, "decoder.mid_block.attentions.0.to_out.0.weight",
         7},
        {"encoder.mid.attn_1.norm.bias", 7, "encoder.mid_block.attentions.0.group_norm.bias", 7},
        {"decoder.norm_out.weight", 0, "decoder.conv_norm_out.weight", 0},
        {"bn.running_var", 100, "bn.running_var", 100}}},
      {"tiny-klein",
       PartKind::vae,
       "Diffusers, old attention",
       "first_stage_model.",
       {{"decoder.mid_block.attentions.0.query.weight", 1,
         "decoder.mid_block.attentions.0.to_q.weight", 1},
        {"encoder.mid_block.attentions.0.proj_attn.bias", 1,
         "encoder.mid_block.attentions.0.to_out.0.bias", 1}}},
      {"tiny-klein",
       PartKind::text_encoder,
       "Qwen3, llama.cpp",
       "",
       {{"token_embd.weight", 9, "model.embed_tokens.weight", 9},
        {"output_norm.weight", 9, "model.norm.weight", 9},
        {"blk.27.attn_q.weight", 1, "model.layers.27.self_attn.q_proj.weight", 1},  // as it is
        {"blk.3.attn_k_norm.weight", 1, "model.layers.3.self_attn.k_norm.weight", 1},
        {"blk.3.attn_norm.weight", 1, "model.layers.3.input_layernorm.weight", 1},
        {"blk.3.ffn_norm.weight", 1, "model.layers.3.post_attention_layernorm.weight", 1},
        {"blk.3.attn_output.weight", 1, "model.layers.3.self_attn.o_proj.weight", 1},
        {"blk.3.ffn_down.weight", 1, "model.layers.3.mlp.down_proj.weight", 1}}},
      {"tiny-klein",
       PartKind::text_encoder,
       "Qwen3, without prefix",
       "text_encoders.qwen3_4b.transformer.",
       {{"layers.3.mlp.up_proj.weight", 1, "model.layers.3.mlp.up_proj.weight", 1}}},
      {"tiny-dev",
       PartKind::text_encoder,
       "Mistral3, transformers' module tree",
       "",
       {{"model.language_model.layers.2.mlp.up_proj.weight", 1,
         "language_model.model.layers.2.mlp.up_proj.weight", 1},
        {"lm_head.weight", 1, "language_model.lm_head.weight", 1},
        {"model.vision_tower.ln_pre.weight", 1, "vision_tower.ln_pre.weight", 1}}},
      {"tiny-dev",
       PartKind::text_encoder,
       "Mistral3, ComfyUI",
       "text_encoder.",
       {{"model.norm.weight", 1, "language_model.model.norm.weight", 1},
        {"vision_tower.ln_pre.weight", 1, "vision_tower.ln_pre.weight", 1}}},
      {"tiny-dev",
       PartKind::text_encoder,
       "Mistral3, consolidated",
       "",
       {{"tok_embeddings.weight", 5, "language_model.model.embed_tokens.weight", 5},
        {"output.weight", 5, "language_model.lm_head.weight", 5},
        // stored row 2 i + a of a head is row 5 a + i of it
        {"layers.3.attention.wq.weight", 30 + 2 * 3 + 1,
         "language_model.model.layers.3.self_attn.q_proj.weight", 30 + 5 + 3},
        {"layers.3.attention.wk.weight", 10 + 2 * 4,
         "language_model.model.layers.3.self_attn.k_proj.weight", 10 + 4},
        {"layers.3.attention.wv.weight", 17,
         "language_model.model.layers.3.self_attn.v_proj.weight", 17},
        {"layers.3.feed_forward.w1.weight", 1, "language_model.model.layers.3.mlp.gate_proj.weight",
         1},
        {"layers.3.feed_forward.w2.weight", 1, "language_model.model.layers.3.mlp.down_proj.weight",
         1},
        {"layers.3.feed_forward.w3.weight", 1, "language_model.model.layers.3.mlp.up_proj.weight",
         1},
        {"vision_encoder.transformer.layers.2.attention.wk.weight", 16 + 2 * 6 + 1,
         "vision_tower.transformer.layers.2.attention.k_proj.weight", 16 + 8 + 6},
        {"vision_encoder.transformer.layers.2.attention.wo.weight", 3,
         "vision_tower.transformer.layers.2.attention.o_proj.weight", 3},
        {"vision_language_adapter.w_in.weight", 3, "multi_modal_projector.linear_1.weight", 3},
        {"vision_language_adapter.w_out.weight", 3, "multi_modal_projector.linear_2.weight", 3},
        {"pre_mm_projector_norm.weight", 3, "multi_modal_projector.norm.weight", 3},
        {"patch_merger.merging_layer.weight", 3,
         "multi_modal_projector.patch_merger.merging_layer.weight", 3}}},
      {"tiny-dev",
       PartKind::text_encoder,
       "Mistral3, llama.cpp",
       "",
       {{"blk.3.attn_q.weight", 2 * 3 + 1, "language_model.model.layers.3.self_attn.q_proj.weight",
         5 + 3},
        {"blk.3.attn_k.weight", 10 + 2 * 4, "language_model.model.layers.3.self_attn.k_proj.weight",
         10 + 4},
        {"blk.3.attn_v.weight", 17, "language_model.model.layers.3.self_attn.v_proj.weight", 17},
        {"output.weight", 5, "language_model.lm_head.weight", 5}}}};
  return all;
}

// tiny-dev without its eyes, which llama.cpp keeps elsewhere.
TensorMap source_of(const FamilyFacts& family) {
  TensorMap tensors = canonical_of(family.model, family.part);
  if (std::string_view(family.naming) == "Mistral3, llama.cpp") {
    std::erase_if(tensors, [](const auto& entry) {
      return entry.first.starts_with("vision_tower.") ||
             entry.first.starts_with("multi_modal_projector.");
    });
  }
  return tensors;
}

TEST(Namings, StoredFilesAreWhatOtherProgramsWrite) {
  for (const FamilyFacts& family : families()) {
    SCOPED_TRACE(std::string(family.model) + " " + family.naming);
    const TensorMap canonical = source_of(family);
    const Naming& naming = naming_of(family.part, family.naming);
    const TensorMap files = stored_tensors(naming, family.prefix, canonical, kDevHeads, "file");
    for (const Fact& fact : family.facts) {
      EXPECT_EQ(row(files, std::string(family.prefix) + fact.stored, fact.stored_row),
                row(canonical, fact.canonical, fact.canonical_row))
          << fact.stored;
    }
  }
}

TEST(Namings, EveryFamilyIsRecognisedAndReadBack) {
  for (const FamilyFacts& family : families()) {
    SCOPED_TRACE(std::string(family.model) + " " + family.naming);
    const TensorMap canonical = source_of(family);
    const Naming& naming = naming_of(family.part, family.naming);
    const TensorMap files = stored_tensors(naming, family.prefix, canonical, kDevHeads, "file");
    const std::vector<FoundPart> found = find_parts(files);
    ASSERT_EQ(found.size(), 1u);
    EXPECT_EQ(found.front().naming->name, family.naming);
    EXPECT_EQ(found.front().prefix, family.prefix);
    EXPECT_FALSE(find_stranger(files));
    const TensorMap back =
        canonical_tensors(found.front(), found, files, kDevHeads, "file").tensors;
    ASSERT_EQ(back.size(), canonical.size());
    for (const auto& [name, tensor] : canonical) {
      ASSERT_TRUE(back.contains(name)) << name;
      EXPECT_EQ(back.at(name).shape, tensor.shape) << name;
      if (!holds_numbers(tensor)) continue;
      EXPECT_EQ(values_of(back.at(name)), values_of(tensor)) << name;
    }
  }
}

TEST(Namings, NoNameOfTheRulesIsLeftOut) {
  std::set<std::string_view> covered;
  for (const FamilyFacts& family : families())
    covered.insert(family.naming);
  for (const Naming& naming : namings()) {
    if (naming.rules.empty() || naming.name == "Mistral3, without prefix") continue;
    EXPECT_TRUE(covered.contains(naming.name)) << naming.name;
  }
}

TEST(Namings, AttentionOfTheBflVaeIsAConvolution) {
  const TensorMap canonical = canonical_of("tiny-klein", PartKind::vae);
  const TensorMap files =
      stored_tensors(naming_of(PartKind::vae, "BFL"), "", canonical, {}, "file");
  EXPECT_EQ(files.at("decoder.mid.attn_1.q.weight").shape, Shape({24, 24, 1, 1}));
  EXPECT_EQ(files.at("decoder.mid.attn_1.q.bias").shape, Shape({24}));
}

TEST(Namings, AHalfOfAJoinedTensorOrTwoSpellingsAreRefused) {
  const Naming& bfl = naming_of(PartKind::transformer, "BFL");
  TensorMap canonical = canonical_of("tiny-klein", PartKind::transformer);
  TensorMap files = stored_tensors(bfl, "", canonical, {}, "file");
  files.emplace("single_blocks.0.norm.key_norm.weight",
                files.at("single_blocks.0.norm.key_norm.scale"));
  const std::vector<FoundPart> found = find_parts(files);
  expect_part(refusal_of([&] { canonical_tensors(found.front(), found, files, {}, "file"); }),
              "two spellings");
  files.erase("single_blocks.0.norm.key_norm.weight");
  files.at("double_blocks.0.img_attn.qkv.weight").shape = {191, 64};
  expect_part(refusal_of([&] { canonical_tensors(found.front(), found, files, {}, "file"); }),
              "3 equal blocks");
  canonical.erase("transformer_blocks.0.attn.to_k.weight");
  expect_part(refusal_of([&] { stored_tensors(bfl, "", canonical, {}, "file"); }),
              "only 2 of the 3 parts");
}

}  // namespace
}  // namespace flux2::test
