// The command line's own promises: what it prints, names, repeats and stops.
#include <gtest/gtest.h>
#include <signal.h>

#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "flux2/flux2.h"
#include "nano.h"

namespace flux2 {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using testing::Test;

class Command : public Test {
 protected:
  // Runs nano into `name` and returns the picture's bytes.
  std::string bytes_of(const std::string& name, std::vector<std::string> more) {
    more.insert(more.end(), {"-o", out_ / name});
    const Finished finished = run_nano(more);
    EXPECT_EQ(finished.status, 0) << finished.err;
    return read_file(out_ / name);
  }

  TemporaryFolder out_;
};

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_F(Command, HelpAndVersionGoToStandardOutput) {
  for (const char* command : {"generate", "models"}) {
    const Finished help = run_flux2({command, "--help"});
    EXPECT_EQ(help.status, 0);
    EXPECT_TRUE(has(help.out, "Examples:\n  flux2 " + std::string(command))) << help.out;
    EXPECT_TRUE(help.err.empty()) << help.err;
  }
  const Finished help = run_flux2({"--help"});
  EXPECT_TRUE(has(help.out, "generate") && has(help.out, "models")) << help.out;
  EXPECT_EQ(run_flux2({"--version"}).out, std::string("flux2cpp ") + version() + "\n");
}

TEST_F(Command, HelpNamesEveryOption) {
  const std::string help = run_flux2({"generate", "--help"}).out;
  for (const char* option : {"--prompt",
                             "--prompt-file",
                             "--model",
                             "--output",
                             "--width",
                             "--height",
                             "--steps",
                             "--guidance",
                             "--sigmas",
                             "--seed",
                             "--num-images",
                             "--noise",
                             "--noise-dtype",
                             "--cuda-card",
                             "--image",
                             "--inpaint",
                             "--mask",
                             "--strength",
                             "--padding-mask-crop",
                             "--keep-unmasked",
                             "--outpaint",
                             "--negative-prompt",
                             "--image-per-sample",
                             "--image-latents",
                             "--attention-mask",
                             "--output-type",
                             "--preview",
                             "--vae-tiling",
                             "--caption-upsample-temperature",
                             "--max-sequence-length",
                             "--text-encoder-out-layers",
                             "--latents",
                             "--prompt-embeds",
                             "--negative-prompt-embeds",
                             "--save-latents",
                             "--save-prompt-embeds",
                             "--compute",
                             "--device",
                             "--threads",
                             "--isa",
                             "--pin",
                             "--no-prompt-cache",
                             "--prompt-cache-mb",
                             "--progress",
                             "--json",
                             "--quiet",
                             "--verbose",
                             "--from",
                             "--no-metadata"}) {
    EXPECT_TRUE(has(help, option)) << option;
  }
}

TEST_F(Command, SameSeedSameBytesAndNanoIsTheDefault) {
  const std::string first = bytes_of("a.png", {"--seed", "7"});
  EXPECT_EQ(first, bytes_of("b.png", {"--seed", "7"}));
  EXPECT_EQ(first, bytes_of("c.png", {"--seed", "7", "-m", "nano"}));
  EXPECT_NE(first, bytes_of("d.png", {"--seed", "8"}));
}

TEST_F(Command, TheInstructionSetCanBeLimited) {
  for (const char* isa : {"auto", "avx2"}) {
    const Finished finished = run_nano(
        {"-v", "--compute", "f32", "--seed", "7", "--isa", isa, "-o", out_ / isa + ".png"});
    ASSERT_EQ(finished.status, 0) << finished.err;
    if (std::string(isa) != "auto") {
      EXPECT_TRUE(has(finished.err, isa)) << finished.err;
    }
  }
  const Image all = load_image(out_ / "auto.png"), limited = load_image(out_ / "avx2.png");
  ASSERT_EQ(all.pixels.size(), limited.pixels.size());
  for (std::size_t i = 0; i < all.pixels.size(); ++i)
    EXPECT_LE(std::abs(int{all.pixels[i]} - int{limited.pixels[i]}), 1) << i;
  EXPECT_EQ(run_nano({"--isa", "sse2", "-o", out_ / "x.png"}).status, 2);
  const Finished bf16 = run_nano({"--isa", "avx2", "--compute", "bf16", "-o", out_ / "x.png"});
  EXPECT_EQ(bf16.status, 2);
  EXPECT_TRUE(has(bf16.err, "bf16")) << bf16.err;
}

TEST_F(Command, SeedsHave64Bits) {
  const std::string most = bytes_of("a.png", {"--seed", "18446744073709551615"});
  EXPECT_EQ(most, bytes_of("b.png", {"--seed", "-1"}));  // as torch's manual_seed
  const Finished more = run_nano({"--seed", "18446744073709551616", "-o", out_ / "c.png"});
  EXPECT_EQ(more.status, 2);
}

TEST_F(Command, ADrawnSeedIsPrintedAndDrawsTheSameAgain) {
  const Finished drawn = run_nano({"-o", out_ / "a.png"});
  ASSERT_EQ(drawn.status, 0) << drawn.err;
  const std::string mark = "flux2: seed ";
  ASSERT_TRUE(drawn.err.starts_with(mark)) << drawn.err;
  const std::string seed = drawn.err.substr(mark.size(), drawn.err.find('\n') - mark.size());
  EXPECT_EQ(read_file(out_ / "a.png"), bytes_of("b.png", {"--seed", seed}));
}

TEST_F(Command, QuietSaysNothing) {
  const Finished finished = run_nano({"-q", "-o", out_ / "a.png"});
  EXPECT_EQ(finished.status, 0);
  EXPECT_EQ(finished.err, "");
  EXPECT_EQ(finished.out, "");
}

TEST_F(Command, VerboseSaysStagesBackendAndMemory) {
  const Finished finished = run_nano({"-v", "-o", out_ / "a.png"});
  for (const char* part : {"backend cpu", "model nano", "denoise", "decode", "peak memory"})
    EXPECT_TRUE(has(finished.err, part)) << finished.err;
}

TEST_F(Command, ProgressInLinesWhereThereIsNoTerminal) {
  const Finished finished = run_flux2({"generate", "-p", "x", "--steps", "2", "--width", "32",
                                       "--height", "32", "-o", out_ / "a.png"});
  EXPECT_EQ(finished.status, 0) << finished.err;
  EXPECT_TRUE(has(finished.err, "\ndenoise 2/2, ")) << finished.err;
  EXPECT_FALSE(has(finished.err, "\x1b")) << finished.err;
}

TEST_F(Command, JsonIsAllOfStandardOutput) {
  const Finished finished = run_flux2({"generate",
                                       "-p",
                                       "x",
                                       "--json",
                                       "--steps",
                                       "2",
                                       "--width",
                                       "64",
                                       "--height",
                                       "48",
                                       "--num-images",
                                       "2",
                                       "--seed",
                                       "3",
                                       "--seed",
                                       "4",
                                       "-o",
                                       out_ / "{seed}.png",
                                       "--save-latents",
                                       out_ / "l.safetensors"});
  ASSERT_EQ(finished.status, 0) << finished.err;
  const Json json = Json::parse(finished.out);
  EXPECT_EQ(json["files"], Json::array({out_ / "3.png", out_ / "4.png"}));
  EXPECT_EQ(json["seeds"], Json::array({3, 4}));
  EXPECT_EQ(json["width"], 64);
  EXPECT_EQ(json["height"], 48);
  EXPECT_EQ(json["steps"], 2);
  EXPECT_EQ(json["step_seconds"].size(), 2U);
  EXPECT_EQ(json["model"]["name"], "nano");
  EXPECT_EQ(json["latents_file"], out_ / "l.safetensors");
  EXPECT_GT(json["peak_memory_bytes"], 1 << 20);
  EXPECT_GE(json["stages"].size(), 3U);
  EXPECT_EQ(out_.names(), (std::vector<std::string>{"3.png", "4.png", "l.safetensors"}));
}

TEST_F(Command, SeveralPicturesAreNumbered) {
  const Finished finished = run_nano({"-p", "a blue square", "-o", out_ / "x.png"});
  EXPECT_EQ(finished.status, 0) << finished.err;
  EXPECT_EQ(out_.names(), (std::vector<std::string>{"x0.png", "x1.png"}));
}

TEST_F(Command, PromptsComeFromFilesAndStandardInput) {
  write_text(out_ / "prompt.txt", "a red circle\n");
  const auto from = [&](const std::string& file, const std::string& name) {
    return run_flux2({"generate", "--prompt-file", file, "--steps", "1", "--width", "64",
                      "--height", "64", "--seed", "1", "-o", out_ / name},
                     "a red circle\r\n");
  };
  EXPECT_EQ(from(out_ / "prompt.txt", "a.png").status, 0);
  EXPECT_EQ(from("-", "b.png").status, 0);
  const std::string direct = bytes_of("c.png", {"--seed", "1"});
  EXPECT_EQ(read_file(out_ / "a.png"), direct);
  EXPECT_EQ(read_file(out_ / "b.png"), direct);
  EXPECT_EQ(from("/dev/zero", "d.png").status, 3);
  write_text(out_ / "zero.txt", std::string("a\0b", 3));
  EXPECT_EQ(from(out_ / "zero.txt", "d.png").status, 3);
  EXPECT_EQ(from(out_.path().string(), "d.png").status, 3);
  EXPECT_EQ(from(out_ / "missing.txt", "d.png").status, 3);
}

TEST_F(Command, APictureRebuildsItsRequest) {
  const std::string prompt = "a \"red\" circle,\nund ein blaues Dreieck \xE2\x9C\xA8 {}";
  const Finished first =
      run_flux2({"generate", "-p", prompt, "--steps", "2", "--width", "64", "--height", "48",
                 "--seed", "18446744073709551615", "--guidance", "2.5", "--max-sequence-length",
                 "40", "-o", out_ / "a.png"});
  ASSERT_EQ(first.status, 0) << first.err;
  const Finished again = run_flux2({"generate", "--from", out_ / "a.png", "-o", out_ / "b.png"});
  ASSERT_EQ(again.status, 0) << again.err;
  EXPECT_EQ(load_image(out_ / "a.png").pixels, load_image(out_ / "b.png").pixels);
  EXPECT_EQ(load_image_text(out_ / "a.png"), load_image_text(out_ / "b.png"));
  EXPECT_TRUE(load_image_text(out_ / "a.png")["parameters"].starts_with(prompt));

  const Finished other = run_flux2(
      {"generate", "--from", out_ / "a.png", "--seed", "5", "--steps", "1", "-o", out_ / "c.png"});
  ASSERT_EQ(other.status, 0) << other.err;
  const std::string parameters = load_image_text(out_ / "c.png")["parameters"];
  EXPECT_TRUE(has(parameters, "Steps: 1,") && has(parameters, "Seed: 5,") &&
              has(parameters, "CFG scale: 2.5") && has(parameters, "Size: 64x48"))
      << parameters;
}

TEST_F(Command, StepsAndSigmasReplaceEachOther) {
  const auto generate = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "generate");
    const Finished finished = run_flux2(arguments);
    EXPECT_EQ(finished.status, 0) << finished.err;
  };
  generate({"-p", "x", "--width", "32", "--height", "32", "--seed", "1", "--sigmas", "1,0.6,0.3",
            "-o", out_ / "a.png"});
  generate({"--from", out_ / "a.png", "--steps", "2", "-o", out_ / "b.png"});
  generate({"--from", out_ / "b.png", "--sigmas", "1,0.6,0.3", "-o", out_ / "c.png"});
  EXPECT_TRUE(has(load_image_text(out_ / "b.png")["parameters"], "Steps: 2,"));
  EXPECT_EQ(load_image(out_ / "a.png").pixels, load_image(out_ / "c.png").pixels);
  EXPECT_NE(load_image(out_ / "a.png").pixels, load_image(out_ / "b.png").pixels);
}

