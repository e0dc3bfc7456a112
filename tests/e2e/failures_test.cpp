// Every way to ask for something that cannot be: one clear line, the right exit status, no file.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "flux2/flux2.h"
#include "nano.h"

namespace flux2 {
namespace {

namespace fs = std::filesystem;

// Expects `status`, nothing on standard output, and one line on standard error that holds `part`.
void expect_failure(const Finished& finished, int status, const std::string& part) {
  EXPECT_EQ(finished.status, status) << finished.err << finished.signal;
  EXPECT_EQ(finished.out, "");
  EXPECT_TRUE(finished.err.starts_with("flux2: ")) << finished.err;
  EXPECT_NE(finished.err.find(part), std::string::npos) << finished.err;
  EXPECT_EQ(std::count(finished.err.begin(), finished.err.end(), '\n'), 1) << finished.err;
}

class Failure : public testing::Test {
 protected:
  void expect(int status, const std::string& part, std::vector<std::string> more) {
    SCOPED_TRACE(testing::PrintToString(more));
    const auto before = out_.names();
    more.insert(more.begin(), {"generate", "--progress", "none", "--seed", "1"});
    expect_failure(run_flux2(more), status, part);
    EXPECT_EQ(out_.names(), before);
  }

  // The same with a prompt, a small size and an output.
  void expect_drawing(int status, const std::string& part, std::vector<std::string> more) {
    more.insert(more.begin(), {"-p", "x", "-o", out_ / "out.png"});
    expect(status, part, more);
  }

  std::string reference(int width, int height) {
    const std::string file = out_ / "reference.png";
    save_image(black_image(width, height), file);
    return file;
  }

  std::string array(const std::string& name, const std::vector<std::int64_t>& shape, float value) {
    FloatArray array = {.shape = shape, .values = {}, .file = {}};
    std::size_t elements = 1;
    for (const std::int64_t dim : shape)
      elements *= static_cast<std::size_t>(dim);
    array.values.assign(elements, value);
    const std::string file = out_ / (name + ".safetensors");
    save_array(array, file, name);
    return file;
  }

