"""Adapters under Diffusers' names. Taking one off gives back the very same pictures."""

import json
import tempfile

import flux2
import numpy as np
import pytest
from conftest import GOLDENS, SMALL
from flux2._state_dict import write_state_dict

RANK = 2
TRANSFORMER = GOLDENS / "checkpoints/tiny-klein/transformer/diffusion_pytorch_model.safetensors"


def state_dict(seed):
    """A LoRA for the attention of every double-stream block, as Diffusers names it."""
    with TRANSFORMER.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    random = np.random.default_rng(seed)
    made = {}
    for name, entry in header.items():
        if name.endswith((".attn.to_q.weight", ".attn.to_v.weight")):
            rows, columns = entry["shape"]
            module = "transformer." + name.removesuffix(".weight")
            made[f"{module}.lora_A.weight"] = random.normal(0, 0.3, (RANK, columns)).astype(np.float32)
            made[f"{module}.lora_B.weight"] = random.normal(0, 0.3, (rows, RANK)).astype(np.float32)
    assert made
    return made


@pytest.fixture
def pipe():
    """Weights that no other test puts adapters on, and none on them."""
    made = flux2.DiffusionPipeline.from_pretrained(GOLDENS / "checkpoints/tiny-klein")
    made.set_progress_bar_config(disable=True)
    return made


def draw(pipe, **arguments):
    return pipe(**{**SMALL, "generator": flux2.Generator(7), "output_type": "np", **arguments}).images


def same(a, b):
    return np.array_equal(a, b)


def test_on_and_off(pipe):
    plain = draw(pipe)
    pipe.load_lora_weights(state_dict(0))
    assert pipe.get_active_adapters() == ["default_0"]
    assert pipe.get_list_adapters() == {"transformer": ["default_0"]}
    output = pipe(**SMALL)
    (report,) = output.adapters
    assert report.matched == report.modules > 0 and "rank 2" in report.kind and report.weight == 1
    adapted = draw(pipe)
    assert not same(adapted, plain)
    pipe.disable_lora()
    assert same(draw(pipe), plain)
    pipe.enable_lora()
    assert same(draw(pipe), adapted)
    assert same(draw(pipe, attention_kwargs={"scale": 0.0}), plain)
    pipe.unload_lora_weights()
    assert same(draw(pipe), plain) and pipe.get_list_adapters() == {}


def test_weights(pipe):
    pipe.load_lora_weights(state_dict(0), "a")
    one = draw(pipe)
    pipe.load_lora_weights(state_dict(1), "b")
    assert pipe.get_active_adapters() == ["b"]  # the one that came last, as in Diffusers
    other = draw(pipe)
    pipe.set_adapters(["a", "b"], [1.0, 0.5])
    both = draw(pipe)
    assert pipe.get_active_adapters() == ["a", "b"]
    assert not same(both, one) and not same(both, other)
    pipe.set_adapters("a")
    assert same(draw(pipe), one)
    pipe.set_adapters("a", 0.5)
    half = draw(pipe)
    pipe.set_adapters("a")
    assert same(draw(pipe, attention_kwargs={"scale": 0.5}), half) and not same(half, one)
    pipe.delete_adapters("a")
    assert pipe.get_list_adapters() == {"transformer": ["b"]}
    assert pipe.get_active_adapters() == ["b"] and same(draw(pipe), other)


def test_another_adapter_in_the_place_of_one(pipe):
    pipe.load_lora_weights(state_dict(1), "a")
    other = draw(pipe, attention_kwargs={"scale": 0.5})
    pipe.unload_lora_weights()
    pipe.load_lora_weights(state_dict(0), "a")
    pipe.set_adapters("a", 0.5)
    pipe.load_lora_weights(state_dict(1), "a", hotswap=True)
    assert same(draw(pipe), other)


def test_fusing(pipe):
    plain = draw(pipe)
    pipe.load_lora_weights(state_dict(0), "a")
    half = draw(pipe, attention_kwargs={"scale": 0.5})
    pipe.fuse_lora(lora_scale=0.5)
    assert pipe.num_fused_loras == 1 and pipe.fused_loras == {"a"}
    assert same(draw(pipe), half)
    assert same(draw(pipe, attention_kwargs={"scale": 0.1}), half)  # out of its reach
    pipe.unload_lora_weights()
    assert same(draw(pipe), half)
    pipe.load_lora_weights(state_dict(1), "b")
    assert not same(draw(pipe), half)
    pipe.unload_lora_weights()
    pipe.unfuse_lora()
    assert same(draw(pipe), plain) and pipe.num_fused_loras == 0


