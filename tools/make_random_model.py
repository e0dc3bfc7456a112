#!/usr/bin/env python3
"""Writes a full-size FLUX.2 checkpoint with random weights, in Diffusers layout: for measuring
speed and memory where the published weights are not at hand. The pictures are noise.

    tools/make_random_model.py /tmp/klein-4b                     # 16 GB
    tools/make_random_model.py /tmp/dev --config dev --double 2 --single 4 --text-layers 31

Needs numpy and 0.5 GB of memory. The same arguments write the same bytes.

Names, shapes, dtypes, shards and configs are those of the published repositories. A weight is
N(0, gain^2 / fan_in) and a norm's N(1, 0.05^2), so that activations stay of order one through all
layers. Values repeat: every matrix is cut from one block of 16 M numbers, which no kernel's speed
depends on.
"""
import argparse
import gzip
import json
import math
import shutil
import struct
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
TOKENIZERS = ROOT / "tests/data/tokenizers"
CONFIGS = ROOT / "tests/goldens/data/checkpoints"  # everything in them that does not depend on size

BLOCK = (1 << 24) - 3  # coprime to every row length: repeated rows are never the same ones
COPY = 1 << 22  # elements written at once
RESIDUAL_GAIN = 0.2  # of what is added to a residual stream


@dataclass(frozen=True)
class Model:
    pipeline: str  # a folder of CONFIGS whose size-independent settings are taken
    heads: int
    double: int
    single: int
    text_layers: int
    text: dict  # the sizes in the text encoder's config.json
    distilled: bool = True

    @property
    def width(self):
        return self.heads * 128


QWEN3 = dict(head_dim=128, num_attention_heads=32, num_key_value_heads=8, vocab_size=151936,
             bos_token_id=151643, eos_token_id=151645, max_window_layers=36)
QWEN3_4B = QWEN3 | dict(hidden_size=2560, intermediate_size=9728, tie_word_embeddings=True)
QWEN3_8B = QWEN3 | dict(hidden_size=4096, intermediate_size=12288, tie_word_embeddings=False)
MISTRAL3 = dict(head_dim=128, num_attention_heads=32, num_key_value_heads=8, vocab_size=131072,
                hidden_size=5120, intermediate_size=32768, tie_word_embeddings=False)
PIXTRAL = dict(head_dim=64, num_attention_heads=16, hidden_size=1024, intermediate_size=4096,
               num_hidden_layers=24)

MODELS = {
    "klein-4b": Model("tiny-klein", 24, 5, 20, 36, QWEN3_4B),
    "klein-base-4b": Model("tiny-klein", 24, 5, 20, 36, QWEN3_4B, distilled=False),
    "klein-9b": Model("tiny-klein", 32, 8, 24, 36, QWEN3_8B),
    "klein-9b-kv": Model("tiny-klein-kv", 32, 8, 24, 36, QWEN3_8B),
    "dev": Model("tiny-dev", 48, 8, 48, 40, MISTRAL3),
}

# --- Tensors: what each part consists of --------------------------------------------------------


@dataclass(frozen=True)
class Spec:
    """A tensor: N(mean, std^2)."""
    name: str
    shape: tuple
    mean: float
    std: float
    dtype: str

    @property
    def elements(self):
        return math.prod(self.shape)

    @property
    def bytes(self):
        return self.elements * {"BF16": 2, "F32": 4, "I64": 8}[self.dtype]


def matrix(name, rows, columns, gain=1.0):
    return Spec(f"{name}.weight", (rows, columns), 0.0, gain / math.sqrt(columns), "BF16")


def norm(name, width):
    return Spec(f"{name}.weight", (width,), 1.0, 0.05, "BF16")


