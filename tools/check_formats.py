#!/usr/bin/env python3
"""Draws with every stored type of docs/formats.md, in every container and part that it is found in, and
prints a table.

    tools/check_formats.py build/bin/flux2 [FOLDER] [--only TEXT]

Each row is a small model of random weights (shapes of FLUX.2's kind, made and saved by Diffusers and
transformers) of which one part is stored in that type by the type's own program, or by the formula of
its source (format_writers.py). Two things must hold:

- the picture is, byte for byte, that of a float32 file of the numbers which the type's own program
  says the stored ones mean ("same"; where the meaning is a sum whose order is nobody's, SVDQuant's
  low-rank branch, within 1e-5);
- it is no farther from the parent's picture than twice what Gaussian noise of the same relative size
  on the same matrices makes it ("error" against "noise": latents, of a VAE the pixels, relative).

Needs torch, safetensors, diffusers, transformers, gguf, bitsandbytes and comfy-kitchen.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np
import torch
from diffusers import Flux2Transformer2DModel
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import Mistral3Config, Mistral3ForConditionalGeneration, Qwen3Config, Qwen3ForCausalLM

import format_writers
from check_families import (CHECKPOINTS, bfl_transformer, gguf_language, gguf_transformer,
                            old_attention)

WIDTH = 256  # of transformer and text encoders: whole super-blocks of GGUF
MODELS = {"klein": "tiny-klein", "dev": "tiny-dev"}
PARTS = {"transformer": "--transformer", "text_encoder": "--text-encoder", "vae": "--vae"}


def text_encoder(model):
    sizes = {"hidden_size": WIDTH, "intermediate_size": WIDTH, "num_attention_heads": 4,
             "num_key_value_heads": 2, "head_dim": 64}
    if model == "klein":
        return Qwen3ForCausalLM(Qwen3Config(vocab_size=528, num_hidden_layers=28, tie_word_embeddings=True,
                                            max_position_embeddings=4096, **sizes))
    config = json.loads((CHECKPOINTS / "tiny-dev/text_encoder/config.json").read_text())
    config["text_config"] |= sizes | {"num_hidden_layers": 31}
    return Mistral3ForConditionalGeneration(Mistral3Config.from_dict(config))


def lifelike(module):
    """Rows and columns of real weights differ in magnitude; random ones do not."""
    with torch.no_grad():
        for tensor in module.parameters():
            if tensor.dim() == 2:
                tensor *= torch.exp(0.4 * torch.randn(tensor.shape[0], 1))
                tensor *= torch.exp(0.2 * torch.randn(1, tensor.shape[1]))
    return module.to(torch.bfloat16)


def make_model(model, folder):
    torch.manual_seed(3)
    folder.mkdir(parents=True)
    tiny = CHECKPOINTS / MODELS[model]
    for name in ("scheduler", "tokenizer", "vae"):
        shutil.copytree(tiny / name, folder / name)
    shutil.copy(tiny / "model_index.json", folder)
    transformer = Flux2Transformer2DModel(
        num_layers=1, num_single_layers=2, num_attention_heads=2, attention_head_dim=128,
        joint_attention_dim=3 * WIDTH, axes_dims_rope=(32, 32, 32, 32), guidance_embeds=model == "dev")
    lifelike(transformer).save_pretrained(folder / "transformer")
    lifelike(text_encoder(model)).save_pretrained(folder / "text_encoder")


def state_of(folder):
    state = {}
    for file in sorted(folder.glob("*.safetensors")):
        state.update(load_file(file))
    return state


def relative(a, b):
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


class Bench:
    """Draws with one part exchanged, and keeps count."""

    def __init__(self, program, folder, only):
        self.program, self.folder, self.only = program, folder, only
        self.failures, self.rows = 0, 0
        self.parents = {}

    def run(self, *arguments):
        return subprocess.run([self.program, *map(str, arguments)], capture_output=True, text=True)

    def draw(self, model, arguments=()):
        """The PNG's bytes, and what an error is measured on."""
        out, latents = self.folder / "out.png", self.folder / "latents.safetensors"
        for file in (out, latents):
            file.unlink(missing_ok=True)
        run = self.run("generate", "-m", self.folder / model, "-p", "a red cube", "--seed", 7, "--width", 32,
                       "--height", 32, "--steps", 1, "--compute", "f32", "-q", "--no-metadata",
                       "--max-sequence-length", 16, "-o", out, "--save-latents", latents, *arguments)
        if run.returncode:
            raise RuntimeError(run.stderr.strip())
        pixels = np.asarray(Image.open(out), np.float64) - 127.5
        return out.read_bytes(), load_file(latents)["latents"].float().numpy(), pixels

    def exchanged(self, model, part, file):
        variant = ["--variant", "klein"] if (model, part) == ("klein", "transformer") else []
        tokens = ["--tokenizer", self.folder / model / "tokenizer"] if part == "text_encoder" else []
        return self.draw(model, [PARTS[part], file, *variant, *tokens])

    def save(self, model, part, name, state, metadata=None):
        """A file with the config.json of its parent beside it: small models' sizes are nobody's."""
        folder = self.folder / f"{model}-{part}-{name}"
        folder.mkdir(exist_ok=True)
        shutil.copy(self.folder / model / part / "config.json", folder)
        save_file({k: v.contiguous() for k, v in state.items()}, folder / "weights.safetensors", metadata)
        return folder / "weights.safetensors"

    def row(self, model, part, container, what, write):
        """write(): the stored file, what it means, the parent under the same names."""
        title = f"{container:12} {part:13} {model:6} {what}"
        if self.only not in title:
            return
        self.rows += 1
        try:
            verdict, text = self.compare(model, part, what, *write())
        except RuntimeError as error:
            verdict, text = False, str(error)
        self.failures += not verdict
        print(f"{'ok     ' if verdict else 'FAILED '} {title:85} {text}", flush=True)

    @staticmethod
    def agree(drawn, meant, what):
        if "SVDQuant" in what:
            return relative(drawn[1], meant[1]) < 1e-5
        return drawn[0] == meant[0] and bool((drawn[1] == meant[1]).all())

    def compare(self, model, part, what, file, meant, parent):
        measured = 2 if part == "vae" else 1
        if model not in self.parents:
            self.parents[model] = self.draw(model)
        drawn = self.exchanged(model, part, file)
        same = self.agree(drawn, self.exchanged(model, part, self.save(model, part, "meant", meant)), what)
        noisy, weights = noise_like(meant, parent)
        error = relative(drawn[measured], self.parents[model][measured])
        noise = relative(self.exchanged(model, part, self.save(model, part, "noise", noisy))[measured],
                         self.parents[model][measured])
        text = f"{'same' if same else 'DIFFERS'}, weights {weights:.4f}, error {error:.4f}, noise {noise:.4f}"
        return same and error <= 2 * noise + 1e-6, f"{text}; {self.read_as(file)}"

    def read_as(self, file):
        run = self.run("models", "--json", file)
        if run.returncode:
            return run.stderr.strip()
        part = json.loads(run.stdout)[0]["parts"][0]
        return ", ".join(f"{t} as {c}" for t, c in zip(part["dtypes"], part["computed_as"]))


