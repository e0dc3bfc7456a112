"""The arguments of a call, checked and turned into the library's request."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import PIL.Image

from . import _flux2
from ._arrays import to_array, to_numpy
from ._images import is_latents, pictures

CALLBACK_TENSORS = ["latents", "prompt_embeds"]

_MOST_INT = 2**31 - 1


@dataclass
class Arguments:
    """Every argument that some pipeline takes; None: left to the model."""

    prompt: Any = None
    image: Any = None
    image_reference: Any = None
    mask_image: Any = None
    height: int | None = None
    width: int | None = None
    padding_mask_crop: int | None = None
    strength: float | None = None
    num_inference_steps: int = 50
    sigmas: Sequence[float] | None = None
    guidance_scale: float = 4.0
    num_images_per_prompt: int = 1
    generator: Any = None
    latents: Any = None
    prompt_embeds: Any = None
    negative_prompt_embeds: Any = None
    output_type: str | None = "pil"
    return_dict: bool = True
    attention_kwargs: dict[str, Any] | None = None
    callback_on_step_end: Callable[..., dict[str, Any]] | None = None
    callback_on_step_end_tensor_inputs: Sequence[str] | None = ("latents",)
    max_sequence_length: int = 512
    text_encoder_out_layers: Sequence[int] = ()
    caption_upsample_temperature: float | None = None
    negative_prompt: Any = None
    keep_unmasked: bool = False
    outpaint: Sequence[int] | None = None
    preview: Callable[..., None] | None = None

    def prompts(self) -> list[str]:
        """@throws ValueError as Diffusers' check_inputs"""
        return _texts(self.prompt, "prompt")

    def batch(self) -> int:
        """Pictures that the call makes."""
        if self.prompt is not None:
            count = len(self.prompts())
        else:
            count = len(self.prompt_embeds) if self.prompt_embeds is not None else 0
        return count * whole(self.num_images_per_prompt, "num_images_per_prompt")

    def take_prompt_in_place_of_image(self) -> None:
        """The example in Diffusers' own documentation gives the prompt first, where `image` is."""
        image = self.image
        texts = isinstance(image, list) and image and all(isinstance(one, str) for one in image)
        if isinstance(image, str) or texts:
            if self.prompt is not None:
                raise ValueError("image is a text, and prompt is given as well")
            self.prompt, self.image = image, None


def whole(value: Any, name: str) -> int:
    """@throws TypeError, ValueError naming the argument"""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number, not {type(value).__name__}") from None
    if abs(number) > _MOST_INT:
        raise ValueError(f"{name} is out of range: {number}")
    return number


def number(value: Any, name: str) -> float:
    """@throws TypeError naming the argument"""
    if isinstance(value, (str, bytes)) or value is None:
        raise TypeError(f"{name} must be a number, not {type(value).__name__}")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, not {type(value).__name__}") from None


def check(a: Arguments) -> None:
    """What the library cannot see because its types exclude it; the rest it checks itself."""
    unknown = [k for k in a.callback_on_step_end_tensor_inputs or () if k not in CALLBACK_TENSORS]
    if unknown:
        raise ValueError(
            f"callback_on_step_end_tensor_inputs has {unknown}; it may have {CALLBACK_TENSORS}"
        )
    if a.prompt is not None and a.prompt_embeds is not None:
        raise ValueError("prompt and prompt_embeds cannot both be given: leave one out")
    if a.prompt is None and a.prompt_embeds is None:
        raise ValueError("either prompt or prompt_embeds must be given")
    for name in ("callback_on_step_end", "preview"):
        function = getattr(a, name)
        if function is not None and not callable(function):
            raise TypeError(f"{name} must be a function")


