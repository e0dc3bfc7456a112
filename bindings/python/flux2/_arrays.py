"""Numbers in and out: numpy always, torch where the program uses it."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from . import _flux2


def torch_module() -> Any:
    """torch if the program has imported it, else None: this package never does by itself."""
    return sys.modules.get("torch")


def is_tensor(value: Any) -> bool:
    torch = torch_module()
    return torch is not None and isinstance(value, torch.Tensor)


def to_numpy(value: Any, name: str) -> np.ndarray:
    """An array of the caller's, whatever holds it; bfloat16 tensors are widened."""
    if is_tensor(value):
        value = value.detach().cpu()
        return value.float().numpy() if value.is_floating_point() else value.numpy()
    if isinstance(value, np.ndarray):
        return value
    raise TypeError(f"{name} must be a numpy array or a torch tensor, not {_type(value)}")


def to_array(value: Any, name: str) -> _flux2.Array:
    """Latents or embeddings for the library."""
    array = to_numpy(value, name)
    if not np.issubdtype(array.dtype, np.floating):
        raise TypeError(f"{name} must hold floating-point numbers, not {array.dtype}")
    if array.size == 0:
        raise ValueError(f"{name} is empty: shape {list(array.shape)}")
    return _flux2.Array(np.ascontiguousarray(array, dtype=np.float32))


def from_numpy(array: np.ndarray) -> Any:
    """For the caller: a torch tensor where the program has imported torch, as Diffusers returns;
    else the array itself. The memory is shared."""
    torch = torch_module()
    return array if torch is None else torch.from_numpy(array)


def from_array(array: _flux2.Array) -> Any:
    """The same for numbers of the library's, which live as long as they are looked at."""
    return from_numpy(array.numpy())


def _type(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