TEST_F(Command, PicturesCanGoWithoutMetadata) {
  bytes_of("a.png", {"--no-metadata"});
  EXPECT_TRUE(load_image_text(out_ / "a.png").empty());
  EXPECT_EQ(run_flux2({"generate", "--from", out_ / "a.png", "-o", out_ / "b.png"}).status, 3);
}

TEST_F(Command, EndingsChooseTheFormat) {
  bytes_of("a.webp", {"--seed", "1"});
  bytes_of("a.JPG", {"--seed", "1"});
  bytes_of("a.png", {"--seed", "1"});
  const Image png = load_image(out_ / "a.png");
  EXPECT_EQ(load_image(out_ / "a.webp").pixels, png.pixels);
  EXPECT_EQ(load_image(out_ / "a.JPG").width, png.width);
  EXPECT_EQ(read_file(out_ / "a.JPG").substr(0, 2), "\xFF\xD8");
}

TEST_F(Command, SavedTensorsGoBackIn) {
  bytes_of("a.png", {"--seed", "1", "--save-prompt-embeds", out_ / "e.safetensors"});
  const Finished finished =
      run_flux2({"generate", "--prompt-embeds", out_ / "e.safetensors", "--steps", "1", "--width",
                 "64", "--height", "64", "--guidance", "1", "--seed", "1", "-o", out_ / "b.png"});
  ASSERT_EQ(finished.status, 0) << finished.err;
  bytes_of("c.png", {"--seed", "1", "--guidance", "1"});
  EXPECT_EQ(load_image(out_ / "b.png").pixels, load_image(out_ / "c.png").pixels);
}