  TemporaryFolder out_;
};

TEST_F(Failure, UnknownCommandsAndOptions) {
  expect_failure(run_flux2({}), 2, "subcommand");
  expect_failure(run_flux2({"draw"}), 2, "draw");
  expect_failure(run_flux2({"--frobnicate"}), 2, "--frobnicate");
  expect_failure(run_flux2({"generate", "-p", "x", "--frobnicate"}), 2, "--frobnicate");
  expect_failure(run_flux2({"generate", "-p", "x", "stray"}), 2, "stray");
  expect_failure(run_flux2({"models", "--frobnicate"}), 2, "--frobnicate");
  expect_failure(run_flux2({"generate", "-p"}), 2, "--prompt");
  expect_failure(run_flux2({"generate", "-p", "x", "-q", "-v"}), 2, "--quiet");
}

TEST_F(Failure, BadNumbers) {
  for (const char* option :
       {"--width", "--height", "--steps", "--num-images", "--threads", "--max-sequence-length"}) {
    for (const char* value :
         {"12abc", "", " 4", "0x10", "1.5", "nan", "0", "-3", "99999999999999999999", "4 "}) {
      expect_drawing(2, option, {option, value});
    }
  }
  for (const char* value : {"nan", "inf", "4,0", "1e400", "four", "1e7"})
    expect_drawing(2, "--guidance", {"--guidance", value});
  for (const char* value : {"1,", "1,,0.5", "nan", "1.5,0.5", "-0.1", "1;0.5"})
    expect_drawing(2, "--sigmas", {"--sigmas", value});
  for (const char* value : {"9,x", "-1", ""})
    expect_drawing(2, "--text-encoder-out-layers", {"--text-encoder-out-layers", value});
  for (const char* value : {"x", "1.0", "", "-9223372036854775809", "1,2"})
    expect(2, "--seed", {"-p", "x", "--seed", value});
}

TEST_F(Failure, BadChoices) {
  expect_drawing(2, "f32|bf16|int8|auto", {"--compute", "fp64"});
  expect_drawing(2, "cpu|cuda|auto", {"--device", "tpu"});
  expect_drawing(2, "torch-cpu|torch-cpu-legacy|torch-cuda", {"--noise", "numpy"});
  expect_drawing(2, "f32|bf16|f16", {"--noise-dtype", "f64"});
  expect_failure(run_flux2({"generate", "-p", "x", "--progress", "loud"}), 2, "auto|plain|none");
  expect_drawing(2, "--progress", {"--progress", "none"});  // given twice
  expect_drawing(2, "CUDA", {"--device", "cuda"});
  expect_drawing(2, "nosuchcard", {"--noise", "torch-cuda", "--cuda-card", "nosuchcard"});
}

TEST_F(Failure, NothingToDrawOrTooMuch) {
  expect(2, "--prompt", {"-o", out_ / "out.png"});
  expect_drawing(2, "--seed", {"--seed", "2", "--seed", "3"});
  expect_drawing(2, "--width", {"--width", "15"});
  expect_drawing(2, "--width", {"--width", "20000"});
  expect_drawing(2, "1024", {"--num-images", "600", "-p", "y"});
  expect_drawing(2, "layer", {"--text-encoder-out-layers", "9,18,900"});
}

TEST_F(Failure, NoSuchModel) {
  const std::string file = out_ / "file";
  write_text(file, "not a model");
  fs::create_directory(out_ / "empty");
  expect_drawing(3, "no such folder", {"-m", out_ / "missing"});
  expect_drawing(3, "not a safetensors file", {"-m", file});
  expect_drawing(3, "model_index.json", {"-m", out_ / "empty"});
  expect_failure(run_flux2({"models", out_ / "missing"}), 3, "no such folder");
  expect_failure(run_flux2({"models", file}), 3, "not a safetensors file");
  expect_failure(run_flux2({"models", out_ / "empty"}), 3, "model_index.json");
}

TEST_F(Failure, NamesWithNewlinesStayOneLine) {
  expect_drawing(3, "no such folder", {"-m", out_ / "two\nlines"});
}

TEST_F(Failure, OutputsAreCheckedBeforeTheWork) {
  // A model that does not exist would be found out first if the work came first.
  const std::string missing = out_ / "missing-model";
  const auto fails = [&](int status, const std::string& part, std::vector<std::string> more) {
    more.insert(more.end(), {"-p", "x", "-m", missing});
    expect(status, part, more);
  };
  fs::create_directory(out_ / "folder.png");
  fails(3, "create the folder first", {"-o", out_ / "missing/out.png"});
  fails(3, "folder", {"-o", out_ / "folder.png"});
  fails(3, "create the folder first",
        {"-o", out_ / "a.png", "--save-latents", out_ / "missing/l.safetensors"});
  fails(2, ".gif", {"-o", out_ / "out.gif"});
  fails(2, "ending", {"-o", out_ / "out"});
  fails(2, "folder", {"-o", out_.path().string() + "/"});
  fails(2, "empty", {"-o", ""});
  fails(2, "two outputs", {"-o", out_ / "a.png", "--save-latents", out_ / "./a.png"});
  fails(2, "two outputs",
        {"-o", out_ / "a.png", "--save-latents", out_ / "l", "--save-prompt-embeds", out_ / "l"});
}

TEST_F(Failure, AFullDiskLeavesNoFile) {
  const Finished finished =
      run_shell("ulimit -f 0; exec \"$0\" generate -p x --steps 1 --width 32 --height 32 -q -o '" +
                (out_ / "a.png") + "'");
  expect_failure(finished, 3, "a.png");
  EXPECT_TRUE(out_.names().empty());
}

TEST_F(Failure, AFullStandardOutputIsReported) {
  expect_failure(run_shell("\"$0\" --help >/dev/full"), 3, "standard output");
  expect_failure(run_shell("\"$0\" models --json >/dev/full"), 3, "standard output");
}

TEST_F(Failure, BadReferences) {
  expect_drawing(3, "missing.png", {"--image", out_ / "missing.png"});
  expect_drawing(2, "at least 64", {"--image", reference(63, 200)});
  expect_drawing(2, "aspect", {"--image", reference(64, 600)});

  const std::string whole = read_file(reference(128, 128));
  const std::string truncated = out_ / "truncated.png";
  write_text(truncated, whole.substr(0, whole.size() / 2));
  expect_drawing(3, "truncated.png", {"--image", truncated});
  write_text(truncated, "");
  expect_drawing(3, "truncated.png", {"--image", truncated});
  expect_drawing(3, "", {"--image", out_.path().string()});
}

TEST_F(Failure, BadTensors) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  expect_drawing(3, "NaN", {"--latents", array("latents", {1, 128, 4, 4}, nan)});
  expect_drawing(2, "[1, 64, 4, 4]", {"--latents", array("latents", {1, 64, 4, 4}, 0.5F)});
  expect_drawing(2, "dimensions", {"--latents", array("latents", {128, 4, 4}, 0.5F)});
  expect_drawing(2, "--latents", {"--latents", array("latents", {2, 128, 4, 4}, 0.5F)});
  expect_drawing(
      2, "--latents",
      {"--width", "32", "--height", "32", "--latents", array("latents", {1, 128, 4, 4}, 0.5F)});
  expect_drawing(3, "latents", {"--latents", array("other", {1, 128, 4, 4}, 0.5F)});
  expect_drawing(3, "missing", {"--latents", out_ / "missing"});
  expect_drawing(2, "prompt_embeds", {"--prompt-embeds", array("prompt_embeds", {1, 8, 16}, 0.5F)});
  expect(2, "width",
         {"-o", out_ / "o.png", "--prompt-embeds", array("prompt_embeds", {1, 8, 16}, 0.5F)});
}

TEST_F(Failure, PicturesWithoutARequest) {
  expect(3, "carries no request", {"--from", reference(64, 64), "-o", out_ / "out.png"});
  expect(3, "missing.png", {"--from", out_ / "missing.png", "-o", out_ / "out.png"});

  const Image image = black_image(1, 1);
  const std::string file = out_ / "recorded.png";
  const auto recorded = [&](const std::string& text) {
    save_image(image, file, {{"flux2", text}});
  };
  const std::vector<std::string> from = {"--from", file, "-o", out_ / "out.png"};
  for (const char* text : {"{", "[]", "{\"model\":\"nano\",\"request\":3}",
                           "{\"model\":\"nano\",\"request\":{\"width\":\"x\"}}",
                           "{\"model\":\"nano\",\"request\":{\"unknown\":1}}"}) {
    recorded(text);
    expect(3, "recorded", from);
  }
  recorded("{\"model\":\"another\",\"request\":{\"prompt\":[\"x\"]}}");
  expect(2, "another", from);
}

}  // namespace
}  // namespace flux2
