#pragma once

#include <array>
#include <string>
#include <vector>

#include "tensor/weight.h"

namespace flux2 {

/// bitsandbytes' NF4 and FP4: codes of four bits, two a byte, the even element in the high nibble;
/// a table of what the codes stand for; a scale (the greatest magnitude) for every `block_size`
/// elements, counted over the whole matrix without regard to rows.
///   W[j] = table[code[j]] * absmax[j / block_size]
class BitsandbytesDecoder final : public RowDecoder {
 public:
  struct State {
    std::string kind;  ///< "NF4" or "FP4"
    std::array<float, 16> table{};
    std::vector<float> absmax;
    std::int64_t block_size = 64;  ///< even
  };

  explicit BitsandbytesDecoder(State state);

  std::string_view name() const override { return name_; }
  void decode(const StoredTensor& stored, std::int64_t begin, std::int64_t count,
              float* rows) const override;
  std::optional<ScaleRange> scales(const StoredTensor&) const override;

 private:
  State state_;
  std::string name_;
};

}  // namespace flux2
