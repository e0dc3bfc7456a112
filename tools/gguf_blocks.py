"""Plain quantisers for the GGUF blocks that the gguf package reads and does not write: scales from the
largest numbers of a group, codes rounded to nearest. llama.cpp searches for better scales; the layout
of the bytes is the same, and the package's own dequantiser says what they mean.

    codes = QUANTISERS["Q4_K"](values)          float32 [rows, columns] to bytes [rows, ...]
"""

import numpy as np

SUPER = 256  # elements of a super-block


def _half(values):
    """float32 [n] as float16, and the bytes of it [n, 2]."""
    half = values.astype(np.float16)
    return half.astype(np.float32), half.view(np.uint8).reshape(-1, 2)


def _ratio(values, scales):
    return np.divide(values, scales, out=np.zeros_like(values), where=scales != 0)


def _planes(codes, bits, group):
    """`bits` of each code, `8 / bits` groups of `group` codes on top of each other in bytes."""
    n = codes.shape[0]
    codes = codes.reshape(n, -1, 8 // bits, group).astype(np.uint8)
    shifts = np.arange(0, 8, bits, dtype=np.uint8).reshape(1, 1, -1, 1)
    return np.bitwise_or.reduce(codes << shifts, axis=2).reshape(n, -1)


def _with_minima(blocks, groups, most_code, most_scale):
    """codes, group scales, group minima, their two super-scales as bytes: x = (d s) q - (dmin m)."""
    x = blocks.reshape(len(blocks), groups, -1)
    low = np.minimum(x.min(-1), 0)
    scales = (x.max(-1) - low) / most_code
    d, d_bytes = _half(scales.max(-1) / most_scale)
    dmin, dmin_bytes = _half(-low.min(-1) / most_scale)
    s = np.clip(np.ceil(_ratio(scales, d[:, None])), 0, most_scale)
    m = np.clip(np.rint(_ratio(-low, dmin[:, None])), 0, most_scale)
    step = (d[:, None] * s)[..., None]
    q = np.clip(np.rint(_ratio(x + (dmin[:, None] * m)[..., None], step + 0 * x)), 0, most_code)
    return q.reshape(blocks.shape), s.astype(np.uint8), m.astype(np.uint8), d_bytes, dmin_bytes


def _symmetric(blocks, groups, half_range, most_scale):
    """codes around zero, signed group scales, the super-scale as bytes: x = (d s) q."""
    x = blocks.reshape(len(blocks), groups, -1)
    scales = np.abs(x).max(-1) / half_range
    d, d_bytes = _half(scales.max(-1) / most_scale)
    s = np.clip(np.ceil(_ratio(scales, d[:, None])), 0, most_scale)
    return x, s, (d[:, None] * s)[..., None], d_bytes


def _six_bit_scales(s, m):
    """Eight scales and eight minima of six bits in twelve bytes."""
    low = (s[:, :4] & 63) | ((s[:, 4:] >> 4) << 6)
    mid = (m[:, :4] & 63) | ((m[:, 4:] >> 4) << 6)
    return np.concatenate([low, mid, (s[:, 4:] & 15) | ((m[:, 4:] & 15) << 4)], axis=1)


def q2_k(blocks):
    q, s, m, d, dmin = _with_minima(blocks, 16, 3, 15)
    return np.concatenate([s | (m << 4), _planes(q, 2, 32), d, dmin], axis=1)


def q4_k(blocks):
    q, s, m, d, dmin = _with_minima(blocks, 8, 15, 63)
    return np.concatenate([d, dmin, _six_bit_scales(s, m), _planes(q, 4, 32)], axis=1)


def q5_k(blocks):
    q, s, m, d, dmin = _with_minima(blocks, 8, 31, 63)
    q = q.astype(np.uint8)
    return np.concatenate([d, dmin, _six_bit_scales(s, m), _planes(q >> 4, 1, 32),
                           _planes(q & 15, 4, 32)], axis=1)


def q3_k(blocks):
    x, s, step, d = _symmetric(blocks, 16, 4, 31)
    q = (np.clip(np.rint(_ratio(x, step + 0 * x)), -4, 3) + 4).reshape(blocks.shape).astype(np.uint8)
    s = (s + 32).astype(np.uint8)  # six bits around 32
    low = (s[:, :8] & 15) | ((s[:, 8:] & 15) << 4)
    high = np.bitwise_or.reduce((s >> 4).reshape(-1, 4, 4) <<
                                np.array([0, 2, 4, 6], np.uint8).reshape(1, 4, 1), axis=1)
    return np.concatenate([_planes(q >> 2, 1, 32), _planes(q & 3, 2, 32), low, high, d], axis=1)


def q6_k(blocks):
    x, s, step, d = _symmetric(blocks, 16, 32, 127)
    q = (np.clip(np.rint(_ratio(x, step + 0 * x)), -32, 31) + 32).reshape(blocks.shape).astype(np.uint8)
    return np.concatenate([_planes(q & 15, 4, 64), _planes(q >> 4, 2, 32),
                           s.astype(np.int8).view(np.uint8), d], axis=1)


TABLE = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.float32)


def _nearest(x):
    return np.abs(x[..., None] - TABLE).argmin(-1).astype(np.uint8)


def iq4_nl(blocks):
    scale, d = _half(np.abs(blocks).max(-1) / 113)
    codes = _nearest(_ratio(blocks, scale[:, None] + 0 * blocks))
    return np.concatenate([d, _planes(codes, 4, 16)], axis=1)


def iq4_xs(blocks):
    x, s, step, d = _symmetric(blocks, 8, 113, 31)
    codes = _nearest(_ratio(x, step + 0 * x)).reshape(blocks.shape)
    s = (s + 32).astype(np.uint16)
    shifts = np.arange(0, 16, 2, dtype=np.uint16)
    high = np.bitwise_or.reduce((s >> 4) << shifts, axis=1).astype(np.uint16)
    low = (s & 15).astype(np.uint8).reshape(-1, 4, 2)
    return np.concatenate([d, high.reshape(-1, 1).view(np.uint8), low[..., 0] | (low[..., 1] << 4),
                           _planes(codes, 4, 16)], axis=1)


def _by_rows(blocks_of, size):
    def quantise(values):
        rows = values.shape[0]
        blocks = np.ascontiguousarray(values, np.float32).reshape(-1, size)
        return np.ascontiguousarray(blocks_of(blocks)).reshape(rows, -1)
    return quantise


QUANTISERS = {name: _by_rows(function, size) for name, function, size in [
    ("Q2_K", q2_k, SUPER), ("Q3_K", q3_k, SUPER), ("Q4_K", q4_k, SUPER), ("Q5_K", q5_k, SUPER),
    ("Q6_K", q6_k, SUPER), ("IQ4_NL", iq4_nl, 32), ("IQ4_XS", iq4_xs, SUPER)]}