def noise_like(meant, parent):
    """The parent with noise of each tensor's relative error; and that error over all of them."""
    torch.manual_seed(5)
    noisy, wrong, all_of_it = {}, 0.0, 0.0
    for name, tensor in parent.items():
        if not tensor.is_floating_point():
            noisy[name] = tensor
            continue
        w = tensor.double()
        distance = (meant[name].double() - w).square().sum()
        if tensor.dim() >= 2:
            wrong, all_of_it = wrong + float(distance), all_of_it + float(w.square().sum())
        noise = torch.randn(w.shape, dtype=torch.float64)
        noisy[name] = (w + noise * (distance / max(w.numel(), 1)).sqrt()).float()
    return noisy, (wrong / all_of_it) ** 0.5


def stored_as(form, state, is_layer):
    """Every layer of `state` in that format, all else as it is; and what that means."""
    stored, meant, layers = dict(form.extra), {}, []
    for name, tensor in state.items():
        rows, columns = form.multiples
        fits = tensor.dim() == 2 and tensor.shape[0] % rows == 0 and tensor.shape[1] % columns == 0
        if not (is_layer(name) and fits):
            stored[name] = meant[name] = tensor
            continue
        layer = name.removesuffix(".weight")
        tensors, meant[name] = form.write(layer, tensor.float())
        stored |= tensors
        layers.append(layer)
    return stored, meant, form.metadata(layers)


def is_block(name):
    return "blocks." in name or ("layers." in name and "vision" not in name)


# Names and shapes are klein's: what dev's transformer was published in is enough.
OF_DEV = ["BF16", "FP8 E4M3, one scale, input scales (BFL)", "NVFP4, unmarked (BFL)", "Q8_0", "Q4_K"]
OF_DIFFUSERS = ["BF16", "bitsandbytes NF4, nested", "int8, a scale a row, input scales (ModelOpt W8A8)"]


def check_safetensors(bench, model, part, names, only=None):
    """names(state): the parent under the names of somebody."""
    parent = names(state_of(bench.folder / model / part))
    for form in format_writers.SAFETENSORS:
        if only and form.name not in only:
            continue

        def write(form=form):
            stored, meant, metadata = stored_as(form, parent, is_block)
            return bench.save(model, part, "stored", stored, metadata), meant, parent

        bench.row(model, part, "safetensors", form.name, write)


def quantiser(kind):
    """Matrices whose rows are whole blocks; as city96's converter, small tensors stay float32."""
    size = gguf.GGML_QUANT_SIZES[kind][0]

    def quantise(values):
        if values.ndim < 2 or values.shape[-1] % size or values.size <= 1024:
            return None, None, values
        data, meant = format_writers.gguf_block(values, kind)
        return data, kind, meant
    return quantise


