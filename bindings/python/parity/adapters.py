"""Adapters as Diffusers loads them through PEFT, and what is done with them before a call."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch

RANK = 4
_NOISE = 0.15
_MODULES = ("attn.to_q", "attn.to_out.0", "attn.add_k_proj", "attn.to_qkv_mlp_proj", "ff.linear_in",
            "ff_context.linear_out", "attn.to_out", "x_embedder", "norm_out.linear")  # fmt: skip


@lru_cache(maxsize=1)
def shapes(transformer: torch.nn.Module) -> dict[str, tuple[int, int]]:
    return {
        name: (module.out_features, module.in_features)
        for name, module in transformer.named_modules()
        if isinstance(module, torch.nn.Linear) and name.endswith(_MODULES)
    }


def lora(transformer: torch.nn.Module, seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    made = {}
    for name, (rows, columns) in shapes(transformer).items():
        down = torch.randn(RANK, columns, generator=generator) * _NOISE
        up = torch.randn(rows, RANK, generator=generator) * _NOISE
        made[f"transformer.{name}.lora_A.weight"] = down
        made[f"transformer.{name}.lora_B.weight"] = up
    return made


# Each is given a pipeline and two adapters, and leaves it as the call is to find it.


def one(pipe: Any, a: Any, _b: Any) -> None:
    pipe.load_lora_weights(a)


def last_of_two(pipe: Any, a: Any, b: Any) -> None:
    pipe.load_lora_weights(a)
    pipe.load_lora_weights(b)


def weighted(pipe: Any, a: Any, _b: Any) -> None:
    pipe.load_lora_weights(a, adapter_name="a")
    pipe.set_adapters("a", 0.4)


def both(pipe: Any, a: Any, b: Any) -> None:
    pipe.load_lora_weights(a, adapter_name="a")
    pipe.load_lora_weights(b, adapter_name="b")
    pipe.set_adapters(["a", "b"], [0.7, -0.5])


def one_deleted(pipe: Any, a: Any, b: Any) -> None:
    both(pipe, a, b)
    pipe.delete_adapters("a")


def active_one_deleted(pipe: Any, a: Any, b: Any) -> None:
    pipe.load_lora_weights(a, adapter_name="a")
    pipe.load_lora_weights(b, adapter_name="b")
    pipe.delete_adapters("b")


def disabled(pipe: Any, a: Any, _b: Any) -> None:
    pipe.load_lora_weights(a)
    pipe.disable_lora()


def disabled_and_enabled(pipe: Any, a: Any, _b: Any) -> None:
    disabled(pipe, a, _b)
    pipe.enable_lora()


def fused(pipe: Any, a: Any, _b: Any) -> None:
    pipe.load_lora_weights(a)
    pipe.fuse_lora(lora_scale=0.6)


def fused_and_unloaded(pipe: Any, a: Any, _b: Any) -> None:
    pipe.load_lora_weights(a)
    pipe.fuse_lora()
    pipe.unload_lora_weights()


def fused_and_another(pipe: Any, a: Any, b: Any) -> None:
    fused_and_unloaded(pipe, a, b)
    pipe.load_lora_weights(b, adapter_name="b")


def unfused(pipe: Any, a: Any, _b: Any) -> None:
    pipe.load_lora_weights(a)
    pipe.fuse_lora()
    pipe.unfuse_lora()


def unloaded(pipe: Any, a: Any, _b: Any) -> None:
    pipe.load_lora_weights(a)
    pipe.unload_lora_weights()


EVERYTHING = (one, last_of_two, weighted, both, one_deleted, active_one_deleted, disabled,
              disabled_and_enabled, fused, fused_and_unloaded, fused_and_another, unfused,
              unloaded)  # fmt: skip
A_FEW = (one, both, fused_and_another)
