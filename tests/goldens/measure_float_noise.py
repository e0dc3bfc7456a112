"""Measures how far float32 goldens of the VAE lie from Diffusers in float64 on the same files.

The encoder of a tiny VAE amplifies rounding: two float32 runs of Diffusers on different machines
differ by up to 2e-4 there. A test that compares with such a golden has to allow for that distance
and no more. Writes float_noise.json beside this file.

    pip install -r data/requirements.txt && python3 measure_float_noise.py
"""
import json
import pathlib

import torch
from diffusers import AutoencoderKLFlux2
from safetensors.torch import load_file

HERE = pathlib.Path(__file__).parent
DATA = HERE / "data"


def distance(golden, truth):
    return ((golden.double() - truth).norm() / truth.norm()).item()


def load(name):
    folder = DATA / "checkpoints" / name / "vae"
    return AutoencoderKLFlux2.from_pretrained(folder, torch_dtype=torch.float32).double()


def normalised(vae, mode):
    b, c, h, w = mode.shape
    patches = mode.view(b, c, h // 2, 2, w // 2, 2).permute(0, 1, 3, 5, 2, 4).reshape(b, 4 * c, h // 2, w // 2)
    std = torch.sqrt(vae.bn.running_var.view(1, -1, 1, 1) + vae.config.batch_norm_eps)
    return (patches - vae.bn.running_mean.view(1, -1, 1, 1)) / std


@torch.no_grad()
def main():
    noise = {}
    for name in ("tiny-klein", "tiny-klein-base", "tiny-dev", "tiny-klein-kv"):
        vae, golden = load(name), load_file(DATA / "vae" / f"{name}.safetensors")
        for tag in ("small", "wide"):
            moments = vae._encode(golden[f"{tag}.image"].double())
            mode = moments[:, : vae.config.latent_channels]
            for kind, truth in (("moments", moments), ("mode", mode), ("normalised", normalised(vae, mode))):
                noise[f"{name}/{tag}.{kind}"] = distance(golden[f"{tag}.{kind}"], truth)
            noise[f"{name}/{tag}.decoded_mode"] = distance(
                golden[f"{tag}.decoded_mode"], vae.decode(golden[f"{tag}.mode"].double(), return_dict=False)[0])
    vae, golden = load("tiny-klein"), load_file(DATA / "vae" / "tiled.safetensors")
    vae.tile_sample_min_size, vae.tile_latent_min_size = 64, 8
    vae.enable_tiling()
    noise["tiled/moments"] = distance(golden["moments"], vae._encode(golden["image"].double()))
    (HERE / "float_noise.json").write_text(json.dumps(noise, indent=1) + "\n")


if __name__ == "__main__":
    main()
