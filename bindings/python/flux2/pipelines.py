"""The four pipelines of Diffusers, and the loader that picks one.

An argument means what it means there. Defaults are Diffusers' too, also where a model has better
ones of its own: `pipe.model_defaults` has those, for `pipe(prompt=..., **pipe.model_defaults)`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from tqdm.auto import tqdm

from . import _flux2, _loading
from ._arguments import Arguments, whole
from ._arrays import from_numpy, to_numpy
from ._call import Call
from ._output import Flux2PipelineOutput

_KLEIN_LAYERS = (9, 18, 27)


class DiffusionPipeline:
    """What all pipelines have. Safe to call from several threads: calls queue."""

    #: The families of models that a class can run.
    _families: ClassVar[set[_flux2.Family]] = set(
        getattr(_flux2.Family, name) for name in ("dev", "klein", "klein_base", "klein_kv")
    )
    _inpaints: ClassVar[bool] = False

    vae_scale_factor = 8

    def __init__(self, library: _flux2.Pipeline, options: _flux2.PipelineOptions) -> None:
        """Use `from_pretrained`."""
        self._library = library
        self._options = options
        self._noise_in_bf16 = False
        self._progress_bar_config: dict[str, Any] = {}
        self._interrupt = False
        self._current_timestep: float | None = None
        self._calling = threading.local()

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike[str],
        *,
        torch_dtype: Any = None,
        dtype: Any = None,
        device: Any = "cpu",
        threads: int = 0,
        **kwargs: Any,
    ) -> Any:
        """Reads the configs of a model; its weights are read by the first call that needs them.

        `DiffusionPipeline.from_pretrained` returns the pipeline that the model was made for.

        :param pretrained_model_name_or_path: a folder in Diffusers layout, or "nano"
        :param torch_dtype: what matmuls compute in: torch.float32 or "float32" (also if it is left
            out), torch.bfloat16 or "bfloat16", or "auto": the fastest that the machine has. As in
            Diffusers, noise is drawn in bfloat16 where it is asked for
        :param dtype: another name of it
        :param device: "cpu" or "cuda"
        :param threads: 0: the cores that this process may use
        :raises FileNotFoundError: there is no such folder
        :raises OSError: the folder holds something else than a FLUX.2 model
        :raises ValueError: a model of another class; a type or device that this machine lacks
        """
        _loading.reject_unknown(kwargs)
        wanted = torch_dtype if torch_dtype is not None else dtype
        options = _flux2.PipelineOptions()
        options.compute = _loading.compute_of(wanted)
        options.device = _loading.device_of(device)
        options.threads = whole(threads, "threads")
        library = _flux2.Pipeline.load(_loading.locate(pretrained_model_name_or_path), options)
        made = cls._class_for(library.info)(library, options)
        made._noise_in_bf16 = options.compute == _flux2.Compute.bf16
        return made

    @classmethod
    def _class_for(cls, info: _flux2.ModelInfo) -> type[DiffusionPipeline]:
        chosen = _CLASS_OF_FAMILY[info.family] if cls is DiffusionPipeline else cls
        if info.family not in chosen._families:
            raise ValueError(
                f"{info.path} is a model for {info.pipeline_class}, not {chosen.__name__}:"
                " DiffusionPipeline.from_pretrained takes either"
            )
        return chosen

    def to(self, *args: Any, device: Any = None, dtype: Any = None, **_: Any) -> DiffusionPipeline:
        """Moves to "cpu" or "cuda", changes the type that is computed in; returns itself."""
        options = _flux2.PipelineOptions()
        options.compute, options.device = self._options.compute, self._options.device
        options.threads = self._options.threads
        for value in (*args, device, dtype):
            if value is None:
                continue
            if "float" in str(value):
                options.compute = _loading.compute_of(value)
            else:
                options.device = _loading.device_of(value)
        if (options.compute, options.device) != (self._options.compute, self._options.device):
            self._library = _flux2.Pipeline.load(str(self._library.info.path), options)
            self._options = options
            self._noise_in_bf16 = options.compute == _flux2.Compute.bf16
        return self

    @property
    def device(self) -> str:
        """Where it computes."""
        return "cuda" if self._options.device == _flux2.Device.cuda else "cpu"

    @property
    def dtype(self) -> str:
        """What matmuls compute in: "float32" or "bfloat16"."""
        return "bfloat16" if self._library.compute == _flux2.Compute.bf16 else "float32"

    @property
    def name_or_path(self) -> str:
        return str(self._library.info.path)

    @property
    def model_defaults(self) -> dict[str, Any]:
        """The model's own size, steps, guidance and text length, as arguments of a call."""
        own = self._library.info.defaults
        names = ["height", "width", "num_inference_steps", "max_sequence_length"]
        if self._library.info.family != _flux2.Family.klein_kv:
            names.append("guidance_scale")
        return {name: getattr(own, name) for name in names}

    @property
    def interrupt(self) -> bool:
        """Set `_interrupt` in a callback to end the steps there; what there is gets decoded."""
        return self._interrupt

    @property
    def current_timestep(self) -> float | None:
        """During a callback."""
        return self._current_timestep

    def set_progress_bar_config(self, **kwargs: Any) -> None:
        """Arguments of tqdm, such as `disable=True` or `desc="..."`."""
        self._progress_bar_config = kwargs

    def progress_bar(self, iterable: Any = None, total: int | None = None) -> Any:
        return tqdm(iterable, total=total, **self._progress_bar_config)

    def encode_prompt(
        self,
        prompt: str | list[str] | None,
        device: Any = None,
        num_images_per_prompt: int = 1,
        prompt_embeds: Any = None,
        max_sequence_length: int = 512,
        text_encoder_out_layers: Sequence[int] = (),
    ) -> tuple[Any, Any]:
        """The embeddings of prompts, [B, L, width], and the positions of their tokens, [B, L, 4].

        The library has no call that stops after the text: one step on one image token is run
        beside it.
        """
        if prompt_embeds is None:
            prompt_embeds = self._embeddings(prompt, max_sequence_length, text_encoder_out_layers)
        embeds = np.repeat(to_numpy(prompt_embeds, "prompt_embeds"), num_images_per_prompt, axis=0)
        ids = np.zeros((*embeds.shape[:2], 4), dtype=np.int64)
        ids[:, :, 3] = np.arange(embeds.shape[1])
        return from_numpy(embeds), from_numpy(ids)

    def _embeddings(self, prompt: Any, length: int, layers: Sequence[int]) -> np.ndarray:
        request = _flux2.Request()
        arguments = Arguments(prompt="" if prompt is None else prompt)
        request.prompt = arguments.prompts()
        request.width = request.height = 16
        request.num_inference_steps = 1
        request.guidance_scale = 1.0
        request.seeds = [0]
        request.max_sequence_length = whole(length, "max_sequence_length")
        request.text_encoder_out_layers = list(layers)
        return np.array(self._library.generate(request, latents_only=True).prompt_embeds.numpy())

    def enable_model_cpu_offload(self, *_: Any, **__: Any) -> None:
        """Nothing to do: parts are loaded and released as memory demands in any case."""

    enable_sequential_cpu_offload = enable_model_cpu_offload

    def enable_vae_tiling(self) -> None:
        """Nothing to do: pictures are decoded whole where memory allows, else in tiles."""

    disable_vae_tiling = enable_vae_slicing = disable_vae_slicing = enable_vae_tiling

    def maybe_free_model_hooks(self) -> None:
        """Nothing to do, as for `enable_model_cpu_offload`."""

    def __reduce__(self) -> Any:
        raise TypeError(
            f"a {type(self).__name__} cannot be pickled or copied: its weights are mapped from"
            " files; pass the model's path and call from_pretrained there"
        )

    def _draw(self, arguments: dict[str, Any]) -> Any:
        if getattr(self._calling, "now", False):
            raise RuntimeError("a callback cannot call the pipeline that is calling it")
        call = Call(self, Arguments(**arguments), inpaint=self._inpaints)
        self._calling.now = True
        try:
            return call.run()
        finally:
            self._calling.now = False


