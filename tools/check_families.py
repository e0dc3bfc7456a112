#!/usr/bin/env python3
"""Writes the tiny checkpoints under every family of names that people have on disk, as other
programs write them, and draws with each: the picture must be that of the parent, byte for byte.

    tools/check_families.py build/bin/flux2 [FOLDER]

Needs torch, safetensors, diffusers, transformers and gguf. The layouts are written here by hand,
without a look at src/checkpoint/*_namings.cpp, and held against Diffusers' converters and llama.cpp's
table of names before they are used.
"""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import torch
from diffusers.loaders.single_file_utils import (
    convert_flux2_transformer_checkpoint_to_diffusers,
    convert_ldm_vae_checkpoint,
)
from safetensors.torch import load_file, save_file

CHECKPOINTS = Path(__file__).parent.parent / "tests/goldens/data/checkpoints"


def load(model, part):
    state = {}
    for file in sorted((CHECKPOINTS / model / part).glob("*.safetensors")):
        state.update(load_file(file))
    return state


def same(a, b):
    assert a.keys() == b.keys(), sorted(a.keys() ^ b.keys())
    for name in a:
        assert torch.equal(a[name], b[name]), name


def bfl_transformer(state):
    """Black Forest Labs' names: fused queries, keys and values; shift before scale at the end."""
    simple = {
        "x_embedder": "img_in",
        "context_embedder": "txt_in",
        "proj_out": "final_layer.linear",
        "time_guidance_embed.timestep_embedder.linear_1": "time_in.in_layer",
        "time_guidance_embed.timestep_embedder.linear_2": "time_in.out_layer",
        "time_guidance_embed.guidance_embedder.linear_1": "guidance_in.in_layer",
        "time_guidance_embed.guidance_embedder.linear_2": "guidance_in.out_layer",
        "double_stream_modulation_img.linear": "double_stream_modulation_img.lin",
        "double_stream_modulation_txt.linear": "double_stream_modulation_txt.lin",
        "single_stream_modulation.linear": "single_stream_modulation.lin",
    }
    block = {
        "attn.to_out.0.weight": "img_attn.proj.weight",
        "attn.to_add_out.weight": "txt_attn.proj.weight",
        "attn.norm_q.weight": "img_attn.norm.query_norm.scale",
        "attn.norm_k.weight": "img_attn.norm.key_norm.scale",
        "attn.norm_added_q.weight": "txt_attn.norm.query_norm.scale",
        "attn.norm_added_k.weight": "txt_attn.norm.key_norm.scale",
        "ff.linear_in.weight": "img_mlp.0.weight",
        "ff.linear_out.weight": "img_mlp.2.weight",
        "ff_context.linear_in.weight": "txt_mlp.0.weight",
        "ff_context.linear_out.weight": "txt_mlp.2.weight",
    }
    single = {
        "attn.to_qkv_mlp_proj.weight": "linear1.weight",
        "attn.to_out.weight": "linear2.weight",
        "attn.norm_q.weight": "norm.query_norm.scale",
        "attn.norm_k.weight": "norm.key_norm.scale",
    }
    out = {}
    for old, new in simple.items():
        if old + ".weight" in state:
            out[new + ".weight"] = state[old + ".weight"]
    scale, shift = state["norm_out.linear.weight"].chunk(2)
    out["final_layer.adaLN_modulation.1.weight"] = torch.cat([shift, scale])
    for name in state:
        if m := re.match(r"transformer_blocks\.(\d+)\.(.*)", name):
            i, rest = m.groups()
            if rest in block:
                out[f"double_blocks.{i}.{block[rest]}"] = state[name]
            elif rest == "attn.to_q.weight":
                parts = [state[f"transformer_blocks.{i}.attn.to_{x}.weight"] for x in "qkv"]
                out[f"double_blocks.{i}.img_attn.qkv.weight"] = torch.cat(parts)
            elif rest == "attn.add_q_proj.weight":
                parts = [state[f"transformer_blocks.{i}.attn.add_{x}_proj.weight"] for x in "qkv"]
                out[f"double_blocks.{i}.txt_attn.qkv.weight"] = torch.cat(parts)
        if m := re.match(r"single_transformer_blocks\.(\d+)\.(.*)", name):
            out[f"single_blocks.{m[1]}.{single[m[2]]}"] = state[name]
    same(convert_flux2_transformer_checkpoint_to_diffusers(dict(out)), state)
    return out


