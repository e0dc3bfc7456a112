"""Tensors in memory to a safetensors file: a length, a JSON header, the bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ._arrays import is_tensor, torch_module

_DTYPES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
_HEADER_MULTIPLE = 8


def write_state_dict(state_dict: Mapping[str, Any], path: Path) -> None:
    """@throws TypeError naming the tensor"""
    header: dict[str, Any] = {}
    buffers: list[np.ndarray] = []
    end = 0
    for name, tensor in state_dict.items():
        dtype, data = _bytes_of(tensor, name)
        header[name] = {
            "dtype": dtype,
            "shape": list(tensor.shape),
            "data_offsets": [end, end + data.size],
        }
        end += data.size
        buffers.append(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % _HEADER_MULTIPLE)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for data in buffers:
            file.write(data.data)


def _bytes_of(tensor: Any, name: str) -> tuple[str, np.ndarray]:
    if is_tensor(tensor):
        kept = tensor.detach().cpu().contiguous()
        type_ = str(kept.dtype).removeprefix("torch.")
        raw = kept.reshape(-1).view(torch_module().uint8).numpy()
    elif isinstance(tensor, np.ndarray):
        type_ = tensor.dtype.name
        raw = np.ascontiguousarray(tensor).reshape(-1).view(np.uint8)
    else:
        raise TypeError(f"{name} must be a tensor, not {type(tensor).__name__}")
    if type_ not in _DTYPES:
        raise TypeError(f"{name} must hold one of {', '.join(_DTYPES)}, not {type_}")
    return _DTYPES[type_], raw
