#!/usr/bin/env python3
"""Draws with adapters in every format that Diffusers and PEFT read, with them and with flux2: pictures
must agree within one level. Formats that they do not read are held against a checkpoint to which the
difference was added by hand (by LyCORIS' own functions where it has them).

    tools/check_adapters.py build/bin/flux2

Needs torch, safetensors, diffusers, transformers, peft, lycoris-lora, Pillow.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from diffusers import Flux2KleinPipeline, Flux2Pipeline
from peft import LoraConfig, inject_adapter_in_model
from peft.utils import get_peft_model_state_dict
from PIL import Image
from safetensors.torch import load_file, save_file

CHECKPOINTS = Path(__file__).parent.parent / "tests/goldens/data/checkpoints"
PIPELINES = {"tiny-dev": Flux2Pipeline, "tiny-klein": Flux2KleinPipeline}
SIDE, STEPS, SEED, TOKENS, PROMPT = 64, 2, 7, 32, "a red circle"
RANK = 4


class Bench:
    def __init__(self, flux2, model, folder):
        self.flux2, self.model, self.folder = flux2, model, Path(folder)
        self.path = CHECKPOINTS / model
        self.reload()
        self.weights = {
            name: weight.detach().clone()
            for name, weight in self.pipe.transformer.state_dict().items()
        }
        self.plain = self.reference()

    def reload(self):
        self.pipe = PIPELINES[self.model].from_pretrained(self.path, torch_dtype=torch.float32)
        self.pipe.set_progress_bar_config(disable=True)

    def reference(self, **arguments):
        generator = torch.Generator("cpu").manual_seed(SEED)
        image = self.pipe(
            prompt=PROMPT, width=SIDE, height=SIDE, num_inference_steps=STEPS,
            generator=generator, max_sequence_length=TOKENS, **arguments,
        ).images[0]
        return np.asarray(image).astype(int)

    def draw(self, *options, model=None):
        file = self.folder / "out.png"
        command = [
            self.flux2, "generate", "-m", model or self.path, "-p", PROMPT, "-o", file,
            "--width", SIDE, "--height", SIDE, "--steps", STEPS, "--seed", SEED,
            "--max-sequence-length", TOKENS, "--compute", "f32", "--json", *options,
        ]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{options}: {done.stderr}")
        self.report = json.loads(done.stdout)
        return np.asarray(Image.open(file)).astype(int)

    def with_difference(self, difference):
        """Draws with a checkpoint that has the difference in its weights."""
        copy = self.folder / "changed"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.path, copy, ignore=shutil.ignore_patterns("diffusion_pytorch_model*"))
        shutil.copytree(self.path / "vae", copy / "vae", dirs_exist_ok=True)
        state = {name: w.clone() for name, w in self.weights.items()}
        for name, delta in difference.items():
            state[name + ".weight"] += delta
        save_file(state, copy / "transformer/diffusion_pytorch_model.safetensors")
        return self.draw(model=copy)

    def save(self, state, metadata=None):
        file = self.folder / "adapter.safetensors"
        save_file({k: v.contiguous().clone() for k, v in state.items()}, file, metadata)
        return file

    def compare(self, title, wanted, drawn):
        adapter = self.report["adapters"][0]
        assert all(a["matched"] == a["modules"] for a in self.report["adapters"]), adapter
        apart = np.abs(wanted - drawn).max()
        moved = np.abs(wanted - self.plain).max()
        good = apart <= 1 and moved > 8
        print(f"{'ok  ' if good else 'FAIL'} {self.model:<10} {title:<44} apart {apart}, adapter "
              f"moves {moved}; {adapter['kind']}, {adapter['matched']} modules", flush=True)
        return good

    def diffusers(self, title, state, metadata=None, weight=1.0, options=()):
        """An adapter that Diffusers reads, by both."""
        file = self.save(state, metadata)
        self.pipe.load_lora_weights(str(self.folder), weight_name=file.name, adapter_name="a")
        if weight != 1.0:
            self.pipe.set_adapters(["a"], [weight])
        wanted = self.reference()
        self.pipe.unload_lora_weights()
        good = self.compare(title, wanted, self.draw("--lora", f"{file}:{weight}", *options))
        if self.pipe.transformer.state_dict().keys() != self.weights.keys():
            self.reload()
        return good


def linears(bench):
    """Every linear layer of the transformer: name -> [out, in]."""
    return {
        name: tuple(module.weight.shape)
        for name, module in bench.pipe.transformer.named_modules()
        if isinstance(module, torch.nn.Linear)
    }


def random_lora(shapes, seed=0, rank=RANK):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(shape, generator=generator)

    return {
        name: (normal(rank, i) / i**0.5, normal(out, rank) * 0.5 / rank**0.5)
        for name, (out, i) in shapes.items()
    }


SIMPLE = {
    "x_embedder": "img_in",
    "context_embedder": "txt_in",
    "proj_out": "final_layer.linear",
    "norm_out.linear": "final_layer.adaLN_modulation.1",
    "time_guidance_embed.timestep_embedder.linear_1": "time_in.in_layer",
    "time_guidance_embed.timestep_embedder.linear_2": "time_in.out_layer",
    "time_guidance_embed.guidance_embedder.linear_1": "guidance_in.in_layer",
    "time_guidance_embed.guidance_embedder.linear_2": "guidance_in.out_layer",
    "double_stream_modulation_img.linear": "double_stream_modulation_img.lin",
    "double_stream_modulation_txt.linear": "double_stream_modulation_txt.lin",
    "single_stream_modulation.linear": "single_stream_modulation.lin",
}
BLOCK = {
    "attn.to_out.0": "img_attn.proj",
    "attn.to_add_out": "txt_attn.proj",
    "ff.linear_in": "img_mlp.0",
    "ff.linear_out": "img_mlp.2",
    "ff_context.linear_in": "txt_mlp.0",
    "ff_context.linear_out": "txt_mlp.2",
}
SINGLE = {"attn.to_qkv_mlp_proj": "linear1", "attn.to_out": "linear2"}


def bfl_shapes(shapes):
    """BFL's modules with their shapes, and the Diffusers modules that each consists of."""
    out, parts = {}, {}
    for name, (rows, columns) in shapes.items():
        words = name.split(".")
        if name in SIMPLE:
            target = SIMPLE[name]
        elif words[0] == "single_transformer_blocks":
            target = f"single_blocks.{words[1]}.{SINGLE['.'.join(words[2:])]}"
        else:
            rest = ".".join(words[2:])
            if rest in BLOCK:
                target = f"double_blocks.{words[1]}.{BLOCK[rest]}"
            else:
                stream = "txt" if "add_" in rest else "img"
                target = f"double_blocks.{words[1]}.{stream}_attn.qkv"
        before = out.get(target, (0, columns))
        out[target] = (before[0] + rows, columns)
        parts.setdefault(target, []).append(name)
    order = {"to_q": 0, "to_k": 1, "to_v": 2, "add_q_proj": 0, "add_k_proj": 1, "add_v_proj": 2}
    for names in parts.values():
        names.sort(key=lambda name: order.get(name.split(".")[-1], 0))
    return out, parts