TEST_F(Command, ThreadsChangeNextToNothing) {
  std::vector<FloatArray> latents;
  for (const char* threads : {"1", "2"}) {
    bytes_of("a.png", {"--compute", "f32", "--seed", "1", "--threads", threads, "--save-latents",
                       out_ / "l.safetensors"});
    latents.push_back(load_array(out_ / "l.safetensors", "latents"));
  }
  double difference = 0;
  double norm = 0;
  for (std::size_t i = 0; i < latents[0].values.size(); ++i) {
    difference += std::pow(latents[0].values[i] - latents[1].values[i], 2);
    norm += std::pow(latents[0].values[i], 2);
  }
  EXPECT_LE(std::sqrt(difference / norm), 1e-4);
}

TEST_F(Command, ReferencesSetTheSize) {
  save_image(black_image(96, 80), out_ / "r.png");
  const Finished finished = run_flux2({"generate", "-p", "x", "--image", out_ / "r.png", "--steps",
                                       "1", "--seed", "1", "-o", out_ / "a.png"});
  ASSERT_EQ(finished.status, 0) << finished.err;
  const Image image = load_image(out_ / "a.png");
  EXPECT_EQ(image.width, 96);
  EXPECT_EQ(image.height, 80);
}

class Signals : public testing::TestWithParam<int> {};

