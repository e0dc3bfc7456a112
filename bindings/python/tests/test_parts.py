"""The parts of a pipeline by themselves, and what composing them gives."""

import inspect

import flux2
import numpy as np
import pytest
from conftest import GOLDENS, SMALL, load
from flux2 import _flux2


def test_encode_prompt(klein):
    embeds, ids = klein.encode_prompt(SMALL["prompt"], max_sequence_length=32)
    assert embeds.shape[:2] == (1, 32) and ids.shape == (1, 32, 4) and ids[0, -1, 3] == 31
    drawn = {**SMALL, "generator": flux2.Generator(7), "output_type": "np"}
    from_embeds = klein(**{**drawn, "prompt": None, "prompt_embeds": embeds}).images
    assert np.array_equal(from_embeds, klein(**{**drawn, "generator": flux2.Generator(7)}).images)
    twice, _ = klein.encode_prompt(None, num_images_per_prompt=2, prompt_embeds=embeds)
    assert np.array_equal(twice, np.repeat(embeds, 2, axis=0))
    with pytest.raises(ValueError, match="device"):
        klein.encode_prompt("x", "cuda")


def test_encode_prompt_of_each_family(klein, dev):
    for pipe, layers in ((klein, (9, 18, 27)), (dev, (10, 20, 30))):
        default = inspect.signature(pipe.encode_prompt).parameters["text_encoder_out_layers"].default
        assert default == layers
    embeds, _ = dev.encode_prompt("a", max_sequence_length=32)
    inpaint = load("tiny-dev", "Flux2KleinInpaintPipeline")
    assert np.array_equal(inpaint.encode_prompt("a", max_sequence_length=32)[0], embeds)


def test_no_step_runs_for_the_text(klein):
    request, run = _flux2.Request(), _flux2.Run()
    request.prompt, run.output = ["x"], _flux2.Output.prompt_embeds
    result = klein._library.generate(request, run)
    assert list(result.step_seconds) == [] and result.latents.numpy().size == 0


def test_the_vae_there_and_back(klein):
    x = np.random.default_rng(0).uniform(-1, 1, (2, 3, 32, 48)).astype(np.float32)
    found = klein.vae.encode(x).latent_dist
    assert found.mean.shape == (2, 32, 4, 6) and np.array_equal(found.mode(), found.mean)
    assert np.allclose(found.std**2, found.var) and np.allclose(np.exp(found.logvar), found.var)
    noise = flux2.Generator(5).randn((2, 32, 4, 6))
    assert np.array_equal(found.sample(flux2.Generator(5)), found.mean + found.std * noise)
    assert not np.array_equal(found.sample(), found.sample())
    (decoded,) = klein.vae.decode(found.mode(), return_dict=False)
    assert decoded.shape == x.shape
    assert np.array_equal(decoded, klein.vae.decode(found.mode()).sample)
    assert klein.vae.encode(x, return_dict=False)[0].mean.shape == found.mean.shape


@pytest.mark.parametrize(
    "x", [np.zeros((1, 3, 30, 32)), np.zeros((1, 4, 32, 32)), np.zeros((3, 32, 32))]
)
def test_what_the_vae_refuses(klein, x):
    with pytest.raises(ValueError, match="pixels"):
        klein.vae.encode(x)


def test_config_and_statistics(klein):
    assert klein.vae.config.latent_channels == klein.vae.config["latent_channels"] == 32
    assert klein.transformer.config.in_channels == 128
    with pytest.raises(AttributeError, match="nonsense"):
        _ = klein.vae.config.nonsense
    file = GOLDENS / "checkpoints/tiny-klein/vae/diffusion_pytorch_model.safetensors"
    for name in ("running_mean", "running_var"):
        stored = _flux2.load_array(file, f"bn.{name}").numpy()
        assert np.allclose(getattr(klein.vae.bn, name), stored, rtol=1e-5, atol=1e-6)


def test_a_call_composed_of_its_parts(dev):
    """The loop of Diffusers' pipeline, two steps of it by hand."""
    embeds, text_ids = dev.encode_prompt("a red circle", max_sequence_length=32)
    noise = flux2.Generator(3).randn((1, 128, 2, 2))
    x = noise.reshape(1, 128, 4).transpose(0, 2, 1)
    image_ids = np.array([[(0, row, column, 0) for row in range(2) for column in range(2)]])
    seen = []

    def note(_pipe, _step, timestep, tensors):
        seen.append(timestep / 1000)
        return tensors

    whole = dev(
        prompt_embeds=embeds, latents=noise, num_inference_steps=2, height=32, width=32,
        output_type="latent", callback_on_step_end=note,
    ).images  # fmt: skip
    for sigma, following in zip(seen, [*seen[1:], 0.0]):
        velocity = dev.transformer(
            hidden_states=x, encoder_hidden_states=embeds, timestep=np.array([sigma]),
            img_ids=image_ids, txt_ids=text_ids, guidance=np.array([4.0]), return_dict=False,
        )[0]  # fmt: skip
        x = x + np.float32(following - sigma) * velocity
    assert np.linalg.norm(x - whole) <= 1e-5 * np.linalg.norm(whole)
    picture = dev.vae.decode(dev.unpack_latents(whole, 32, 32)).sample
    drawn = dev(prompt_embeds=embeds, latents=noise, num_inference_steps=2, height=32, width=32,
                output_type="np").images  # fmt: skip
    assert np.abs(picture.clip(-1, 1) / 2 + 0.5 - drawn.transpose(0, 3, 1, 2)).max() < 1e-4
    assert np.allclose(dev.pack_latents(dev.unpack_latents(whole, 32, 32)), whole, atol=1e-4)


WRONG = {
    "tokens of another width": ({"hidden_states": np.zeros((1, 4, 64))}, ValueError, "hidden_states"),
    "too few positions": ({"img_ids": np.zeros((3, 4))}, ValueError, "img_ids"),
    "positions of three numbers": ({"img_ids": np.zeros((4, 3))}, ValueError, "img_ids"),
    "no text": ({"encoder_hidden_states": None}, TypeError, "encoder_hidden_states"),
    "no time": ({"timestep": None}, TypeError, "timestep"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_the_transformer_refuses(klein, case):
    arguments, error, about = WRONG[case]
    embeds, _ = klein.encode_prompt("x", max_sequence_length=32)
    good = {
        "hidden_states": np.zeros((1, 4, 128)), "encoder_hidden_states": embeds, "timestep": 1.0,
        "img_ids": np.zeros((4, 4)),
    }  # fmt: skip
    assert klein.transformer(**good).sample.shape == (1, 4, 128)
    with pytest.raises(error, match=about):
        klein.transformer(**{**good, **arguments})


@pytest.mark.parametrize("name", ["scheduler", "tokenizer", "text_encoder", "components"])
def test_what_is_absent_says_what_to_use(klein, name):
    with pytest.raises(AttributeError, match=f"no {name}; there is"):
        getattr(klein, name)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = klein.nonsense
