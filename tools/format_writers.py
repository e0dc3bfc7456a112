"""Every way in which FLUX.2's matrices are stored: by the formats' own programs where there are any,
else by the formulas of their sources (docs/formats.md), without a look at src/checkpoint.

A writer takes a layer's name and its float32 matrix and gives the tensors that stand for it and the
matrix that they mean.

Needs torch, gguf, bitsandbytes and comfy-kitchen.
"""

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

import bitsandbytes.functional as bnb
import gguf
import numpy as np
import torch
from comfy_kitchen.backends.eager import quantization as kitchen

from gguf_blocks import QUANTISERS

sys.path.insert(0, str(Path(__file__).parent.parent / "tests/unit/checkpoint/data"))
import make_companions as packing  # noqa: E402  (nunchaku's order of bytes)

E4M3, E5M2 = torch.float8_e4m3fn, torch.float8_e5m2
MOST = {E4M3: 448.0, E5M2: 57344.0}


@dataclass
class Format:
    """A row of docs/formats.md."""
    name: str
    write: Callable  # (layer, weight) -> (tensors, meaning)
    multiples: tuple = (1, 1)  # what rows and columns have to be multiples of
    metadata: Callable = lambda layers: None  # of the file, from the names of its layers
    extra: dict = field(default_factory=dict)  # tensors of the file


def plain(dtype):
    return lambda x, w: ({x + ".weight": w.to(dtype)}, w.to(dtype).float())


def mark(config):
    return torch.tensor(list(json.dumps(config).encode()), dtype=torch.uint8)


def fp8(dtype, scale_of, scale_name=".weight_scale", **more):
    """scale_of(w): the scales, and the same ones spread over w."""
    def write(x, w):
        scale, spread = scale_of(w, MOST[dtype])
        codes = (w / spread).to(dtype)
        tensors = {x + ".weight": codes, x + scale_name: scale}
        tensors |= {f"{x}.{key}": value.clone() for key, value in more.items()}
        return tensors, codes.float() * spread
    return write


def one_scale(w, most):
    scale = w.abs().max() / most
    return scale, scale


def row_scales(w, most):
    scale = w.abs().amax(1) / most
    return scale, scale[:, None]