def bfl_vae(state, config):
    """Latent diffusion's names: levels of the decoder counted from the picture."""
    out = {}
    for name, tensor in state.items():
        new = re.sub(r"^(post_)?quant_conv", lambda m: ("decoder." if m[1] else "encoder.") + m[0], name)
        new = new.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
        new = re.sub(r"down_blocks\.(\d)\.resnets\.(\d)", r"down.\1.block.\2", new)
        new = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", new)
        new = re.sub(r"up_blocks\.(\d)\.resnets\.(\d)", lambda m: f"up.{3 - int(m[1])}.block.{m[2]}", new)
        new = re.sub(r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{3 - int(m[1])}.upsample", new)
        new = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", new)
        if m := re.match(r"(.*)mid_block\.attentions\.0\.(group_norm|to_q|to_k|to_v|to_out\.0)\.(.*)", new):
            kind = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
            new = f"{m[1]}mid.attn_1.{kind[m[2]]}.{m[3]}"
            if tensor.dim() == 2:
                tensor = tensor[:, :, None, None]
        out[new] = tensor.contiguous()
    # Diffusers' converter for single files knows latent diffusion's names; FLUX.2's own are renamed.
    ldm = {k.replace("encoder.quant", "quant").replace("decoder.post_quant", "post_quant"): v
           for k, v in out.items()}
    back = convert_ldm_vae_checkpoint(dict(ldm), config)
    same(back, {k: v for k, v in state.items() if not k.startswith("bn.")})
    return out


def old_attention(state):
    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    return {re.sub(r"(attentions\.0\.)(to_q|to_k|to_v|to_out\.0)", lambda m: m[1] + names[m[2]], k): v
            for k, v in state.items()}


def interleave(tensor, head_dim):
    """Halves of a head to pairs: llama.cpp's and Mistral's order of rows."""
    heads = tensor.shape[0] // head_dim
    return tensor.view(heads, 2, head_dim // 2, -1).transpose(1, 2).reshape(tensor.shape).contiguous()


def consolidated(state, head_dim, vision_head_dim):
    """transformers' convert_mistral3_weights_to_hf.py, read backwards."""
    text = {"self_attn.q_proj": "attention.wq", "self_attn.k_proj": "attention.wk",
            "self_attn.v_proj": "attention.wv", "self_attn.o_proj": "attention.wo",
            "mlp.gate_proj": "feed_forward.w1", "mlp.down_proj": "feed_forward.w2",
            "mlp.up_proj": "feed_forward.w3", "input_layernorm": "attention_norm",
            "post_attention_layernorm": "ffn_norm"}
    vision = {"attention.q_proj": "attention.wq", "attention.k_proj": "attention.wk",
              "attention.v_proj": "attention.wv", "attention.o_proj": "attention.wo",
              "feed_forward.gate_proj": "feed_forward.w1", "feed_forward.down_proj": "feed_forward.w2",
              "feed_forward.up_proj": "feed_forward.w3", "attention_norm": "attention_norm",
              "ffn_norm": "ffn_norm"}
    top = {"language_model.model.embed_tokens": "tok_embeddings", "language_model.model.norm": "norm",
           "language_model.lm_head": "output", "vision_tower.patch_conv": "vision_encoder.patch_conv",
           "vision_tower.ln_pre": "vision_encoder.ln_pre",
           "multi_modal_projector.norm": "pre_mm_projector_norm",
           "multi_modal_projector.patch_merger.merging_layer": "patch_merger.merging_layer",
           "multi_modal_projector.linear_1": "vision_language_adapter.w_in",
           "multi_modal_projector.linear_2": "vision_language_adapter.w_out"}
    out = {}
    for name, tensor in state.items():
        stem = name.removesuffix(".weight")
        if m := re.match(r"language_model\.model\.layers\.(\d+)\.(.*)", stem):
            new = f"layers.{m[1]}.{text[m[2]]}"
            if m[2] in ("self_attn.q_proj", "self_attn.k_proj"):
                tensor = interleave(tensor, head_dim)
        elif m := re.match(r"vision_tower\.transformer\.layers\.(\d+)\.(.*)", stem):
            new = f"vision_encoder.transformer.layers.{m[1]}.{vision[m[2]]}"
            if m[2] in ("attention.q_proj", "attention.k_proj"):
                tensor = interleave(tensor, vision_head_dim)
        else:
            new = top[stem]
        out[new + ".weight"] = tensor
    return out


def gguf_tokenizer(writer, folder, pre):
    """As llama.cpp's converter writes it: special added tokens are control, others user-defined."""
    data = json.loads((folder / "tokenizer.json").read_text())
    added = {t["content"]: t for t in data.get("added_tokens", [])}
    ids = {**data["model"]["vocab"], **{t["content"]: t["id"] for t in added.values()}}
    tokens, types = [], []
    by_id = {i: t for t, i in ids.items()}
    for i in range(max(by_id) + 1):
        token = by_id.get(i, f"[PAD{i}]")
        tokens.append(token)
        if i not in by_id:
            types.append(gguf.TokenType.UNUSED)
        elif token in added:
            types.append(gguf.TokenType.CONTROL if added[token]["special"] else gguf.TokenType.USER_DEFINED)
        else:
            types.append(gguf.TokenType.NORMAL)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in data["model"]["merges"]])


