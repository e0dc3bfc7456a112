#include "checkpoint/container.h"

#include <gtest/gtest.h>

#include <map>

#include "draft.h"

namespace flux2::test {
namespace {

WeightsFormat recognise(const std::string& bytes) {
  return recognise_container(std::as_bytes(std::span(bytes)), "weights.safetensors");
}

TEST(Container, IsToldByItsContent) {
  EXPECT_EQ(recognise("GGUF\3"), WeightsFormat::gguf);
  EXPECT_EQ(recognise(safetensors_bytes("{}")), WeightsFormat::safetensors);
}

TEST(Container, AnEndingSaysNothing) {
  const TemporaryFolder folder;
  std::filesystem::copy_file(test_data("blocks.gguf"), folder / "model.safetensors");
  std::filesystem::copy_file(test_data("blocks.safetensors"), folder / "model.gguf");
  const WeightsFile gguf = read_weights_file(folder / "model.safetensors");
  EXPECT_EQ(gguf.format, WeightsFormat::gguf);
  EXPECT_EQ(*gguf.metadata.text("general.architecture"), "flux");
  EXPECT_EQ(encoding_of(gguf.tensors.at("Q4_K")), "Q4_K");
  const WeightsFile safetensors = read_weights_file(folder / "model.gguf");
  EXPECT_EQ(safetensors.format, WeightsFormat::safetensors);
  EXPECT_EQ(encoding_of(safetensors.tensors.at("Q4_K")), "F32");
  const std::vector<std::filesystem::path> mixed = {folder / "model.gguf",
                                                    folder / "model.safetensors"};
  expect_part(refusal_of([&] { read_weights_files(mixed); }), "is GGUF, but");
}

TEST(Container, TextsOfSafetensorsAreMetadata) {
  Draft draft;
  draft.floats("x", {1}, {1.0f}).metadata["format"] = "pt";
  EXPECT_EQ(*draft.read().metadata.text("format"), "pt");
}

TEST(Container, StrangersAreNamed) {
  using namespace std::string_literals;
  const std::map<std::string, std::string> strangers = {
      {"version https://git-lfs.github.com/spec/v1\noid sha256:1", "is a Git LFS pointer"},
      {"PK\x03\x04 archive/data.pkl", "is a ZIP archive, such as PyTorch's .pt"},
      {"\x80\x02\x8A\nl\xFC\x9C", "is a Python pickle"},
      {"\x80\x04\x95 etc. etc.", "is a Python pickle"},
      {"<!DOCTYPE html><html>", "is a web page (HTML), not weights"},
      {"\n  <HTML lang=en>", "is a web page (HTML), not weights"},
      {"<?xml version='1.0'?><Error>", "is an XML document"},
      {" {\"error\": \"Repository not found\"}", "is JSON, not weights"},
      {"\x93NUMPY\1\0v\0{'descr'"s, "is a NumPy array"},
      {"tjgg\3\0\0\0\0\0\0\0"s, "ggml's formats before GGUF"},
      {"\x1F\x8B\x08\0\0\0\0\0\0\0"s, "is compressed by gzip"},
      {"", "is empty"},
      {"abc", "too short for a safetensors file"},
      {std::string(64, '\xAA'), "not a safetensors file"},
  };
  for (const auto& [bytes, part] : strangers) {
    const TemporaryFolder folder;
    write_text(folder / "weights.safetensors", bytes);
    expect_part(refusal_of([&] { read_weights_file(folder / "weights.safetensors"); }), part);
  }
}

}  // namespace
}  // namespace flux2::test
