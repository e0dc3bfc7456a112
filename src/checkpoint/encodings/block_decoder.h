#pragma once

#include "checkpoint/encodings/gguf_blocks.h"
#include "tensor/weight.h"

namespace flux2 {

/// A tensor of GGUF blocks, which follow each other without regard to rows.
class BlockDecoder final : public RowDecoder {
 public:
  /// @param type  with a decode function
  explicit BlockDecoder(const GgufType& type) : type_(type) {}

  std::string_view name() const override { return type_.name; }
  void decode(const StoredTensor& stored, std::int64_t begin, std::int64_t count,
              float* rows) const override;
  /// Of the blocks as a whole; some types have negative ones.
  std::optional<ScaleRange> scales(const StoredTensor& stored) const override;

 private:
  const GgufType& type_;
};

}  // namespace flux2
