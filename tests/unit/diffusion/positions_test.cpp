#include "diffusion/positions.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "golden.h"

namespace flux2 {
namespace {

using testing::GoldenFile;

std::vector<std::int64_t> flat(const std::vector<Position>& positions) {
  std::vector<std::int64_t> numbers;
  for (const Position& position : positions)
    numbers.insert(numbers.end(), position.begin(), position.end());
  return numbers;
}

TEST(Positions, TextEqualsDiffusers) {
  const GoldenFile file("text/tiny-klein.safetensors");
  EXPECT_EQ(flat(text_positions(48)), file.integers("prompt0.text_ids"));
}

TEST(Positions, PictureAndReferenceEqualDiffusers) {
  const GoldenFile file("transformer/tiny-klein.safetensors");
  std::vector<Position> positions = latent_positions({.rows = 4, .columns = 6});
  const std::vector<TokenGrid> references = {{.rows = 2, .columns = 3}};
  const std::vector<Position> reference = reference_positions(references);
  positions.insert(positions.end(), reference.begin(), reference.end());
  EXPECT_EQ(flat(positions), file.integers("in.img_ids"));
}

TEST(Positions, ReferencesAreTenApart) {
  const std::vector<TokenGrid> references = {
      {.rows = 1, .columns = 2}, {.rows = 2, .columns = 1}, {.rows = 1, .columns = 1}};
  EXPECT_EQ(reference_positions(references),
            (std::vector<Position>{
                {10, 0, 0, 0}, {10, 0, 1, 0}, {20, 0, 0, 0}, {20, 1, 0, 0}, {30, 0, 0, 0}}));
}

TEST(Positions, NothingHasNone) {
  EXPECT_TRUE(text_positions(0).empty());
  EXPECT_TRUE(latent_positions({}).empty());
  EXPECT_TRUE(reference_positions({}).empty());
}

}  // namespace
}  // namespace flux2
