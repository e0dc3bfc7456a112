"""Which library options a from_pretrained asks for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from . import _flux2

# What Diffusers' from_pretrained takes and what is the case here whatever it says: weights are
# safetensors, mapped, and never fetched.
_WITHOUT_EFFECT = {"use_safetensors", "low_cpu_mem_usage", "local_files_only", "cache_dir"}

_COMPUTE = {
    "float32": _flux2.Compute.f32,
    "bfloat16": _flux2.Compute.bf16,
    "auto": _flux2.Compute.automatic,
}


def reject_unknown(arguments: dict[str, Any]) -> None:
    unknown = sorted(set(arguments) - _WITHOUT_EFFECT)
    if unknown:
        raise TypeError(f"from_pretrained does not take {', '.join(unknown)}")


def compute_of(dtype: Any) -> _flux2.Compute:
    """:param dtype: torch.float32, "bfloat16", "auto", ...; None is float32, as in Diffusers"""
    name = "float32" if dtype is None else str(dtype).removeprefix("torch.")
    if name not in _COMPUTE:
        known = ", ".join(_COMPUTE)
        raise ValueError(f"torch_dtype {name} is not computed in; there are {known}")
    return _COMPUTE[name]


def device_of(device: Any) -> _flux2.Device:
    """:param device: "cpu", "cuda", "cuda:0", a torch.device"""
    name = str(device).partition(":")[0]
    if name not in ("cpu", "cuda"):
        raise ValueError(f'the device is "cpu" or "cuda", not {str(device)!r}')
    return _flux2.Device.cpu if name == "cpu" else _flux2.Device.cuda


def locate(model: str | os.PathLike[str]) -> str:
    """A folder as it is; "nano" is the model that comes with this package."""
    name = os.fspath(model)
    own = Path(__file__).parent / "models" / name
    return str(own) if name == "nano" and own.is_dir() else name