def transformer(model):
    d, joint = model.width, 3 * model.text["hidden_size"]
    mlp = 3 * d
    yield matrix("x_embedder", d, 128)
    yield matrix("context_embedder", d, joint)
    embedders = ["timestep"] + (["guidance"] if model.pipeline == "tiny-dev" else [])
    for embedder in embedders:
        yield matrix(f"time_guidance_embed.{embedder}_embedder.linear_1", d, 256)
        yield matrix(f"time_guidance_embed.{embedder}_embedder.linear_2", d, d)
    yield matrix("double_stream_modulation_img.linear", 6 * d, d)
    yield matrix("double_stream_modulation_txt.linear", 6 * d, d)
    yield matrix("single_stream_modulation.linear", 3 * d, d)
    for i in range(model.double):
        block = f"transformer_blocks.{i}"
        for name in ("to_q", "to_k", "to_v", "add_q_proj", "add_k_proj", "add_v_proj"):
            yield matrix(f"{block}.attn.{name}", d, d)
        for name in ("to_out.0", "to_add_out"):
            yield matrix(f"{block}.attn.{name}", d, d, RESIDUAL_GAIN)
        for name in ("norm_q", "norm_k", "norm_added_q", "norm_added_k"):
            yield norm(f"{block}.attn.{name}", 128)
        for name in ("ff", "ff_context"):
            yield matrix(f"{block}.{name}.linear_in", 2 * mlp, d)
            yield matrix(f"{block}.{name}.linear_out", d, mlp, RESIDUAL_GAIN)
    for i in range(model.single):
        block = f"single_transformer_blocks.{i}.attn"
        yield matrix(f"{block}.to_qkv_mlp_proj", 3 * d + 2 * mlp, d)
        yield matrix(f"{block}.to_out", d, d + mlp, RESIDUAL_GAIN)
        yield norm(f"{block}.norm_q", 128)
        yield norm(f"{block}.norm_k", 128)
    yield matrix("norm_out.linear", 2 * d, d)
    yield matrix("proj_out", 128, d)


def language_layers(prefix, text, layers, with_qk_norm):
    d, head = text["hidden_size"], text["head_dim"]
    queries, keys = text["num_attention_heads"] * head, text["num_key_value_heads"] * head
    mlp = text["intermediate_size"]
    yield Spec(f"{prefix}embed_tokens.weight", (text["vocab_size"], d), 0.0, 1.0, "BF16")
    for i in range(layers):
        layer = f"{prefix}layers.{i}"
        yield norm(f"{layer}.input_layernorm", d)
        yield matrix(f"{layer}.self_attn.q_proj", queries, d)
        yield matrix(f"{layer}.self_attn.k_proj", keys, d)
        yield matrix(f"{layer}.self_attn.v_proj", keys, d)
        yield matrix(f"{layer}.self_attn.o_proj", d, queries, RESIDUAL_GAIN)
        if with_qk_norm:
            yield norm(f"{layer}.self_attn.q_norm", head)
            yield norm(f"{layer}.self_attn.k_norm", head)
        yield norm(f"{layer}.post_attention_layernorm", d)
        yield matrix(f"{layer}.mlp.gate_proj", mlp, d)
        yield matrix(f"{layer}.mlp.up_proj", mlp, d)
        yield matrix(f"{layer}.mlp.down_proj", d, mlp, RESIDUAL_GAIN)
    yield norm(f"{prefix}norm", d)


def pixtral(text):
    d, mlp, width = PIXTRAL["hidden_size"], PIXTRAL["intermediate_size"], text["hidden_size"]
    yield Spec("vision_tower.patch_conv.weight", (d, 3, 14, 14), 0.0, 1 / math.sqrt(588), "BF16")
    yield norm("vision_tower.ln_pre", d)
    for i in range(PIXTRAL["num_hidden_layers"]):
        layer = f"vision_tower.transformer.layers.{i}"
        yield norm(f"{layer}.attention_norm", d)
        yield norm(f"{layer}.ffn_norm", d)
        for name, gain in (("q", 1), ("k", 1), ("v", 1), ("o", RESIDUAL_GAIN)):
            yield matrix(f"{layer}.attention.{name}_proj", d, d, gain)
        yield matrix(f"{layer}.feed_forward.gate_proj", mlp, d)
        yield matrix(f"{layer}.feed_forward.up_proj", mlp, d)
        yield matrix(f"{layer}.feed_forward.down_proj", d, mlp, RESIDUAL_GAIN)
    yield norm("multi_modal_projector.norm", d)
    yield matrix("multi_modal_projector.patch_merger.merging_layer", d, 4 * d)
    yield matrix("multi_modal_projector.linear_1", width, d)
    yield matrix("multi_modal_projector.linear_2", width, width)


def text_encoder(model):
    text, mistral = model.text, model.pipeline == "tiny-dev"
    prefix = "language_model." if mistral else ""
    yield from language_layers(f"{prefix}model.", text, model.text_layers, not mistral)
    if not text["tie_word_embeddings"]:
        yield matrix(f"{prefix}lm_head", text["vocab_size"], text["hidden_size"])
    if mistral:
        yield from pixtral(text)


