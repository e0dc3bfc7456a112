"""Pictures in and out."""

from __future__ import annotations

from typing import Any

import numpy as np
import PIL.Image

from . import _flux2
from ._arrays import is_tensor, to_numpy, torch_module

_FORMATS = {
    "RGB": _flux2.PixelFormat.rgb,
    "RGBA": _flux2.PixelFormat.rgba,
    "L": _flux2.PixelFormat.gray,
    "LA": _flux2.PixelFormat.gray_alpha,
    "1": _flux2.PixelFormat.bilevel,
    "P": _flux2.PixelFormat.palette,
    "I;16": _flux2.PixelFormat.gray16,
}
LATENT_CHANNELS = 128
_CHANNELS = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_DEEP = {"float32": _flux2.PixelFormat.rgb_float, "uint16": _flux2.PixelFormat.rgb16}


def is_latents(value: Any) -> bool:
    """Whether an argument for a picture is patches of the VAE's latents, [B, 128, H/16, W/16]."""
    if not is_tensor(value) and not isinstance(value, np.ndarray):
        return False
    return value.ndim == 4 and value.shape[1] == LATENT_CHANNELS


def from_pil(image: PIL.Image.Image) -> _flux2.Image:
    """In the mode that it has: what a reference becomes depends on it. Modes that the library has
    no name for (CMYK, HSV, F, ...) become RGB first."""
    if image.width == 0 or image.height == 0:
        raise ValueError(f"the image is empty: {image.width} x {image.height} pixels")
    if image.mode not in _FORMATS:
        image = image.convert("RGB")
    bytes_ = image.convert("L").tobytes() if image.mode == "1" else image.tobytes()
    pixels = np.frombuffer(bytes_, np.uint8)
    made = _flux2.Image(_FORMATS[image.mode], image.width, image.height, pixels)
    if image.mode == "P":
        made.set_palette(np.array(image.getpalette("RGB"), np.uint8))
    return made


def _from_values(array: np.ndarray, name: str) -> _flux2.Image:
    """[H, W, C] with 1 to 4 channels: bytes, or deeper colour as `_colours` leaves it."""
    height, width, channels = array.shape
    if array.dtype == np.uint8:
        format_ = _FORMATS[_CHANNELS[channels]]
    else:  # gray becomes three equal channels; alpha is dropped, as it is from bytes
        format_ = _DEEP[array.dtype.name]
        array = np.repeat(array[..., :1], 3, axis=-1) if channels < 3 else array[..., :3]
    pixels = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return _flux2.Image(format_, width, height, pixels)


def _colours(array: np.ndarray, name: str) -> np.ndarray:
    """[..., C]: bytes, 16 bits, or floats in [0, 1]."""
    if array.size == 0:
        raise ValueError(f"{name} is empty: shape {list(array.shape)}")
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * 255
    if array.dtype in (np.uint8, np.uint16):
        return array
    if not np.issubdtype(array.dtype, np.floating):
        raise TypeError(f"{name} must hold uint8, uint16, bool or floats in [0, 1], not {array.dtype}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds NaN or infinity")
    if array.min() < 0:  # Diffusers' image processor takes it for [-1, 1] then
        array = array / 2 + 0.5
    return array.clip(0, 1).astype(np.float32)


def pictures(value: Any, name: str) -> list[_flux2.Image]:
    """The pictures in an argument: one, or a list; PIL, arrays [(B,) H, W, C] or tensors
    [(B,) C, H, W]."""
    if value is None:
        return []
    if isinstance(value, PIL.Image.Image):
        return [from_pil(value)]
    if isinstance(value, (list, tuple)):
        return [picture for item in value for picture in _some(item, name)]
    if is_tensor(value):
        if value.ndim >= 3:
            value = value.movedim(-3, -1)
        elif value.ndim != 2:
            raise ValueError(f"{name} must be [(B,) C, H, W], not {list(value.shape)}")
    elif not isinstance(value, np.ndarray):
        raise ValueError(
            f"{name} must be a PIL image, a numpy array, a torch tensor or a list of them,"
            f" not {type(value).__name__}"
        )
    return [_from_values(one, name) for one in _batch(to_numpy(value, name), name)]


def _batch(array: np.ndarray, name: str) -> np.ndarray:
    """[B, H, W, C]"""
    array = array[:, :, None] if array.ndim == 2 else array
    array = array[None] if array.ndim == 3 else array
    if array.ndim != 4 or array.shape[3] not in _CHANNELS:
        raise ValueError(f"{name} must be [height, width, 1 to 4 channels], not {list(array.shape)}")
    return _colours(array, name)


def _some(item: Any, name: str) -> list[_flux2.Image]:
    if item is None:
        raise ValueError(f"{name} has None in its list")
    return pictures(item, name)


def to_pil(image: _flux2.Image) -> PIL.Image.Image:
    return PIL.Image.fromarray(image.numpy())


def results(result: _flux2.Result, output_type: str | None) -> Any:
    """Finished pictures in the form that the caller asked for."""
    if output_type == "pil":
        return [to_pil(image) for image in result.images]
    values = result.pixels.numpy()
    if values.size == 0:  # a picture that was painted over and has the caller's own bytes in it
        bytes_ = np.stack([image.numpy() for image in result.images])
        values = bytes_.astype(np.float32) / np.float32(255)
    if output_type != "pt":
        return values
    torch = torch_module()
    if torch is None:
        raise ImportError('output_type="pt" needs torch: import it, or ask for "np"')
    return torch.from_numpy(np.ascontiguousarray(values.transpose(0, 3, 1, 2)))