def _given(scope: dict[str, Any]) -> dict[str, Any]:
    """The arguments in the local scope of a __call__ that has defined nothing else yet."""
    return {name: value for name, value in scope.items() if name not in ("self", "__class__")}


class Flux2Pipeline(DiffusionPipeline):
    """FLUX.2 [dev]: text to image, and editing of up to several pictures."""

    _families = {_flux2.Family.dev}

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
        text_encoder_out_layers: Sequence[int] = (10, 20, 30),
        caption_upsample_temperature: float | None = None,
    ) -> Flux2PipelineOutput | tuple[Any]:
        """Draws. See the package's README for every argument."""
        return self._draw(_given(locals()))


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
        text_encoder_out_layers: Sequence[int] = _KLEIN_LAYERS,
        *,
        negative_prompt: str | list[str] | None = None,
        caption_upsample_temperature: float | None = None,
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
        text_encoder_out_layers: Sequence[int] = _KLEIN_LAYERS,
        *,
        caption_upsample_temperature: float | None = None,
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
        text_encoder_out_layers: Sequence[int] = _KLEIN_LAYERS,
        *,
        negative_prompt: str | list[str] | None = None,
        caption_upsample_temperature: float | None = None,
        keep_unmasked: bool = False,
        outpaint: Sequence[int] | None = None,
    ) -> Flux2PipelineOutput | tuple[Any]:
        """Draws. See the package's README for every argument."""
        given = _given(locals())
        if self._library.info.family == _flux2.Family.dev and text_encoder_out_layers == _KLEIN_LAYERS:
            given["text_encoder_out_layers"] = ()  # the family's own
        return self._draw(given)


_CLASS_OF_FAMILY = {
    _flux2.Family.dev: Flux2Pipeline,
    _flux2.Family.klein: Flux2KleinPipeline,
    _flux2.Family.klein_base: Flux2KleinPipeline,
    _flux2.Family.klein_kv: Flux2KleinKVPipeline,
}
