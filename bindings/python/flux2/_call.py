"""One call: from arguments to an output."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _flux2
from ._arguments import Arguments, make_inpaint, make_request, noise_shape, picture_size
from ._arrays import from_numpy, to_array, to_numpy, torch_module
from ._generator import Noise
from ._images import pictures, results
from ._latents import LatentStatistics
from ._output import Flux2PipelineOutput

if TYPE_CHECKING:
    from .pipelines import DiffusionPipeline

_log = logging.getLogger("flux2")


class Call:
    """`inpaint`: whether the arguments' `image` is a picture to paint over."""

    def __init__(self, pipeline: DiffusionPipeline, arguments: Arguments, *, inpaint: bool) -> None:
        self._pipeline = pipeline
        self._arguments = arguments
        if not inpaint:
            arguments.take_prompt_in_place_of_image()
        self._request = make_request(arguments)
        if inpaint:
            self._request.inpaint = make_inpaint(arguments)
            self._request.image = pictures(arguments.image_reference, "image_reference")
        else:
            self._request.image = pictures(arguments.image, "image")
        if arguments.attention_kwargs:
            _log.warning("attention_kwargs %s have no effect", sorted(arguments.attention_kwargs))
        self._bf16 = pipeline._noise_in_bf16
        if self._bf16:
            self._request.noise_dtype = _flux2.NoiseDType.bf16
        self._noise = Noise(arguments.generator, arguments.batch())
        self._set_noise()

    def _set_noise(self) -> None:
        request = self._request
        if request.latents is not None:
            return
        if self._noise.fresh:
            self._noise.set_seeds(request)
        elif request.inpaint is not None:
            raise ValueError(
                "the generator has been used before, and inpainting needs one that starts at its"
                " seed: generator.manual_seed(seed)"
            )
        else:
            height, width = picture_size(request, self._pipeline._library.info)
            shape = noise_shape(self._arguments.batch(), height, width)
            request.latents = to_array(self._noise.draw(shape, self._bf16), "latents")

    def run(self) -> Flux2PipelineOutput | tuple[Any]:
        listener = _Listener(self._pipeline, self._arguments)
        result = self._pipeline._library.generate(
            self._request,
            progress=listener.progress if listener.shows_progress else None,
            callback_on_step_end=listener.step if self._arguments.callback_on_step_end else None,
            latents_only=self._arguments.output_type == "latent",
        )
        listener.end()
        for warning in result.warnings:
            _log.warning("%s", warning)
        done = result.request
        if self._request.latents is None:
            self._noise.advance(
                noise_shape(self._arguments.batch(), done.height, done.width), self._bf16
            )
        images = self._images(result)
        if not self._arguments.return_dict:
            return (images,)
        return Flux2PipelineOutput(
            images=images,
            rewritten_prompts=list(result.rewritten_prompts),
            seeds=list(done.seeds),
            seconds={time.stage.name: time.seconds for time in result.times},
        )

    def _images(self, result: _flux2.Result) -> Any:
        output_type = self._arguments.output_type
        if output_type not in ("pil", "np", "pt", "latent"):
            _log.warning('output_type %r is unknown: "np" is returned', output_type)
        if output_type != "latent":
            return results(result.images, output_type)
        packed = np.array(result.latents.numpy())
        info = self._pipeline._library.info
        if info.family == _flux2.Family.dev and self._request.inpaint is None:
            return from_numpy(packed)
        statistics = LatentStatistics.of(info.path)
        return from_numpy(statistics.unpacked(packed, result.request.height, result.request.width))


class _Listener:
    """What the caller hears of a call while it runs."""

    def __init__(self, pipeline: DiffusionPipeline, arguments: Arguments) -> None:
        self._pipeline = pipeline
        self._arguments = arguments
        self._bar: Any = None
        self._frozen: np.ndarray | None = None  # the latents when it was interrupted
        pipeline._interrupt = False
        pipeline._current_timestep = None

    @property
    def shows_progress(self) -> bool:
        return not self._pipeline._progress_bar_config.get("disable", False)

    def progress(self, progress: _flux2.Progress) -> None:
        if progress.stage != _flux2.Stage.denoise:
            return
        if self._bar is None:
            self._bar = self._pipeline.progress_bar(total=progress.total)
        self._bar.update(progress.done - self._bar.n)
        if progress.done == progress.total:
            self.end()

    def end(self) -> None:
        self._pipeline._current_timestep = None
        if self._bar is not None:
            self._bar.close()

    def step(self, state: _flux2.StepState) -> None:
        if self._frozen is not None:  # what an interrupted call has is not touched any more
            state.latents = _flux2.Array(self._frozen)
            return
        self._pipeline._current_timestep = state.timestep
        tensors = {
            "latents": from_numpy(np.array(state.latents.numpy())),
            "prompt_embeds": from_numpy(self._repeated(state.prompt_embeds.numpy())),
        }
        asked = self._arguments.callback_on_step_end_tensor_inputs or ()
        timestep = state.timestep if torch_module() is None else torch_module().tensor(state.timestep)
        returned = self._arguments.callback_on_step_end(
            self._pipeline, state.step, timestep, {name: tensors[name] for name in asked}
        )
        if not isinstance(returned, dict):
            raise TypeError(
                "callback_on_step_end must return its dict of tensors,"
                f" not {type(returned).__name__}"
            )
        tensors.update((name, returned[name]) for name in tensors if name in returned)
        state.latents = to_array(tensors["latents"], "latents")
        state.prompt_embeds = to_array(self._first(tensors["prompt_embeds"]), "prompt_embeds")
        if self._pipeline._interrupt:
            self._frozen = np.array(state.latents.numpy())

    # The callback sees a row of embeddings for each picture, as in Diffusers.
    def _repeated(self, embeds: np.ndarray) -> np.ndarray:
        return np.repeat(embeds, self._arguments.num_images_per_prompt, axis=0)

    def _first(self, embeds: Any) -> np.ndarray:
        each = self._arguments.num_images_per_prompt
        rows = to_numpy(embeds, "prompt_embeds")
        if not np.array_equal(np.repeat(rows[::each], each, axis=0), rows):
            raise ValueError("the pictures of a prompt share its prompt_embeds: change them alike")
        return rows[::each]