def test_pipelines_of_one_another_share_adapters(pipe):
    pipe.load_lora_weights(state_dict(0))
    other = flux2.Flux2KleinPipeline.from_pipe(pipe)
    assert same(draw(other), draw(pipe))
    other.unload_lora_weights()
    assert pipe.get_active_adapters() == []


def test_parts_take_adapters(pipe):
    embeds, _ = pipe.encode_prompt("x", max_sequence_length=32)

    def velocity(**more):
        return pipe.transformer(np.ones((1, 4, 128)), embeds, 0.5, np.zeros((4, 4)), **more).sample

    plain = velocity()
    pipe.load_lora_weights(state_dict(0))
    assert not same(velocity(), plain)
    assert same(velocity(joint_attention_kwargs={"scale": 0.0}), plain)


def test_files_and_folders(pipe, tmp_path):
    write_state_dict(state_dict(0), tmp_path / "pytorch_lora_weights.safetensors")
    (tmp_path / "more").mkdir()
    write_state_dict(state_dict(1), tmp_path / "more" / "b.safetensors")
    pipe.load_lora_weights(tmp_path / "pytorch_lora_weights.safetensors", "file")
    from_file = draw(pipe)
    pipe.load_lora_weights(tmp_path, "folder", weight_name="pytorch_lora_weights.safetensors")
    assert same(draw(pipe), from_file)
    pipe.load_lora_weights(tmp_path, "below", subfolder="more", weight_name="b.safetensors")
    assert not same(draw(pipe), from_file)


def test_a_file_that_changed_is_refused(pipe, tmp_path):
    file = tmp_path / "a.safetensors"
    write_state_dict(state_dict(0), file)
    pipe.load_lora_weights(file)
    write_state_dict(state_dict(1), tmp_path / "b.safetensors")
    (tmp_path / "b.safetensors").replace(file)
    with pytest.raises(OSError, match="a.safetensors"):
        draw(pipe)


def test_what_is_refused(pipe, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        pipe.load_lora_weights(tmp_path / "nowhere.safetensors")
    foreign = {"unet.down.lora_A.weight": np.zeros((2, 4)), "unet.down.lora_B.weight": np.zeros((4, 2))}
    with pytest.raises(TypeError, match="float64"):
        pipe.load_lora_weights(foreign)
    with pytest.raises(OSError, match="adapter"):
        pipe.load_lora_weights({name: a.astype(np.float32) for name, a in foreign.items()})
    with pytest.raises(TypeError, match="must be a tensor"):
        pipe.load_lora_weights({"a": 3})
    assert pipe.get_list_adapters() == {}
    pipe.load_lora_weights(state_dict(0), "a")
    with pytest.raises(ValueError, match="already"):
        pipe.load_lora_weights(state_dict(0), "a")
    with pytest.raises(ValueError, match="there is no adapter 'b'; there are"):
        pipe.set_adapters(["a", "b"])
    with pytest.raises(ValueError, match="no adapter"):
        pipe.delete_adapters("b")
    with pytest.raises(ValueError, match="2 adapter_weights for 1"):
        pipe.set_adapters(["a"], [1, 2])
    with pytest.raises(TypeError, match="blocks"):
        pipe.set_adapters(["a"], {"transformer": {"block": 1}})
    with pytest.raises(ValueError, match="components"):
        pipe.fuse_lora(components=["unet"])
    with pytest.raises(ValueError, match="no adapter 'z'"):
        pipe.load_lora_weights(state_dict(0), "z", hotswap=True)
    with pytest.raises(TypeError, match="nonsense"):
        pipe.load_lora_weights(state_dict(0), "c", nonsense=1)
    with pytest.raises(ValueError, match="adaln_order"):
        pipe.load_lora_weights(state_dict(0), "c", adaln_order="other")


def test_keys_that_are_not_understood(pipe, caplog):
    odd = {**state_dict(0), "transformer.nowhere.lora_A.weight": np.zeros((2, 4), np.float32)}
    with pytest.raises(OSError, match="nowhere"):
        pipe.load_lora_weights(odd)
    pipe.load_lora_weights(odd, lenient=True)
    assert "nowhere" in caplog.text


def test_tensors_in_memory_leave_no_file_behind(pipe, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    pipe.load_lora_weights(state_dict(0), "a")
    pipe.load_lora_weights(state_dict(1), "b")
    pipe.fuse_lora(adapter_names=["a"])
    assert len(list(tmp_path.iterdir())) == 2
    pipe.unload_lora_weights()
    fused = draw(pipe)
    assert len(list(tmp_path.iterdir())) == 1
    pipe.unfuse_lora()
    assert list(tmp_path.iterdir()) == [] and not same(draw(pipe), fused)
    with pytest.raises(OSError):
        pipe.load_lora_weights({"nonsense": np.zeros(3, np.float32)})
    assert list(tmp_path.iterdir()) == []
