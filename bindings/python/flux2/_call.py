"""One call: from arguments to an output."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _flux2
from ._arguments import Arguments, adapter_scale, make_inpaint, make_request
from ._arrays import from_array, from_numpy, to_array, to_numpy, torch_module
from ._generator import Noise
from ._images import results, to_pil
from ._output import Flux2PipelineOutput
from ._references import set_references, set_references_of_inpainting

if TYPE_CHECKING:
    from ._base import DiffusionPipeline

_log = logging.getLogger("flux2")

_ATTENTION_KWARGS = {"attention_mask", "scale"}
_OUTPUTS = {"latent": _flux2.Output.latents, "pil": _flux2.Output.images}  # others: floats


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
            set_references_of_inpainting(self._request, arguments.image_reference, arguments.batch())
        else:
            set_references(self._request, arguments.image, "image")
        self._request.text_encoder_out_layers = pipeline._layers(arguments.text_encoder_out_layers)
        scale = adapter_scale(arguments.attention_kwargs)
        self._request.adapters = pipeline._adapters.acting(scale)
        self._run = self._make_run()
        self._noise = Noise(arguments.generator, arguments.batch())
        if self._request.latents is None:
            self._noise.set_on(self._request, self._run, bf16=pipeline._noise_in_bf16)
        self._warn()

    def _make_run(self) -> _flux2.Run:
        run = _flux2.Run()
        run.vae_tiling = self._pipeline._vae_tiling
        run.output = _OUTPUTS.get(self._arguments.output_type or "", _flux2.Output.pixels)
        if self._arguments.keep_unmasked and run.output == _flux2.Output.pixels:
            run.output = _flux2.Output.images  # has the bytes that are kept
        return run

    def _warn(self) -> None:
        output_type = self._arguments.output_type
        if output_type not in ("pil", "np", "pt", "latent"):
            _log.warning('output_type %r is unknown: "np" is returned', output_type)
        unknown = sorted(set(self._arguments.attention_kwargs or {}) - _ATTENTION_KWARGS)
        if unknown:
            _log.warning("attention_kwargs %s are unknown and have no effect", unknown)

    def run(self) -> Flux2PipelineOutput | tuple[Any]:
        listener = _Listener(self._pipeline, self._arguments)
        listener.set_on(self._run)
        try:
            result = self._pipeline._library.generate(self._request, self._run)
        finally:
            listener.end()
        self._noise.spend()
        for warning in result.warnings:
            _log.warning("%s", warning)
        images = self._images(result)
        if not self._arguments.return_dict:
            return (images,)
        return Flux2PipelineOutput(
            images=images,
            rewritten_prompts=list(result.rewritten_prompts),
            seeds=list(result.request.seeds),
            seconds={time.stage.name: time.seconds for time in result.times},
            adapters=list(result.adapters),
        )

    def _images(self, result: _flux2.Result) -> Any:
        if self._run.output != _flux2.Output.latents:
            return results(result, self._arguments.output_type)
        library = self._pipeline._library
        if library.info.family == _flux2.Family.dev and self._request.inpaint is None:
            return from_array(result.latents)
        done = result.request
        assert done.height and done.width  # every default is filled in
        return from_array(library.unpack_latents(result.latents, done.height, done.width))


class _Listener:
    """What the caller hears of a call while it runs."""

    def __init__(self, pipeline: DiffusionPipeline, arguments: Arguments) -> None:
        self._pipeline = pipeline
        self._arguments = arguments
        self._bar: Any = None
        self._shows_bar = not pipeline._progress_bar_config.get("disable", False)
        pipeline._interrupt = False
        pipeline._current_timestep = None
        pipeline._num_timesteps = None
        pipeline._guidance_scale = arguments.guidance_scale
        pipeline._attention_kwargs = arguments.attention_kwargs

    def set_on(self, run: _flux2.Run) -> None:
        if self._shows_bar or self._arguments.callback_on_step_end:
            run.progress = self._progress
        run.callback_on_step_end = self._step
        if self._arguments.preview:
            run.preview = self._show

    def end(self) -> None:
        self._pipeline._current_timestep = None
        if self._bar is not None:
            self._bar.close()

    def _progress(self, progress: _flux2.Progress) -> None:
        if progress.stage != _flux2.Stage.denoise:
            return
        self._pipeline._num_timesteps = progress.total
        if not self._shows_bar:
            return
        if self._bar is None:
            self._bar = self._pipeline.progress_bar(total=progress.total)
        self._bar.update(progress.done - self._bar.n)
        if progress.done == progress.total:
            self._bar.close()

    def _show(self, preview: _flux2.Preview) -> None:
        assert self._arguments.preview
        pictures = [to_pil(image) for image in preview.images]
        self._arguments.preview(self._pipeline, preview.step, pictures)

    def _step(self, state: _flux2.StepState) -> None:
        if self._arguments.callback_on_step_end:
            self._call_back(state)
        state.interrupt = self._pipeline._interrupt  # another thread may have set it as well

    def _call_back(self, state: _flux2.StepState) -> None:
        assert self._arguments.callback_on_step_end
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
                f"callback_on_step_end must return its dict of tensors, not {type(returned).__name__}"
            )
        tensors.update((name, returned[name]) for name in tensors if name in returned)
        state.latents = to_array(tensors["latents"], "latents")
        state.prompt_embeds = to_array(self._first(tensors["prompt_embeds"]), "prompt_embeds")

    # The callback sees a row of embeddings for each picture, as in Diffusers.
    def _repeated(self, embeds: np.ndarray) -> np.ndarray:
        return np.repeat(embeds, self._arguments.num_images_per_prompt, axis=0)

    def _first(self, embeds: Any) -> np.ndarray:
        each = self._arguments.num_images_per_prompt
        rows = to_numpy(embeds, "prompt_embeds")
        if not np.array_equal(np.repeat(rows[::each], each, axis=0), rows):
            raise ValueError("the pictures of a prompt share its prompt_embeds: change them alike")
        return rows[::each]
