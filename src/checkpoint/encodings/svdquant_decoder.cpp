#include "checkpoint/encodings/svdquant_decoder.h"

#include <algorithm>

#include "checkpoint/encodings/microscaled_decoder.h"

namespace flux2 {
namespace svdquant {

// Tiles [row / 128, column / 64]; in a tile, lanes hold rows and columns
//   row    = 16 pack + 8 row_half + row_lane
//   column = 32 column_half + 8 column_lane + nibble
// and 32-bit words follow each other as [pack][row_lane][column_lane][row_half][column_half].
std::int64_t nibble_of(std::int64_t row, std::int64_t column, std::int64_t in) {
  const std::int64_t tile = row / kTile * (in / 64) + column / 64;
  const std::int64_t pack = row % kTile / 16;
  const std::int64_t row_half = row % 16 / 8;
  const std::int64_t column_half = column % 64 / 32;
  const std::int64_t lane = row % 8 * 4 + column % 32 / 8;
  const std::int64_t word = ((tile * 8 + pack) * 32 + lane) * 4 + row_half * 2 + column_half;
  return word * 8 + column % 8;
}

// Rows of a tile in the order 0 1 8 9, 2 3 10 11, 4 5 12 13, 6 7 14 15, 16 17 24 25, ...
std::int64_t scale_of(std::int64_t row, std::int64_t group, std::int64_t groups) {
  const std::int64_t place = row % kTile / 16 * 16 + row % 8 / 2 * 4 + row % 16 / 8 * 2 + row % 2;
  return (row / kTile * groups + group) * kTile + place;
}

// Rows of a tile in the order 0 32 64 96, 8 40 72 104, 16 ..., 24 ..., 1 33 65 97, ...; four
// groups of each together.
std::int64_t micro_scale_of(std::int64_t row, std::int64_t group, std::int64_t groups) {
  const std::int64_t place = row % 8 * 16 + row % 32 / 8 * 4 + row % kTile / 32;
  return ((row / kTile * (groups / 4) + group / 4) * kTile + place) * 4 + group % 4;
}

// Tiles of 16x16 as in nibble_of, with two elements of 16 bits a word. Down is packed as
// [rank, in], up as [out, rank]; both lie tile row by tile row of their long side.
std::int64_t factor_of(Factor factor, std::int64_t line, std::int64_t rank_index,
                       std::int64_t rank) {
  const std::int64_t tile = line / 16 * (rank / 16) + rank_index / 16;
  const std::int64_t n = factor == Factor::down ? rank_index % 16 : line % 16;
  const std::int64_t k = factor == Factor::down ? line % 16 : rank_index % 16;
  const std::int64_t lane = n % 8 * 4 + k % 8 / 2;
  return ((tile * 32 + lane) * 4 + n / 8 * 2 + k / 8) * 2 + k % 2;
}

}  // namespace svdquant

namespace {

float element(const StoredTensor& tensor, std::int64_t index) {
  const auto size = static_cast<std::int64_t>(size_of(tensor.dtype));
  float value;
  convert_to_float(tensor.dtype, tensor.bytes.data() + index * size, &value, 1);
  return value;
}

float number_of(SvdquantDecoder::Codes codes, unsigned code) {
  if (codes == SvdquantDecoder::Codes::e2m1) return kE2m1[code];
  return static_cast<float>(code < 8 ? static_cast<int>(code) : static_cast<int>(code) - 16);
}

std::int64_t group_size(SvdquantDecoder::Codes codes) {
  return codes == SvdquantDecoder::Codes::int4 ? 64 : 16;
}

}  // namespace

std::string_view SvdquantDecoder::name() const {
  return parts_.codes == Codes::int4 ? "SVDQuant int4" : "SVDQuant NVFP4";
}

float SvdquantDecoder::scale(std::int64_t row, std::int64_t group) const {
  const std::int64_t groups = parts_.in / group_size(parts_.codes);
  const std::int64_t index = parts_.codes == Codes::int4
                                 ? svdquant::scale_of(row, group, groups)
                                 : svdquant::micro_scale_of(row, group, groups);
  return element(parts_.scales, index) * parts_.channel[static_cast<std::size_t>(row)];
}

void SvdquantDecoder::decode(const StoredTensor& stored, std::int64_t begin, std::int64_t count,
                             float* rows) const {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(stored.bytes.data());
  const std::int64_t group = group_size(parts_.codes);
  for (std::int64_t r = 0; r < count; ++r) {
    float* row = rows + r * parts_.in;
    for (std::int64_t g = 0; g < parts_.in / group; ++g) {
      const float factor = scale(begin + r, g);
      for (std::int64_t k = g * group; k < (g + 1) * group; k += 8) {
        // eight columns are the eight nibbles of a word
        const std::uint8_t* word = bytes + svdquant::nibble_of(begin + r, k, parts_.in) / 2;
        for (std::int64_t i = 0; i < 8; ++i) {
          const unsigned code = (word[i / 2] >> (i % 2 * 4)) & 15u;
          row[k + i] = number_of(parts_.codes, code) * factor;
        }
      }
    }
    for (std::int64_t k = 0; k < parts_.in; ++k)
      row[k] /= parts_.smooth[static_cast<std::size_t>(k)];
  }
  if (parts_.rank > 0) add_branch(begin, count, rows);
}

void SvdquantDecoder::add_branch(std::int64_t begin, std::int64_t count, float* rows) const {
  std::vector<float> down(static_cast<std::size_t>(parts_.in));
  for (std::int64_t k = 0; k < parts_.rank; ++k) {
    for (std::int64_t i = 0; i < parts_.in; ++i) {
      down[static_cast<std::size_t>(i)] =
          element(*parts_.down, svdquant::factor_of(svdquant::Factor::down, i, k, parts_.rank));
    }
    for (std::int64_t r = 0; r < count; ++r) {
      const float up =
          element(*parts_.up, svdquant::factor_of(svdquant::Factor::up, begin + r, k, parts_.rank));
      float* row = rows + r * parts_.in;
      for (std::int64_t i = 0; i < parts_.in; ++i)
        row[i] += up * down[static_cast<std::size_t>(i)];
    }
  }
}

std::optional<ScaleRange> SvdquantDecoder::scales(const StoredTensor&) const {
  const std::int64_t groups = parts_.in / group_size(parts_.codes);
  if (parts_.out == 0 || groups == 0) return std::nullopt;
  ScaleRange range{scale(0, 0), scale(0, 0), parts_.out * groups};
  for (std::int64_t row = 0; row < parts_.out; ++row) {
    for (std::int64_t group = 0; group < groups; ++group) {
      range.least = std::min(range.least, scale(row, group));
      range.most = std::max(range.most, scale(row, group));
    }
  }
  return range;
}

}  // namespace flux2
