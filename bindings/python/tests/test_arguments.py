"""Signatures, and every way to call a pipeline wrongly."""

import copy
import inspect
import pickle

import flux2
import numpy as np
import PIL.Image
import pytest
from conftest import SMALL

ORDER = {
    "Flux2Pipeline": "image prompt height width num_inference_steps sigmas guidance_scale"
    " num_images_per_prompt generator latents prompt_embeds output_type return_dict"
    " attention_kwargs callback_on_step_end callback_on_step_end_tensor_inputs max_sequence_length"
    " text_encoder_out_layers caption_upsample_temperature",
    "Flux2KleinPipeline": "image prompt height width num_inference_steps sigmas guidance_scale"
    " num_images_per_prompt generator latents prompt_embeds negative_prompt_embeds output_type"
    " return_dict attention_kwargs callback_on_step_end callback_on_step_end_tensor_inputs"
    " max_sequence_length text_encoder_out_layers",
    "Flux2KleinKVPipeline": "image prompt height width num_inference_steps sigmas"
    " num_images_per_prompt generator latents prompt_embeds output_type return_dict"
    " attention_kwargs callback_on_step_end callback_on_step_end_tensor_inputs max_sequence_length"
    " text_encoder_out_layers",
    "Flux2KleinInpaintPipeline": "prompt image image_reference mask_image height width"
    " padding_mask_crop strength num_inference_steps sigmas guidance_scale num_images_per_prompt"
    " generator latents prompt_embeds negative_prompt_embeds output_type return_dict"
    " attention_kwargs callback_on_step_end callback_on_step_end_tensor_inputs max_sequence_length"
    " text_encoder_out_layers",
}
DEFAULTS = {
    "Flux2Pipeline": (50, 4.0, (10, 20, 30)),
    "Flux2KleinPipeline": (50, 4.0, (9, 18, 27)),
    "Flux2KleinKVPipeline": (4, None, (9, 18, 27)),
    "Flux2KleinInpaintPipeline": (50, 8.0, (9, 18, 27)),
}


@pytest.mark.parametrize("name", ORDER)
def test_parameters_are_those_of_diffusers(name):
    parameters = inspect.signature(getattr(flux2, name).__call__).parameters
    positional = [p.name for p in parameters.values() if p.kind == p.POSITIONAL_OR_KEYWORD]
    assert positional == ["self", *ORDER[name].split()]
    steps, guidance, layers = DEFAULTS[name]
    assert parameters["num_inference_steps"].default == steps
    assert parameters["text_encoder_out_layers"].default == layers
    assert parameters["max_sequence_length"].default == 512
    assert parameters["output_type"].default == "pil"
    assert parameters["return_dict"].default is True
    if guidance is not None:
        assert parameters["guidance_scale"].default == guidance


