// Adapters of a call: applied, changed and taken off between calls of one pipeline.
#include "pipeline/adapters.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "checkpoint/safetensors.h"
#include "flux2/flux2.h"
#include "pipeline/request_json.h"
#include "pipeline/stages.h"

namespace flux2 {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kWidth = 64;  // of tiny-klein

fs::path model_folder() {
  return fs::path(FLUX2_SOURCE_DIR) / "tests/goldens/data/checkpoints/tiny-klein";
}

class Adapters : public testing::Test {
 protected:
  void SetUp() override {
    folder_ =
        fs::path(testing::TempDir()) /
        ("adapters-" + std::string(testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  // A LoRA of rank 2 on modules of [64, 64].
  Adapter lora(const std::string& name, const std::vector<std::string>& modules,
               double weight = 1) const {
    std::mt19937 random(static_cast<unsigned>(std::hash<std::string>()(name)));
    std::normal_distribution<float> normal(0, 0.4F);
    std::map<std::string, Tensor> tensors;
    for (const std::string& module : modules) {
      for (const auto& [end, shape] : {std::pair{".lora_A.weight", Shape{2, kWidth}},
                                       std::pair{".lora_B.weight", Shape{kWidth, 2}}}) {
        std::vector<float> values(2 * kWidth);
        for (float& value : values)
          value = normal(random);
        tensors[module + end] = make_host_tensor(shape, values);
      }
    }
    const std::string path = (folder_ / (name + ".safetensors")).string();
    write_safetensors(path, tensors);
    return {.path = path, .weight = weight};
  }
  Adapter on_transformer(const std::string& name, double weight = 1) const {
    return lora(name,
                {"transformer.transformer_blocks.0.attn.to_k",
                 "transformer.transformer_blocks.1.attn.to_out.0"},
                weight);
  }

  static Request request(std::vector<Adapter> adapters) {
    Request request;
    request.prompt = {"a red circle"};
    request.width = request.height = 64;
    request.num_inference_steps = 1;
    request.max_sequence_length = 16;
    request.seeds = {7};
    request.adapters = std::move(adapters);
    return request;
  }
  static Result draw(const Pipeline& pipeline, std::vector<Adapter> adapters) {
    return pipeline.generate(request(std::move(adapters)));
  }
  static Pipeline load(Compute compute = Compute::f32) {
    return Pipeline::load(
        model_folder().string(),
        {.compute = compute, .threads = 1, .residency = PipelineOptions::Residency::keep});
  }

  fs::path folder_;
};

using Pixels = std::vector<std::uint8_t>;

Pixels pixels(const Result& result) {
  return result.images.at(0).pixels;
}

TEST_F(Adapters, ChangedBetweenCallsAndTakenOffWithoutATrace) {
  const Pipeline pipeline = load();
  const Adapter a = on_transformer("a");
  const Adapter b = lora("b", {"transformer.transformer_blocks.0.attn.to_q"}, 0.5);
  const Result plain = draw(pipeline, {});
  const Result with_a = draw(pipeline, {a});
  const Result with_b = draw(pipeline, {b});
  const Result with_both = draw(pipeline, {a, b});
  EXPECT_NE(pixels(plain), pixels(with_a));
  EXPECT_NE(pixels(with_a), pixels(with_b));
  EXPECT_NE(pixels(with_a), pixels(with_both));
  const Result again = draw(pipeline, {});
  EXPECT_EQ(pixels(again), pixels(plain));
  EXPECT_EQ(again.latents.values, plain.latents.values);

  // What a pipeline that never had another adapter draws.
  EXPECT_EQ(pixels(draw(load(), {b})), pixels(with_b));
  EXPECT_EQ(pixels(draw(load(), {a, b})), pixels(with_both));
}

TEST_F(Adapters, OtherComputeTypesAndAQuantisedModel) {
  const Adapter a = on_transformer("a", 3);
  const fs::path quantised = folder_ / "int8";
  quantize_model(model_folder().string(), quantised);
  const auto check = [&](const Pipeline& pipeline) {
    const Result plain = draw(pipeline, {});
    EXPECT_NE(pixels(draw(pipeline, {a})), pixels(plain));
    EXPECT_EQ(pixels(draw(pipeline, {})), pixels(plain));
  };
  check(load(Compute::int8));
  check(Pipeline::load(quantised.string(), {.compute = Compute::int8, .threads = 1}));
}

// What two steps leave, with as much of the transformer streamed, first without and then with `on`.
std::vector<float> latents_with(const Adapter& on, double streamed_share) {
  const ModelFolder model = ModelFolder::open(model_folder());
  Backend backend = make_backend({.compute = Compute::f32, .threads = 1});
  Parts parts(model, backend, PipelineOptions::Residency::automatic);
  Request request;
  FloatArray embeddings;
  embeddings.shape = {1, 4, model.transformer.text_dim};
  embeddings.values.assign(static_cast<std::size_t>(4 * model.transformer.text_dim), 0.25F);
  request.prompt_embeds = embeddings;
  request.width = request.height = 64;
  request.num_inference_steps = 2;
  request.seeds = {7};
  const Call call = resolve(request, model);
  const RunOptions options;
  Monitor monitor(options);
  const StageContext ctx = {{model, parts, *backend.ops, monitor}, call};
  Plan plan;
  plan.parts = {{.name = "transformer", .weight_type = "f32", .streamed_share = streamed_share}};
  parts.follow(&plan);
  AdapterShelf shelf(model);
  Denoised last;
  for (const std::vector<Adapter>& adapters : {std::vector<Adapter>{}, std::vector<Adapter>{on}}) {
    parts.use(shelf.prepare(adapters, 1, {}));
    last = denoise(ctx, {.text = encode_text(ctx, {}), .references = {}});
  }
  return to_vector(last.latents);
}

TEST_F(Adapters, OnWeightsThatAreStreamed) {
  const Adapter a = on_transformer("a", 3);
  const std::vector<float> resident = latents_with(a, 0);
  EXPECT_EQ(latents_with(a, 1), resident);
  EXPECT_EQ(latents_with(a, 0.5), resident);
  Adapter none = a;
  none.weight = 0;
  EXPECT_NE(latents_with(none, 1), resident);
}

TEST_F(Adapters, WhatTheyTurnedOutToBe) {
  const Pipeline pipeline = load();
  const Adapter a = on_transformer("portrait", 0.5);
  Request asked = request({a});
  asked.adapter_scale = 0.5;
  const Result result = pipeline.generate(asked);
  ASSERT_EQ(result.adapters.size(), 1u);
  const AdapterReport& report = result.adapters[0];
  EXPECT_EQ(report.name, "portrait");
  EXPECT_EQ(report.kind, "LoRA of rank 2");
  EXPECT_EQ(report.weight, 0.25);
  EXPECT_EQ(report.matched, 2u);
  EXPECT_EQ(report.modules, 2u);
  EXPECT_EQ(report.sha256.size(), 64u);
  EXPECT_EQ(result.request.adapters[0].sha256, report.sha256);
  Adapter quarter = a;
  quarter.weight = 0.25;
  EXPECT_EQ(pixels(draw(pipeline, {quarter})), pixels(result));
  EXPECT_EQ(pipeline.inspect_adapter(a).sha256, report.sha256);
}

TEST_F(Adapters, NoWeightIsNoAdapter) {
  const Pipeline pipeline = load();
  EXPECT_EQ(pixels(draw(pipeline, {on_transformer("a", 0)})), pixels(draw(pipeline, {})));
  Request scaled = request({on_transformer("a")});
  scaled.adapter_scale = 0;
  EXPECT_EQ(pixels(pipeline.generate(scaled)), pixels(draw(pipeline, {})));
}

TEST_F(Adapters, OfTheTextEncoder) {
  const Pipeline pipeline = load();
  const fs::path file = model_folder() / "text_encoder/model.safetensors";
  const Shape shape = read_safetensors(file).tensors.at("model.layers.0.mlp.up_proj.weight").shape;
  std::vector<float> values(static_cast<std::size_t>(shape.elements()), 0.05F);
  const std::string path = (folder_ / "text.safetensors").string();
  write_safetensors(path, {{"lora_te_layers_0_mlp_up_proj.diff", make_host_tensor(shape, values)}});
  const Result plain = draw(pipeline, {});
  const Result with = draw(pipeline, {{.path = path}});
  EXPECT_NE(with.prompt_embeds.values, plain.prompt_embeds.values);
  const Result again = draw(pipeline, {});
  EXPECT_EQ(again.prompt_embeds.values, plain.prompt_embeds.values);
  EXPECT_EQ(pixels(again), pixels(plain));
}

TEST_F(Adapters, VelocityWithThem) {
  const Pipeline pipeline = load();
  VelocityInputs inputs;
  inputs.hidden_states = {{1, 1, 128}, std::vector<float>(128, 0.5F), ""};
  inputs.encoder_hidden_states = {{1, 1, 120}, std::vector<float>(120, 0.5F), ""};
  inputs.timestep = {0.5F};
  inputs.img_ids = {{0, 0, 0, 0}};
  const FloatArray plain = pipeline.predict_velocity(inputs);
  inputs.adapters = {on_transformer("a")};
  EXPECT_NE(pipeline.predict_velocity(inputs).values, plain.values);
  inputs.adapters.clear();
  EXPECT_EQ(pipeline.predict_velocity(inputs).values, plain.values);
}

TEST_F(Adapters, ACallThatIsCancelledWhileItChangesLeavesAWholeModel) {
  const Pipeline pipeline = load();
  const Result plain = draw(pipeline, {});
  std::stop_source source;
  RunOptions options;
  options.stop = source.get_token();
  options.progress = [&](const Progress& progress) {
    if (progress.stage == Stage::load_transformer) source.request_stop();
  };
  EXPECT_THROW(pipeline.generate(request({on_transformer("a")}), options), Error);
  EXPECT_EQ(pixels(draw(pipeline, {})), pixels(plain));
}

TEST_F(Adapters, AFileThatChangesIsReadAgainAndItsDigestCounts) {
  const Pipeline pipeline = load();
  Adapter a = on_transformer("a");
  const Result first = draw(pipeline, {a});
  const Adapter pinned = first.request.adapters[0];
  EXPECT_EQ(pixels(draw(pipeline, {pinned})), pixels(first));

  fs::rename(on_transformer("other").path, a.path);
  fs::last_write_time(a.path, fs::last_write_time(a.path) + std::chrono::seconds(5));
  EXPECT_NE(pixels(draw(pipeline, {a})), pixels(first));
  try {
    draw(pipeline, {pinned});
    FAIL() << "another file was taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::bad_file);
    EXPECT_NE(std::string(error.what()).find(pinned.sha256), std::string::npos) << error.what();
  }
}

TEST_F(Adapters, LenientOnesSayWhatTheyLeaveOut) {
  const Pipeline pipeline = load();
  Adapter a = lora("a", {"transformer.transformer_blocks.0.attn.to_k",
                         "transformer.transformer_blocks.9.attn.to_k"});
  EXPECT_THROW(draw(pipeline, {a}), Error);
  a.lenient = true;
  const Result result = draw(pipeline, {a});
  EXPECT_EQ(result.adapters[0].matched, 1u);
  EXPECT_EQ(result.adapters[0].left_out,
            std::vector<std::string>{"transformer.transformer_blocks.9.attn.to_k"});
  ASSERT_EQ(result.warnings.size(), 1u);
  EXPECT_NE(result.warnings[0].find("transformer_blocks.9"), std::string::npos);
}

TEST_F(Adapters, TheRequestIsChecked) {
  const Pipeline pipeline = load();
  const auto code_of = [&](const Request& request) {
    try {
      pipeline.generate(request);
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::internal;
  };
  EXPECT_EQ(code_of(request({{.path = (folder_ / "absent").string()}})), ErrorCode::bad_file);
  EXPECT_EQ(code_of(request({{.path = ""}})), ErrorCode::invalid_request);
  EXPECT_EQ(code_of(request({on_transformer("a", std::nan(""))})), ErrorCode::invalid_request);
  EXPECT_EQ(code_of(request(std::vector<Adapter>(65, on_transformer("a")))),
            ErrorCode::invalid_request);
  Request scaled = request({on_transformer("a")});
  scaled.adapter_scale = 1e9;
  EXPECT_EQ(code_of(scaled), ErrorCode::invalid_request);
}

TEST_F(Adapters, TheRecordRebuildsThemUnlessTheirFilesChanged) {
  const Pipeline pipeline = load();
  Adapter a = on_transformer("a", 0.75);
  a.adaln_order = AdaLnOrder::reference;
  Request asked = request({a});
  asked.adapter_scale = 0.5;
  const Result result = pipeline.generate(asked);
  const ImageText text = describe(result, pipeline.info(), 0);
  const Request again = recorded_request(text, "picture.png").request;
  EXPECT_EQ(request_to_json(again), request_to_json(result.request));
  EXPECT_EQ(again.adapters[0].weight, 0.75);
  EXPECT_EQ(again.adapters[0].adaln_order, AdaLnOrder::reference);
  EXPECT_EQ(again.adapter_scale, 0.5);
  EXPECT_EQ(pixels(pipeline.generate(again)), pixels(result));
  std::ofstream(a.path, std::ios::app) << " ";
  EXPECT_THROW(recorded_request(text, "picture.png"), Error);
}

TEST_F(Adapters, AFolderIsTheFileInIt) {
  const Adapter a = on_transformer("a");
  const fs::path folder = folder_ / "peft";
  fs::create_directories(folder);
  fs::rename(a.path, folder / "adapter_model.safetensors");
  std::ofstream(folder / "adapter_config.json") << R"({"r": 2, "lora_alpha": 4})";
  const Pipeline pipeline = load();
  const Result folded = draw(pipeline, {{.path = folder.string(), .weight = 0.5}});
  fs::rename(folder / "adapter_model.safetensors", a.path);
  EXPECT_EQ(pixels(draw(pipeline, {a})), pixels(folded));
}

}  // namespace
}  // namespace flux2
