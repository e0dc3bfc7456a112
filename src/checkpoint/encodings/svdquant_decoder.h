#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "tensor/weight.h"

namespace flux2 {

/// SVDQuant as nunchaku stores it: four-bit weights with scales of groups, of which the
/// activations' smoothing is a part, and a branch of low rank beside them.
///   W[o, k] = q[o, k] * scale[o, group of k] * channel[o] / smooth[k]  +  sum_r up[o, r] down[r,
///   k]
/// Every tensor lies in the order in which tensor cores load it (deepcompressor's
/// NunchakuWeightPacker, warps of 128 rows); the functions below say where an element is.
class SvdquantDecoder final : public RowDecoder {
 public:
  enum class Codes { int4, e2m1 };

  struct Parts {
    Codes codes = Codes::int4;
    std::int64_t out = 0;
    std::int64_t in = 0;
    std::int64_t rank = 0;                 ///< 0 without the branch
    StoredTensor scales;                   ///< int4: F16 or BF16 a group of 64; e2m1: E4M3 of 16
    std::vector<float> channel;            ///< [out], in order
    std::vector<float> smooth;             ///< [in], in order
    std::optional<StoredTensor> down, up;  ///< [in, rank] and [out, rank] as stored
  };

  explicit SvdquantDecoder(Parts parts) : parts_(std::move(parts)) {}

  std::string_view name() const override;
  void decode(const StoredTensor& stored, std::int64_t begin, std::int64_t count,
              float* rows) const override;
  std::optional<ScaleRange> scales(const StoredTensor&) const override;

 private:
  float scale(std::int64_t row, std::int64_t group) const;
  void add_branch(std::int64_t begin, std::int64_t count, float* rows) const;

  Parts parts_;
};

namespace svdquant {

inline constexpr std::int64_t kTile = 128;  // rows of a warp; sizes are multiples of it

/// The nibble of the packed codes (low nibble of a byte first) that holds q[row, column].
std::int64_t nibble_of(std::int64_t row, std::int64_t column, std::int64_t in);
/// Where scale [row, group] of 16 bits lies, of `groups` in a row. A vector has one group.
std::int64_t scale_of(std::int64_t row, std::int64_t group, std::int64_t groups);
/// Where scale [row, group] of one byte lies.
std::int64_t micro_scale_of(std::int64_t row, std::int64_t group, std::int64_t groups);
/// Where element [line, rank] of a factor lies; `line` is an input of down, an output of up.
enum class Factor { down, up };
std::int64_t factor_of(Factor factor, std::int64_t line, std::int64_t rank_index,
                       std::int64_t rank);

}  // namespace svdquant

}  // namespace flux2
