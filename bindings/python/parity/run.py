"""Calls Diffusers and flux2 side by side and writes docs/parity.md.

    python bindings/python/parity/run.py [--only TEXT] [--out docs/parity.md]

Needs both in one environment: `make test-parity` makes one. Exits with 1 if a case is off.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any

import diffusers
import flux2
import numpy as np
import signatures
import torch
import transformers
from cases import Case, all_cases

import adapters

ROOT = Path(__file__).resolve().parents[3]
MOST_LEVELS = 1.0  # of 255, in a picture
MOST_RELATIVE = 1e-4  # of latents, in the L2 norm


@lru_cache(maxsize=2)
def load(module: Any, checkpoint: str, pipeline: str) -> Any:
    folders = {"nano": ROOT / "models" / "nano"}
    folder = folders.get(checkpoint, ROOT / "tests/goldens/data/checkpoints" / checkpoint)
    pipe = getattr(module, pipeline).from_pretrained(str(folder), torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def generators(case: Case, module: Any) -> Any:
    own = module is flux2 and not case.torch_generators
    made = [
        flux2.Generator(seed) if own else torch.Generator("cpu").manual_seed(seed) for seed in case.seeds
    ]
    return made[0] if len(made) == 1 else made or None


def adapted(case: Case, module: Any) -> Any:
    """A pipeline of its own, since Diffusers' may not be the same after adapters were on it."""
    transformer = load(diffusers, case.checkpoint, case.pipeline).transformer
    pipe = load.__wrapped__(module, case.checkpoint, case.pipeline)
    case.adapt(pipe, *(adapters.lora(transformer, seed) for seed in (1, 2)))
    return pipe


def call(case: Case, module: Any) -> Any:
    if case.adapt:
        pipe = adapted(case, module)
    else:
        pipe = load(module, case.checkpoint, case.pipeline)
    if case.part:
        with torch.no_grad():
            return case.part(pipe)
    arguments = {**case.arguments, "generator": generators(case, module)}
    for _ in range(case.calls_before):
        pipe(**arguments)
    return pipe(**arguments)[0]


def as_numbers(images: Any) -> np.ndarray:
    """Levels of 255, or latents as they are."""
    if isinstance(images, list):
        return np.stack([np.asarray(image) for image in images]).astype(np.float64)
    values = images.float().numpy() if isinstance(images, torch.Tensor) else images
    return values.astype(np.float64)


def distance(case: Case, theirs: Any, ours: Any) -> tuple[float, float, str]:
    """How far apart, how far they may be, and in words."""
    a, b = as_numbers(theirs), as_numbers(ours)
    if a.shape != b.shape or type(theirs) is not type(ours):
        return (
            float("inf"),
            0.0,
            f"{type(ours).__name__} {b.shape}, not {type(theirs).__name__} {a.shape}",
        )
    if case.part or case.arguments.get("output_type") == "latent":
        relative = float(np.linalg.norm(a - b) / np.linalg.norm(a))
        return relative, MOST_RELATIVE, f"{relative:.1e} relative"
    scale = 1 if isinstance(theirs, list) else 255
    off = np.abs(a - b) * scale
    return (
        float(off.max()),
        MOST_LEVELS + 1e-3,
        f"{off.max():.2g} levels, {(off > 0.51).mean():.2%} of values",
    )


def compare(case: Case) -> tuple[bool, str]:
    try:
        theirs = call(case, diffusers)
        ours = call(case, flux2)
    except Exception as error:  # a case that fails is a row of the table
        return False, f"{type(error).__name__}: {error}"
    off, most, text = distance(case, theirs, ours)
    return off <= most, text


def table(rows: list[tuple[Case, bool, str]], compared: int) -> str:
    good = sum(ok for _, ok, _ in rows)
    lines = [
        "# Side by side with Diffusers",
        "",
        f"{good} of {len(rows)} calls agree: pictures within 1 level of 255, latents within 1e-4"
        " relative, in float32 on the CPU."
        f" {compared} functions have Diffusers' parameters, order and defaults. Written by `make test-parity`"
        " (bindings/python/parity), which calls both through Python with the same arguments.",
        "",
        f"Diffusers {diffusers.__version__}, transformers {transformers.__version__},"
        f" torch {torch.__version__}; flux2 {flux2.__version__}.",
        "",
        "| checkpoint | pipeline | call | largest difference | |",
        "| --- | --- | --- | --- | --- |",
    ]
    for case, ok, text in rows:
        cell = text.replace("|", "\\|").replace("\n", " ")
        verdict = "equal" if ok else "**off**"
        lines.append(f"| {case.checkpoint} | {case.pipeline} | {case.name} | {cell} | {verdict} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="cases with this text in their name or checkpoint")
    parser.add_argument("--out", type=Path, help="where the table goes")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    warnings.simplefilter("ignore")
    compared, unlike = signatures.unlike()
    print("\n".join(unlike) or f"{compared} signatures agree")
    rows = []
    for case in all_cases():
        if options.only not in f"{case.checkpoint} {case.pipeline} {case.name}":
            continue
        begin = time.monotonic()
        ok, text = compare(case)
        rows.append((case, ok, text))
        mark = "ok " if ok else "OFF"
        seconds = time.monotonic() - begin
        print(f"{mark} {case.checkpoint}: {case.name}: {text} ({seconds:.1f} s)", flush=True)
    if options.out:
        options.out.write_text(table(rows, compared), encoding="utf-8")
    failed = sum(not ok for _, ok, _ in rows)
    print(f"{len(rows) - failed} of {len(rows)} agree")
    return 1 if failed or unlike or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
