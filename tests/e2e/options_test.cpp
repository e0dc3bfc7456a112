// Options that decide how far a run goes, what it shows meanwhile and what it takes in.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "flux2/flux2.h"
#include "nano.h"

namespace flux2 {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

class Options : public testing::Test {
 protected:
  // Expects exit status 2 with `part` in the one line of standard error, and no file.
  void expect_refused(std::vector<std::string> more, const std::string& part) const {
    more.insert(more.end(), {"-o", out_ / "never.png"});
    const Finished finished = run_nano(more);
    EXPECT_EQ(finished.status, 2) << finished.err;
    EXPECT_NE(finished.err.find(part), std::string::npos) << finished.err;
    EXPECT_FALSE(fs::exists(out_ / "never.png"));
  }

  std::string saved(const std::string& name, const Image& image) const {
    save_image(image, out_ / name);
    return out_ / name;
  }

  Json json_of(std::vector<std::string> more) const {
    more.emplace_back("--json");
    const Finished finished = run_nano(more);
    EXPECT_EQ(finished.status, 0) << finished.err;
    return Json::parse(finished.out);
  }

  TemporaryFolder out_;
};

TEST_F(Options, EmbeddingsAlone) {
  const Json run = json_of({"--output-type", "prompt-embeds", "--save-prompt-embeds",
                            out_ / "text.safetensors", "-o", out_ / "never.png"});
  EXPECT_TRUE(run["files"].empty());
  EXPECT_EQ(run["steps"], 0);
  for (const Json& stage : run["stages"])
    EXPECT_NE(stage["name"], "denoise");
  EXPECT_FALSE(fs::exists(out_ / "never.png"));
  // What was kept draws the picture of the prompt.
  const auto draw = [&](const std::string& name, const std::vector<std::string>& what) {
    std::vector<std::string> arguments = {
        "generate", "--steps",   "1",      "--width", "64",         "--height", "64",
        "-o",       out_ / name, "--seed", "1",       "--progress", "none",     "--no-metadata"};
    arguments.insert(arguments.end(), what.begin(), what.end());
    EXPECT_EQ(run_flux2(arguments).status, 0);
    return read_file(out_ / name);
  };
  EXPECT_EQ(draw("a.png", {"-p", "a red circle"}),
            draw("b.png", {"--prompt-embeds", out_ / "text.safetensors"}));
}

TEST_F(Options, LatentsAlone) {
  json_of({"--output-type", "latents", "--save-latents", out_ / "l.safetensors", "-o",
           out_ / "never.png"});
  EXPECT_FALSE(fs::exists(out_ / "never.png"));
  EXPECT_EQ(load_array(out_ / "l.safetensors", "latents").shape,
            (std::vector<std::int64_t>{1, 16, 128}));
  expect_refused({"--output-type", "latents"}, "--save-latents");
  expect_refused({"--output-type", "prompt-embeds"}, "--save-prompt-embeds");
  expect_refused({"--output-type", "prompt-embeds", "--save-prompt-embeds", out_ / "p.safetensors",
                  "--save-latents", out_ / "l2.safetensors"},
                 "--save-latents");
}

TEST_F(Options, PreviewIsAPictureAfterEachStep) {
  const Json run =
      json_of({"--preview", out_ / "now.png", "--num-images", "2", "-o", out_ / "a.png"});
  EXPECT_EQ(run["preview_files"].size(), 2u);
  EXPECT_EQ(out_.names(), (std::vector<std::string>{"a0.png", "a1.png", "now0.png", "now1.png"}));
  const Image preview = load_image(out_ / "now0.png");
  EXPECT_LE(preview.width, 64);
  expect_refused({"--preview", out_ / "now.gif"}, "now.gif");
  expect_refused({"--preview", out_ / "never.png"}, "two outputs");
}

TEST_F(Options, VaeTilingChangesNothingSmall) {
  const auto draw = [&](const std::string& tiling) {
    EXPECT_EQ(run_nano({"--seed", "1", "--vae-tiling", tiling, "-o", out_ / "t.png"}).status, 0);
    return read_file(out_ / "t.png");
  };
  const std::string whole = draw("auto");
  EXPECT_EQ(draw("off"), whole);
  EXPECT_EQ(draw("on"), whole);  // under a tile's size
  expect_refused({"--vae-tiling", "maybe"}, "auto|on|off");
}

TEST_F(Options, NoiseOfOlderTorchAndHalfTypes) {
  const auto draw = [&](const std::string& noise, const std::string& dtype) {
    EXPECT_EQ(run_nano({"--seed", "1", "--noise", noise, "--noise-dtype", dtype, "--no-metadata",
                        "-o", out_ / "n.png"})
                  .status,
              0);
    return read_file(out_ / "n.png");
  };
  EXPECT_EQ(draw("torch-cpu", "f32"), draw("torch-cpu-legacy", "f32"));
  EXPECT_NE(draw("torch-cpu", "bf16"), draw("torch-cpu-legacy", "bf16"));
  EXPECT_NE(draw("torch-cpu", "f16"), draw("torch-cpu", "f32"));
}

TEST_F(Options, AttentionMask) {
  const std::string file = out_ / "mask.safetensors";
  const std::int64_t tokens = 48 + 16;  // nano's text, and 64 x 64 pixels
  FloatArray mask = {{1, tokens}, std::vector<float>(static_cast<std::size_t>(tokens)), ""};
  mask.values[47] = -1e30F;
  save_array(mask, file, "attention_mask");
  EXPECT_EQ(run_nano({"--seed", "1", "-o", out_ / "a.png"}).status, 0);
  EXPECT_EQ(run_nano({"--seed", "1", "--attention-mask", file, "-o", out_ / "b.png"}).status, 0);
  EXPECT_NE(load_image(out_ / "a.png").pixels, load_image(out_ / "b.png").pixels);
  EXPECT_EQ(
      run_flux2({"generate", "--from", out_ / "b.png", "-o", out_ / "c.png", "--progress", "none"})
          .status,
      0);
  EXPECT_EQ(load_image(out_ / "c.png").pixels, load_image(out_ / "b.png").pixels);
  mask.shape = {1, 8, 8};
  save_array(mask, file, "attention_mask");
  expect_refused({"--attention-mask", file}, "--attention-mask");
}

TEST_F(Options, ReferencesAndPicturesPerSample) {
  Image white = black_image(64, 64);
  std::fill(white.pixels.begin(), white.pixels.end(), 255);
  const std::string a = saved("a.png", black_image(64, 64));
  const std::string b = saved("b.png", white);
  const Json run = json_of({"--num-images", "2", "--seed", "1", "--image-per-sample", a,
                            "--image-per-sample", b, "-o", out_ / "r.png"});
  EXPECT_EQ(run["files"].size(), 2u);
  expect_refused({"--num-images", "3", "--image-per-sample", a, "--image-per-sample", b},
                 "--image-per-sample");

  json_of({"--num-images", "2", "--seed", "1", "--inpaint", a, "--inpaint", b, "--strength", "1",
           "-o", out_ / "i.png"});
  EXPECT_EQ(run_flux2({"generate", "--from", out_ / "i1.png", "-o", out_ / "again.png",
                       "--progress", "none"})
                .status,
            0);
  EXPECT_EQ(load_image(out_ / "again1.png").pixels, load_image(out_ / "i1.png").pixels);
  expect_refused({"--num-images", "3", "--inpaint", a, "--inpaint", b}, "--inpaint");
}

TEST_F(Options, AJpegRefusesALongPromptBeforeTheWork) {
  const std::string file = out_ / "long.txt";
  write_text(file, std::string(32'000, 'a'));
  const Finished finished =
      run_flux2({"generate", "--prompt-file", file, "-o", out_ / "a.jpg", "--progress", "plain"});
  EXPECT_EQ(finished.status, 2);
  EXPECT_NE(finished.err.find("--no-metadata"), std::string::npos) << finished.err;
  EXPECT_EQ(finished.err.find("denoise"), std::string::npos) << finished.err;
}

TEST_F(Options, ErrorsAreOneLineWhateverAFileIsCalled) {
  const Finished finished = run_nano({"--image", out_ / "a\nb\x1b[31m.png"});
  EXPECT_EQ(finished.status, 3);
  EXPECT_EQ(std::count(finished.err.begin(), finished.err.end(), '\n'), 1) << finished.err;
  EXPECT_EQ(finished.err.find('\x1b'), std::string::npos);
  EXPECT_NE(finished.err.find("a\\x0ab\\x1b[31m.png"), std::string::npos) << finished.err;
}

}  // namespace
}  // namespace flux2
