"""Writes the seeds of corpus/gguf, corpus/companions and corpus/adapter: small sound files, and damaged ones.

    python make_weights_corpus.py
"""

import json
import pathlib
import struct

FOLDER = pathlib.Path(__file__).parent / "corpus"


def text(value):
    return struct.pack("<Q", len(value)) + value.encode()


def gguf(pairs=(), tensors=(), data=b"", version=3, counts=None):
    counts = counts or (len(tensors), len(pairs))
    head = b"GGUF" + struct.pack("<IQQ", version, *counts)
    for key, kind, value in pairs:
        head += text(key) + struct.pack("<I", kind) + value
    for name, dims, kind, offset in tensors:
        head += text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset)
    return head + b"\0" * (-len(head) % 32) + data


def write_gguf():
    sizes = {0: 4, 1: 2, 2: 18, 3: 20, 6: 22, 7: 24, 8: 34, 10: 84, 11: 110, 12: 144, 13: 176,
             14: 210, 20: 18, 23: 136, 28: 8, 30: 2}
    tensors, data = [], b""
    for kind, size in sizes.items():
        width = 1 if size <= 8 else 256 if size > 34 else 32
        data += b"\0" * (-len(data) % 32)
        tensors.append((f"t{kind}", (width, 1), kind, len(data)))
        data += bytes((7 * i + kind) % 60 for i in range(size))
    array = struct.pack("<IQ", 5, 2) + struct.pack("<ii", 1, 32)
    nested = struct.pack("<IQIQ", 9, 1, 8, 1) + text("deep")
    pairs = [("general.architecture", 8, text("flux")), ("comfy.gguf.orig_shape.t8", 9, array),
             ("nested", 9, nested), ("general.alignment", 4, struct.pack("<I", 32))]
    one = [("w", (8,), 0, 0)]
    files = {
        "every_type": gguf(pairs, tensors, data),
        "version_2": gguf((), one, b"\0" * 32, 2),
        "truncated": gguf(pairs, tensors, data)[:300],
        "counts": gguf((), (), b"", 3, (2**62, 2**63)),
        "huge_text": gguf([("k", 8, struct.pack("<Q", 2**64 - 1))]),
        "huge_list": gguf([("k", 9, struct.pack("<IQ", 0, 2**63))]),
        "deep_lists": gguf([("k", 9, struct.pack("<IQ", 9, 1) * 40)]),
        "alignment": gguf([("general.alignment", 4, struct.pack("<I", 0))], one),
        "overflow": gguf((), [("w", (2**40, 2**40), 0, 0)]),
        "offset": gguf((), [("w", (8,), 0, 2**64 - 32)], b"\0" * 32),
        "overlap": gguf((), [("a", (16,), 0, 0), ("b", (8,), 0, 32)], b"\0" * 64),
        "empty_overflow": gguf((), [("w", (0, 2**62, 2**62), 0, 0)]),
        "empty_rows": gguf((), [("w", (0, 2**62), 8, 0)]),
    }
    for name, content in files.items():
        (FOLDER / "gguf" / f"{name}.gguf").write_bytes(content)


def safetensors(tensors, metadata=None):
    header, data = {}, b""
    if metadata:
        header["__metadata__"] = metadata
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape,
                        "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    head = json.dumps(header).encode()
    return struct.pack("<Q", len(head)) + head + data


def mark(value):
    content = json.dumps(value).encode()
    return ("U8", [len(content)], content)


def floats(*values):
    return ("F32", [len(values)], struct.pack(f"<{len(values)}f", *values))