def conv(name, out, inputs, kernel=3, gain=1.0):
    shape = (out, inputs) + ((kernel, kernel) if kernel else ())
    fan_in = inputs * max(kernel, 1) ** 2
    yield Spec(f"{name}.weight", shape, 0.0, gain / math.sqrt(fan_in), "F32")
    yield Spec(f"{name}.bias", (out,), 0.0, 0.02, "F32")


def group_norm(name, channels):
    yield Spec(f"{name}.weight", (channels,), 1.0, 0.05, "F32")
    yield Spec(f"{name}.bias", (channels,), 0.0, 0.02, "F32")


def resnet(name, inputs, out):
    yield from group_norm(f"{name}.norm1", inputs)
    yield from conv(f"{name}.conv1", out, inputs)
    yield from group_norm(f"{name}.norm2", out)
    yield from conv(f"{name}.conv2", out, out, gain=RESIDUAL_GAIN)
    if inputs != out:
        yield from conv(f"{name}.conv_shortcut", out, inputs, kernel=1)


def middle(name, channels):
    yield from resnet(f"{name}.resnets.0", channels, channels)
    yield from group_norm(f"{name}.attentions.0.group_norm", channels)
    for projection in ("to_q", "to_k", "to_v", "to_out.0"):
        yield from conv(f"{name}.attentions.0.{projection}", channels, channels, kernel=0)
    yield from resnet(f"{name}.resnets.1", channels, channels)


def stages(name, widths, resnets, sampler):
    """Blocks of resnets; all but the last end in a convolution that changes the size."""
    inputs = widths[0]
    for i, width in enumerate(widths):
        for j in range(resnets):
            yield from resnet(f"{name}.{i}.resnets.{j}", inputs if j == 0 else width, width)
        if i + 1 < len(widths):
            yield from conv(f"{name}.{i}.{sampler}.0.conv", width, width)
        inputs = width


def vae(_model):
    widths = (128, 256, 512, 512)
    yield from conv("encoder.conv_in", widths[0], 3)
    yield from stages("encoder.down_blocks", widths, 2, "downsamplers")
    yield from middle("encoder.mid_block", widths[-1])
    yield from group_norm("encoder.conv_norm_out", widths[-1])
    yield from conv("encoder.conv_out", 64, widths[-1])
    yield from conv("decoder.conv_in", widths[-1], 32)
    yield from stages("decoder.up_blocks", widths[::-1], 3, "upsamplers")
    yield from middle("decoder.mid_block", widths[-1])
    yield from group_norm("decoder.conv_norm_out", widths[0])
    yield from conv("decoder.conv_out", 3, widths[0], gain=0.5)
    yield from conv("quant_conv", 64, 64, kernel=1)
    yield from conv("post_quant_conv", 32, 32, kernel=1)
    yield Spec("bn.running_mean", (128,), 0.0, 0.1, "F32")
    yield Spec("bn.running_var", (128,), 1.0, 0.1, "F32")
    yield Spec("bn.num_batches_tracked", (), 0.0, 0.0, "I64")


# --- Files --------------------------------------------------------------------------------------


