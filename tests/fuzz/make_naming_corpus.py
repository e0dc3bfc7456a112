#!/usr/bin/env python3
"""Writes tests/fuzz/corpus/naming: the smallest files of each family of names, whole and odd."""

import json
import struct
from pathlib import Path

FOLDER = Path(__file__).parent / "corpus/naming"

FILES = {
    "bfl": {"double_stream_modulation_img.lin.weight": [6, 1], "double_blocks.0.img_attn.qkv.weight": [3, 1],
            "final_layer.adaLN_modulation.1.weight": [2, 1],
            "single_blocks.0.norm.query_norm.scale": [2]},
    "bfl_odd_rows": {"double_stream_modulation_img.lin.weight": [6, 1],
                     "double_blocks.0.img_attn.qkv.weight": [4, 1]},
    "bfl_odd_halves": {"single_stream_modulation.lin.weight": [3, 1],
                       "final_layer.adaLN_modulation.1.weight": [3, 1]},
    "bfl_scalar": {"single_stream_modulation.lin.weight": [3, 1], "double_blocks.0.img_attn.qkv.weight": []},
    "bfl_twice": {"single_stream_modulation.lin.weight": [3, 1], "single_blocks.0.norm.query_norm.scale": [2],
                  "single_blocks.0.norm.query_norm.weight": [2]},
    "vae": {"decoder.mid.block_1.conv1.weight": [1, 1, 1, 1], "decoder.mid.attn_1.q.weight": [2, 2, 1, 1],
            "decoder.up.3.block.0.conv1.weight": [1, 1, 1, 1], "decoder.up.9.block.0.conv1.weight": [1]},
    "mistral": {"layers.0.attention.wq.weight": [8, 1], "layers.0.attention.wk.weight": [4, 1],
                "vision_encoder.transformer.layers.0.attention.wq.weight": [4, 1]},
    "mistral_odd_heads": {"blk.0.attn_q.weight": [6, 1]},
    "whole": {"model.diffusion_model.single_stream_modulation.lin.weight": [3, 1],
              "vae.decoder.mid.block_1.conv1.weight": [1, 1, 1, 1],
              "text_encoders.qwen3_4b.transformer.model.layers.0.self_attn.q_norm.weight": [2],
              "text_encoders.qwen3_4b.logit_scale": [], "stray": [1]},
    "lora": {"diffusion_model.double_blocks.0.img_attn.qkv.lora_A.weight": [1, 1]},
    "empty_rows": {"single_stream_modulation.lin.weight": [0, 1], "double_blocks.0.img_attn.qkv.weight": [0, 1],
                   "final_layer.adaLN_modulation.1.weight": [0, 1]},
}


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, tensors in FILES.items():
        header, offset = {}, 0
        for key, shape in tensors.items():
            size = 4
            for dim in shape:
                size *= dim
            header[key] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + size]}
            offset += size
        text = json.dumps(header).encode()
        data = struct.pack(f"<{offset // 4}f", *range(offset // 4))
        (FOLDER / f"{name}.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)


if __name__ == "__main__":
    main()
