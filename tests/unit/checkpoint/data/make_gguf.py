"""Writes blocks.gguf and blocks.safetensors: every GGUF type that is read, and its numbers.

The file is written and the numbers are computed by the gguf package (0.17 and later, PyPI), so
that the reader is held against the format's own implementation. Blocks are random bytes with
finite scales: every bit of a block is used, also those a quantiser would never set.

    pip install gguf numpy safetensors && python make_gguf.py
"""

import pathlib

import gguf
import numpy as np
from safetensors.numpy import save_file

FOLDER = pathlib.Path(__file__).parent
ROWS, WIDTH = 3, 256

# Where a block has halves: they must be finite.
HALVES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
    "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
    "IQ4_NL": [0], "IQ4_XS": [0],
}


def random_blocks(name, rows, width, rng):
    size, length = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]]
    blocks = rng.integers(0, 256, (rows * width // size, length), dtype=np.uint8)
    for at in HALVES[name]:
        scales = rng.normal(0, 0.02, len(blocks)).astype(np.float16)
        blocks[:, at:at + 2] = scales.view(np.uint8).reshape(-1, 2)
    return blocks.reshape(rows, -1)


def add_metadata(writer):
    writer.add_uint8("test.u8", 200)
    writer.add_int8("test.i8", -100)
    writer.add_uint16("test.u16", 60000)
    writer.add_int16("test.i16", -30000)
    writer.add_uint32("test.u32", 4000000000)
    writer.add_int32("test.i32", -2000000000)
    writer.add_uint64("test.u64", 2**63 - 1)
    writer.add_int64("test.i64", -(2**62))
    writer.add_float32("test.f32", 0.5)
    writer.add_float64("test.f64", 0.1)
    writer.add_bool("test.bool", True)
    writer.add_string("test.text", "größer")
    writer.add_array("test.texts", ["a", "", "Ġb"])
    writer.add_array("test.integers", [3, -1, 2])
    writer.add_array("test.numbers", [0.5, -2.0])
    writer.add_array("test.flags", [True, False])


def main():
    rng = np.random.default_rng(7)
    writer = gguf.GGUFWriter(str(FOLDER / "blocks.gguf"), "flux")
    add_metadata(writer)
    numbers = {}
    for name in HALVES:
        blocks = random_blocks(name, ROWS, WIDTH, rng)
        kind = gguf.GGMLQuantizationType[name]
        writer.add_tensor(name, blocks, raw_dtype=kind)
        numbers[name] = gguf.quants.dequantize(blocks, kind)

    floats = rng.normal(0, 1, (ROWS, 5)).astype(np.float32)
    writer.add_tensor("F32", floats)
    writer.add_tensor("F16", floats.astype(np.float16))
    writer.add_tensor("F64", floats.astype(np.float64))
    writer.add_tensor("I32", np.arange(4, dtype=np.int32))
    bf16 = gguf.quants.quantize(floats, gguf.GGMLQuantizationType.BF16)
    writer.add_tensor("BF16", bf16, raw_dtype=gguf.GGMLQuantizationType.BF16)
    numbers["F32"] = numbers["F64"] = floats
    numbers["F16"] = floats.astype(np.float16).astype(np.float32)
    numbers["BF16"] = gguf.quants.dequantize(bf16, gguf.GGMLQuantizationType.BF16)

    # As city96's converter stores what does not fit its blocks: flattened, the shape beside it.
    blocks = random_blocks("Q8_0", 1, 96, rng)
    writer.add_array("comfy.gguf.orig_shape.reshaped", [8, 4, 3])
    writer.add_tensor("reshaped", blocks, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    flat = gguf.quants.dequantize(blocks, gguf.GGMLQuantizationType.Q8_0)
    numbers["reshaped"] = flat.reshape(8, 4, 3)
    numbers = {name: np.ascontiguousarray(values) for name, values in numbers.items()}

    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    save_file(numbers, str(FOLDER / "blocks.safetensors"))


if __name__ == "__main__":
    main()