WRONG = {
    "no prompt": ({"prompt": None}, ValueError, "prompt"),
    "prompt is a number": ({"prompt": 3}, ValueError, "prompt"),
    "prompt is empty": ({"prompt": []}, ValueError, "prompt"),
    "both": ({"prompt_embeds": np.zeros((1, 4, 120), np.float32)}, ValueError, "prompt_embeds"),
    "no steps": ({"num_inference_steps": 0}, ValueError, "num_inference_steps"),
    "steps of text": ({"num_inference_steps": "4"}, TypeError, "num_inference_steps"),
    "steps out of range": ({"num_inference_steps": 2**40}, ValueError, "num_inference_steps"),
    "guidance missing": ({"guidance_scale": None}, TypeError, "guidance_scale"),
    "guidance NaN": ({"guidance_scale": float("nan")}, ValueError, "guidance_scale"),
    "tiny": ({"width": 8}, ValueError, "width"),
    "sigmas empty": ({"sigmas": []}, ValueError, "sigmas"),
    "sigmas NaN": ({"sigmas": [float("nan")]}, ValueError, "sigma"),
    "generators": ({"generator": [flux2.Generator(1)] * 2}, ValueError, "2 generators"),
    "no generators": ({"generator": []}, ValueError, "0 generators"),
    "generator is a number": ({"generator": 42}, TypeError, "generator"),
    "callback tensors": (
        {"callback_on_step_end_tensor_inputs": ["noise"]}, ValueError, "noise"),
    "callback is no function": ({"callback_on_step_end": 3}, TypeError, "callback_on_step_end"),
    "image is a number": ({"image": 3}, ValueError, "image"),
    "image of nothing": ({"image": np.zeros((0, 64, 3), np.uint8)}, ValueError, "empty"),
    "image of int64": ({"image": np.zeros((64, 64, 3), np.int64)}, TypeError, "int64"),
    "image of NaN": ({"image": np.full((64, 64, 3), np.nan)}, ValueError, "NaN"),
    "image of 5 channels": ({"image": np.zeros((64, 64, 5), np.uint8)}, ValueError, "channels"),
    "image too small": ({"image": PIL.Image.new("RGB", (63, 100))}, ValueError, "63x100"),
    "aspect": ({"image": PIL.Image.new("RGB", (64, 513))}, ValueError, "aspect"),
    "latents of nothing": ({"latents": np.zeros((0, 128, 2, 2), np.float32)}, ValueError, "latents"),
    "latents of bytes": ({"latents": np.zeros((1, 128, 2, 2), np.uint8)}, TypeError, "latents"),
    "latents of 3 dimensions": ({"latents": np.zeros((128, 2, 2), np.float32)}, ValueError, "latents"),
    "latents of another size": ({"latents": np.zeros((1, 128, 4, 4), np.float32)}, ValueError, "latents"),
    "latents of NaN": ({"latents": np.full((1, 128, 2, 2), np.nan, np.float32)}, ValueError, "latents"),
    "latents of text": ({"latents": "noise"}, TypeError, "latents"),
    "embeds of another width": (
        {"prompt": None, "prompt_embeds": np.zeros((1, 4, 7), np.float32)}, ValueError, "prompt_embeds"),
    "mask of numbers": ({"attention_kwargs": {"attention_mask": np.zeros((1, 36), np.int64)}},
                        TypeError, "attention_mask"),
    "mask of another size": ({"attention_kwargs": {"attention_mask": np.zeros((1, 35), bool)}},
                             ValueError, "attention_mask"),
    "scale of text": ({"attention_kwargs": {"scale": "1"}}, TypeError, "scale"),
    "preview is no function": ({"preview": 3}, TypeError, "preview"),
    "pictures beside lists": ({"image": [PIL.Image.new("RGB", (64, 64)), []]}, ValueError, "mixture"),
    "lists for more samples": ({"image": [[PIL.Image.new("RGB", (64, 64))]] * 2}, ValueError, "image"),
    "a layer that is none": ({"text_encoder_out_layers": (9, 18, -1)}, ValueError, "layer"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_call(klein, case):
    arguments, error, about = WRONG[case]
    with pytest.raises(error, match=about) as caught:
        klein(**{**SMALL, **arguments})
    assert "\n" not in str(caught.value)


MASK = PIL.Image.new("L", (64, 64), 255)
PICTURE = PIL.Image.new("RGB", (64, 64), "blue")
WRONG_INPAINT = {
    "no image": ({"image": None}, "image"),
    "no mask": ({"mask_image": None}, "mask_image"),
    "strength": ({"strength": 1.5}, "strength"),
    "no strength": ({"strength": 0.0}, "strength"),
    "crop to np": ({"padding_mask_crop": 8, "output_type": "np"}, "output_type"),
    "crop of an array": ({"padding_mask_crop": 8, "image": np.asarray(PICTURE)}, "image"),
    "two images for one": ({"image": [PICTURE, PICTURE]}, "2 of them"),
    "outpaint": ({"outpaint": (1, 2, 3)}, "outpaint"),
}


@pytest.mark.parametrize("case", WRONG_INPAINT)
def test_wrong_inpaint(inpaint, case):
    arguments, about = WRONG_INPAINT[case]
    given = {"prompt": "x", "image": PICTURE, "mask_image": MASK, "num_inference_steps": 2}
    with pytest.raises(ValueError, match=about):
        inpaint(**{**given, **arguments})


def test_keep_unmasked_keeps_every_byte(inpaint):
    mask = PIL.Image.new("L", (64, 64), 0)
    mask.paste(255, (32, 0, 64, 64))
    noisy = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    made = inpaint(
        "x", PIL.Image.fromarray(noisy), mask_image=mask, keep_unmasked=True,
        num_inference_steps=2, max_sequence_length=32, generator=flux2.Generator(0),
    ).images[0]  # fmt: skip
    assert np.array_equal(np.asarray(made)[:, :32], noisy[:, :32])
    assert not np.array_equal(np.asarray(made)[:, 40:], noisy[:, 40:])


def test_pickling_is_refused(klein):
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(klein)
    with pytest.raises(TypeError, match="cannot be pickled"):
        copy.deepcopy(klein)
