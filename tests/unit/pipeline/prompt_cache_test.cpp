// The cache of embeddings by itself: what is kept, found, removed and refused.
#include "pipeline/prompt_cache.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <fstream>
#include <set>

#include "flux2/error.h"
#include "pipeline/prompt_key.h"
#include "program.h"

namespace flux2 {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kTokens = 4;
constexpr std::int64_t kWidth = 64;

std::string key_of(char digit) {
  return std::string(64, digit);
}

Tensor embeddings(float first) {
  const Tensor tensor = make_host_tensor({1, kTokens, kWidth});
  for (std::int64_t i = 0; i < tensor.elements(); ++i)
    tensor.f32()[i] = first + static_cast<float>(i);
  return tensor;
}

class PromptCacheTest : public testing::Test {
 protected:
  PromptCache cache(std::int64_t most = 1 << 20) const {
    return PromptCache({.folder = place_, .max_bytes = most});
  }
  PromptCache::Warn warn() {
    return [this](std::string warning) { warnings_.push_back(std::move(warning)); };
  }
  Tensor find(char digit) { return cache().find(key_of(digit), kTokens, warn()); }
  void keep(char digit, float first) { cache().keep(key_of(digit), embeddings(first), warn()); }
  fs::path entry(char digit) const { return place_ / (key_of(digit) + ".safetensors"); }
  // As if it had last been used so many hours ago.
  static void age(const fs::path& file, int hours) {
    fs::last_write_time(file, fs::file_time_type::clock::now() - std::chrono::hours(hours));
  }