def make_request(a: Arguments) -> _flux2.Request:
    """All but pictures, noise, adapters and layers."""
    check(a)
    request = _flux2.Request()
    if a.prompt is not None:
        request.prompt = a.prompts()
    if a.negative_prompt is not None:
        request.negative_prompt = _texts(a.negative_prompt, "negative_prompt")
    request.num_images_per_prompt = whole(a.num_images_per_prompt, "num_images_per_prompt")
    _set_sizes(request, a)
    _set_schedule(request, a)
    for name in ("latents", "prompt_embeds", "negative_prompt_embeds"):
        value = getattr(a, name)
        if value is not None:
            setattr(request, name, to_array(value, name))
    if a.caption_upsample_temperature:  # 0.0 turns it off, as in Diffusers
        request.caption_upsample_temperature = number(
            a.caption_upsample_temperature, "caption_upsample_temperature"
        )
    request.attention_mask = attention_mask(a.attention_kwargs)
    return request


def attention_mask(attention_kwargs: dict[str, Any] | None) -> _flux2.Array | None:
    """What is added to the scores of attention; a mask of booleans says what is looked at."""
    mask = (attention_kwargs or {}).get("attention_mask")
    if mask is None:
        return None
    values = to_numpy(mask, "attention_mask")
    if values.dtype == np.bool_:
        values = np.where(values, np.float32(0), np.float32(-np.inf))
    return to_array(values, "attention_mask")


def adapter_scale(attention_kwargs: dict[str, Any] | None) -> float:
    """How strongly adapters act beside their own weights."""
    return number((attention_kwargs or {}).get("scale", 1.0), "attention_kwargs' scale")


def _set_sizes(request: _flux2.Request, a: Arguments) -> None:
    for name in ("height", "width"):
        value = getattr(a, name)
        if value is not None:
            setattr(request, name, whole(value, name))
    request.max_sequence_length = whole(a.max_sequence_length, "max_sequence_length")


def _set_schedule(request: _flux2.Request, a: Arguments) -> None:
    request.num_inference_steps = whole(a.num_inference_steps, "num_inference_steps")
    request.guidance_scale = number(a.guidance_scale, "guidance_scale")
    if a.sigmas is not None:
        request.sigmas = [number(sigma, "sigmas") for sigma in a.sigmas]
        if not request.sigmas:
            raise ValueError("sigmas is empty")


def make_inpaint(a: Arguments) -> _flux2.Inpaint:
    """@throws ValueError as Diffusers' Flux2KleinInpaintPipeline.check_inputs"""
    if a.image is None:
        raise ValueError("there is no image to paint over")
    if a.mask_image is None and a.outpaint is None:
        raise ValueError("there is no mask_image; white is painted, black is kept")
    _check_crop(a)
    inpaint = _flux2.Inpaint()
    if is_latents(a.image):
        inpaint.image_latents = to_array(a.image, "image")
    else:
        inpaint.image = pictures(a.image, "image")
    inpaint.mask_image = pictures(a.mask_image, "mask_image")
    if a.strength is not None:
        inpaint.strength = number(a.strength, "strength")
    if a.padding_mask_crop is not None:
        inpaint.padding_mask_crop = whole(a.padding_mask_crop, "padding_mask_crop")
    inpaint.keep_unmasked = bool(a.keep_unmasked)
    if a.outpaint is not None:
        if len(a.outpaint) != 4:
            raise ValueError("outpaint is four numbers of pixels: left, top, right, bottom")
        inpaint.outpaint = _flux2.Margins(*(whole(side, "outpaint") for side in a.outpaint))
    return inpaint


def _check_crop(a: Arguments) -> None:
    if a.padding_mask_crop is None:
        return
    for name in ("image", "mask_image"):
        value = getattr(a, name)
        if not isinstance(value, PIL.Image.Image):
            kind = type(value).__name__
            raise ValueError(f"with padding_mask_crop {name} must be a PIL image, not {kind}")
    if a.output_type != "pil":
        raise ValueError(f'with padding_mask_crop output_type is "pil", not {a.output_type!r}')


def _texts(value: Any, name: str) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{name} must be a text or a list of texts, not {type(value).__name__}")
    if not texts:
        raise ValueError(f"{name} is an empty list")
    return texts
