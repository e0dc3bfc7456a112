#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace flux2 {

/// Where a token is, on the four axes of the rotary embedding: picture (T), row (H), column (W),
/// place in the text (L). A list of them is the [tokens, 4] of Diffusers' ids.
using Position = std::array<std::int64_t, 4>;

/// Rows and columns of a grid of picture tokens, each 16 x 16 pixels.
struct TokenGrid {
  std::int64_t rows = 0;
  std::int64_t columns = 0;

  std::int64_t tokens() const { return rows * columns; }
};

/// Text tokens 0 .. length-1, padding included: (0, 0, 0, i).
std::vector<Position> text_positions(std::int64_t length);

/// The tokens of the picture that is made, row by row: (0, row, column, 0).
std::vector<Position> latent_positions(TokenGrid grid);

/// The tokens of all reference pictures, one after another: (10 + 10 k, row, column, 0) for
/// picture k. When inpainting, the picture itself is reference 0.
std::vector<Position> reference_positions(std::span<const TokenGrid> grids);

}  // namespace flux2
