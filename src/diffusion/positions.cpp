#include "diffusion/positions.h"

// Source: _prepare_text_ids, _prepare_latent_ids and _prepare_image_ids of Diffusers'
// pipeline_flux2.py.

namespace flux2 {
namespace {

void append_grid(TokenGrid grid, std::int64_t picture, std::vector<Position>& positions) {
  for (std::int64_t row = 0; row < grid.rows; ++row) {
    for (std::int64_t column = 0; column < grid.columns; ++column)
      positions.push_back({picture, row, column, 0});
  }
}

}  // namespace

std::vector<Position> text_positions(std::int64_t length) {
  std::vector<Position> positions;
  for (std::int64_t i = 0; i < length; ++i)
    positions.push_back({0, 0, 0, i});
  return positions;
}

std::vector<Position> latent_positions(TokenGrid grid) {
  std::vector<Position> positions;
  append_grid(grid, 0, positions);
  return positions;
}

std::vector<Position> reference_positions(std::span<const TokenGrid> grids) {
  constexpr std::int64_t kSpacing = 10;
  std::vector<Position> positions;
  std::int64_t picture = kSpacing;
  for (const TokenGrid grid : grids) {
    append_grid(grid, picture, positions);
    picture += kSpacing;
  }
  return positions;
}

}  // namespace flux2
