"""Writes companions.safetensors and companions_expected.safetensors: one layer for every way in which
a weight is stored with tensors beside it, and the numbers it stands for.

Written by the formats' own programs where there are any (versions of the last run):
  comfy-kitchen 0.2.40 (NVFP4, MXFP8, its plain PyTorch functions), bitsandbytes 0.50.2, torch 2.15;
  the rest by the formulas of their sources. nunchaku's packing follows deepcompressor's
  backend/nunchaku/utils.py: the order of dimensions there, in NumPy.

    pip install torch safetensors bitsandbytes comfy-kitchen && python make_companions.py
"""

import json
import pathlib

import bitsandbytes.functional as bnb
import numpy as np
import torch
from comfy_kitchen.backends.eager import quantization as kitchen
from safetensors.torch import save_file

FOLDER = pathlib.Path(__file__).parent
stored, expected = {}, {}
# Where "NAME.rows" is there, only these rows of "NAME.weight" are expected.
layers = {}  # of "_quantization_metadata"
E4M3, E5M2 = torch.float8_e4m3fn, torch.float8_e5m2


def fp8(name, shape, dtype, scale, scale_name, **others):
    weight = torch.randn(shape) * (60 if dtype == E4M3 else 3000)
    weight = weight.to(dtype)
    stored[name + ".weight"] = weight
    stored[name + scale_name] = scale
    rows = [128, 128] if scale.ndim == 2 and scale.shape[1] > 1 else [1, shape[1]]
    if scale.numel() == 1:
        full = scale.float().reshape(1, 1)
    else:
        full = scale.float().reshape(scale.shape[0], -1)
        full = full.repeat_interleave(rows[0], 0).repeat_interleave(rows[1], 1)
        full = full[:shape[0], :shape[1]]
    numbers = weight.float() * full
    if shape[0] > 128:
        expected[name + ".rows"] = torch.tensor([0, 1, 127, 128, 129])
        numbers = numbers[expected[name + ".rows"]]
    expected[name + ".weight"] = numbers
    for suffix, value in others.items():
        stored[f"{name}.{suffix}"] = value


def mark(config):
    return torch.tensor(list(json.dumps(config).encode()), dtype=torch.uint8)


def fp8_layers():
    one = torch.tensor(1.0)
    fp8("tensor", (3, 8), E4M3, torch.tensor(0.0123), ".weight_scale")
    fp8("old", (3, 8), E4M3, torch.tensor([0.02]), ".scale_weight", scale_input=one)
    fp8("row", (5, 8), E4M3, torch.rand(5) + 0.01, ".weight_scale", input_scale=torch.tensor(0.7))
    fp8("column", (5, 8), E5M2, (torch.rand(5, 1) + 0.01).bfloat16(), ".weight_scale")
    fp8("block", (130, 150), E4M3, torch.rand(2, 2) + 0.01, ".weight_scale_inv")
    fp8("marked", (3, 8), E4M3, torch.tensor(0.5), ".weight_scale",
        comfy_quant=mark({"format": "float8_e4m3fn", "full_precision_matrix_mult": True}))
    fp8("listed", (3, 8), E5M2, torch.tensor(0.25), ".weight_scale")
    layers["listed"] = {"format": "float8_e5m2"}
    plain = (torch.randn(4, 6)).to(E4M3)
    stored["plain.weight"] = plain
    expected["plain.weight"] = plain.float()
    stored["scaled_fp8"] = torch.zeros(2, dtype=E4M3)
    every = torch.arange(256, dtype=torch.uint8).view(E4M3).clone()
    every[[0x7F, 0xFF]] = 0
    stored["every.weight"] = every.reshape(16, 16)
    stored["every.weight_scale"] = torch.tensor(1.0)
    expected["every.weight"] = every.float().reshape(16, 16)


def int8_layers():
    for name, scale in [("int8_tensor", torch.tensor([0.013])), ("int8_row", torch.rand(4) + 0.01)]:
        weight = torch.randint(-128, 128, (4, 12), dtype=torch.int8)
        stored[name + ".weight"] = weight
        stored[name + ".weight_scale"] = scale
        expected[name + ".weight"] = weight.float() * scale.reshape(-1, 1)
    stored["int8_row.input_scale"] = torch.tensor(0.02)


def nvfp4(weight):
    scale = weight.abs().amax() / (448 * 6)
    codes, blocks = kitchen.quantize_nvfp4(weight, scale)
    return codes, blocks, scale, kitchen.dequantize_nvfp4(codes, scale, blocks, torch.float32)


def comfy_layers():
    weight = torch.randn(150, 96) * torch.rand(150, 1).add(0.1)  # every part of two tiles
    codes, blocks, scale, numbers = nvfp4(weight)
    stored["nvfp4.weight"] = codes
    stored["nvfp4.weight_scale"] = blocks
    stored["nvfp4.weight_scale_2"] = scale
    stored["nvfp4.comfy_quant"] = mark({"format": "nvfp4"})
    expected["nvfp4.rows"] = torch.tensor([0, 1, 31, 32, 63, 64, 95, 96, 127, 128, 149])
    expected["nvfp4.weight"] = numbers[expected["nvfp4.rows"]]

    # Scales as bytes, nothing marked, and what ModelOpt multiplies the activations with.
    codes, blocks, scale, numbers = nvfp4(weight[:20])
    smoothing = torch.rand(96) + 0.5
    stored["smoothed.weight"] = codes
    stored["smoothed.weight_scale"] = blocks.view(torch.uint8)
    stored["smoothed.weight_scale_2"] = scale
    stored["smoothed.pre_quant_scale"] = smoothing
    expected["smoothed.weight"] = numbers * smoothing

    weight = torch.randn(7, 160) * 10.0 ** torch.linspace(-3, 3, 7).reshape(-1, 1)
    weight[3, 32:64] = 0
    codes, blocks = kitchen.quantize_mxfp8(weight)
    stored["mxfp8.weight"] = codes
    stored["mxfp8.weight_scale"] = blocks.view(torch.uint8)
    stored["mxfp8.comfy_quant"] = mark({"format": "mxfp8"})
    expected["mxfp8.weight"] = kitchen.dequantize_mxfp8(codes, blocks, torch.float32)


