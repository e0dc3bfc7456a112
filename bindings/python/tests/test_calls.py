"""What a call gives back and what may happen while it runs."""

import os
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor

import flux2
import numpy as np
import PIL.Image
import psutil
import pytest
from conftest import GOLDENS, SMALL, load


def draw(pipe, **arguments):
    return np.asarray(pipe(**{**SMALL, "generator": flux2.Generator(7), **arguments}).images[0])


def test_output_types(klein):
    image = klein(**SMALL, generator=flux2.Generator(7)).images[0]
    assert isinstance(image, PIL.Image.Image) and image.mode == "RGB"
    floats = klein(**SMALL, generator=flux2.Generator(7), output_type="np").images
    assert floats.shape == (1, 32, 32, 3) and floats.dtype == np.float32
    assert np.array_equal((floats[0] * 255).round().astype(np.uint8), np.asarray(image))
    assert not np.array_equal(floats * 255, (floats * 255).round())  # not from 8 bits
    with pytest.raises(ImportError, match="torch"):
        klein(**SMALL, output_type="pt")


def test_output_forms(klein):
    (images,) = klein(**SMALL, return_dict=False)
    assert len(images) == 1
    output = klein(**SMALL)
    assert output[0] is output.images is output["images"] is output.to_tuple()[0]


def test_latents_of_each_family(klein, dev):
    assert klein(**SMALL, output_type="latent").images.shape == (1, 32, 4, 4)
    packed = dev(**SMALL, output_type="latent").images
    assert packed.shape == (1, 4, 128)


def test_a_prompt_in_place_of_the_image(klein):
    small = {name: value for name, value in SMALL.items() if name != "prompt"}
    first = klein(SMALL["prompt"], generator=flux2.Generator(7), **small).images[0]
    assert np.array_equal(np.asarray(first), draw(klein))


def test_the_example_of_diffusers_documentation(tmp_path):
    pipe = flux2.Flux2Pipeline.from_pretrained(
        GOLDENS / "checkpoints" / "tiny-dev", torch_dtype="bfloat16"
    )
    pipe.to("cpu")
    prompt = "A cat holding a sign that says hello world"
    image = pipe(prompt, num_inference_steps=2, guidance_scale=2.5, height=64, width=64).images[0]
    image.save(tmp_path / "flux.png")


def test_a_generator_goes_on(klein):
    generator = flux2.Generator(7)
    first, second = (draw(klein, generator=generator) for _ in range(2))
    assert np.array_equal(first, draw(klein)) and not np.array_equal(first, second)
    shape = (1, 128, 2, 2)
    numbers = flux2.Generator(7)
    numbers.randn(shape)
    assert np.array_equal(draw(klein, generator=None, latents=numbers.randn(shape)), second)


def test_generators_of_a_batch(klein):
    generators = [flux2.Generator(seed) for seed in (7, 8)]
    pair = klein(**SMALL, num_images_per_prompt=2, generator=generators).images
    assert np.array_equal(np.asarray(pair[0]), draw(klein))
    assert np.array_equal(np.asarray(pair[1]), draw(klein, generator=flux2.Generator(8)))


def test_arrays_and_pictures_are_the_same_reference(klein):
    picture = PIL.Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8))
    from_pil = draw(klein, image=picture)
    assert np.array_equal(from_pil, draw(klein, image=np.asarray(picture)))
    assert np.array_equal(from_pil, draw(klein, image=[np.asarray(picture) / 255.0]))
    assert not np.array_equal(from_pil, draw(klein))


def test_floats_are_not_rounded(klein):
    deep = np.random.default_rng(1).random((64, 64, 3), np.float32)
    rounded = (deep * 255).round() / np.float32(255)
    assert not np.array_equal(draw(klein, image=deep, output_type="np"), draw(klein, image=rounded))
    assert np.array_equal(draw(klein, image=deep), draw(klein, image=deep.astype(np.float64) * 2 - 1))
    words = (deep * 65535).round().astype(np.uint16)
    assert np.abs(draw(klein, image=deep).astype(int) - draw(klein, image=words)).max() <= 1