  TemporaryFolder folder_;
  fs::path place_ = folder_.path() / "made/on/demand";
  std::vector<std::string> warnings_;
};

TEST_F(PromptCacheTest, GivesBackWhatItWasGiven) {
  EXPECT_FALSE(find('a').defined());
  keep('a', 1);
  keep('b', 2);
  EXPECT_EQ(to_vector(find('a')), to_vector(embeddings(1)));
  EXPECT_EQ(to_vector(find('b')), to_vector(embeddings(2)));
  EXPECT_FALSE(find('c').defined());
  EXPECT_TRUE(warnings_.empty()) << warnings_.front();
  struct stat status {};
  ASSERT_EQ(stat(place_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0700U);
}

TEST_F(PromptCacheTest, RemovesWhatWasNotUsedForLongest) {
  keep('a', 1);
  const auto bytes = static_cast<std::int64_t>(fs::file_size(entry('a')));
  keep('b', 2);
  keep('c', 3);
  age(entry('a'), 3);
  age(entry('b'), 2);
  age(entry('c'), 1);
  EXPECT_TRUE(find('a').defined());  // the oldest is used again
  cache(3 * bytes).keep(key_of('d'), embeddings(4), warn());
  EXPECT_TRUE(fs::exists(entry('a')));
  EXPECT_FALSE(fs::exists(entry('b')));
  EXPECT_TRUE(fs::exists(entry('c')));
  EXPECT_TRUE(fs::exists(entry('d')));
  cache(bytes / 2).keep(key_of('e'), embeddings(5), warn());  // larger than the whole cache
  EXPECT_FALSE(fs::exists(entry('e')));
  EXPECT_TRUE(fs::exists(entry('d')));
}

TEST_F(PromptCacheTest, DamagedEntriesAreRemovedWithAWarning) {
  keep('a', 1);
  const auto size = fs::file_size(entry('a'));
  const auto damage = [&](char digit, const auto& how) {
    keep(digit, 1);
    how(entry(digit));
    warnings_.clear();
    EXPECT_FALSE(find(digit).defined()) << digit;
    EXPECT_FALSE(fs::exists(entry(digit))) << digit;
    ASSERT_EQ(warnings_.size(), 1U) << digit;
    EXPECT_NE(warnings_.front().find("encoded again"), std::string::npos) << warnings_.front();
  };
  damage('1', [&](const fs::path& file) { fs::resize_file(file, size - 1); });
  damage('2', [&](const fs::path& file) { fs::resize_file(file, 0); });
  damage('3', [&](const fs::path& file) { std::ofstream(file) << "not a tensor"; });
  damage('4', [&](const fs::path& file) {
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(static_cast<std::streamoff>(size) - 5);
    stream.put('x');
  });
  damage('5', [&](const fs::path& file) {  // another prompt's
    fs::copy_file(entry('a'), file, fs::copy_options::overwrite_existing);
  });
  EXPECT_TRUE(find('a').defined());
}

TEST_F(PromptCacheTest, LeavesOtherFilesAlone) {
  keep('a', 1);
  const std::string unfinished = "." + key_of('b') + ".safetensors.17.0.tmp";
  for (const std::string& name : {std::string("mine.safetensors"), std::string(".x.tmp"),
                                  unfinished, "." + key_of('c') + ".safetensors.18.0.tmp"}) {
    std::ofstream(place_ / name) << std::string(1 << 16, 'x');
    age(place_ / name, 48);
  }
  age(place_ / unfinished, 0);
  const PromptCacheContents contents = inspect_prompt_cache(place_);
  EXPECT_EQ(contents.entries, 1);
  EXPECT_EQ(contents.bytes, static_cast<std::int64_t>(fs::file_size(entry('a'))));
  const PromptCacheContents removed = clear_prompt_cache(place_);
  EXPECT_EQ(removed.entries, 1);
  std::set<std::string> left;
  for (const auto& file : fs::directory_iterator(place_))
    left.insert(file.path().filename().string());
  EXPECT_EQ(left, (std::set<std::string>{"mine.safetensors", ".x.tmp", unfinished}));
  EXPECT_EQ(inspect_prompt_cache(folder_.path() / "nowhere").entries, 0);
}

TEST_F(PromptCacheTest, WhatCannotBeWrittenIsAWarning) {
  std::ofstream(folder_.path() / "made") << "a file where a folder should be";
  EXPECT_FALSE(find('a').defined());
  keep('a', 1);
  ASSERT_EQ(warnings_.size(), 1U);
  EXPECT_NE(warnings_.front().find("cannot make the folder"), std::string::npos);
  EXPECT_THROW(PromptCache({.folder = place_, .max_bytes = -1}), Error);
}

TEST(PromptKey, ChangesWithEverythingThatEmbeddingsDependOn) {
  const std::vector<std::int64_t> taps = {1, 2, 3};
  const std::vector<std::int64_t> other_taps = {1, 2, 4};
  const TokenBatch batch = {
      .ids = {1, 2, 3, 4, 1, 2}, .real = {{0, 2}, {0, 2}, {0, 2}}, .length = 2};
  const TokenBatch padded = {.ids = {1, 2}, .real = {{0, 1}}, .length = 2};
  const TokenBatch longer = {.ids = {1, 2, 0}, .real = {{0, 2}}, .length = 3};
  const PromptKeyParts parts = {.text_encoder = "weights",
                                .change = "lora",
                                .backend = "cpu f32",
                                .threads = 2,
                                .taps = taps};
  const auto with = [&](const auto& change) {
    PromptKeyParts changed = parts;
    change(changed);
    return prompt_key(changed, batch, 0);
  };
  const std::string key = prompt_key(parts, batch, 0);
  EXPECT_EQ(key.size(), 64U);
  EXPECT_EQ(prompt_key(parts, batch, 2), key);  // the same text at another place of a batch
  std::set<std::string> keys = {key,
                                prompt_key(parts, batch, 1),
                                prompt_key(parts, padded, 0),
                                prompt_key(parts, longer, 0),
                                with([](PromptKeyParts& p) { p.text_encoder = "other weights"; }),
                                with([](PromptKeyParts& p) { p.change = ""; }),
                                with([](PromptKeyParts& p) { p.backend = "cpu bf16"; }),
                                with([](PromptKeyParts& p) { p.threads = 1; }),
                                with([&](PromptKeyParts& p) { p.taps = other_taps; }),
                                with([](PromptKeyParts& p) {  // a border that moves
                                  p.text_encoder = "weightsl";
                                  p.change = "ora";
                                })};
  EXPECT_EQ(keys.size(), 10U);
}

}  // namespace
}  // namespace flux2
