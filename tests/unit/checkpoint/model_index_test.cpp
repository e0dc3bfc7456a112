#include "checkpoint/model_index.h"

#include <gtest/gtest.h>

#include "support.h"

namespace flux2::test {
namespace {

TEST(ModelIndex, ReadsTheGoldenCheckpoints) {
  const ModelIndex klein = read_model_index(golden_checkpoints() / "tiny-klein");
  EXPECT_EQ(klein.class_name, "Flux2KleinPipeline");
  EXPECT_EQ(klein.is_distilled, true);
  EXPECT_EQ(klein.components.size(), 5u);
  EXPECT_EQ(klein.components.at("text_encoder").library, "transformers");
  EXPECT_EQ(klein.components.at("text_encoder").class_name, "Qwen3ForCausalLM");
  EXPECT_EQ(read_model_index(golden_checkpoints() / "tiny-klein-base").is_distilled, false);
  const ModelIndex dev = read_model_index(golden_checkpoints() / "tiny-dev");
  EXPECT_EQ(dev.class_name, "Flux2Pipeline");
  EXPECT_EQ(dev.is_distilled, std::nullopt);
}

TEST(ModelIndex, LeavesOutAbsentPartsAndOtherSettings) {
  const TemporaryFolder folder;
  write_text(folder / "model_index.json",
             R"({"_class_name": "P", "_ignored": ["a", "b"], "vae": [null, null], "x": 3,
                 "transformer": ["diffusers", "T"]})");
  const ModelIndex index = read_model_index(folder.path());
  ASSERT_EQ(index.components.size(), 1u);
  EXPECT_EQ(index.components.at("transformer").class_name, "T");
}

TEST(ModelIndex, RefusesWhatIsNoPipeline) {
  const TemporaryFolder folder;
  expect_part(refusal_of([&] { read_model_index(folder / "none"); }), "no such folder");
  expect_part(refusal_of([&] { read_model_index(folder.path()); }), "has no model_index.json");
  write_text(folder / "model_index.json", "{}");
  expect_part(refusal_of([&] { read_model_index(folder.path()); }), "\"_class_name\" is missing");
  write_text(folder / "model_index.json", R"({"_class_name": "P", "vae": ["diffusers"]})");
  expect_part(refusal_of([&] { read_model_index(folder.path()); }), "\"vae\"");
  write_text(folder / "model_index.json", R"({"_class_name": "P", "is_distilled": "yes"})");
  expect_part(refusal_of([&] { read_model_index(folder.path()); }), "\"is_distilled\"");
}

TEST(FolderDefaults, ReadsNano) {
  const FolderDefaults nano =
      read_folder_defaults(std::filesystem::path(FLUX2_SOURCE_DIR) / "models/nano");
  EXPECT_EQ(nano.name, "nano");
  EXPECT_EQ(nano.width, 128);
  EXPECT_EQ(nano.height, 128);
  EXPECT_EQ(nano.num_inference_steps, 25);
  EXPECT_EQ(nano.guidance_scale, 3.5);
  EXPECT_EQ(nano.max_sequence_length, 48);
}

TEST(FolderDefaults, AreEmptyWithoutAFileAndStrictWithOne) {
  const TemporaryFolder folder;
  const auto refusal = [&](const char* json) {
    write_text(folder / "flux2.json", json);
    return refusal_of([&] { read_folder_defaults(folder.path()); });
  };
  EXPECT_EQ(read_folder_defaults(folder.path()).width, std::nullopt);
  expect_part(refusal(R"({"default": {}})"), "unknown key \"default\"");
  expect_part(refusal(R"({"defaults": {"steps": 4}})"), "unknown key \"steps\"");
  expect_part(refusal(R"({"defaults": {"width": 100}})"), "\"defaults.width\" is 100");
  expect_part(refusal(R"({"defaults": {"height": -16}})"), "\"defaults.height\"");
  expect_part(refusal(R"({"defaults": {"num_inference_steps": 0}})"), "num_inference_steps");
  expect_part(refusal(R"({"defaults": {"guidance_scale": "4"}})"), "guidance_scale");
  write_text(folder / "flux2.json", R"({"defaults": {"width": 512}})");
  EXPECT_EQ(read_folder_defaults(folder.path()).width, 512);
  EXPECT_EQ(read_folder_defaults(folder.path()).height, std::nullopt);
}

TEST(SchedulerSettings, ReadsTheGoldenOne) {
  const SchedulerSettings settings =
      read_scheduler_settings(golden_checkpoints() / "tiny-klein/scheduler");
  EXPECT_EQ(settings.num_train_timesteps, 1000);
  EXPECT_EQ(settings.shift, 3.0);
  EXPECT_EQ(settings.sigma_shift, SigmaShift::exponential);
}

TEST(SchedulerSettings, HasTheDefaultsOfTheClassAndRefusesTheRest) {
  const TemporaryFolder folder;
  const auto read = [&](const char* json) {
    write_text(folder / "scheduler_config.json", json);
    return read_scheduler_settings(folder.path());
  };
  EXPECT_EQ(read("{}").sigma_shift, SigmaShift::fixed);
  EXPECT_EQ(read("{}").shift, 1.0);
  EXPECT_EQ(read(R"({"use_dynamic_shifting": true, "time_shift_type": "linear"})").sigma_shift,
            SigmaShift::linear);
  const auto refusal = [&](const char* json) { return refusal_of([&] { read(json); }); };
  expect_part(refusal(R"({"_class_name": "DDIMScheduler"})"), "DDIMScheduler");
  expect_part(refusal(R"({"time_shift_type": "cubic"})"), "\"cubic\"");
  expect_part(refusal(R"({"shift_terminal": 0.1})"), "shift_terminal");
  expect_part(refusal(R"({"use_karras_sigmas": true})"), "Karras");
  expect_part(refusal(R"({"num_train_timesteps": 0})"), "num_train_timesteps");
  expect_part(refusal(R"({"shift": 0})"), "shift");
  std::filesystem::remove(folder / "scheduler_config.json");
  expect_part(refusal_of([&] { read_scheduler_settings(folder.path()); }), "scheduler_config.json");
}

}  // namespace
}  // namespace flux2::test
