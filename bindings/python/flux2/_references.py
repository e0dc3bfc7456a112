"""What conditions a call besides its text: the forms that reference pictures come in."""

from __future__ import annotations

from typing import Any

from . import _flux2
from ._arrays import to_array
from ._images import is_latents, pictures


def set_references(request: _flux2.Request, value: Any, name: str) -> None:
    """Pictures, latents or a list of both for all samples; or a list of lists, one a sample or one
    a prompt."""
    items = list(value) if isinstance(value, (list, tuple)) else [] if value is None else [value]
    nested = [isinstance(item, (list, tuple)) for item in items]
    if any(nested):
        if not all(nested):
            raise ValueError(f"{name} is a list of pictures or a list of lists of them, not a mixture")
        request.image_per_sample = [pictures(list(item), name) for item in items]
        return
    request.image = pictures([item for item in items if not is_latents(item)], name)
    request.image_latents = [to_array(item, name) for item in items if is_latents(item)]


def set_references_of_inpainting(request: _flux2.Request, value: Any, batch: int) -> None:
    """As Diffusers' inpainting has it: as many pictures as are drawn are one a sample."""
    name = "image_reference"
    if is_latents(value) and value.shape[0] not in (1, batch):
        value = [value[i : i + 1] for i in range(value.shape[0])]
    set_references(request, value, name)
    if 1 < len(request.image) == batch and not request.image_latents:
        request.image_per_sample = [[image] for image in request.image]
        request.image = []
