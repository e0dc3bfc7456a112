"""Pictures in and out."""

from __future__ import annotations

from collections.abc import Iterable
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
_CHANNELS = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def from_pil(image: PIL.Image.Image) -> _flux2.Image:
    """In the mode that it has: what a reference becomes depends on it. Modes that the library has
    no name for (CMYK, HSV, F, ...) become RGB first."""
    if image.width == 0 or image.height == 0:
        raise ValueError(f"the image is empty: {image.width} x {image.height} pixels")
    if image.mode not in _FORMATS:
        image = image.convert("RGB")
    bytes_ = image.convert("L").tobytes() if image.mode == "1" else image.tobytes()
    made = _flux2.Image(_FORMATS[image.mode], image.width, image.height, bytes_)
    if image.mode == "P":
        made.set_palette(bytes(image.getpalette("RGB")))
    return made


def _from_values(array: np.ndarray, name: str) -> _flux2.Image:
    """[H, W], or [H, W, C] with 1 to 4 channels: bytes, or floats in [0, 1]."""
    if array.size == 0:
        raise ValueError(f"{name} is empty: shape {list(array.shape)}")
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in _CHANNELS:
        raise ValueError(f"{name} must be [height, width, 1 to 4 channels], not {list(array.shape)}")
    if np.issubdtype(array.dtype, np.floating):
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds NaN or infinity")
        array = (array.clip(0, 1) * 255).round().astype(np.uint8)
    elif array.dtype == np.uint16:
        array = (array.astype(np.uint32) * 255 + 32767) // 65535
    elif array.dtype == np.bool_:
        array = array * 255
    elif array.dtype != np.uint8:
        raise TypeError(f"{name} must hold uint8, uint16, bool or floats in [0, 1], not {array.dtype}")
    array = np.ascontiguousarray(array, dtype=np.uint8)
    format_ = _FORMATS[_CHANNELS[array.shape[2]]]
    return _flux2.Image(format_, array.shape[1], array.shape[0], array.tobytes())


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
    array = to_numpy(value, name)
    if array.ndim == 4:
        if array.shape[0] == 0:
            raise ValueError(f"{name} is empty: shape {list(array.shape)}")
        return [_from_values(one, name) for one in array]
    return [_from_values(array, name)]


def _some(item: Any, name: str) -> list[_flux2.Image]:
    if item is None:
        raise ValueError(f"{name} has None in its list")
    return pictures(item, name)


def to_pil(image: _flux2.Image) -> PIL.Image.Image:
    return PIL.Image.fromarray(image.numpy())


def results(images: Iterable[_flux2.Image], output_type: str | None) -> Any:
    """Finished pictures in the form that the caller asked for."""
    if output_type == "pil":
        return [to_pil(image) for image in images]
    values = np.stack([image.numpy() for image in images]).astype(np.float32) / np.float32(255)
    if output_type != "pt":
        return values
    torch = torch_module()
    if torch is None:
        raise ImportError('output_type="pt" needs torch: import it, or ask for "np"')
    return torch.from_numpy(np.ascontiguousarray(values.transpose(0, 3, 1, 2)))
