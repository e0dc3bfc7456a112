// Adapters through the command line.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "flux2/flux2.h"
#include "nano.h"

namespace flux2 {
namespace {

using Json = nlohmann::json;

class AdapterOptions : public testing::Test {
 protected:
  // A safetensors file of one difference, of the vector `name`, all `value`.
  std::string write_adapter(const std::string& file, const std::string& name, std::int64_t size,
                            float value) const {
    const std::string path = out_ / file;
    save_array({{size}, std::vector<float>(static_cast<std::size_t>(size), value), ""}, path, name);
    return path;
  }
  // One that fits the built-in model.
  std::string good_adapter(float value = 1) const {
    const std::int64_t head = 64;
    return write_adapter("good.safetensors",
                         "diffusion_model.double_blocks.0.img_attn.norm.query_norm.w_norm", head,
                         value);
  }

  TemporaryFolder out_;
};

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_F(AdapterOptions, AreAppliedPrintedAndRemembered) {
  const std::string file = good_adapter();
  const std::string plain = out_ / "plain.png";
  const std::string changed = out_ / "changed.png";
  ASSERT_EQ(run_nano({"--seed", "1", "-o", plain}).status, 0);
  const Finished drawn =
      run_nano({"--seed", "1", "--lora", file + ":2.5", "--json", "-o", changed});
  ASSERT_EQ(drawn.status, 0) << drawn.err;
  EXPECT_TRUE(has(drawn.err, "adapter good: full difference, weight 2.5, 1 of 1 modules"))
      << drawn.err;
  EXPECT_NE(load_image(changed).pixels, load_image(plain).pixels);
  const Json adapter = Json::parse(drawn.out).at("adapters").at(0);
  EXPECT_EQ(adapter.at("weight"), 2.5);
  EXPECT_EQ(adapter.at("matched"), 1);
  EXPECT_EQ(adapter.at("sha256").get<std::string>().size(), 64u);

  const std::string again = out_ / "again.png";
  ASSERT_EQ(run_flux2({"generate", "--from", changed, "-o", again}).status, 0);
  EXPECT_EQ(load_image(again).pixels, load_image(changed).pixels);
  const std::string off = out_ / "off.png";
  ASSERT_EQ(run_nano({"--seed", "1", "--lora", file, "--lora-scale", "0", "-o", off}).status, 0);
  EXPECT_EQ(load_image(off).pixels, load_image(plain).pixels);

  std::ofstream(file, std::ios::app) << " ";
  const Finished refused = run_flux2({"generate", "--from", changed, "-o", again});
  EXPECT_EQ(refused.status, 3) << refused.err;
  EXPECT_TRUE(has(refused.err, "this adapter has changed")) << refused.err;
}

TEST_F(AdapterOptions, WhatDoesNotFitIsRefused) {
  const std::string other =
      write_adapter("other.safetensors", "lora_unet_double_blocks_18_img_mod_lin.diff", 4, 1);
  const std::string picture = out_ / "picture.png";
  const Finished flux1 = run_nano({"--lora", other, "-o", picture});
  EXPECT_EQ(flux1.status, 3);
  EXPECT_TRUE(has(flux1.err, "is an adapter for FLUX.1, not for FLUX.2")) << flux1.err;
  EXPECT_EQ(run_nano({"--lora", other, "--lora-lenient", "-o", picture}).status, 3);
  EXPECT_EQ(run_nano({"--lora", out_ / "absent", "-o", picture}).status, 3);
  const Finished alone = run_nano({"--lora-lenient", "-o", picture});
  EXPECT_EQ(alone.status, 2);
  EXPECT_TRUE(has(alone.err, "there is no adapter")) << alone.err;
  EXPECT_EQ(run_nano({"--lora", good_adapter(), "--lora-adaln", "other", "-o", picture}).status, 2);
}

TEST_F(AdapterOptions, AColonMayBelongToThePath) {
  const std::string file =
      write_adapter("a:b.safetensors", "transformer.transformer_blocks.0.attn.norm_q.diff", 64, 1);
  const Finished drawn = run_nano({"--lora", file, "-o", out_ / "picture.png"});
  EXPECT_EQ(drawn.status, 0) << drawn.err;
  EXPECT_TRUE(has(drawn.err, "adapter a:b: full difference, weight 1,")) << drawn.err;
}

}  // namespace
}  // namespace flux2