def test_references_of_each_sample(klein):
    random = np.random.default_rng(3)
    red, blue = (PIL.Image.fromarray(random.integers(0, 256, (64, 64, 3), np.uint8)) for _ in "ab")
    seeds = [flux2.Generator(7), flux2.Generator(8)]
    pair = klein(**{**SMALL, "image": [[red], [blue]]}, num_images_per_prompt=2, generator=seeds).images
    assert np.array_equal(np.asarray(pair[0]), draw(klein, image=red))
    assert np.array_equal(np.asarray(pair[1]), draw(klein, image=blue, generator=flux2.Generator(8)))


def test_references_as_latents(klein):
    picture = np.random.default_rng(4).random((1, 64, 64, 3), np.float32)
    latents = klein.vae.encode(picture.transpose(0, 3, 1, 2) * 2 - 1).latent_dist.mode()
    patches = latents.reshape(1, 32, 4, 2, 4, 2).transpose(0, 1, 3, 5, 2, 4).reshape(1, 128, 4, 4)
    away = np.abs(draw(klein, image=picture[0]).astype(int) - draw(klein, image=patches))
    assert away.max() <= 1


def test_attention_mask(klein):
    tokens = SMALL["max_sequence_length"] + 4
    seen = np.ones((1, tokens), bool)
    assert np.array_equal(draw(klein, attention_kwargs={"attention_mask": seen}), draw(klein))
    seen[:, 8:16] = False
    hidden = draw(klein, attention_kwargs={"attention_mask": seen})
    bias = np.where(seen, 0.0, -np.inf)[:, None, None, :]
    assert np.array_equal(hidden, draw(klein, attention_kwargs={"attention_mask": bias}))
    assert not np.array_equal(hidden, draw(klein))


def test_unknown_attention_kwargs_are_told(klein, caplog):
    draw(klein, attention_kwargs={"nonsense": 1})
    assert "nonsense" in caplog.text


def test_vae_tiling(klein):
    pipe = flux2.DiffusionPipeline.from_pipe(klein)
    pipe.enable_vae_tiling()
    assert np.array_equal(draw(pipe), draw(klein))  # smaller than a tile
    pipe.disable_vae_tiling()
    assert np.array_equal(draw(pipe), draw(klein))
    assert klein._vae_tiling != pipe._vae_tiling


def test_preview(klein):
    seen = []
    draw(klein, num_inference_steps=3, preview=lambda pipe, step, images: seen.append((step, images)))
    assert [step for step, _ in seen] == [0, 1, 2]
    assert all(isinstance(image, PIL.Image.Image) for _, images in seen for image in images)


def test_callback(klein):
    seen = []

    def note(pipe, step, timestep, tensors):
        assert pipe is klein and pipe.current_timestep == timestep
        seen.append((step, timestep, {name: value.shape for name, value in tensors.items()}))
        return tensors

    changed = draw(klein, num_inference_steps=3, callback_on_step_end=note,
                   callback_on_step_end_tensor_inputs=["latents", "prompt_embeds"])  # fmt: skip
    assert [step for step, _, _ in seen] == [0, 1, 2]
    assert seen[0][1] == 1000 and seen[0][2]["latents"] == (1, 4, 128)
    assert seen[0][2]["prompt_embeds"][:2] == (1, 32)
    assert np.array_equal(changed, draw(klein, num_inference_steps=3))
    assert klein.current_timestep is None


def test_callback_changes_latents(klein):
    def blank(_pipe, _step, _timestep, tensors):
        return {"latents": np.zeros_like(tensors["latents"])}

    latents = klein(**SMALL, output_type="latent", callback_on_step_end=blank).images
    zeros = klein(**SMALL, output_type="latent", callback_on_step_end=blank).images
    assert np.array_equal(latents, zeros)