// Many steps, so that the signal finds the program in the middle of them.
std::vector<std::string> long_run(const TemporaryFolder& out) {
  return {FLUX2_PROGRAM, "generate",    "-p",         "x",    "--steps", "10000",
          "--width",     "32",          "--height",   "32",   "--seed",  "1",
          "-o",          out / "a.png", "--progress", "plain"};
}

TEST_P(Signals, StopWithinAStepAndLeaveNothing) {
  const TemporaryFolder out;
  Process process(long_run(out));
  ASSERT_TRUE(process.wait_for_error("denoise 2/"));
  process.send(GetParam());
  const Finished finished = process.finish();
  EXPECT_EQ(finished.status, 5) << finished.err;
  EXPECT_TRUE(finished.err.ends_with("flux2: cancelled\n")) << finished.err;
  EXPECT_TRUE(out.names().empty());
}

INSTANTIATE_TEST_SUITE_P(CtrlCAndTerminate, Signals, testing::Values(SIGINT, SIGTERM));

TEST_F(Command, KilledItLeavesNothing) {
  Process process(long_run(out_));
  ASSERT_TRUE(process.wait_for_error("denoise 2/"));
  process.send(SIGKILL);
  EXPECT_EQ(process.finish().signal, SIGKILL);
  EXPECT_TRUE(out_.names().empty());
}

TEST_F(Command, ModelsSayWhatTheyAre) {
  const Finished built_in = run_flux2({"models"});
  EXPECT_EQ(built_in.status, 0) << built_in.err;
  EXPECT_TRUE(has(built_in.out, "nano: FLUX.2 [klein] base, Flux2KleinPipeline")) << built_in.out;

  const std::string checkpoints =
      (fs::path(FLUX2_SOURCE_DIR) / "tests/goldens/data/checkpoints").string();
  const Finished several = run_flux2({"models", checkpoints, "--json"});
  ASSERT_EQ(several.status, 0) << several.err;
  std::vector<std::string> pipelines;
  for (const Json& model : Json::parse(several.out)) {
    pipelines.push_back(model["pipeline"]);
    EXPECT_EQ(model["parts"].size(), 3U);
    EXPECT_GT(model["parts"][1]["parameters"], 1000);
  }
  EXPECT_EQ(pipelines, (std::vector<std::string>{"Flux2Pipeline", "Flux2KleinPipeline",
                                                 "Flux2KleinPipeline", "Flux2KleinKVPipeline"}));
}

TEST_F(Command, SingleFilesSayWhatTheyAre) {
  const fs::path nano = fs::path(FLUX2_SOURCE_DIR) / "models/nano";
  const std::string transformer = nano / "transformer/diffusion_pytorch_model.safetensors";
  const std::string vae = nano / "vae/diffusion_pytorch_model.safetensors";
  const Finished said = run_flux2({"models", transformer, vae});
  ASSERT_EQ(said.status, 0) << said.err;
  for (const char* part : {"transformer   Flux2Transformer2DModel", "Diffusers names",
                           "sizes from config.json", "vae           AutoencoderKLFlux2"})
    EXPECT_TRUE(has(said.out, part)) << said.out << part;
  const Finished json = run_flux2({"models", transformer, "--json"});
  const Json part = Json::parse(json.out).at(0).at("parts").at(0);
  EXPECT_EQ(part.at("dtypes").size(), part.at("computed_as").size());
  EXPECT_TRUE(has(said.out, part.at("dtypes").at(0).get<std::string>() + " as " +
                                part.at("computed_as").at(0).get<std::string>()))
      << said.out;
}

TEST_F(Command, TheModelIsFoundBesideAnInstalledProgram) {
  fs::create_directories(out_.path() / "bin");
  fs::create_directories(out_.path() / "share/flux2");
  fs::copy_file(FLUX2_PROGRAM, out_.path() / "bin/flux2");
  fs::create_symlink(fs::path(FLUX2_SOURCE_DIR) / "models", out_.path() / "share/flux2/models");
  const Finished finished = Process({out_ / "bin/flux2", "models"}).finish();
  EXPECT_EQ(finished.status, 0) << finished.err;
  EXPECT_TRUE(has(finished.out, out_ / "share/flux2/models/nano")) << finished.out;
}

}  // namespace
}  // namespace flux2