def cut(differences, parts, shapes, swap=True):
    """Differences of BFL's modules as those of Diffusers'."""
    out = {}
    for target, delta in differences.items():
        if target == "final_layer.adaLN_modulation.1" and swap:
            delta = delta.roll(delta.shape[0] // 2, 0)
        at = 0
        for name in parts[target]:
            out[name] = delta[at : at + shapes[name][0]]
            at += shapes[name][0]
    return out


def lora_keys(lora, prefix, down, up, alpha=None, underscores=False):
    state = {}
    for name, (a, b) in lora.items():
        key = prefix + (name.replace(".", "_") if underscores else name)
        state[f"{key}.{down}"], state[f"{key}.{up}"] = a, b
        if alpha is not None:
            state[f"{key}.alpha"] = torch.tensor(float(alpha))
    return state


def difference(lora, scale=1.0):
    return {name: scale * (b @ a) for name, (a, b) in lora.items()}


def check_diffusers_formats(bench):
    """What Diffusers reads."""
    shapes = linears(bench)
    bfl, _ = bfl_shapes(shapes)
    lora = random_lora(shapes)
    bfl_lora = random_lora(bfl, seed=1)
    peft = ("lora_A.weight", "lora_B.weight")
    kohya = ("lora_down.weight", "lora_up.weight")
    metadata = {"lora_adapter_metadata": json.dumps({
        "transformer.r": RANK, "transformer.lora_alpha": 2 * RANK,
        "transformer.alpha_pattern": {"transformer_blocks.0.attn.to_q": RANK / 2},
        "transformer.rank_pattern": {}, "transformer.target_modules": sorted(shapes)})}
    blocks = {k: v for k, v in lora.items() if "transformer_blocks" in k}
    cut_names = {k.removeprefix("tran") if k.startswith("transformer_blocks") else k: v
                 for k, v in blocks.items()}
    known_to_kohya = {k: v for k, v in bfl_lora.items()
                      if "modulation" not in k and "guidance_in" not in k}
    state = lora_keys(lora, "transformer.", *peft)
    good = [
        bench.diffusers("Diffusers", state),
        bench.diffusers("Diffusers, weight 0.6", state, weight=0.6),
        bench.diffusers("Diffusers, weight -0.5", state, weight=-0.5),
        bench.diffusers("Diffusers, alpha in the metadata", state, metadata),
        bench.diffusers("BFL (ai-toolkit), adaLN as Diffusers",
                        lora_keys(bfl_lora, "diffusion_model.", *peft),
                        options=["--lora-adaln", "reference"]),
        bench.diffusers("BFL wrapped by PEFT (fal), adaLN as Diffusers",
                        lora_keys(bfl_lora, "base_model.model.", *peft),
                        options=["--lora-adaln", "reference"]),
        bench.diffusers("Diffusers' blocks under diffusion_model",
                        lora_keys(blocks, "diffusion_model.", *peft)),
        bench.diffusers("sformer_blocks", lora_keys(cut_names, "diffusion_model.", *peft)),
        bench.diffusers("kohya, alpha", lora_keys(known_to_kohya, "lora_unet_", *kohya, alpha=3,
                                                  underscores=True)),
    ]
    return all(good)


def check_scale_and_several(bench):
    """attention_kwargs' scale, and two adapters at once."""
    shapes = linears(bench)
    files = []
    for seed in (0, 5):
        file = bench.folder / f"adapter{seed}.safetensors"
        save_file(lora_keys(random_lora(shapes, seed), "transformer.", "lora_A.weight",
                            "lora_B.weight"), file)
        files.append(file)
    bench.pipe.load_lora_weights(str(bench.folder), weight_name=files[0].name, adapter_name="a")
    scaled = bench.reference(attention_kwargs={"scale": 0.4})
    good = bench.compare("attention_kwargs scale 0.4", scaled,
                         bench.draw("--lora", files[0], "--lora-scale", 0.4))
    bench.pipe.load_lora_weights(str(bench.folder), weight_name=files[1].name, adapter_name="b")
    bench.pipe.set_adapters(["a", "b"], [0.7, 0.5])
    both = bench.reference()
    bench.pipe.unload_lora_weights()
    good &= bench.compare("two at once", both,
                          bench.draw("--lora", f"{files[0]}:0.7", "--lora", f"{files[1]}:0.5"))
    return good


def check_dora(bench):
    """PEFT's own DoRA, saved as PEFT saves it; one and two."""
    good = True
    torch.manual_seed(0)
    weights = {"d": 1.0, "e": 0.5}
    names = []
    for adapter in weights:
        config = LoraConfig(r=RANK, lora_alpha=6, use_dora=True, target_modules=sorted(linears_of(bench)))
        bench.pipe.transformer.add_adapter(config, adapter)
        for name, parameter in bench.pipe.transformer.named_parameters():
            if f".{adapter}." not in name:
                continue
            if "lora_B" in name:
                parameter.data.normal_(0, 0.3)
            if "magnitude" in name:
                parameter.data *= torch.empty_like(parameter).uniform_(0.7, 1.4)
        names.append(adapter)
        bench.pipe.transformer.set_adapters(names, [weights[n] for n in names])
        wanted = bench.reference()
        options = []
        for n in names:
            folder = bench.folder / f"peft-{n}"
            folder.mkdir(exist_ok=True)
            state = get_peft_model_state_dict(bench.pipe.transformer, adapter_name=n)
            save_file({"base_model.model." + k: v.contiguous() for k, v in state.items()},
                      folder / "adapter_model.safetensors")
            (folder / "adapter_config.json").write_text(json.dumps(
                {"peft_type": "LORA", "r": RANK, "lora_alpha": 6, "use_dora": True}))
            options += ["--lora", f"{folder}:{weights[n]}"]
        good &= bench.compare(f"PEFT, DoRA of {len(names)}", wanted, bench.draw(*options))
    bench.reload()
    return good


def linears_of(bench):
    return {name.removesuffix(".weight") for name, w in bench.weights.items()
            if w.ndim == 2 and name.endswith(".weight")}


def random_lokr(shapes, seed, decompose):
    """Factors of every module, and the differences, by LyCORIS."""
    from lycoris.functional.general import factorization
    from lycoris.functional.lokr import diff_weight
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(shape, generator=generator)

    state, deltas = {}, {}
    for name, (out, columns) in shapes.items():
        (a, c), (b, d) = factorization(out, 4), factorization(columns, 4)
        rank = 2
        w1 = normal(a, b) * 0.5
        if decompose:
            w2a, w2b = normal(c, rank) * 0.5, normal(rank, d) / d**0.5
            state[name] = {"lokr_w1": w1, "lokr_w2_a": w2a, "lokr_w2_b": w2b, "alpha": torch.tensor(3.0)}
            deltas[name] = diff_weight(w1, None, None, None, w2a, w2b, None, gamma=3.0)  # divides it by the rank itself
        else:
            w2 = normal(c, d) * 0.3 / d**0.5
            state[name] = {"lokr_w1": w1, "lokr_w2": w2, "alpha": torch.tensor(1.0)}
            deltas[name] = diff_weight(w1, None, None, w2, None, None, None)
    return state, deltas


def keys_of(state, prefix, underscores=False):
    return {f"{prefix}{name.replace('.', '_') if underscores else name}.{role}": tensor
            for name, roles in state.items() for role, tensor in roles.items()}


def check_lycoris(bench):
    shapes = linears(bench)
    blocks = {k: v for k, v in shapes.items() if "transformer_blocks" in k}
    bfl, parts = bfl_shapes(shapes)
    good = True
    for decompose in (False, True):
        title = "LoKr, decomposed" if decompose else "LoKr"
        state, _ = random_lokr(blocks, 2, decompose)
        good &= bench.diffusers(f"{title}, lycoris_", keys_of(state, "lycoris_", True))
        good &= bench.diffusers(f"{title}, bare Diffusers names", keys_of(state, ""))
        state, deltas = random_lokr(bfl, 3, decompose)
        file = bench.save(keys_of(state, "diffusion_model."))
        wanted = bench.with_difference(cut(deltas, parts, shapes))
        good &= bench.compare(f"{title}, BFL, fused, by hand", wanted, bench.draw("--lora", file))
    return good


def check_by_hand(bench):
    """What Diffusers does not read, held against the difference itself."""
    from lycoris.functional.general import weight_decompose
    from lycoris.functional.loha import diff_weight as loha
    shapes = linears(bench)
    bfl, parts = bfl_shapes(shapes)
    lora, bfl_lora = random_lora(shapes), random_lora(bfl, seed=1)
    kohya = ("lora_down.weight", "lora_up.weight")
    peft = ("lora_A.weight", "lora_B.weight")
    scaled = difference(lora, 2 / RANK)
    bfl_scaled = cut(difference(bfl_lora, 2 / RANK), parts, shapes)
    cases = [
        ("BFL, adaLN halves swapped", lora_keys(bfl_lora, "diffusion_model.", *peft),
         cut(difference(bfl_lora), parts, shapes)),
        ("BFL, lora_down, alpha", lora_keys(bfl_lora, "diffusion_model.", *kohya, alpha=2), bfl_scaled),
        ("kohya, every module", lora_keys(bfl_lora, "lora_unet_", *kohya, alpha=2, underscores=True),
         bfl_scaled),
        ("OneTrainer", lora_keys(lora, "lora_transformer_", *kohya, alpha=2, underscores=True), scaled),
        ("DiffSynth", lora_keys(lora, "", "lora_A.default.weight", "lora_B.default.weight"),
         difference(lora)),
        ("ComfyUI, bare names, lora.down", lora_keys(lora, "", "lora.down.weight", "lora.up.weight"),
         difference(lora)),
    ]
    generator = torch.Generator().manual_seed(4)

    def normal(*shape):
        return torch.randn(shape, generator=generator)

    hada, deltas = {}, {}
    tucker, tucker_deltas = {}, {}
    for name, (out, columns) in bfl.items():
        w1b, w1a, w2b, w2a = normal(3, columns), normal(out, 3), normal(3, columns), normal(out, 3)
        w1a = w1a * 0.2 / columns**0.5
        hada[name] = {"hada_w1_a": w1a, "hada_w1_b": w1b, "hada_w2_a": w2a, "hada_w2_b": w2b,
                      "alpha": torch.tensor(2.0)}
        deltas[name] = loha(w1b, w1a, w2b, w2a, None, None, gamma=torch.tensor(2.0 / 3))
        t1, t2 = normal(3, 3, 1, 1), normal(3, 3, 1, 1)
        tucker[name] = {"hada_t1": t1, "hada_w1_a": w1a.T, "hada_w1_b": w1b, "hada_t2": t2,
                        "hada_w2_a": w2a.T, "hada_w2_b": w2b}
        tucker_deltas[name] = 0.3 * loha(w1b, w1a.T, w2b, w2a.T, t1, t2,
                                         gamma=torch.tensor(1.0)).reshape(out, columns)
        tucker[name]["alpha"] = torch.tensor(0.9)
    cases.append(("LoHa, BFL", keys_of(hada, "lora_unet_", True), cut(deltas, parts, shapes)))
    cases.append(("LoHa with Tucker's factors", keys_of(tucker, "diffusion_model."),
                  cut(tucker_deltas, parts, shapes)))
    full = {name: {"diff": 0.3 * normal(*shape) / shape[1]**0.5} for name, shape in shapes.items()}
    cases.append(("full differences", keys_of(full, "diffusion_model."),
                  {k: v["diff"] for k, v in full.items()}))
    for on_rows in (True, False):
        state, deltas = lora_keys(lora, "transformer.", *kohya), {}
        for name, (a, b) in lora.items():
            weight = bench.weights[name + ".weight"]
            length = weight.norm(dim=1, keepdim=True) if on_rows else weight.norm(dim=0, keepdim=True)
            magnitude = length * torch.empty_like(length).uniform_(0.7, 1.3, generator=generator)
            state[f"transformer.{name}.dora_scale"] = magnitude
            deltas[name] = weight_decompose(weight + b @ a, magnitude, 1, on_rows) - weight
        cases.append((f"DoRA of {'rows' if on_rows else 'columns'}, dora_scale", state, deltas))
    good = True
    for title, state, deltas in cases:
        file = bench.save(state)
        good &= bench.compare(f"{title}, by hand", bench.with_difference(deltas),
                              bench.draw("--lora", file))
    return good


def check_text_encoder(bench):
    """The adapter of a text encoder: Diffusers has none, so PEFT's own layers are put in."""
    encoder = bench.pipe.text_encoder
    config = LoraConfig(r=RANK, lora_alpha=RANK, init_lora_weights=False,
                        target_modules=r".*layers\.\d+\.(self_attn\.[qkvo]_proj|mlp\.\w+_proj)$"
                        if bench.model == "tiny-klein" else
                        r".*language_model.*layers\.\d+\.(self_attn\.[qkvo]_proj|mlp\.\w+_proj)$")
    torch.manual_seed(1)
    inject_adapter_in_model(config, encoder, "t")
    wanted = bench.reference()
    state = get_peft_model_state_dict(encoder, adapter_name="t")
    bench.reload()
    # The names of the files, which save_pretrained puts back.
    renamed = {("text_encoder." + k.replace("model.language_model.", "language_model.model.")
                .replace("base_model.model.", "")): v for k, v in state.items()}
    file = bench.save(renamed)
    return bench.compare("text encoder", wanted, bench.draw("--lora", file))


def check_quantised_bases(bench):
    """On weights that are stored in fewer bits: as on what they stand for."""
    import gguf
    lora = random_lora(linears(bench))
    file = bench.folder / "adapter.safetensors"
    save_file(lora_keys(lora, "transformer.", "lora_A.weight", "lora_B.weight"), file)
    original = bench.weights
    stored, stands_for = {}, {}
    writer = gguf.GGUFWriter(bench.folder / "model.gguf", "flux")
    kind = gguf.GGMLQuantizationType.Q8_0
    for name, weight in original.items():
        values = weight.numpy()
        if weight.ndim == 2 and weight.shape[1] % 32 == 0:
            packed = gguf.quants.quantize(values, kind)
            writer.add_tensor(name, packed, raw_dtype=kind)
            stands_for[name] = torch.from_numpy(gguf.quants.dequantize(packed, kind))
        else:
            writer.add_tensor(name, values)
            stands_for[name] = weight
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    variant = ["--variant", "dev" if bench.model == "tiny-dev" else "klein"]
    good = True
    bench.weights = stands_for
    good &= bench.compare("on GGUF Q8_0", bench.with_difference(difference(lora)),
                          bench.draw("--lora", file, *variant, "--transformer",
                                     bench.folder / "model.gguf"))
    stands_for = {}
    for name, weight in original.items():
        stored[name], stands_for[name] = weight, weight
        if weight.ndim == 2:
            scale = weight.abs().max() / 448
            stored[name] = (weight / scale).to(torch.float8_e4m3fn)
            stored[name + "_scale"] = scale.reshape(())
            stands_for[name] = stored[name].float() * scale
    save_file(stored, bench.folder / "fp8.safetensors")
    bench.weights = stands_for
    good &= bench.compare("on FP8, scaled", bench.with_difference(difference(lora)),
                          bench.draw("--lora", file, *variant, "--transformer",
                                     bench.folder / "fp8.safetensors"))
    bench.weights = original
    return good


def main():
    good = True
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        for model in PIPELINES:
            bench = Bench(sys.argv[1], model, folder)
            for check in (check_diffusers_formats, check_scale_and_several, check_dora,
                          check_lycoris, check_by_hand, check_text_encoder,
                          check_quantised_bases):
                good &= bool(check(bench))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
