"""The four pipelines of Diffusers.

An argument means what it means there. Defaults are Diffusers' too, also where a model has better
ones of its own: `pipe.model_defaults` has those, for `pipe(prompt=..., **pipe.model_defaults)`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from . import _flux2
from ._base import KLEIN_LAYERS, DiffusionPipeline
from ._output import Flux2PipelineOutput

DEV_LAYERS = (10, 20, 30)


def _given(scope: dict[str, Any]) -> dict[str, Any]:
    """The arguments in the local scope of a __call__ that has defined nothing else yet."""
    return {name: value for name, value in scope.items() if name not in ("self", "__class__")}


class Flux2Pipeline(DiffusionPipeline):
    """FLUX.2 [dev]: text to image, and editing of up to several pictures."""

    _families = {_flux2.Family.dev}
    _default_layers = DEV_LAYERS

    def __call__(
        self,
        image: Any = None,
        prompt: str | list[str] | None = None,
        height: int | None = None,
        width: int | None = None,
        num_inference_steps: int = 50,
        sigmas: list[float] | None = None,
        guidance_scale: float | None = 4.0,
        num_images_per_prompt: int = 1,
        generator: Any = None,
        latents: Any = None,
        prompt_embeds: Any = None,
        output_type: str | None = "pil",
        return_dict: bool = True,
        attention_kwargs: dict[str, Any] | None = None,
        callback_on_step_end: Callable[..., dict[str, Any]] | None = None,
        callback_on_step_end_tensor_inputs: list[str] = ["latents"],  # noqa: B006 - Diffusers'
        max_sequence_length: int = 512,
        text_encoder_out_layers: Sequence[int] = DEV_LAYERS,
        caption_upsample_temperature: float | None = None,
        *,
        preview: Callable[..., None] | None = None,
    ) -> Flux2PipelineOutput | tuple[Any]:
        """Draws. See the package's README for every argument."""
        return self._draw(_given(locals()))

    def encode_prompt(
        self,
        prompt: str | list[str] | None,
        device: Any = None,
        num_images_per_prompt: int = 1,
        prompt_embeds: Any = None,
        max_sequence_length: int = 512,
        text_encoder_out_layers: Sequence[int] = DEV_LAYERS,
    ) -> tuple[Any, Any]:
        """As DiffusionPipeline's, with the layers of [dev]."""
        return super().encode_prompt(
            prompt, device, num_images_per_prompt, prompt_embeds, max_sequence_length,
            text_encoder_out_layers,
        )  # fmt: skip


class Flux2KleinPipeline(DiffusionPipeline):
    """FLUX.2 [klein] and [klein base].

    `negative_prompt` (a text instead of embeddings) and `caption_upsample_temperature` go beyond
    Diffusers.
    """

    _families = {_flux2.Family.klein, _flux2.Family.klein_base}

    def __call__(
        self,
        image: Any = None,
        prompt: str | list[str] | None = None,
        height: int | None = None,
        width: int | None = None,
        num_inference_steps: int = 50,
        sigmas: list[float] | None = None,
        guidance_scale: float = 4.0,
        num_images_per_prompt: int = 1,
        generator: Any = None,
        latents: Any = None,
        prompt_embeds: Any = None,
        negative_prompt_embeds: Any = None,
        output_type: str = "pil",
        return_dict: bool = True,
        attention_kwargs: dict[str, Any] | None = None,
        callback_on_step_end: Callable[..., dict[str, Any]] | None = None,
        callback_on_step_end_tensor_inputs: list[str] = ["latents"],  # noqa: B006 - Diffusers'
        max_sequence_length: int = 512,
        text_encoder_out_layers: Sequence[int] = KLEIN_LAYERS,
        *,
        negative_prompt: str | list[str] | None = None,
        caption_upsample_temperature: float | None = None,
        preview: Callable[..., None] | None = None,
    ) -> Flux2PipelineOutput | tuple[Any]:
        """Draws. See the package's README for every argument."""
        return self._draw(_given(locals()))


class Flux2KleinKVPipeline(DiffusionPipeline):
    """FLUX.2 [klein] 9B KV: references are computed once, in the first step."""

    _families = {_flux2.Family.klein_kv}

    def __call__(
        self,
        image: Any = None,
        prompt: str | list[str] | None = None,
        height: int | None = None,
        width: int | None = None,
        num_inference_steps: int = 4,
        sigmas: list[float] | None = None,
        num_images_per_prompt: int = 1,
        generator: Any = None,
        latents: Any = None,
        prompt_embeds: Any = None,
        output_type: str = "pil",
        return_dict: bool = True,
        attention_kwargs: dict[str, Any] | None = None,
        callback_on_step_end: Callable[..., dict[str, Any]] | None = None,
        callback_on_step_end_tensor_inputs: list[str] = ["latents"],  # noqa: B006 - Diffusers'
        max_sequence_length: int = 512,
        text_encoder_out_layers: Sequence[int] = KLEIN_LAYERS,
        *,
        caption_upsample_temperature: float | None = None,
        preview: Callable[..., None] | None = None,
    ) -> Flux2PipelineOutput | tuple[Any]:
        """Draws. See the package's README for every argument."""
        return self._draw(_given(locals()) | {"guidance_scale": 1.0})


class Flux2KleinInpaintPipeline(DiffusionPipeline):
    """Paints over a part of a picture. Here it takes the models of every family.

    Beyond Diffusers: `keep_unmasked=True` returns the pixels outside the mask byte for byte, in the
    picture's own size; `outpaint=(left, top, right, bottom)` grows it by so many pixels; both may
    leave `mask_image` out.
    """

    _inpaints = True

    def __call__(
        self,
        prompt: str | list[str] | None = None,
        image: Any = None,
        image_reference: Any = None,
        mask_image: Any = None,
        height: int | None = None,
        width: int | None = None,
        padding_mask_crop: int | None = None,
        strength: float = 0.8,
        num_inference_steps: int = 50,
        sigmas: list[float] | None = None,
        guidance_scale: float = 8.0,
        num_images_per_prompt: int = 1,
        generator: Any = None,
        latents: Any = None,
        prompt_embeds: Any = None,
        negative_prompt_embeds: Any = None,
        output_type: str = "pil",
        return_dict: bool = True,
        attention_kwargs: dict[str, Any] | None = None,
        callback_on_step_end: Callable[..., dict[str, Any]] | None = None,
        callback_on_step_end_tensor_inputs: list[str] = ["latents"],  # noqa: B006 - Diffusers'
        max_sequence_length: int = 512,
        text_encoder_out_layers: Sequence[int] = KLEIN_LAYERS,
        *,
        negative_prompt: str | list[str] | None = None,
        caption_upsample_temperature: float | None = None,
        keep_unmasked: bool = False,
        outpaint: Sequence[int] | None = None,
        preview: Callable[..., None] | None = None,
    ) -> Flux2PipelineOutput | tuple[Any]:
        """Draws. See the package's README for every argument."""
        return self._draw(_given(locals()))