def check_gguf_transformer(bench, model):
    parent = bfl_transformer(state_of(bench.folder / model / "transformer"))
    for name in format_writers.GGUF:
        if model == "dev" and name not in OF_DEV:
            continue

        def write(quantise=quantiser(gguf.GGMLQuantizationType[name])):
            path = bench.folder / "transformer.gguf"
            meant = gguf_transformer(state_of(bench.folder / model / "transformer"), path, quantise)
            return path, meant, parent
        bench.row(model, "transformer", "GGUF", name, write)


def check_gguf_language(bench, model):
    folder = bench.folder / model
    config = json.loads((folder / "text_encoder/config.json").read_text())
    parent = {k: v for k, v in state_of(folder / "text_encoder").items()
              if not k.startswith(("vision_tower", "multi_modal"))}
    for name in format_writers.GGUF:
        def write(quantise=quantiser(gguf.GGMLQuantizationType[name])):
            path = bench.folder / "text.gguf"
            gguf_language(parent, config, path, folder / "tokenizer", quantise)
            meant = {k: torch.from_numpy(quantise(v.float().numpy())[2].copy()) for k, v in parent.items()}
            return path, meant, parent
        bench.row(model, "text_encoder", "GGUF", name, write)


def gguf_vae(state, path, quantise):
    writer = gguf.GGUFWriter(path, "pig")
    for name, tensor in state.items():
        if not tensor.is_floating_point():
            continue
        data, kind, _ = quantise(tensor.float().numpy())
        writer.add_tensor(name, tensor.float().numpy() if data is None else data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def check_vae(bench, model):
    state = state_of(bench.folder / model / "vae")
    for names in (lambda s: s, old_attention):
        parent = names(state)
        for form in format_writers.SAFETENSORS[:5]:
            def write(form=form, parent=parent):
                stored, meant = {}, {}
                for name, tensor in parent.items():
                    if not tensor.is_floating_point() or tensor.dim() < 2:
                        stored[name] = meant[name] = tensor
                    else:
                        layer = name.removesuffix(".weight")
                        tensors, meant[name] = form.write(layer, tensor.float())
                        stored |= tensors
                return bench.save(model, "vae", "stored", stored), meant, parent
            bench.row(model, "vae", "safetensors", form.name, write)
    for name in ("F32", "F16", "BF16"):
        def write(quantise=quantiser(gguf.GGMLQuantizationType[name])):
            folder = bench.folder / f"{model}-vae-gguf"
            folder.mkdir(exist_ok=True)
            shutil.copy(bench.folder / model / "vae/config.json", folder)
            gguf_vae(state, folder / "vae.gguf", quantise)
            meant = {k: torch.from_numpy(quantise(v.float().numpy())[2].copy()) if v.is_floating_point()
                     else v for k, v in state.items()}
            return folder / "vae.gguf", meant, state
        bench.row(model, "vae", "GGUF", name, write)


def check_shards(bench, model):
    """What Diffusers and transformers write when a file grows too large."""
    loaders = {"transformer": Flux2Transformer2DModel,
               "text_encoder": Qwen3ForCausalLM if model == "klein" else Mistral3ForConditionalGeneration}
    for part, loader in loaders.items():
        def write(part=part, loader=loader):
            folder = bench.folder / f"{model}-{part}-shards"
            module = loader.from_pretrained(bench.folder / model / part, dtype=torch.bfloat16) \
                if part == "text_encoder" else \
                loader.from_pretrained(bench.folder / model / part, torch_dtype=torch.bfloat16)
            module.save_pretrained(folder, max_shard_size="2MB")
            assert len(list(folder.glob("*.safetensors"))) > 1
            parent = state_of(bench.folder / model / part)
            return folder, parent, parent
        bench.row(model, part, "shards", "BF16, by save_pretrained", write)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--only", default="", help="rows whose title holds this text")
    return parser.parse_args()


def main():
    asked = arguments()
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="flux2-formats-"))
    torch.set_num_threads(1)
    bench = Bench(asked.program, folder, asked.only)
    for model in MODELS:
        if not (folder / model).exists():
            make_model(model, folder / model)
        check_safetensors(bench, model, "transformer", bfl_transformer, OF_DEV if model == "dev" else None)
        check_safetensors(bench, model, "transformer", lambda state: state, OF_DIFFUSERS)
        check_safetensors(bench, model, "text_encoder", lambda state: state)
        check_gguf_transformer(bench, model)
        check_gguf_language(bench, model)
        check_vae(bench, model)
        check_shards(bench, model)
    print(f"{bench.rows} rows, {bench.failures} failed; files in {folder}")
    sys.exit(bench.failures > 0)


if __name__ == "__main__":
    main()
