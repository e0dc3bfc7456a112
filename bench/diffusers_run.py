"""One picture by Diffusers in bf16, timed; prints one JSON object, of the form of
`flux2 generate --json`. Run by compare_diffusers.py and bench_peers.py, in a Python that has torch
and diffusers.

The text encoder is freed before the transformer is loaded, as the flux2 program does it, so that
both need the least memory they can. Text and decoding are timed twice, unless `--once`: the first
call pays for pages that loading only mapped and for kernels that are made on first use.
"""
import argparse
import gc
import json
import time

import diffusers
import numpy as np
import torch
import transformers
from diffusers import DiffusionPipeline
from PIL import Image


class Stages:
    """Seconds by name, in the order of their end."""

    def __init__(self):
        self.seconds = {}

    def time(self, name, work):
        begin = time.perf_counter()
        result = work()
        self.seconds[name] = time.perf_counter() - begin
        return result


def encode_text(arguments, stages):
    pipeline = stages.time("load text encoder", lambda: DiffusionPipeline.from_pretrained(
        arguments.model, dtype=torch.bfloat16, transformer=None, vae=None))
    def encode():
        return pipeline.encode_prompt(prompt=arguments.prompt)[0]
    with torch.inference_mode():
        first = stages.time("encode text, first", encode)
        return first if arguments.once else stages.time("encode text", encode)


def timed_steps(pipeline, arguments, embeddings):
    """Latents after all steps, and the seconds of each."""
    ends = []
    def note_start(*_):
        if not ends:
            ends.append(time.perf_counter())
    def note_end(_pipeline, _step, _timestep, tensors):
        ends.append(time.perf_counter())
        return tensors
    hook = pipeline.transformer.register_forward_pre_hook(note_start)
    latents = pipeline(prompt_embeds=embeddings, width=arguments.size, height=arguments.size,
                       num_inference_steps=arguments.steps, guidance_scale=1.0,
                       generator=torch.Generator().manual_seed(arguments.seed),
                       callback_on_step_end=note_end, output_type="latent").images
    hook.remove()
    return latents, np.diff(ends).tolist()


@torch.inference_mode()
def decode(pipeline, latents):
    pixels = pipeline.vae.decode(latents.to(pipeline.vae.dtype), return_dict=False)[0]
    return pipeline.image_processor.postprocess(pixels, output_type="pil")[0]


def mean_levels_between(picture, path):
    other = np.asarray(Image.open(path).convert("RGB"), dtype=np.float32)
    return float(np.abs(np.asarray(picture, dtype=np.float32) - other).mean())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--prompt", required=True)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--compare", help="a picture of the same request")
    parser.add_argument("--output", help="where to write the picture")
    parser.add_argument("--once", action="store_true", help="no stage is run twice")
    arguments = parser.parse_args()

    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(arguments.threads)
    stages = Stages()
    embeddings = encode_text(arguments, stages)
    gc.collect()
    pipeline = stages.time("load transformer and VAE", lambda: DiffusionPipeline.from_pretrained(
        arguments.model, dtype=torch.bfloat16, text_encoder=None, tokenizer=None))
    pipeline.set_progress_bar_config(disable=True)
    latents, step_seconds = timed_steps(pipeline, arguments, embeddings)
    picture = stages.time("decode, first", lambda: decode(pipeline, latents))
    if not arguments.once:
        picture = stages.time("decode", lambda: decode(pipeline, latents))
    if arguments.output:
        picture.save(arguments.output)
    report = {
        "stages": [{"name": name, "seconds": s} for name, s in stages.seconds.items()],
        "step_seconds": step_seconds,
        "versions": {"torch": torch.__version__,
                     "diffusers": diffusers.__version__},
    }
    if arguments.compare:
        report["mean_levels_apart"] = mean_levels_between(picture, arguments.compare)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
