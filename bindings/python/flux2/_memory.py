"""Diffusers' switches that trade memory for time."""

from __future__ import annotations

from typing import Any

from . import _flux2


class MemoryMixin:
    """What Diffusers has to be told and the library does by itself is accepted without effect; what
    it does not do is not here."""

    _vae_tiling: _flux2.VaeTiling

    def enable_vae_tiling(self) -> None:
        """The VAE works on overlapping tiles of pictures over 1024 pixels; tiles show within
        rounding. Without it, decoding does so where the whole picture would not fit into memory."""
        self._vae_tiling = _flux2.VaeTiling.on

    def disable_vae_tiling(self) -> None:
        """Never in tiles: a picture that does not fit is a MemoryError."""
        self._vae_tiling = _flux2.VaeTiling.off

    def enable_vae_slicing(self) -> None:
        """No effect: the pictures of a batch are decoded one by one in any case."""

    def disable_vae_slicing(self) -> None:
        """No effect, as enable_vae_slicing."""

    def enable_attention_slicing(self, slice_size: Any = "auto") -> None:
        """No effect: the scores of attention are never in memory as a whole."""

    def disable_attention_slicing(self) -> None:
        """No effect, as enable_attention_slicing."""

    def enable_model_cpu_offload(self, gpu_id: int | None = None, device: Any = "cpu") -> None:
        """No effect: parts are loaded when they are needed, and released as memory demands."""

    def enable_sequential_cpu_offload(self, gpu_id: int | None = None, device: Any = "cpu") -> None:
        """No effect, as enable_model_cpu_offload."""

    def maybe_free_model_hooks(self) -> None:
        """No effect, as enable_model_cpu_offload."""
