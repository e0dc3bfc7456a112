#pragma once

namespace flux2 {

/// Normal numbers come in blocks of this many: 8 pairs (u1, u2), u1 in the first half and u2 in
/// the second, become 8 pairs (r cos t, r sin t) with r = sqrt(-2 ln(1 - u1)), t = 2 pi u2.
inline constexpr int kNormalBlock = 16;

/// Transforms a block in place with the polynomials of torch's AVX2 path, bit for bit.
void box_muller(float* block);
/// The same in double, through the C library, as torch has it.
void box_muller(double* block);

}  // namespace flux2
