"""Parameters, their order and their defaults, held against Diffusers' own."""

from __future__ import annotations

import inspect
from typing import Any

import diffusers
import flux2
from diffusers.models.autoencoders.autoencoder_kl_flux2 import AutoencoderKLFlux2
from flux2._parts import Transformer, Vae

PIPELINES = (
    "Flux2Pipeline",
    "Flux2KleinPipeline",
    "Flux2KleinKVPipeline",
    "Flux2KleinInpaintPipeline",
)
METHODS = (
    "__call__",
    "encode_prompt",
    "load_lora_weights",
    "set_adapters",
    "get_active_adapters",
    "get_list_adapters",
    "delete_adapters",
    "disable_lora",
    "enable_lora",
    "fuse_lora",
    "unfuse_lora",
    "unload_lora_weights",
)
# The cache of klein KV is the library's own business (docs/differences.md).
LEFT_OUT = {"kv_cache", "kv_cache_mode", "num_ref_tokens", "ref_fixed_timestep"}


def positional(function: Any) -> list[tuple[str, Any]]:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD,)
    found = inspect.signature(function).parameters.values()
    return [
        (p.name, tuple(p.default) if isinstance(p.default, list) else p.default)
        for p in found
        if p.kind in kinds and p.name not in LEFT_OUT
    ]


def pairs() -> list[tuple[str, Any, Any]]:
    """Name, Diffusers' function, ours."""
    table = [
        (f"{name}.{method}", getattr(theirs, method), getattr(getattr(flux2, name), method))
        for name in PIPELINES
        if (theirs := getattr(diffusers, name, None))
        for method in METHODS
        if hasattr(theirs, method)
    ]
    transformer = diffusers.Flux2Transformer2DModel
    return table + [
        ("vae.encode", inspect.unwrap(AutoencoderKLFlux2.encode), Vae.encode),
        ("vae.decode", inspect.unwrap(AutoencoderKLFlux2.decode), Vae.decode),
        ("transformer", inspect.unwrap(transformer.forward), Transformer.__call__),
    ]


def unlike() -> tuple[int, list[str]]:
    """How many were compared, and what is different."""
    table = pairs()
    return len(table), [
        f"{name}: {positional(ours)}, not {positional(theirs)}"
        for name, theirs, ours in table
        if positional(ours) != positional(theirs)
    ]
