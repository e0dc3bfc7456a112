"""What all pipelines have, and the loader that picks one."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from tqdm.auto import tqdm

from . import _flux2, _loading
from ._adapters import AdapterMixin, AdapterSet
from ._arguments import Arguments, whole
from ._arrays import from_array, from_numpy, to_array, to_numpy, torch_module
from ._call import Call
from ._memory import MemoryMixin
from ._parts import Transformer, Vae

KLEIN_LAYERS = (9, 18, 27)

# What Diffusers' pipelines have and these do not, and what to use.
_ABSENT = {
    "scheduler": "the steps of a call: give it `sigmas`, or compose them with `transformer`",
    "tokenizer": "`encode_prompt`, which takes texts",
    "text_encoder": "`encode_prompt`",
    "image_processor": "pictures as they are: a call prepares them",
    "components": "`from_pipe`",
}


class DiffusionPipeline(AdapterMixin, MemoryMixin):
    """What all pipelines have. Safe to call from several threads: calls queue."""

    #: The families of models that a class can run.
    _families: ClassVar[set[_flux2.Family]] = {
        getattr(_flux2.Family, name) for name in ("dev", "klein", "klein_base", "klein_kv")
    }
    _inpaints: ClassVar[bool] = False
    _default_layers: ClassVar[tuple[int, ...]] = KLEIN_LAYERS
    #: The class that the model of a family was made for.
    _class_of_family: ClassVar[dict[_flux2.Family, type[DiffusionPipeline]]] = {}

    vae_scale_factor = 8

    def __init_subclass__(cls) -> None:
        if not cls._inpaints:
            DiffusionPipeline._class_of_family.update((family, cls) for family in cls._families)

    def __init__(
        self, library: _flux2.Pipeline, source: _flux2.ModelSource, options: _flux2.PipelineOptions
    ) -> None:
        """Use `from_pretrained`."""
        self._library = library
        self._source = source
        self._options = options
        self._adapters = AdapterSet()
        self._progress_bar_config: dict[str, Any] = {}
        self._vae_tiling = _flux2.VaeTiling.automatic
        self._interrupt = False
        self._current_timestep: float | None = None
        self._num_timesteps: int | None = None
        self._guidance_scale: float | None = None
        self._attention_kwargs: dict[str, Any] | None = None
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
        prompt_cache: bool | str | os.PathLike[str] = False,
        transformer: str | os.PathLike[str] | None = None,
        text_encoder: str | os.PathLike[str] | None = None,
        vae: str | os.PathLike[str] | None = None,
        tokenizer: str | os.PathLike[str] | None = None,
        variant: str | None = None,
        revision: str | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Reads the configs of a model; its weights are read by the first call that needs them.

        `DiffusionPipeline.from_pretrained` returns the pipeline that the model was made for.

        :param pretrained_model_name_or_path: a folder in Diffusers layout or of single files, a
            file, "org/name" on the Hugging Face Hub, or "nano"
        :param torch_dtype: what matmuls compute in: torch.float32 or "float32" (also if it is left
            out), torch.bfloat16 or "bfloat16", torch.int8 or "int8" (the linear layers of the
            blocks), or "auto": bfloat16 where the machine has it. As in Diffusers, noise is drawn
            in bfloat16 where that is asked for
        :param dtype: another name of it
        :param device: "cpu" or "cuda"
        :param threads: 0: the cores that this process may use
        :param prompt_cache: keep embeddings of prompts on disk, in this folder or (True) where the
            program keeps them; a prompt that is there does not need its text encoder
        :param transformer: a file or folder in place of the model's own, as the next three
        :param variant: "dev", "klein", "klein-base" or "klein-kv", where the files do not tell
        :param revision: branch, tag or commit on the hub
        :param cache_dir: in place of the hub's cache
        :param token: for the hub; True or None: the one that is stored; False: none
        :param local_files_only: do not ask the hub
        :raises FileNotFoundError: there is no such folder
        :raises OSError: it is something else than a FLUX.2 model; what the hub answers
        :raises ValueError: a model of another class; a type or device that this machine lacks
        """
        _loading.reject_unknown(kwargs, "from_pretrained")
        given = torch_dtype if torch_dtype is not None else dtype
        options = _loading.options_of(given, device, threads)
        options.prompt_cache = _loading.prompt_cache_of(prompt_cache)
        source = _loading.source_of(
            pretrained_model_name_or_path,
            {
                "transformer": transformer,
                "text_encoder": text_encoder,
                "vae": vae,
                "tokenizer": tokenizer,
            },
            variant,
            {
                "revision": revision,
                "cache_dir": cache_dir,
                "token": token,
                "local_files_only": local_files_only,
            },
        )
        library = _flux2.Pipeline.load(source, options)
        return cls._class_for(library.info)(library, source, options)

    @classmethod
    def from_pipe(cls, pipeline: DiffusionPipeline) -> Any:
        """Another pipeline with the same weights and adapters, which are in memory once."""
        made = cls._class_for(pipeline._library.info)(
            pipeline._library, pipeline._source, pipeline._options
        )
        made._adapters = pipeline._adapters
        return made

    @classmethod
    def _class_for(cls, info: _flux2.ModelInfo) -> type[DiffusionPipeline]:
        chosen = cls._class_of_family[info.family] if cls is DiffusionPipeline else cls
        if info.family not in chosen._families:
            raise ValueError(
                f"{info.path} is a model for {info.pipeline_class}, not {chosen.__name__}:"
                " DiffusionPipeline.from_pretrained takes either"
            )
        return chosen

    def to(self, *args: Any, device: Any = None, dtype: Any = None) -> DiffusionPipeline:
        """Moves to "cpu" or "cuda", changes the type that is computed in; returns itself.

        :raises ValueError: a device or type that this machine or this library lacks
        """
        old = self._options
        options = _flux2.PipelineOptions()
        options.compute, options.device, options.threads = old.compute, old.device, old.threads
        options.prompt_cache = old.prompt_cache
        for value in (*args, device, dtype):
            if value is None:
                continue
            if "float" in str(value) or "int" in str(value):
                options.compute = _loading.compute_of(value)
            else:
                options.device = _loading.device_of(value)
        if (options.compute, options.device) != (old.compute, old.device):
            self._library = _flux2.Pipeline.load(self._source, options)
            self._options = options
        return self

    @property
    def device(self) -> Any:
        """Where it computes: a torch.device where the program has imported torch, else its name."""
        name = "cuda" if self._options.device == _flux2.Device.cuda else "cpu"
        torch = torch_module()
        return name if torch is None else torch.device(name)

    @property
    def dtype(self) -> Any:
        """What matmuls compute in: a torch.dtype where the program has imported torch, else its
        name: "float32", "bfloat16" or "int8"."""
        name = _loading.dtype_name(self._library.compute)
        torch = torch_module()
        return name if torch is None else getattr(torch, name)

    @property
    def vae(self) -> Vae:
        """The autoencoder by itself."""
        return Vae(self)

    @property
    def transformer(self) -> Transformer:
        """One step of the transformer by itself."""
        return Transformer(self)

    def __getattr__(self, name: str) -> Any:
        kind = type(self).__name__
        if name in _ABSENT:
            raise AttributeError(f"a {kind} of flux2 has no {name}; there is {_ABSENT[name]}")
        raise AttributeError(f"{kind!r} object has no attribute {name!r}")

    @property
    def _noise_in_bf16(self) -> bool:
        return self._options.compute == _flux2.Compute.bf16

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

    @property
    def num_timesteps(self) -> int | None:
        """Steps of the last call, known once they begin."""
        return self._num_timesteps

    @property
    def guidance_scale(self) -> float | None:
        """Of the last call."""
        return self._guidance_scale

    @property
    def attention_kwargs(self) -> dict[str, Any] | None:
        """Of the last call."""
        return self._attention_kwargs

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
        text_encoder_out_layers: Sequence[int] = KLEIN_LAYERS,
    ) -> tuple[Any, Any]:
        """The embeddings of prompts, [B, L, width], and the positions of their tokens, [B, L, 4].

        :param prompt: None: the empty one
        :param device: where it computes is the pipeline's choice; None or that
        :param num_images_per_prompt: so many equal rows a prompt
        :param prompt_embeds: these are repeated, in place of prompts
        """
        if device is not None and _loading.device_of(device) != self._options.device:
            raise ValueError(f"device {str(device)!r} is not where the pipeline is: use its `to`")
        if prompt_embeds is None:
            prompt_embeds = self._embeddings(prompt, max_sequence_length, text_encoder_out_layers)
        each = whole(num_images_per_prompt, "num_images_per_prompt")
        embeds = np.repeat(to_numpy(prompt_embeds, "prompt_embeds"), each, axis=0)
        ids = np.zeros((*embeds.shape[:2], 4), dtype=np.int64)
        ids[:, :, 3] = np.arange(embeds.shape[1])
        return from_numpy(embeds), from_numpy(ids)

    def _embeddings(self, prompt: Any, length: int, layers: Sequence[int]) -> np.ndarray:
        request = _flux2.Request()
        request.prompt = Arguments(prompt="" if prompt is None else prompt).prompts()
        request.max_sequence_length = whole(length, "max_sequence_length")
        request.text_encoder_out_layers = self._layers(layers)
        request.adapters = self._adapters.acting(1.0)
        run = _flux2.Run()
        run.output = _flux2.Output.prompt_embeds
        return self._library.generate(request, run).prompt_embeds.numpy()

    def _layers(self, layers: Sequence[int]) -> list[int]:
        """A default that was written for klein is the family's own where the model is [dev]."""
        if self._library.info.family == _flux2.Family.dev and tuple(layers) == self._default_layers:
            return []
        return [whole(layer, "text_encoder_out_layers") for layer in layers]

    def pack_latents(self, latents: Any) -> Any:
        """Latents of the VAE, [B, 32, h, w], to the tokens that the transformer works on:
        [B, h/2 w/2, 128], normalised."""
        return from_array(self._library.pack_latents(to_array(latents, "latents")))

    def unpack_latents(self, tokens: Any, height: int, width: int) -> Any:
        """The way back. Height and width are the picture's, in pixels."""
        array = to_array(tokens, "tokens")
        return from_array(self._library.unpack_latents(array, height, width))

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
