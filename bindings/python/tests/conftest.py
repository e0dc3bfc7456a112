"""What the tests share: the tiny checkpoints, loaded once, and the goldens."""

import os
from functools import cache
from pathlib import Path

# Threads that wait for one another do not spin: tests run beside other work. Read when OpenMP starts.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import flux2  # noqa: E402
import pytest

GOLDENS = Path(__file__).resolve().parents[3] / "tests" / "goldens" / "data"


@cache
def load(checkpoint, pipeline="DiffusionPipeline", dtype="float32"):
    folder = GOLDENS / "checkpoints" / checkpoint
    pipe = getattr(flux2, pipeline).from_pretrained(folder, torch_dtype=dtype)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture
def klein():
    return load("tiny-klein")


@pytest.fixture
def dev():
    return load("tiny-dev")


@pytest.fixture
def inpaint():
    return load("tiny-klein", "Flux2KleinInpaintPipeline")


#: A call that takes as little time as one can.
SMALL = {
    "prompt": "a red circle",
    "width": 32,
    "height": 32,
    "num_inference_steps": 1,
    "max_sequence_length": 32,
}
