"""Writes data/calls.safetensors: calls of Diffusers that calls_test.cpp makes as well.

Needs tests/goldens/data/requirements.txt. Pictures, masks and inputs follow from formulas that the test
repeats, so that only results are stored.
"""

from pathlib import Path

import numpy as np
import torch
from diffusers import Flux2KleinInpaintPipeline, Flux2KleinKVPipeline, Flux2KleinPipeline, Flux2Pipeline
from PIL import Image
from safetensors.torch import save_file

HERE = Path(__file__).resolve().parent
CHECKPOINTS = HERE.parents[1] / "goldens" / "data" / "checkpoints"
TEXT = 24


def numbers(count: int, factor: int) -> np.ndarray:
    """Values in [0, 1) that no two neighbours share."""
    return ((np.arange(count) * factor % 251) / 251.0).astype(np.float32)


def picture(width: int, height: int, factor: int) -> Image.Image:
    values = np.arange(width * height * 3) * factor % 251
    return Image.fromarray(values.astype(np.uint8).reshape(height, width, 3))


def half_mask(width: int, height: int, side: str) -> Image.Image:
    mask = np.zeros((height, width), np.uint8)
    if side == "right":
        mask[:, width // 2 :] = 255
    else:
        mask[: height // 2] = 255
    return Image.fromarray(mask)


def attention_mask(tokens: int) -> torch.Tensor:
    """Nearer tokens count more; the last text token is seen by nobody."""
    place = torch.arange(tokens)
    mask = -0.125 * (place[:, None] - place[None, :]).abs().remainder(16).float()
    mask[:, TEXT - 1] = -torch.inf
    return mask[None, None]


def load(pipeline: type, name: str):
    return pipeline.from_pretrained(CHECKPOINTS / name, torch_dtype=torch.float32)


def call(pipe, **arguments):
    generator = torch.Generator("cpu").manual_seed(5)
    if "prompt" not in arguments:
        arguments["prompt"] = "a cat"
    return pipe(
        generator=generator, num_inference_steps=2, max_sequence_length=TEXT, **arguments
    ).images


def text_to_image(out: dict) -> None:
    klein = load(Flux2KleinPipeline, "tiny-klein")
    size = {"height": 32, "width": 48}
    out["klein_latent"] = call(klein, output_type="latent", **size)
    out["klein_pixels"] = torch.from_numpy(call(klein, output_type="np", **size))
    mask = {"attention_mask": attention_mask(TEXT + 6)}
    out["klein_mask"] = call(klein, output_type="latent", attention_kwargs=mask, **size)
    keys = torch.zeros(1, TEXT + 6)
    keys[0, 3] = -torch.inf
    out["klein_key_mask"] = call(
        klein, output_type="latent", attention_kwargs={"attention_mask": keys}, **size
    )
    kv = load(Flux2KleinKVPipeline, "tiny-klein-kv")
    out["kv_mask"] = call(kv, output_type="latent", attention_kwargs=mask, **size)


def interrupted(out: dict) -> None:
    klein = load(Flux2KleinPipeline, "tiny-klein")

    def stop(pipe, step, _timestep, tensors):
        pipe._interrupt = step == 0
        return tensors

    out["klein_interrupted"] = call(
        klein, output_type="latent", height=32, width=48, callback_on_step_end=stop
    )


def inpainting(out: dict) -> None:
    pipe = load(Flux2KleinInpaintPipeline, "tiny-klein")
    two = {
        "prompt": ["a cat", "a dog"],
        "image": [picture(48, 32, 37), picture(48, 32, 41)],
        "mask_image": [half_mask(48, 32, "right"), half_mask(48, 32, "top")],
        "output_type": "latent",
        "strength": 1.0,
    }
    out["inpaint_two"] = call(pipe, **two)
    references = [picture(64, 64, 43), picture(64, 64, 47)]
    out["inpaint_reference_per_sample"] = call(pipe, image_reference=references, **two)
    floats = numbers(32 * 48 * 3, 53).reshape(1, 32, 48, 3)
    out["inpaint_floats"] = call(
        pipe,
        image=floats,
        mask_image=half_mask(48, 32, "right"),
        strength=1.0,
        output_type="latent",
    )


def parts(out: dict) -> None:
    dev = load(Flux2Pipeline, "tiny-dev")
    with torch.no_grad():
        pixels = torch.from_numpy(2 * numbers(2 * 3 * 16 * 24, 59) - 1).reshape(2, 3, 16, 24)
        latent = dev.vae.encode(pixels).latent_dist
        out["encoded_mean"] = latent.mode().contiguous()
        out["encoded_log_variance"] = latent.logvar.contiguous()
        out["decoded"] = dev.vae.decode(latent.mode(), return_dict=False)[0]
        config = dev.transformer.config
        hidden = torch.from_numpy(numbers(2 * 6 * 128, 61)).reshape(2, 6, 128)
        text = torch.from_numpy(numbers(2 * 5 * config.joint_attention_dim, 67)).reshape(2, 5, -1)
        img_ids = torch.tensor([[0, i // 3, i % 3, 0] for i in range(6)])
        txt_ids = torch.tensor([[0, 0, 0, i] for i in range(5)])
        out["velocity"] = dev.transformer(
            hidden_states=hidden,
            encoder_hidden_states=text,
            timestep=torch.tensor([0.75, 0.5]),
            img_ids=img_ids,
            txt_ids=txt_ids,
            guidance=torch.tensor([3.0, 4.0]),
            return_dict=False,
        )[0]


def main() -> None:
    out: dict[str, torch.Tensor] = {}
    with torch.no_grad():
        text_to_image(out)
        interrupted(out)
        inpainting(out)
        parts(out)
    save_file({k: v.detach().contiguous().float() for k, v in out.items()}, HERE / "data" / "calls.safetensors")


if __name__ == "__main__":
    main()