def test_callback_that_interrupts(klein):
    kept = []

    def stop(pipe, step, _timestep, tensors):
        kept.append(np.array(tensors["latents"]))
        pipe._interrupt = step == 1
        return tensors

    dev = load("tiny-dev")
    arguments = {**SMALL, "num_inference_steps": 4, "generator": flux2.Generator(1)}
    latents = dev(**arguments, output_type="latent", callback_on_step_end=stop).images
    assert len(kept) == 2 and np.array_equal(latents, kept[1])


def test_another_thread_interrupts(klein):
    begun = threading.Event()

    def stop():
        begun.wait()
        klein._interrupt = True

    thread = threading.Thread(target=stop)
    thread.start()
    klein.set_progress_bar_config(disable=True)
    counted = []

    def count(pipe, step, _timestep, tensors):
        counted.append(step)
        begun.set()
        thread.join()
        return tensors

    draw(klein, num_inference_steps=5, callback_on_step_end=count)
    assert counted == [0] and klein.num_timesteps == 5


@pytest.mark.parametrize("returned", [None, {"latents": np.zeros(3, np.float32)}])
def test_callback_that_returns_nonsense(klein, returned):
    with pytest.raises((TypeError, ValueError), match="callback_on_step_end"):
        klein(**SMALL, callback_on_step_end=lambda *_: returned)


def test_callback_that_raises(klein):
    class Mine(Exception):
        pass

    def fail(*_):
        raise Mine("enough")

    with pytest.raises(Mine, match="enough"):
        klein(**SMALL, callback_on_step_end=fail)
    assert draw(klein).shape == (32, 32, 3)


def test_callback_that_calls_its_own_pipeline(klein):
    with pytest.raises(RuntimeError, match="callback"):
        klein(**SMALL, callback_on_step_end=lambda *_: klein(**SMALL))


def test_ten_threads(klein):
    seeds = range(10)
    alone = [draw(klein, generator=flux2.Generator(seed)) for seed in seeds]
    with ThreadPoolExecutor(10) as pool:
        together = list(pool.map(lambda s: draw(klein, generator=flux2.Generator(s)), seeds))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together))


def test_other_threads_run_meanwhile(klein):
    turns, done = [0], threading.Event()

    def count():
        while not done.wait(0.001):
            turns[0] += 1

    other = threading.Thread(target=count)
    other.start()
    draw(klein, num_inference_steps=8)
    done.set()
    other.join()
    assert turns[0] > 1


def test_ctrl_c():
    code = """
        import os, signal, flux2
        pipe = flux2.DiffusionPipeline.from_pretrained({folder!r})
        pipe.set_progress_bar_config(disable=True)
        def interrupt(pipe, step, timestep, tensors):
            os.kill(os.getpid(), signal.SIGINT)
            return tensors
        try:
            pipe(prompt="x", width=32, height=32, num_inference_steps=10000, callback_on_step_end=interrupt)
        except KeyboardInterrupt:
            print("interrupted")
    """
    folder = str(GOLDENS / "checkpoints" / "tiny-klein")
    source = textwrap.dedent(code.format(folder=folder))
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=120)
    assert done.stdout == "interrupted\n", done.stderr


def test_progress_bar(capfd):
    pipe = flux2.DiffusionPipeline.from_pretrained(GOLDENS / "checkpoints" / "tiny-klein")
    pipe.set_progress_bar_config(desc="drawing")
    pipe(**SMALL)
    assert "drawing: 100%" in capfd.readouterr().err
    pipe.set_progress_bar_config(disable=True)
    pipe(**SMALL)
    assert "drawing" not in capfd.readouterr().err


def test_memory_stays_flat_over_200_calls(klein):
    process = psutil.Process(os.getpid())
    for _ in range(20):
        draw(klein)
    before = process.memory_info().rss
    for _ in range(200):
        draw(klein)
    grown = process.memory_info().rss - before
    assert grown < 8 * 2**20, f"{grown / 2**20:.1f} MiB"