def add_gguf(writer, name, values, quantise=None):
    """As float32, or as quantise(values) gives its bytes and their type. Returns what they mean."""
    data, kind, meant = quantise(values) if quantise else (None, None, values)
    if data is None:
        writer.add_tensor(name, values)
    else:
        writer.add_tensor(name, data, raw_dtype=kind)
    return torch.from_numpy(meant.copy())


def gguf_language(state, config, path, tokenizer, quantise=None):
    """llama.cpp's own table of names; rows of Mistral's queries and keys as its converter turns them."""
    mistral = "text_config" in config
    text = config.get("text_config", config)
    arch = gguf.MODEL_ARCH.LLAMA if mistral else gguf.MODEL_ARCH.QWEN3
    names = gguf.get_tensor_name_map(arch, text["num_hidden_layers"])
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[arch])
    writer.add_block_count(text["num_hidden_layers"])
    writer.add_head_count(text["num_attention_heads"])
    writer.add_head_count_kv(text["num_key_value_heads"])
    writer.add_key_length(text["head_dim"])
    writer.add_embedding_length(text["hidden_size"])
    writer.add_layer_norm_rms_eps(text["rms_norm_eps"])
    writer.add_rope_freq_base(float(text.get("rope_theta") or text["rope_parameters"]["rope_theta"]))
    gguf_tokenizer(writer, tokenizer, "tekken" if mistral else "qwen2")
    for name, tensor in state.items():
        if name.startswith(("vision_tower", "multi_modal")):
            continue
        plain = name.replace("language_model.", "")
        if mistral and plain.endswith(("q_proj.weight", "k_proj.weight")):
            tensor = interleave(tensor, text["head_dim"])
        new = names.get_name(plain, try_suffixes=(".weight",))
        assert new, plain
        add_gguf(writer, new, tensor.float().numpy(), quantise)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def gguf_transformer(state, path, quantise=None):
    """city96's and leejet's files. Returns what the file means."""
    writer = gguf.GGUFWriter(path, "flux")
    meant = {name: add_gguf(writer, name, tensor.float().numpy(), quantise)
             for name, tensor in bfl_transformer(state).items()}
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return meant


