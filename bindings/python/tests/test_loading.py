"""from_pretrained, `to`, and what is installed."""

import importlib.resources
import shutil

import flux2
import numpy as np
import pytest
from conftest import GOLDENS, SMALL, load
from flux2._state_dict import write_state_dict
from hub import COMMIT, serving
from test_adapters import state_dict

CHECKPOINTS = GOLDENS / "checkpoints"


def draw(pipe, **arguments):
    pipe.set_progress_bar_config(disable=True)
    return pipe(**{**SMALL, "generator": flux2.Generator(7), "output_type": "np", **arguments}).images


def test_loading_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        flux2.DiffusionPipeline.from_pretrained(tmp_path / "nowhere")
    with pytest.raises(OSError, match="model_index"):
        flux2.DiffusionPipeline.from_pretrained(tmp_path)
    folder = CHECKPOINTS / "tiny-dev"
    with pytest.raises(ValueError, match="Flux2Pipeline"):
        flux2.Flux2KleinPipeline.from_pretrained(folder)
    with pytest.raises(ValueError, match="float16"):
        flux2.Flux2Pipeline.from_pretrained(folder, torch_dtype="float16")
    with pytest.raises(TypeError, match="quantization_config"):
        flux2.Flux2Pipeline.from_pretrained(folder, quantization_config={})
    with pytest.raises(ValueError, match="variant 'fp16'"):
        flux2.Flux2Pipeline.from_pretrained(folder, variant="fp16")
    with pytest.raises(TypeError, match="transformer must be the path"):
        flux2.Flux2Pipeline.from_pretrained(folder, transformer=object())


def test_the_class_follows_the_model():
    kinds = {
        "tiny-dev": flux2.Flux2Pipeline,
        "tiny-klein": flux2.Flux2KleinPipeline,
        "tiny-klein-base": flux2.Flux2KleinPipeline,
        "tiny-klein-kv": flux2.Flux2KleinKVPipeline,
    }
    for checkpoint, kind in kinds.items():
        assert type(load(checkpoint)) is kind


def test_parts_from_other_places(klein):
    folder = CHECKPOINTS / "tiny-klein"
    parts = {name: folder / name for name in ("transformer", "vae", "tokenizer")}
    pipe = flux2.Flux2KleinPipeline.from_pretrained(folder, text_encoder=None, **parts)
    assert np.array_equal(draw(pipe), draw(klein))
    base = flux2.Flux2KleinPipeline.from_pretrained(
        folder, transformer=CHECKPOINTS / "tiny-klein-base/transformer"
    )
    assert not np.array_equal(draw(base), draw(klein))


def test_from_the_cache_of_the_hub(tmp_path, klein):
    repo = tmp_path / "models--someone--tiny"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text(COMMIT)
    shutil.copytree(CHECKPOINTS / "tiny-klein", repo / "snapshots" / COMMIT)
    kept = {"cache_dir": tmp_path, "local_files_only": True}
    pipe = flux2.DiffusionPipeline.from_pretrained("someone/tiny", **kept)
    assert np.array_equal(draw(pipe), draw(klein))
    assert flux2.DiffusionPipeline.from_pretrained("someone/tiny", revision=COMMIT, **kept)
    with pytest.raises(OSError, match="other"):
        flux2.DiffusionPipeline.from_pretrained("someone/tiny", revision="other", **kept)
    with pytest.raises(OSError, match="someone/else"):
        flux2.DiffusionPipeline.from_pretrained("someone/else", **kept)


def test_from_the_hub(tmp_path, klein, monkeypatch, capfd):
    lora = tmp_path / "lora"
    lora.mkdir()
    write_state_dict(state_dict(0), lora / "pytorch_lora_weights.safetensors")
    write_state_dict(state_dict(1), lora / "other.safetensors")
    folders = {"org/model": CHECKPOINTS / "tiny-klein", "org/lora": lora}
    with serving(folders) as (endpoint, requests):
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
        cache = tmp_path / "cache"
        pipe = flux2.DiffusionPipeline.from_pretrained("org/model", cache_dir=cache, token=False)
        assert "org/model: 100%" in capfd.readouterr().err
        plain = draw(pipe)
        assert np.array_equal(plain, draw(klein))
        requests.clear()
        flux2.DiffusionPipeline.from_pretrained("org/model", cache_dir=cache)
        assert requests == []  # all of it is there
        pipe.load_lora_weights("org/lora", cache_dir=cache)
        first = draw(pipe)
        pipe.load_lora_weights("org/lora", weight_name="other.safetensors", cache_dir=cache)
        assert not np.array_equal(first, plain) and not np.array_equal(draw(pipe), first)
        with pytest.raises(OSError, match="org/nothing"):
            flux2.DiffusionPipeline.from_pretrained("org/nothing", cache_dir=cache)


def test_types():
    folder = CHECKPOINTS / "tiny-klein"
    pictures = {}
    for name in ("float32", "bfloat16", "int8"):
        pipe = flux2.DiffusionPipeline.from_pretrained(folder, torch_dtype=name)
        assert pipe.dtype == name and pipe.device == "cpu"
        noise = flux2.Generator(3).randn((1, 128, 2, 2))
        pictures[name] = draw(pipe, generator=None, latents=noise)
    assert not np.array_equal(pictures["float32"], pictures["int8"])
    assert np.abs(pictures["float32"] - pictures["int8"]).mean() < 0.1


def test_prompts_are_kept_where_asked(tmp_path, klein):
    folder = CHECKPOINTS / "tiny-klein"
    for _ in range(2):
        pipe = flux2.DiffusionPipeline.from_pretrained(folder, prompt_cache=tmp_path)
        assert np.array_equal(draw(pipe), draw(klein))
    assert "load_text" not in pipe(**SMALL).seconds and any(tmp_path.iterdir())


def test_to(klein):
    assert klein.to("cpu") is klein
    assert klein.dtype == "float32"
    with pytest.raises(ValueError, match="device"):
        klein.to("mars")
    with pytest.raises(ValueError, match="(?i)cuda"):
        klein.to("cuda")
    pipe = flux2.DiffusionPipeline.from_pipe(klein)
    assert pipe.to("int8").dtype == "int8" and klein.dtype == "float32"


def test_switches_of_memory_are_accepted(klein):
    expected = draw(klein)
    klein.enable_model_cpu_offload()
    klein.enable_attention_slicing("max")
    klein.enable_vae_slicing()
    assert np.array_equal(draw(klein), expected)
    with pytest.raises(AttributeError, match="enable_freeu"):
        klein.enable_freeu()


def test_types_are_installed():
    files = importlib.resources.files("flux2")
    assert (files / "py.typed").is_file()
    stub = (files / "_flux2.pyi").read_text()
    for name in ("class Pipeline", "class Request", "class Adapter", "def pull"):
        assert name in stub
