"""What a pipeline returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Flux2PipelineOutput:
    """The result of a call. `images` is all that Diffusers' output has; it also answers to
    `output[0]`, `output["images"]` and `to_tuple()`, as there."""

    images: Any
    #: What the prompts became, where `caption_upsample_temperature` was given.
    rewritten_prompts: list[str] = field(default_factory=list)
    #: The seeds that the noise came from; empty where the caller's latents were used.
    seeds: list[int] = field(default_factory=list)
    #: Seconds by stage, in the order they ran.
    seconds: dict[str, float] = field(default_factory=dict)
    #: What the adapters that acted turned out to be: name, kind, sha256, weight, matched, modules.
    adapters: list[Any] = field(default_factory=list)

    def to_tuple(self) -> tuple[Any]:
        return (self.images,)

    def __getitem__(self, key: int | str | slice) -> Any:
        if isinstance(key, str):
            if key != "images":
                raise KeyError(key)
            return self.images
        return self.to_tuple()[key]