class Check:
    def __init__(self, program, folder):
        self.program = program
        self.folder = folder
        self.parents = {}
        self.failures = 0

    def draw(self, arguments, model):
        out = self.folder / "out.png"
        out.unlink(missing_ok=True)
        command = [self.program, "generate", "-p", "a red cube", "--seed", "7", "--width", "64",
                   "--height", "64", "--steps", "2", "--compute", "f32", "--progress", "none", "-q",
                   "--no-metadata", "--max-sequence-length", "48", "-o", str(out), *map(str, arguments)]
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode:
            return run.stderr.strip()
        return hashlib.sha256(out.read_bytes()).hexdigest()

    def same(self, what, model, arguments):
        if model not in self.parents:
            self.parents[model] = self.draw(["-m", CHECKPOINTS / model], model)
            assert len(self.parents[model]) == 64, self.parents[model]
        drawn = self.draw(arguments, model)
        good = drawn == self.parents[model]
        self.failures += not good
        print(f"{'same' if good else 'DIFFERS'}  {what}" + ("" if good else f": {drawn}"), flush=True)



def part_file(folder, name, state, config=None):
    """A file of its own, with the config.json that tiny models need (their sizes are nobody's)."""
    path = folder / name
    path.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in state.items()}, path / f"{name}.safetensors")
    if config:
        shutil.copy(config, path / "config.json")
    return path / f"{name}.safetensors"


def prefixed(prefix, state):
    return {prefix + k: v for k, v in state.items()}


def check_transformers(check):
    klein = CHECKPOINTS / "tiny-klein"
    state = load("tiny-klein", "transformer")
    for prefix in ("", "model.diffusion_model.", "diffusion_model."):
        file = part_file(check.folder, f"t{len(prefix)}", prefixed(prefix, bfl_transformer(state)))
        check.same(f"transformer, BFL names, prefix '{prefix}'", "tiny-klein",
                   ["-m", klein, "--transformer", file, "--variant", "klein"])
    weights = {re.sub(r"norm\.scale$", "norm.weight", k): v for k, v in bfl_transformer(state).items()}
    check.same("transformer, norms called weight", "tiny-klein",
               ["-m", klein, "--transformer", part_file(check.folder, "tw", weights), "--variant", "klein"])
    check.same("transformer, one Diffusers file", "tiny-klein",
               ["-m", klein, "--transformer", part_file(check.folder, "td", state), "--variant", "klein"])
    dev = bfl_transformer(load("tiny-dev", "transformer"))
    check.same("transformer of dev, told by its guidance embedder", "tiny-dev",
               ["-m", CHECKPOINTS / "tiny-dev", "--transformer", part_file(check.folder, "tdev", dev)])
    path = check.folder / "klein.gguf"
    gguf_transformer(state, path)
    check.same("transformer, GGUF F32", "tiny-klein",
               ["-m", klein, "--transformer", path, "--variant", "klein"])


def check_vaes(check):
    for model in ("tiny-klein", "tiny-klein-base"):
        folder = CHECKPOINTS / model
        config = folder / "vae/config.json"
        state = load(model, "vae")
        bfl = bfl_vae(state, json.loads(config.read_text()))
        for what, names in (("BFL", bfl), ("old attention", old_attention(state)), ("Diffusers", state)):
            for prefix in ("", "vae.", "first_stage_model."):
                file = part_file(check.folder, f"v{what[0]}{len(prefix)}{model}", prefixed(prefix, names), config)
                check.same(f"VAE of {model}, {what} names, prefix '{prefix}'", model, ["-m", folder, "--vae", file])
        decoder = {k: v for k, v in bfl.items() if not k.startswith("encoder.")}
        file = part_file(check.folder, f"vd{model}", decoder, config)
        check.same(f"VAE of {model}, decoder alone", model, ["-m", folder, "--vae", file])


def check_text_encoders(check):
    klein = CHECKPOINTS / "tiny-klein"
    state = load("tiny-klein", "text_encoder")
    tokens = ["--tokenizer", klein / "tokenizer"]
    for what, names in (("transformers", state), ("prefix", prefixed("text_encoder.", state)),
                        ("bare", {k.removeprefix("model."): v for k, v in state.items()})):
        file = part_file(check.folder, "q" + what, names)
        check.same(f"Qwen3, {what}", "tiny-klein", ["-m", klein, "--text-encoder", file, *tokens])
    path = check.folder / "qwen.gguf"
    gguf_language(state, json.loads((klein / "text_encoder/config.json").read_text()), path, klein / "tokenizer")
    check.same("Qwen3, GGUF with its own tokenizer", "tiny-klein", ["-m", klein, "--text-encoder", path])
    check_mistral(check)


