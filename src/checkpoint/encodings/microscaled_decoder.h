#pragma once

#include <memory>
#include <vector>

#include "tensor/weight.h"

namespace flux2 {

/// NVFP4: four-bit floats E2M1, two a byte, the even column in the high nibble; an E4M3 scale for
/// 16 columns, in cuBLAS' blocked layout; one F32 scale for all.
///   W[i, k] = e2m1[i, k] * (scale_2 * scale[i, k / 16]) * smoothing[k]
class Nvfp4Decoder final : public RowDecoder {
 public:
  /// @param block_scales  bytes in BlockedLayout of [out, in / 16], padded; kept
  /// @param smoothing     [in] or empty: what the activations would be multiplied by
  Nvfp4Decoder(StoredTensor block_scales, float scale, std::vector<float> smoothing)
      : block_scales_(std::move(block_scales)), scale_(scale), smoothing_(std::move(smoothing)) {}

  std::string_view name() const override { return "NVFP4"; }
  void decode(const StoredTensor& stored, std::int64_t begin, std::int64_t count,
              float* rows) const override;
  std::optional<ScaleRange> scales(const StoredTensor& stored) const override;

 private:
  StoredTensor block_scales_;
  float scale_;
  std::vector<float> smoothing_;
};

/// MXFP8: E4M3, an E8M0 scale (a power of two) for 32 columns, in cuBLAS' blocked layout.
///   W[i, k] = e4m3[i, k] * 2^(scale[i, k / 32] - 127),   scale byte 0: zero
class Mxfp8Decoder final : public RowDecoder {
 public:
  /// @param block_scales  bytes in BlockedLayout of [out, in / 32], padded; kept
  explicit Mxfp8Decoder(StoredTensor block_scales) : block_scales_(std::move(block_scales)) {}

  std::string_view name() const override { return "MXFP8"; }
  void decode(const StoredTensor& stored, std::int64_t begin, std::int64_t count,
              float* rows) const override;
  std::optional<ScaleRange> scales(const StoredTensor& stored) const override;

 private:
  StoredTensor block_scales_;
};

/// The numbers of the sixteen codes of E2M1; the fourth bit is the sign.
inline constexpr float kE2m1[16] = {0.0f,  0.5f,  1.0f,  1.5f,  2.0f,  3.0f,  4.0f,  6.0f,
                                    -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};

}  // namespace flux2
