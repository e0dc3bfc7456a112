"""Latents as Diffusers returns them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import _flux2
from ._arguments import LATENT_CHANNELS, PIXELS_PER_TOKEN

_DEFAULT_EPS = 1e-4


@dataclass
class LatentStatistics:
    """Mean and standard deviation of the 128 latent channels."""

    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def of(cls, model: Path) -> LatentStatistics:
        """:param model: a model folder; the statistics are tensors of its VAE"""
        config = json.loads((model / "vae" / "config.json").read_text(encoding="utf-8"))
        mean = _read(model / "vae", "bn.running_mean")
        variance = _read(model / "vae", "bn.running_var")
        eps = np.float32(config.get("batch_norm_eps", _DEFAULT_EPS))
        return cls(mean=mean, std=np.sqrt(variance + eps))

    def unpacked(self, packed: np.ndarray, height: int, width: int) -> np.ndarray:
        """[B, tokens, 128], normalised, to the VAE's [B, 32, height / 8, width / 8]."""
        rows, columns = height // PIXELS_PER_TOKEN, width // PIXELS_PER_TOKEN
        tokens = packed * self.std + self.mean
        patches = tokens.reshape(-1, rows, columns, LATENT_CHANNELS // 4, 2, 2)
        latents = patches.transpose(0, 3, 1, 4, 2, 5)  # b c row dy column dx
        shape = (-1, LATENT_CHANNELS // 4, 2 * rows, 2 * columns)
        return np.ascontiguousarray(latents.reshape(shape), dtype=np.float32)


def _read(folder: Path, tensor: str) -> np.ndarray:
    files = sorted(folder.glob("*.safetensors"))
    for index in folder.glob("*.safetensors.index.json"):
        weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        files = [folder / weight_map[tensor]]
    if not files:
        raise FileNotFoundError(f"{folder}: no weights")
    return np.array(_flux2.load_array(files[0], tensor).numpy())