def check_mistral(check):
    dev = CHECKPOINTS / "tiny-dev"
    state = load("tiny-dev", "text_encoder")
    config = dev / "text_encoder/config.json"
    tokens = ["--tokenizer", dev / "tokenizer"]
    tree = {}
    for k, v in state.items():
        k = k.replace("language_model.model.", "model.language_model.").replace("language_model.lm_head", "lm_head")
        tree[k if k.startswith(("model.", "lm_head")) else "model." + k] = v
    comfy = {k.replace("language_model.", ""): v for k, v in state.items()}
    blind = {k: v for k, v in comfy.items() if k.startswith("model.")}
    cut = {k: v for k, v in blind.items() if not re.match(r"model\.(norm|layers\.(30|31))\.", k)}
    for what, names in (("transformers", state), ("module tree", tree), ("ComfyUI", comfy),
                        ("ComfyUI, text_encoder.", prefixed("text_encoder.", comfy)),
                        ("ComfyUI without the tower", blind)):
        file = part_file(check.folder, "m" + re.sub(r"\W", "", what), names, config)
        check.same(f"Mistral3, {what}", "tiny-dev", ["-m", dev, "--text-encoder", file, *tokens])
    text = json.loads(config.read_text())
    params = {"head_dim": text["text_config"]["head_dim"], "norm_eps": 1e-5, "rope_theta": 1e9,
              "vision_encoder": {"hidden_size": 32, "num_attention_heads": 2}}
    for what, names in (("consolidated", consolidated(state, 10, 16)), ("30-layer cut", cut)):
        file = part_file(check.folder, "p" + re.sub(r"\W", "", what), names)
        (file.parent / "params.json").write_text(json.dumps(params))
        check.same(f"Mistral3, {what}", "tiny-dev", ["-m", dev, "--text-encoder", file, *tokens])
    path = check.folder / "mistral.gguf"
    gguf_language(state, text, path, dev / "tokenizer")
    check.same("Mistral3, GGUF with its own tokenizer", "tiny-dev", ["-m", dev, "--text-encoder", path])


def check_whole(check):
    """ComfyUI's checkpoints: everything in one file; and folders of single files."""
    klein = CHECKPOINTS / "tiny-klein"
    transformer = bfl_transformer(load("tiny-klein", "transformer"))
    vae = bfl_vae(load("tiny-klein", "vae"), json.loads((klein / "vae/config.json").read_text()))
    text = load("tiny-klein", "text_encoder")
    whole = prefixed("model.diffusion_model.", transformer) | prefixed("vae.", vae)
    whole |= prefixed("text_encoders.qwen3_4b.transformer.", text)
    whole["text_encoders.qwen3_4b.logit_scale"] = torch.ones(())
    file = part_file(check.folder, "whole", whole, klein / "vae/config.json")
    check.same("one file with everything", "tiny-klein",
               ["-m", file, "--variant", "klein", "--tokenizer", klein / "tokenizer"])
    folder = check.folder / "comfy"
    for sub, state in (("diffusion_models", transformer), ("vae", vae), ("text_encoders", text)):
        part_file(folder, sub, state)
    shutil.copy(klein / "vae/config.json", folder / "vae/config.json")
    (folder / "vae/vae.safetensors").rename(folder / "vae/diffusion_pytorch_model.safetensors")
    check.same("a folder of single files", "tiny-klein",
               ["-m", folder, "--variant", "klein", "--tokenizer", klein / "tokenizer"])


def main():
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(tempfile.mkdtemp(prefix="flux2-families-"))
    folder.mkdir(parents=True, exist_ok=True)
    check = Check(sys.argv[1], folder)
    check_transformers(check)
    check_vaes(check)
    check_text_encoders(check)
    check_whole(check)
    print(f"{check.failures} differ; files in {folder}")
    sys.exit(check.failures > 0)


if __name__ == "__main__":
    main()
