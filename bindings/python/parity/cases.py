"""The table of calls that Diffusers and flux2 are held side by side on."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any, Callable

import numpy as np
import parts
import PIL.Image
import torch

import adapters

PROMPT = "A cat holding a sign that says hello world"
OTHER = "the quick brown fox at sunset"


@dataclass
class Case:
    """`arguments` are given to both as they are; `seeds` become generators of each one's own."""

    name: str
    checkpoint: str
    pipeline: str
    arguments: dict[str, Any]
    seeds: list[int] = field(default_factory=lambda: [42])
    #: Calls with the same generator before the one that is compared.
    calls_before: int = 0
    #: The generators of torch are given to flux2 as well.
    torch_generators: bool = False
    #: In place of a call of the pipeline: a part of it, which returns latents or the like.
    part: Callable[[Any], Any] | None = None
    #: What is done with two adapters before the call.
    adapt: Callable[[Any, Any, Any], None] | None = None


def picture(width: int, height: int, mode: str = "RGB", seed: int = 0) -> PIL.Image.Image:
    """Smooth colours with some noise, of any mode."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    waves = [np.sin(7 * x * (c + 1) + 5 * y + seed + c) * 100 + 127 for c in range(4)]
    values = np.stack(waves, -1) + random.normal(0, 8, (height, width, 4))
    rgba = PIL.Image.fromarray(values.clip(0, 255).astype(np.uint8), "RGBA")
    return rgba if mode == "RGBA" else rgba.convert("RGB").convert(mode)


def mask(width: int, height: int, kind: str = "right") -> PIL.Image.Image:
    image = PIL.Image.new("L", (width, height), 0)
    box = {
        "right": (width // 2, 0, width, height),
        "middle": (width // 4, height // 4, 3 * width // 4, 3 * height // 4),
        "all": (0, 0, width, height),
    }[kind]
    image.paste(255, box)
    return image


def latents(shape: tuple[int, ...], seed: int = 9) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def scale_latents(_pipe: Any, _step: int, _timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
    return {"latents": tensors["latents"] * 0.9}


def scale_embeds(_pipe: Any, _step: int, _timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
    return {"prompt_embeds": tensors["prompt_embeds"] * 0.9}


def interrupt(pipe: Any, step: int, _timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
    pipe._interrupt = step == 1
    return tensors


def _sizes_and_texts() -> dict[str, dict[str, Any]]:
    return {
        "plain": {},
        "wide": {"width": 112, "height": 64},
        "tall": {"width": 64, "height": 96},
        "not a multiple of 16": {"width": 100, "height": 70},
        "one step": {"num_inference_steps": 1},
        "five steps": {"num_inference_steps": 5},
        "sigmas": {"sigmas": [1.0, 0.7, 0.3]},
        "sigmas and other steps": {"sigmas": [0.9, 0.4], "num_inference_steps": 7},
        "length 40": {"max_sequence_length": 40},
        "empty prompt": {"prompt": ""},
        "unicode prompt": {"prompt": "Zażółć gęślą jaźń 猫 🐈 <|im_end|>\n\ttab"},
        "long prompt": {"prompt": " ".join([PROMPT] * 20)},
        "two prompts": {"prompt": [PROMPT, OTHER]},
        "two pictures": {"num_images_per_prompt": 2},
        "two prompts, two pictures": {"prompt": [PROMPT, OTHER], "num_images_per_prompt": 2},
        "given latents": {"latents": latents((1, 128, 4, 4))},
        "np": {"output_type": "np"},
        "pt": {"output_type": "pt"},
        "latent": {"output_type": "latent"},
        "tuple": {"return_dict": False},
        "callback: latents": {"callback_on_step_end": scale_latents},
        "callback: embeddings": {
            "callback_on_step_end": scale_embeds,
            "callback_on_step_end_tensor_inputs": ["prompt_embeds"],
        },
        "callback: interrupt": {"callback_on_step_end": interrupt, "num_inference_steps": 4},
    }


def _references() -> dict[str, dict[str, Any]]:
    no_size = {"width": None, "height": None}
    return {
        "reference": {"image": picture(80, 64)},
        "reference decides the size": {"image": picture(90, 75), **no_size},
        "reference, height given": {"image": picture(96, 64), "width": None},
        "two references": {"image": [picture(80, 64), picture(64, 96, seed=1)]},
        "reference RGBA": {"image": picture(80, 64, "RGBA")},
        "reference gray": {"image": picture(80, 64, "L")},
        "reference palette": {"image": picture(80, 64, "P")},
        "reference bilevel": {"image": picture(80, 64, "1")},
        "reference, two prompts": {"image": picture(64, 64), "prompt": [PROMPT, OTHER]},
    }


def _text_to_image(checkpoint: str, pipeline: str) -> list[Case]:
    table = {**_sizes_and_texts(), **_references()}
    if checkpoint != "nano" and pipeline != "Flux2KleinKVPipeline":
        for scale in (1.0, 2.5, 7.0):
            table[f"guidance {scale}"] = {"guidance_scale": scale}
    cases = []
    for name, change in table.items():
        arguments = {"prompt": PROMPT, "width": 64, "height": 64, "num_inference_steps": 2,
                     "max_sequence_length": 128, **change}  # fmt: skip
        seeds = [] if "latents" in change else [42]
        cases.append(Case(name, checkpoint, pipeline, arguments, seeds))
    plain = cases[0].arguments
    pair = {**plain, "num_images_per_prompt": 2}
    cases += [
        Case("generators in a list", checkpoint, pipeline, pair, [5, 6]),
        Case("a generator's second call", checkpoint, pipeline, plain, calls_before=1),
        Case("torch's generator", checkpoint, pipeline, plain, torch_generators=True),
        Case("torch's, second call", checkpoint, pipeline, pair, [5, 6], 1, torch_generators=True),
        Case("64-bit seed", checkpoint, pipeline, plain, [2**63 + 12345]),
    ]
    return cases


def _inpaint(checkpoint: str) -> list[Case]:
    image = picture(96, 80)
    table: dict[str, dict[str, Any]] = {
        f"inpaint: strength {s}, {kind}": {"strength": s, "mask_image": mask(96, 80, kind)}
        for s, kind in itertools.product((0.5, 0.8, 1.0), ("right", "middle", "all"))
    }
    table |= {
        "inpaint: mask of another size": {"mask_image": mask(48, 40)},
        "inpaint: reference": {"image_reference": picture(80, 64, seed=3)},
        "inpaint: crop": {"padding_mask_crop": 8, "mask_image": mask(96, 80, "middle")},
        "inpaint: not a multiple of 16": {"image": picture(90, 75), "mask_image": mask(90, 75)},
        "inpaint: two pictures": {"num_images_per_prompt": 2},
        "inpaint: two prompts": {"prompt": [PROMPT, OTHER]},
        "inpaint: np": {"output_type": "np"},
        "inpaint: latent": {"output_type": "latent"},
        "inpaint: given latents": {"latents": latents((1, 128, 5, 6))},
        "inpaint: sigmas": {"sigmas": [1.0, 0.6, 0.2]},
        "inpaint: guidance 1": {"guidance_scale": 1.0},
    }
    cases = []
    for name, change in table.items():
        arguments = {"prompt": PROMPT, "image": image, "mask_image": mask(96, 80),
                     "num_inference_steps": 4, "max_sequence_length": 128, **change}  # fmt: skip
        seeds = [] if "latents" in change else [42]
        cases.append(Case(name, checkpoint, "Flux2KleinInpaintPipeline", arguments, seeds))
    return cases


def _inpaint_several(checkpoint: str) -> list[Case]:
    a, b, c = (picture(64, 64, seed=seed) for seed in (4, 5, 6))
    unit = np.asarray(a, np.float32)[None] / 255
    tensor = torch.from_numpy(unit).permute(0, 3, 1, 2).contiguous()
    patches = latents((1, 128, 4, 4), 3)
    pair = {"num_images_per_prompt": 2}
    table: dict[str, dict[str, Any]] = {
        "inpaint: a reference for each picture": {"image_reference": [b, c], **pair},
        "inpaint: a reference for each prompt": {"image_reference": [b, c], "prompt": [PROMPT, OTHER]},
        "inpaint: three references, one picture": {"image_reference": [a, b, c]},
        "inpaint: two references, one picture": {"image_reference": [b, c]},
        "inpaint: reference as latents": {"image_reference": patches},
        "inpaint: latents for each picture": {"image_reference": latents((2, 128, 4, 4), 3), **pair},
        "inpaint: two pictures to paint over": {"image": [a, b], "mask_image": [mask(64, 64)] * 2, **pair},
        "inpaint: two pictures, two masks": {
            "image": [a, b], "mask_image": [mask(64, 64), mask(64, 64, "middle")], **pair},
        "inpaint: picture as latents": {"image": patches},
        "inpaint: picture as floats": {"image": unit},
        "inpaint: picture as a tensor": {"image": tensor},
        "inpaint: picture as a tensor in [-1, 1]": {"image": tensor * 2 - 1},
        "inpaint: reference as a tensor": {"image_reference": tensor.flip(-1)},
        "inpaint: mask as a tensor": {"mask_image": torch.from_numpy(
            np.asarray(mask(64, 64), np.float32)[None, None] / 255)},
        "inpaint: pt": {"output_type": "pt"},
        "inpaint: negative embeddings": {"negative_prompt_embeds": _embeds(checkpoint)},
        "inpaint: attention mask": {"attention_kwargs": {
            "attention_mask": parts.sees(slice(2, 9), 128 + 32)}},
    }  # fmt: skip
    cases = []
    for name, change in table.items():
        arguments = {"prompt": PROMPT, "image": a, "mask_image": mask(64, 64),
                     "num_inference_steps": 3, "max_sequence_length": 128, **change}  # fmt: skip
        cases.append(Case(name, checkpoint, "Flux2KleinInpaintPipeline", arguments))
    return cases


def _embeds(checkpoint: str) -> torch.Tensor:
    """As wide as the text encoder of a tiny checkpoint makes them."""
    width = {"tiny-klein": 3, "tiny-klein-base": 3}[checkpoint] * _HIDDEN
    return latents((1, 128, width), 11)


def _masked(checkpoint: str, pipeline: str) -> list[Case]:
    tokens = 128 + 16
    bias = latents((1, 1, tokens, tokens), 2)
    table: dict[str, dict[str, Any]] = {
        "attention mask: keys": {"attention_kwargs": {"attention_mask": parts.sees(slice(4, 40), tokens)}},
        "attention mask: floats": {"attention_kwargs": {"attention_mask": bias}},
        "attention mask: two prompts": {
            "prompt": [PROMPT, OTHER],
            "attention_kwargs": {"attention_mask": torch.cat(
                [parts.sees(slice(4, 40), tokens), parts.sees(slice(0, 9), tokens)])}},
    }  # fmt: skip
    if pipeline != "Flux2KleinKVPipeline":
        table["attention mask: reference"] = {
            "image": picture(64, 64),
            "attention_kwargs": {"attention_mask": parts.sees(slice(-7, None), tokens + 16)},
        }
    return [Case(name, checkpoint, pipeline, {**_SMALL, **change}) for name, change in table.items()]


def _parts(checkpoint: str, pipeline: str, table: dict[str, Callable[[Any], Any]]) -> list[Case]:
    return [Case(name, checkpoint, pipeline, {}, part=part) for name, part in table.items()]


def _adapted(checkpoint: str, pipeline: str, ways: tuple[Callable[..., None], ...]) -> list[Case]:
    cases = [
        Case(f"adapter: {way.__name__.replace('_', ' ')}", checkpoint, pipeline, _SMALL, adapt=way)
        for way in ways
    ]
    scaled = {**_SMALL, "attention_kwargs": {"scale": 0.3}}
    cases.append(Case("adapter: scale", checkpoint, pipeline, scaled, adapt=adapters.both))
    cases.append(
        Case("adapter: transformer", checkpoint, pipeline, {}, adapt=adapters.both, part=parts.velocity)
    )
    return cases


_HIDDEN = 40
_MODELS = (
    ("tiny-klein", "Flux2KleinPipeline"),
    ("tiny-klein-base", "Flux2KleinPipeline"),
    ("tiny-dev", "Flux2Pipeline"),
    ("tiny-klein-kv", "Flux2KleinKVPipeline"),
)
_SMALL = {"prompt": PROMPT, "width": 64, "height": 64, "num_inference_steps": 2,
          "max_sequence_length": 128}  # fmt: skip


def _nano() -> list[Case]:
    kept = ("plain", "wide", "two prompts", "two pictures", "reference", "given latents", "np", "latent",
            "generators in a list", "length 40")  # fmt: skip
    cases = [c for c in _text_to_image("nano", "Flux2KleinPipeline") if c.name in kept]
    for case in cases:
        case.arguments = {**case.arguments, "prompt": "a red circle on a white background",
                          "max_sequence_length": 48, "num_inference_steps": 6}  # fmt: skip
    cases[2].arguments["prompt"] = ["a red circle", "a blue square"]
    return cases


def all_cases() -> list[Case]:
    families: list[Callable[[], list[Case]]] = [
        lambda: _text_to_image("tiny-klein", "Flux2KleinPipeline"),
        lambda: _text_to_image("tiny-klein-base", "Flux2KleinPipeline"),
        lambda: _text_to_image("tiny-dev", "Flux2Pipeline"),
        lambda: _text_to_image("tiny-klein-kv", "Flux2KleinKVPipeline"),
        lambda: _inpaint("tiny-klein"),
        lambda: _inpaint("tiny-klein-base"),
        lambda: _inpaint_several("tiny-klein"),
        lambda: _inpaint_several("tiny-klein-base"),
        *(lambda each=each: _masked(*each) for each in _MODELS),
        *(lambda each=each: _parts(*each, parts.PROMPT | parts.TRANSFORMER) for each in _MODELS),
        lambda: _parts("tiny-klein", "Flux2KleinPipeline", parts.VAE),
        lambda: _parts("nano", "Flux2KleinPipeline", parts.VAE | parts.PROMPT),
        lambda: _adapted("tiny-klein", "Flux2KleinPipeline", adapters.EVERYTHING),
        *(lambda each=each: _adapted(*each, adapters.A_FEW) for each in _MODELS[1:]),
        _nano,
    ]
    return [case for family in families for case in family()]
