"""The parts of a pipeline called by themselves; each function returns a tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

TEXTS = ["a red circle", "the quick brown fox at sunset"]
LENGTH = 40


def numbers(shape: tuple[int, ...], seed: int = 5) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def pixels(height: int, width: int, batch: int = 1) -> torch.Tensor:
    return numbers((batch, 3, height, width)).clamp(-1, 1)


def ids(*grids: tuple[int, int]) -> torch.Tensor:
    """Of a picture and references behind it."""
    rows = [
        torch.cartesian_prod(torch.tensor([10 * k]), torch.arange(h), torch.arange(w), torch.arange(1))
        for k, (h, w) in enumerate(grids)
    ]
    return torch.cat(rows)[None]


def texts(pipe: Any, **more: Any) -> tuple[Any, Any]:
    return pipe.encode_prompt(**{"prompt": TEXTS, "max_sequence_length": LENGTH, **more})


def velocity(pipe: Any, **more: Any) -> Any:
    embeds, text_ids = texts(pipe, prompt=TEXTS[0])
    arguments = {
        "hidden_states": numbers((1, 12, 128)), "encoder_hidden_states": embeds,
        "timestep": torch.tensor([0.7]), "img_ids": ids((3, 4)), "txt_ids": text_ids,
        "guidance": torch.tensor([3.0]) if pipe.transformer.config.guidance_embeds else None, **more,
    }  # fmt: skip
    return pipe.transformer(**arguments)[0]


def encoded(pipe: Any, height: int = 48, width: int = 64, batch: int = 1) -> Any:
    return pipe.vae.encode(pixels(height, width, batch)).latent_dist


def decoded(pipe: Any, **more: Any) -> Any:
    return pipe.vae.decode(numbers((2, 32, 6, 8)), **more)


def sees(hidden: slice, tokens: int) -> torch.Tensor:
    mask = torch.ones(1, tokens, dtype=torch.bool)
    mask[:, hidden] = False
    return mask


def sampled(pipe: Any) -> Any:
    return encoded(pipe).sample(torch.Generator().manual_seed(8))


TRANSFORMER: dict[str, Callable[[Any], Any]] = {
    "transformer": velocity,
    "transformer: two references": lambda p: velocity(
        p, hidden_states=numbers((1, 22, 128)), img_ids=ids((3, 4), (2, 3), (2, 2))
    ),
    "transformer: a batch": lambda p: velocity(
        p, hidden_states=numbers((2, 12, 128)), timestep=torch.tensor([0.7, 0.7]),
        encoder_hidden_states=texts(p)[0],
        guidance=torch.tensor([3.0, 3.0]) if p.transformer.config.guidance_embeds else None,
    ),
    "transformer: attention mask": lambda p: velocity(
        p, joint_attention_kwargs={"attention_mask": sees(slice(3, 9), 12 + LENGTH)}
    ),
}  # fmt: skip
PROMPT: dict[str, Callable[[Any], Any]] = {
    "encode_prompt": lambda p: texts(p)[0],
    "encode_prompt: positions": lambda p: texts(p)[1].float(),
    "encode_prompt: three pictures a prompt": lambda p: texts(p, num_images_per_prompt=3)[0],
    "encode_prompt: no prompt": lambda p: texts(p, prompt=None)[0],
    "encode_prompt: embeddings": lambda p: texts(
        p, prompt=None, prompt_embeds=numbers((2, 7, 30)), num_images_per_prompt=2
    )[0],
}
VAE: dict[str, Callable[[Any], Any]] = {
    "vae.encode: mode": lambda p: encoded(p, batch=2).mode(),
    "vae.encode: mean": lambda p: encoded(p, 32, 48).mean,
    "vae.encode: std": lambda p: encoded(p).std,
    "vae.encode: sample": sampled,
    "vae.decode": lambda p: decoded(p).sample,
    "vae.decode: tuple": lambda p: decoded(p, return_dict=False)[0],
    "vae.bn: mean": lambda p: p.vae.bn.running_mean.clone(),
    "vae.bn: variance": lambda p: p.vae.bn.running_var.clone(),
}
