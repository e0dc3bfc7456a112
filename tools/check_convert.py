#!/usr/bin/env python3
"""Holds what `flux2 convert` writes to other programs: the gguf package opens its GGUF files, reads
the numbers that this program reads, and quantises Q8_0 and Q4_0 to the same bytes; Diffusers and
transformers load its folders and single files.

    tools/check_convert.py build/release/bin/flux2

Needs gguf, torch, safetensors, diffusers and transformers.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np
import torch
from safetensors.torch import load_file

NANO = Path(__file__).parent.parent / "models/nano"
CHECKPOINTS = Path(__file__).parent.parent / "tests/goldens/data/checkpoints"
BLOCK_TYPES = ("q8_0", "q6_k", "q5_k", "q4_k", "q4_0")


def convert(program, source, target, *more):
    subprocess.run(
        [program, "convert", source, target, "--progress", "none", "-q", *map(str, more)], check=True
    )
    return target


def naive(numbers, kind):
    """Rounding every group to its own range, the scales left in float32."""
    group, levels, offset = {
        "Q8_0": (32, 254, False), "Q6_K": (16, 63, False), "Q5_K": (32, 31, True),
        "Q4_K": (32, 15, True), "Q4_0": (32, 15, False),
    }[kind]
    x = numbers.reshape(-1, group)
    low = np.minimum(x.min(1, keepdims=True), 0) if offset else -abs(x).max(1, keepdims=True)
    high = np.maximum(x.max(1, keepdims=True), 0) if offset else abs(x).max(1, keepdims=True)
    step = np.maximum((high - low) / levels, 1e-30)
    return (np.round((x - low) / step) * step + low).reshape(numbers.shape)


def relative(a, b):
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def check_gguf(program, folder, kind):
    path = convert(program, NANO, folder / f"{kind}.gguf", "--to", "gguf", "--type", kind)
    parent = load_file(convert(program, NANO, folder / f"{kind}-parent", "--to", "bfl", "--type", "f32"))
    ours = load_file(convert(program, path, folder / f"{kind}-ours", "--to", "bfl", "--type", "f32"))
    reader = gguf.GGUFReader(path)
    fields = {key: field.contents() for key, field in reader.fields.items()}
    assert fields["general.architecture"] == "flux", fields
    assert {tensor.name for tensor in reader.tensors} == parent.keys()
    blocks, error, rounding = 0, 0.0, 0.0
    for tensor in reader.tensors:
        numbers = gguf.dequantize(tensor.data, tensor.tensor_type).reshape(parent[tensor.name].shape)
        # Bits, so that -0 is not 0.
        same = numbers.astype(np.float32).view(np.uint32) == ours[tensor.name].numpy().view(np.uint32)
        assert same.all(), f"{kind}: {tensor.name} is read differently"
        if tensor.tensor_type.name != kind.upper():
            continue
        blocks += 1
        original = parent[tensor.name].numpy()
        error = max(error, relative(numbers, original))
        rounding = max(rounding, relative(naive(original, kind.upper()), original))
        if kind in ("q8_0", "q4_0"):
            assert (gguf.quantize(original, tensor.tensor_type) == tensor.data).all(), tensor.name
    assert blocks > 10, f"{kind}: {blocks} tensors in blocks"
    if kind.endswith("_k"):
        assert error < rounding, f"{kind}: {error} is no better than rounding, {rounding}"
    print(f"{kind}: {blocks} tensors, largest relative error {error:.4f}, plain rounding {rounding:.4f}")


def check_diffusers(program, folder):
    from diffusers import DiffusionPipeline, Flux2Transformer2DModel

    whole = convert(program, NANO, folder / "whole", "--to", "diffusers")
    pipeline = DiffusionPipeline.from_pretrained(whole, torch_dtype=torch.float32)
    assert sum(p.numel() for p in pipeline.transformer.parameters()) > 9e6
    # From single files, every config derived.
    tiny = CHECKPOINTS / "tiny-dev"
    bfl = convert(program, tiny, folder / "dev.safetensors", "--to", "bfl")
    derived = convert(program, bfl, folder / "derived", "--to", "diffusers")
    model = Flux2Transformer2DModel.from_pretrained(derived / "transformer")
    parent = Flux2Transformer2DModel.from_pretrained(tiny / "transformer")
    for (name, a), (_, b) in zip(model.named_parameters(), parent.named_parameters(), strict=True):
        assert torch.equal(a, b), name
    single = Flux2Transformer2DModel.from_single_file(
        str(bfl), config=str(tiny), subfolder="transformer", torch_dtype=torch.float32
    )
    for (name, a), (_, b) in zip(single.named_parameters(), parent.named_parameters(), strict=True):
        assert torch.equal(a, b.float()), name
    print("Diffusers loads the folder, the derived folder and the single file")


def main():
    program = sys.argv[1]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind in BLOCK_TYPES:
            check_gguf(program, folder, kind)
        check_diffusers(program, folder)


if __name__ == "__main__":
    main()