def write_companions():
    fp8 = ("F8_E4M3", [2, 4], b"\x38" * 8)
    state = {"blocksize": 64, "shape": [4, 32], "nested_blocksize": 256, "nested_offset": 0.5}
    nested = {"x.weight": ("U8", [64, 1], bytes(range(64))), "x.weight.absmax": ("U8", [2], b"\1\2"),
              "x.weight.quant_map": floats(*range(16)), "x.weight.nested_absmax": floats(2),
              "x.weight.nested_quant_map": floats(*range(256)),
              "x.weight.quant_state.bitsandbytes__nf4": mark(state)}
    nvfp4 = {"x.weight": ("U8", [2, 16], bytes(range(32))),
             "x.weight_scale": ("F8_E4M3", [128, 4], b"\x38" * 512),
             "x.weight_scale_2": floats(0.5)}
    mxfp8 = {"x.weight": ("F8_E4M3", [2, 32], b"\x38" * 64),
             "x.weight_scale": ("F8_E8M0", [128, 4], b"\x7F" * 512)}
    half = b"\x80\x3F"
    svdquant = {"x.qweight": ("I8", [128, 64], b"\x21" * 8192),
                "x.wscales": ("BF16", [2, 128], half * 256),
                "x.smooth_factor": ("BF16", [128], half * 128),
                "x.proj_down": ("BF16", [128, 16], half * 2048),
                "x.proj_up": ("BF16", [128, 16], half * 2048),
                "x.bias": ("BF16", [128], b"\0" * 256)}
    listed = {"_quantization_metadata": json.dumps({"layers": {"x": {"format": "float8_e4m3fn"}}})}
    files = {
        "fp8": safetensors({"x.weight": fp8, "x.weight_scale": floats(1.5),
                            "x.input_scale": floats(2), "x.comfy_quant": mark(
                                {"format": "float8_e4m3fn", "params": {"convrot": False}})}),
        "fp8_old": safetensors({"x.weight": fp8, "x.scale_weight": floats(1.5, 2.5),
                                "scaled_fp8": ("F8_E4M3", [0], b"")}),
        "fp8_listed": safetensors({"x.weight": fp8, "x.weight_scale": floats(1)}, listed),
        "fp8_block": safetensors({"x.weight": fp8,
                                  "x.weight_scale_inv": ("F32", [1, 1], b"\0\0\x80\x3F")}),
        "int8": safetensors({"x.weight": ("I8", [2, 4], bytes(range(8))),
                             "x.weight_scale": floats(1.5, 2.5)}),
        "nvfp4": safetensors(nvfp4),
        "mxfp8": safetensors(mxfp8),
        "nf4_nested": safetensors(nested),
        "svdquant": safetensors(svdquant),
        "empty_rows": safetensors({"x.weight": ("I8", [2**40, 0], b""),
                                   "x.weight_scale": floats(1)}),
        "empty_codes": safetensors({"x.qweight": ("I8", [2**40, 0], b""),
                                    "x.wscales": ("BF16", [0], b"")}),
        "orphan": safetensors({"x.weight_scale": floats(1)}),
        "deep_mark": safetensors({"x.weight": fp8, "x.comfy_quant": ("U8", [900], b"[" * 900)}),
    }
    for name, content in files.items():
        (FOLDER / "companions" / f"{name}.safetensors").write_bytes(content)


def ones(*shape):
    count = 1
    for size in shape:
        count *= size
    return ("F32", list(shape), struct.pack("<f", 1) * count)


def write_adapters():
    lora = {"transformer.x_embedder.lora_A.weight": ones(2, 4),
            "transformer.x_embedder.lora_B.weight": ones(4, 2)}
    fused = {"lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight": ones(2, 4),
             "lora_unet_double_blocks_0_img_attn_qkv.lora_up.weight": ones(12, 2),
             "lora_unet_double_blocks_0_img_attn_qkv.alpha": ("I64", [], struct.pack("<q", 1)),
             "lora_unet_double_blocks_0_img_attn_qkv.dora_scale": ones(1, 4)}
    config = {"transformer.lora_alpha": 4, "transformer.alpha_pattern": {"x_embedder": 8}}
    tucker = {"x_embedder.hada_w1_a": ones(2, 4), "x_embedder.hada_t1": ones(2, 2, 1, 1),
              "x_embedder.hada_w1_b": ones(2, 4), "x_embedder.hada_w2_a": ones(4, 1),
              "x_embedder.hada_w2_b": ones(1, 4)}
    lokr = {"x_embedder.lokr_w1": ones(2, 2), "x_embedder.lokr_w2_a": ones(2, 2),
            "x_embedder.lokr_w2_b": ones(2, 2), "x_embedder.lokr_t2": ones(2, 2)}
    files = {
        "lora": safetensors(lora, {"lora_adapter_metadata": json.dumps(config)}),
        "bad_config": safetensors(lora, {"lora_adapter_metadata": '{"lora_alpha": "x"}'}),
        "fused_dora": safetensors(fused),
        "adaln": safetensors({"diffusion_model.final_layer.adaLN_modulation.1.diff": ones(4, 4)}),
        "loha_tucker": safetensors(tucker),
        "lokr": safetensors(lokr),
        "lokr_huge": safetensors({"x.lokr_w1": ones(0, 2**40), "x.lokr_w2": ones(0, 2**40)}),
        "rank_0": safetensors({"x_embedder.lora_A.weight": ones(0, 4),
                               "x_embedder.lora_B.weight": ones(4, 0)}),
        "alone": safetensors({"x_embedder.lora_A.weight": ones(2, 4)}),
        "alpha_alone": safetensors({"x_embedder.alpha": ones()}),
        "alpha_list": safetensors({**lora, "transformer.x_embedder.alpha": ones(2)}),
        "magnitude": safetensors({**lora, "transformer.x_embedder.dora_scale": ones(3)}),
        "twice": safetensors({**lora, "transformer.x_embedder.lora_up.weight": ones(4, 2)}),
        "flux1": safetensors({"lora_unet_double_blocks_18_img_mod_lin.lora_up.weight": ones(2, 2)}),
    }
    for name, content in files.items():
        (FOLDER / "adapter" / f"{name}.safetensors").write_bytes(content)


if __name__ == "__main__":
    for name in ("gguf", "companions", "adapter"):
        (FOLDER / name).mkdir(exist_ok=True)
    write_gguf()
    write_companions()
    write_adapters()