def bitsandbytes_layers():
    for kind, nested, shape in [("nf4", False, (6, 50)), ("nf4", True, (30, 40)),
                                ("fp4", False, (8, 64)), ("fp4", True, (5, 39))]:
        name = f"{kind}_{'nested' if nested else 'flat'}.weight"
        codes, state = bnb.quantize_4bit(torch.randn(shape), blocksize=64, quant_type=kind,
                                         compress_statistics=nested)
        stored[name] = codes
        for key, value in state.as_dict(packed=True).items():
            stored[f"{name}.{key}"] = value
        expected[name] = bnb.dequantize_4bit(codes, state).reshape(shape)


# --- nunchaku: logical arrays to packed ones, dimension by dimension as in NunchakuWeightPacker ---

def pack_codes(codes):  # [n, k] of 0..15
    n, k = codes.shape
    words = codes.astype(np.uint32).reshape(n // 128, 8, 2, 8, 1, k // 64, 1, 2, 4, 8)
    words = words.transpose(0, 5, 6, 1, 3, 8, 2, 7, 4, 9)
    words = (words << np.arange(0, 32, 4, dtype=np.uint32)).sum(-1, dtype=np.uint32)
    return torch.from_numpy(np.ascontiguousarray(words).view(np.int8).reshape(n, -1))


def pack_scales(scales):  # [n, groups]
    n, groups = scales.shape
    packed = scales.reshape(n // 128, 1, 8, 2, 4, 2, groups).permute(0, 6, 1, 2, 4, 3, 5)
    return packed.reshape(groups, n).contiguous()


def pack_micro_scales(scales):  # [n, groups]
    n, groups = scales.shape
    packed = scales.reshape(n // 128, 1, 4, 4, 8, groups // 4, 4).permute(0, 5, 1, 4, 3, 2, 6)
    return packed.reshape(groups, n).contiguous()


def pack_factor(factor, down):  # [rank, in] if down, else [out, rank]
    n, k = factor.shape
    tiles = factor.reshape(n // 16, 16, k // 16, 16)
    tiles = tiles.permute(2, 0, 1, 3) if down else tiles.permute(0, 2, 1, 3)
    tiles = tiles.reshape(*tiles.shape[:2], 2, 8, 1, 2, 4, 2).permute(0, 1, 3, 6, 2, 5, 4, 7)
    return tiles.reshape((k, n) if down else (n, k)).contiguous()


E2M1 = np.array([0, .5, 1, 1.5, 2, 3, 4, 6, -0., -.5, -1, -1.5, -2, -3, -4, -6], np.float32)
ROWS = [0, 1, 2, 8, 9, 16, 33, 48, 70, 127, 128, 200, 255]


def svdquant_layer(name, codes_are_floats):
    out, width, rank = 256, 128, 32
    group = 16 if codes_are_floats else 64
    codes = np.random.default_rng(1).integers(0, 16, (out, width))
    table = E2M1 if codes_are_floats else np.array([*range(8), *range(-8, 0)], np.float32)
    scales = torch.rand(out, width // group) + 0.1
    scales = scales.to(E4M3 if codes_are_floats else torch.bfloat16)
    channel = (torch.rand(out, 1) + 0.5).bfloat16()
    smooth = (torch.rand(width, 1) + 0.5).bfloat16()
    down = torch.randn(rank, width).bfloat16()
    up = torch.randn(out, rank).bfloat16()
    stored[name + ".qweight"] = pack_codes(codes)
    stored[name + ".wscales"] = (pack_micro_scales if codes_are_floats else pack_scales)(scales)
    stored[name + ".smooth_factor"] = pack_scales(smooth).reshape(-1)
    stored[name + ".smooth_factor_orig"] = pack_scales(smooth).reshape(-1)
    stored[name + ".proj_down"] = pack_factor(down, True)
    stored[name + ".proj_up"] = pack_factor(up, False)
    stored[name + ".bias"] = torch.zeros(out).bfloat16()
    weight = torch.from_numpy(table[codes]).double()
    weight *= scales.double().repeat_interleave(group, 1)
    if codes_are_floats:
        stored[name + ".wcscales"] = pack_scales(channel).reshape(-1)
        weight *= channel.double()
    weight = weight / smooth.double().reshape(1, -1) + up.double() @ down.double()
    expected[name + ".weight"] = weight.float()[ROWS]
    expected[name + ".rows"] = torch.tensor(ROWS)


def main():
    torch.manual_seed(11)
    fp8_layers()
    int8_layers()
    comfy_layers()
    bitsandbytes_layers()
    svdquant_layer("svdq_int4", False)
    svdquant_layer("svdq_fp4", True)
    metadata = {"_quantization_metadata": json.dumps({"format_version": "1.0", "layers": layers})}
    save_file({k: v.contiguous() for k, v in stored.items()},
              str(FOLDER / "companions.safetensors"), metadata)
    save_file({k: v.contiguous() for k, v in expected.items()},
              str(FOLDER / "companions_expected.safetensors"))


if __name__ == "__main__":
    main()
