"""The VAE and the transformer by themselves, called as Diffusers' are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _flux2
from ._arguments import adapter_scale, attention_mask, number
from ._arrays import from_array, from_numpy, to_array, to_numpy
from ._generator import Noise

if TYPE_CHECKING:
    from ._base import DiffusionPipeline

_DEFAULT_EPS = 1e-4
_PIXELS_PER_TOKEN = 16
_CHANNELS = 128
_FAR = np.float32(2**20)  # a token so large that its mean is lost beside it


class _Output:
    """What a part returns with `return_dict`: its field by name, by number, or in a tuple."""

    def to_tuple(self) -> tuple[Any, ...]:
        return tuple(vars(self).values())

    def __getitem__(self, key: int | str) -> Any:
        return getattr(self, key) if isinstance(key, str) else self.to_tuple()[key]


@dataclass
class Sample(_Output):
    """Of the VAE's decoder, [B, 3, H, W] in about [-1, 1], or of the transformer, [B, S, 128]."""

    sample: Any


@dataclass
class Encoded(_Output):
    """Of the VAE's encoder."""

    latent_dist: DiagonalGaussian


class DiagonalGaussian:
    """A normal distribution over latents [B, 32, H/8, W/8], each by itself."""

    def __init__(self, found: _flux2.LatentDistribution) -> None:
        self._mean, self._logvar = found.mean.numpy(), found.log_variance.numpy()

    @property
    def mean(self) -> Any:
        return from_numpy(self._mean)

    @property
    def logvar(self) -> Any:
        return from_numpy(self._logvar)

    @property
    def std(self) -> Any:
        return from_numpy(np.exp(self._logvar / 2))

    @property
    def var(self) -> Any:
        return from_numpy(np.exp(self._logvar))

    def mode(self) -> Any:
        return self.mean

    def sample(self, generator: Any = None) -> Any:
        """:param generator: as of a pipeline's call"""
        noise = Noise(generator, self._mean.shape[0]).draw(self._mean.shape, bf16=False)
        return from_numpy(self._mean + np.exp(self._logvar / 2) * noise)


class Config(dict):
    """A config.json; its entries are attributes as well."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"the config has no {name}") from None


class _Part:
    _name: str

    def __init__(self, pipeline: DiffusionPipeline) -> None:
        self._pipeline = pipeline

    @property
    def config(self) -> Config:
        """What the model folder's config.json says.

        :raises AttributeError: the part is a single file, which has none
        """
        parts = self._pipeline._library.info.parts
        path = next(part.path for part in parts if part.name == self._name)
        file = (path if path.is_dir() else path.parent) / "config.json"
        if not path.is_dir() and not file.is_file():
            raise AttributeError(f"{path} has no config.json: its sizes were taken from the weights")
        return Config(json.loads(file.read_text(encoding="utf-8")))

    @property
    def dtype(self) -> Any:
        return self._pipeline.dtype

    @property
    def device(self) -> Any:
        return self._pipeline.device

    def _run(self) -> _flux2.Run:
        run = _flux2.Run()
        run.vae_tiling = self._pipeline._vae_tiling
        return run


class Vae(_Part):
    """The autoencoder. Latents are [B, 32, H/8, W/8] and not normalised."""

    _name = "vae"

    def encode(self, x: Any, return_dict: bool = True) -> Encoded | tuple[DiagonalGaussian]:
        """:param x: [B, 3, H, W] in [-1, 1], sides multiples of 16"""
        library = self._pipeline._library
        found = DiagonalGaussian(library.encode_image(to_array(x, "x"), self._run()))
        return Encoded(found) if return_dict else (found,)

    def decode(self, z: Any, return_dict: bool = True, generator: Any = None) -> Sample | tuple[Any]:
        """:param generator: not drawn from, as in Diffusers"""
        picture = self._pipeline._library.decode_latents(to_array(z, "z"), self._run())
        return Sample(from_array(picture)) if return_dict else (from_array(picture),)

    @property
    def bn(self) -> BatchNorm:
        """Mean and variance of the 128 channels of patched latents: what normalises them."""
        library = self._pipeline._library
        side = _PIXELS_PER_TOKEN

        def channels(value: np.float32) -> np.ndarray:
            token = _flux2.Array(np.full((1, 1, _CHANNELS), value, np.float32))
            return np.array(library.unpack_latents(token, side, side).numpy()).reshape(_CHANNELS)

        mean, far = channels(np.float32(0)), channels(_FAR)
        eps = self._epsilon()
        variance = np.square((far - mean) / _FAR) - np.float32(eps)
        return BatchNorm(from_numpy(mean), from_numpy(variance), eps)

    def enable_tiling(self) -> None:
        """As the pipeline's enable_vae_tiling."""
        self._pipeline.enable_vae_tiling()

    def disable_tiling(self) -> None:
        self._pipeline.disable_vae_tiling()

    def _epsilon(self) -> float:
        try:
            return float(self.config.get("batch_norm_eps", _DEFAULT_EPS))
        except AttributeError:
            return _DEFAULT_EPS


@dataclass
class BatchNorm:
    """The VAE's normalisation: (x - running_mean) / sqrt(running_var + eps)."""

    running_mean: Any
    running_var: Any
    eps: float


class Transformer(_Part):
    """One evaluation of the transformer."""

    _name = "transformer"

    def __call__(
        self,
        hidden_states: Any,
        encoder_hidden_states: Any = None,
        timestep: Any = None,
        img_ids: Any = None,
        txt_ids: Any = None,
        guidance: Any = None,
        joint_attention_kwargs: dict[str, Any] | None = None,
        return_dict: bool = True,
    ) -> Sample | tuple[Any]:
        """The velocity, noise minus picture, of every token.

        :param hidden_states: [B, S, 128], packed and normalised
        :param encoder_hidden_states: [B, L, width], of encode_prompt
        :param timestep: sigma, 0 to 1: the scheduler's timestep / 1000
        :param img_ids: [(B,) S, 4]
        :param txt_ids: [(B,) L, 4]
        :param guidance: the guidance scale, for [dev]
        :param joint_attention_kwargs: "attention_mask", "scale" of adapters
        """
        pipeline = self._pipeline
        inputs = _flux2.VelocityInputs()
        inputs.hidden_states = to_array(hidden_states, "hidden_states")
        inputs.encoder_hidden_states = to_array(encoder_hidden_states, "encoder_hidden_states")
        inputs.timestep = _values(timestep, "timestep")
        inputs.img_ids = _positions(img_ids, "img_ids")
        if txt_ids is not None:
            inputs.txt_ids = _positions(txt_ids, "txt_ids")
        if guidance is not None:
            inputs.guidance = _values(guidance, "guidance")
        inputs.attention_mask = attention_mask(joint_attention_kwargs)
        inputs.adapters = pipeline._adapters.acting(adapter_scale(joint_attention_kwargs))
        velocity = from_array(pipeline._library.predict_velocity(inputs, self._run()))
        return Sample(velocity) if return_dict else (velocity,)

    forward = __call__


def _values(value: Any, name: str) -> list[float]:
    if isinstance(value, (int, float)):
        return [number(value, name)]
    return [float(one) for one in to_numpy(value, name).reshape(-1)]


def _positions(value: Any, name: str) -> list[tuple[int, ...]]:
    ids = to_numpy(value, name)
    ids = ids[0] if ids.ndim == 3 else ids  # as in Diffusers, the first sample's are everyone's
    if ids.ndim != 2 or ids.shape[1] != 4:
        raise ValueError(f"{name} must be [(B,) tokens, 4], not {list(ids.shape)}")
    return [tuple(int(number) for number in row) for row in ids]