def block_scales(w, most):
    out, width = w.shape
    tiles = torch.nn.functional.pad(w, (0, -width % 128, 0, -out % 128))
    tiles = tiles.reshape(tiles.shape[0] // 128, 128, tiles.shape[1] // 128, 128)
    scale = tiles.abs().amax((1, 3)) / most
    return scale, scale.repeat_interleave(128, 0).repeat_interleave(128, 1)[:out, :width]


def int8(scale_of, **more):
    def write(x, w):
        scale, spread = scale_of(w, 127)
        codes = torch.round(w / spread).to(torch.int8)
        tensors = {x + ".weight": codes, x + ".weight_scale": scale}
        tensors |= {f"{x}.{key}": value.clone() for key, value in more.items()}
        return tensors, codes.float() * spread
    return write


def nvfp4(marked, smoothing=None):
    def write(x, w):
        factor = torch.ones(w.shape[1])
        if smoothing:
            factor = torch.linspace(*smoothing, w.shape[1])
        target = w / factor
        scale = target.abs().amax() / (448 * 6)
        codes, blocks = kitchen.quantize_nvfp4(target, scale)
        meant = kitchen.dequantize_nvfp4(codes, scale, blocks, torch.float32) * factor
        tensors = {x + ".weight": codes, x + ".weight_scale": blocks, x + ".weight_scale_2": scale,
                   x + ".input_scale": torch.tensor(0.01)}
        if marked:
            tensors[x + ".comfy_quant"] = mark({"format": "nvfp4"})
        if smoothing:
            tensors[x + ".pre_quant_scale"] = factor
        return tensors, meant
    return write


def mxfp8(x, w):
    codes, blocks = kitchen.quantize_mxfp8(w)
    return ({x + ".weight": codes, x + ".weight_scale": blocks.view(torch.uint8),
             x + ".comfy_quant": mark({"format": "mxfp8"})},
            kitchen.dequantize_mxfp8(codes, blocks, torch.float32))


def bitsandbytes(kind, nested):
    def write(x, w):
        codes, state = bnb.quantize_4bit(w, blocksize=64, quant_type=kind, compress_statistics=nested)
        tensors = {x + ".weight": codes}
        tensors |= {f"{x}.weight.{k}": v for k, v in state.as_dict(packed=True).items()}
        return tensors, bnb.dequantize_4bit(codes, state).reshape(w.shape).float()
    return write


def svdquant(x, w):
    """int4 in groups of 64 beside the 16 largest directions, as nunchaku keeps them."""
    rank, group = 16, 64
    u, s, v = torch.linalg.svd(w.double(), full_matrices=False)
    up = (u[:, :rank] * s[:rank]).bfloat16()
    down = v[:rank].bfloat16()
    rest = w.double() - up.double() @ down.double()
    smooth = torch.linspace(0.5, 2, w.shape[1]).reshape(-1, 1).bfloat16()
    groups = (rest * smooth.double().reshape(1, -1)).reshape(w.shape[0], -1, group)
    scales = (groups.abs().amax(-1) / 7).bfloat16()
    codes = torch.round(groups / scales.double()[..., None]).clamp(-8, 7)
    meant = (codes * scales.double()[..., None]).reshape(w.shape) / smooth.double().reshape(1, -1)
    nibbles = (codes.reshape(w.shape).long() & 15).numpy()
    return ({x + ".qweight": packing.pack_codes(nibbles), x + ".wscales": packing.pack_scales(scales),
             x + ".smooth_factor": packing.pack_scales(smooth).reshape(-1),
             x + ".proj_down": packing.pack_factor(down, True),
             x + ".proj_up": packing.pack_factor(up, False)},
            (meant + up.double() @ down.double()).float())


def gguf_block(values, kind):
    """The bytes of a matrix as GGUF's type `kind`, and what they mean by the gguf package."""
    name = kind.name
    data = QUANTISERS[name](values) if name in QUANTISERS else gguf.quants.quantize(values, kind)
    return data, gguf.quants.dequantize(data, kind).astype(np.float32)


ONE = torch.tensor(1.0)


def listed(format_name):
    """ComfyUI's newer way: the layers' formats in the metadata of the file."""
    def metadata(layers):
        table = {layer: {"format": format_name} for layer in layers}
        return {"_quantization_metadata": json.dumps({"format_version": "1.0", "layers": table})}
    return metadata


SAFETENSORS = [
    Format("F32", plain(torch.float32)),
    Format("F16", plain(torch.float16)),
    Format("BF16", plain(torch.bfloat16)),
    Format("FP8 E4M3, a plain cast", plain(E4M3)),
    Format("FP8 E5M2, a plain cast", plain(E5M2)),
    Format("FP8 E4M3, one scale, input scales (BFL)", fp8(E4M3, one_scale, input_scale=0.02 * ONE)),
    Format("FP8 E5M2, one scale", fp8(E5M2, one_scale)),
    Format("FP8 E4M3, a scale a row", fp8(E4M3, row_scales)),
    Format("FP8 E4M3, blocks of 128 x 128", fp8(E4M3, block_scales, ".weight_scale_inv")),
    Format("FP8 E4M3, ComfyUI's older marks", fp8(E4M3, one_scale, ".scale_weight", scale_input=ONE),
           extra={"scaled_fp8": torch.zeros(2, dtype=E4M3)}),
    Format("FP8 E4M3, ComfyUI's marks by layer",
           fp8(E4M3, one_scale, comfy_quant=mark({"format": "float8_e4m3fn"}))),
    Format("FP8 E4M3, ComfyUI's marks in the header", fp8(E4M3, one_scale),
           metadata=listed("float8_e4m3fn")),
    Format("int8, one scale (ComfyUI)",
           int8(one_scale, comfy_quant=mark({"format": "int8_tensorwise"}))),
    Format("int8, a scale a row, input scales (ModelOpt W8A8)",
           int8(row_scales, input_scale=0.02 * ONE)),
    Format("NVFP4, marked (ComfyUI)", nvfp4(True), (1, 16)),
    Format("NVFP4, unmarked (BFL)", nvfp4(False), (1, 16)),
    Format("NVFP4 with pre_quant_scale", nvfp4(True, (0.5, 2)), (1, 16)),
    Format("MXFP8", mxfp8, (1, 32)),
    Format("bitsandbytes NF4", bitsandbytes("nf4", False)),
    Format("bitsandbytes NF4, nested", bitsandbytes("nf4", True)),
    Format("bitsandbytes FP4, nested", bitsandbytes("fp4", True)),
    Format("SVDQuant int4 with its branch", svdquant, (128, 64)),
]

GGUF = ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K",
        "Q6_K", "IQ4_NL", "IQ4_XS"]