class Source:
    """Random numbers, drawn once and scaled to what each tensor wants."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.block = self.rng.standard_normal(BLOCK, dtype=np.float32)
        self.scaled = (None, None)  # the last kind asked for: neighbours are often alike

    def values(self, spec):
        kind = (spec.mean, spec.std, spec.dtype)
        if self.scaled[0] != kind:
            numbers = self.block * np.float32(spec.std) + np.float32(spec.mean)
            self.scaled = (kind, to_bf16(numbers) if spec.dtype == "BF16" else numbers)
        return self.scaled[1]

    def write(self, spec, file):
        if spec.dtype == "I64":
            file.write(np.zeros(spec.elements, np.int64).tobytes())
            return
        if spec.elements < COPY:
            start = int(self.rng.integers(BLOCK - COPY))
            numbers = self.block[start:start + spec.elements] * np.float32(spec.std)
            numbers += np.float32(spec.mean)
            file.write((to_bf16(numbers) if spec.dtype == "BF16" else numbers).tobytes())
            return
        values, at, left = self.values(spec), int(self.rng.integers(BLOCK)), spec.elements
        while left:
            count = min(left, COPY, BLOCK - at)
            file.write(values[at:at + count].data)
            at, left = (at + count) % BLOCK, left - count


def to_bf16(numbers):
    """The upper halves of floats, rounded to nearest, ties to even."""
    bits = numbers.view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def write_safetensors(path, specs, source):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for spec in specs:
        header[spec.name] = {"dtype": spec.dtype, "shape": list(spec.shape),
                             "data_offsets": [offset, offset + spec.bytes]}
        offset += spec.bytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for spec in specs:
            source.write(spec, file)
    print(f"{path}: {len(specs)} tensors, {offset / 1e9:.2f} GB", flush=True)


def shards_of(specs, limit):
    shards, size = [[]], 0
    for spec in specs:
        if shards[-1] and size + spec.bytes > limit:
            shards.append([])
            size = 0
        shards[-1].append(spec)
        size += spec.bytes
    return shards


def write_part(folder, stem, specs, limit, source):
    """One file, or shards of at most `limit` bytes with their index."""
    shards = shards_of(list(specs), limit)
    if len(shards) == 1:
        write_safetensors(folder / f"{stem}.safetensors", shards[0], source)
        return
    weight_map = {}
    for number, shard in enumerate(shards, 1):
        name = f"{stem}-{number:05}-of-{len(shards):05}.safetensors"
        write_safetensors(folder / name, shard, source)
        weight_map |= {spec.name: name for spec in shard}
    total = sum(spec.bytes for shard in shards for spec in shard)
    write_json(folder / f"{stem}.safetensors.index.json",
               {"metadata": {"total_size": total}, "weight_map": weight_map})


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2) + "\n")


def config_of(model, part, **changes):
    return json.loads((CONFIGS / model.pipeline / part / "config.json").read_text()) | changes


def write_configs(out, model):
    base = CONFIGS / model.pipeline
    index = json.loads((base / "model_index.json").read_text())
    if "is_distilled" in index:
        index["is_distilled"] = model.distilled
    write_json(out / "model_index.json", index)
    shutil.copyfile(base / "scheduler/scheduler_config.json", out / "scheduler/scheduler_config.json")
    write_json(out / "transformer/config.json",
               config_of(model, "transformer", attention_head_dim=128, axes_dims_rope=[32] * 4,
                         num_attention_heads=model.heads, num_layers=model.double,
                         num_single_layers=model.single,
                         joint_attention_dim=3 * model.text["hidden_size"]))
    write_json(out / "vae/config.json",
               config_of(model, "vae", block_out_channels=[128, 256, 512, 512],
                         decoder_block_out_channels=None, norm_num_groups=32))
    sizes = model.text | {"num_hidden_layers": model.text_layers}
    config = config_of(model, "text_encoder")
    if "text_config" in config:
        config["text_config"] |= sizes
        config["vision_config"] |= PIXTRAL
    else:
        config |= sizes | {"layer_types": ["full_attention"] * model.text_layers}
    write_json(out / "text_encoder/config.json", config)


def write_tokenizer(folder, model):
    if model.pipeline == "tiny-dev":
        packed, name = TOKENIZERS / "tekken/tekken_240911.json.gz", "tekken.json"
    else:
        packed, name = TOKENIZERS / "qwen3/tokenizer.json.gz", "tokenizer.json"
        shutil.copyfile(TOKENIZERS / "qwen3/tokenizer_config.json",
                        folder / "tokenizer_config.json")
    with gzip.open(packed) as source, open(folder / name, "wb") as file:
        shutil.copyfileobj(source, file)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--config", choices=MODELS, default="klein-4b")
    parser.add_argument("--double", type=int, help="double-stream blocks; default: all")
    parser.add_argument("--single", type=int, help="single-stream blocks; default: all")
    parser.add_argument("--text-layers", type=int, help="default: all; at least the last tap + 1")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    changes = {key: value for key, value in vars(arguments).items()
               if key in ("double", "single", "text_layers") and value is not None}
    model = replace(MODELS[arguments.config], **changes)
    for part in ("scheduler", "text_encoder", "tokenizer", "transformer", "vae"):
        (arguments.out / part).mkdir(parents=True, exist_ok=True)
    write_configs(arguments.out, model)
    write_tokenizer(arguments.out / "tokenizer", model)
    source, diffusers_stem = Source(arguments.seed), "diffusion_pytorch_model"
    write_part(arguments.out / "vae", diffusers_stem, vae(model), 10e9, source)
    write_part(arguments.out / "transformer", diffusers_stem, transformer(model), 10e9, source)
    write_part(arguments.out / "text_encoder", "model", text_encoder(model), 5e9, source)


if __name__ == "__main__":
    main()
