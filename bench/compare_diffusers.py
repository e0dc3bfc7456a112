#!/usr/bin/env python3
"""flux2 against Diffusers in bf16, on one checkpoint, in one sitting: a Markdown table.

    tools/make_random_model.py /tmp/klein-4b
    bench/compare_diffusers.py /tmp/klein-4b --flux2 build/release/bin/flux2 \\
        --python VENV/bin/python --wait-quiet 30 --out table.md

VENV needs torch, diffusers, transformers, accelerate and pillow. Programs take turns, `--rounds`
times, and figures are medians over all rounds. What other programs used of the processor meanwhile
is measured and printed: timings with more than a few percent are not worth keeping.
"""
import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from statistics import median

from measuring import measured, processor, wait_until_quiet

HERE = Path(__file__).resolve().parent
def commands(arguments, picture):
    request = ["--prompt", arguments.prompt, "--steps", str(arguments.steps),
               "--seed", str(arguments.seed), "--threads", str(arguments.threads)]
    ours = [arguments.flux2, "generate", "--model", arguments.model, *request,
            "--width", str(arguments.size), "--height", str(arguments.size), "--guidance", "1",
            "--compute", "bf16", "--noise-dtype", "bf16", "--no-prompt-cache",
            "--output", picture, "--json", "--quiet"]
    theirs = [arguments.python, str(HERE / "diffusers_run.py"), arguments.model, *request,
              "--size", str(arguments.size), "--compare", picture]
    return ours, theirs


def middle(runs, value):
    values = [value(run) for run in runs]
    return None if None in values else median(values)


def row(name, ours, theirs, form):
    cells = ["-" if value is None else form.format(value) for value in (ours, theirs)]
    ratio = "-" if ours is None or theirs is None else f"{ours / theirs:.2f}"
    return f"| {name} | {cells[0]} | {cells[1]} | {ratio} |"


def table(ours, theirs):
    def seconds(name, value, other=None):
        return row(name, middle(ours, value), middle(theirs, other or value), "{:.2f} s")

    def memory(name, value):
        return row(name, middle(ours, lambda r: value(r) / 1e9),
                   middle(theirs, lambda r: value(r) / 1e9), "{:.2f} GB")

    return "\n".join([
        "| | flux2 | Diffusers | ratio |",
        "| --- | ---: | ---: | ---: |",
        seconds("load text encoder", lambda r: r.stage("load text encoder")),
        seconds("encode text, first call", lambda r: r.stage("encode text"),
                lambda r: r.stage("encode text, first")),
        seconds("encode text, later calls of Diffusers", lambda r: r.stage("encode text")),
        seconds("load transformer and VAE",
                lambda r: r.stage("load transformer") + r.stage("load VAE"),
                lambda r: r.stage("load transformer and VAE")),
        seconds("first step", lambda r: r.first_step),
        seconds("step, median of the others", lambda r: r.step),
        seconds("decode, first call", lambda r: r.stage("decode"),
                lambda r: r.stage("decode, first")),
        seconds("decode, later calls of Diffusers", lambda r: r.stage("decode")),
        memory("peak memory, all", lambda r: r.peak_all),
        memory("peak memory, anonymous", lambda r: r.peak_anonymous),
    ])


def summary(arguments, ours, theirs):
    versions = theirs[0].report["versions"]
    tokens = 512 + (arguments.size // 16) ** 2
    others = max(run.others for run in ours + theirs)
    apart = middle(theirs, lambda r: r.report["mean_levels_apart"])
    return "\n\n".join([
        f"{Path(arguments.model).name}, {arguments.size} x {arguments.size} pixels ({tokens} "
        f"tokens), {arguments.steps} steps, bf16, {arguments.threads} threads, medians of "
        f"{arguments.rounds}; {processor()}; torch {versions['torch']}, "
        f"diffusers {versions['diffusers']}.",
        table(ours, theirs),
        f"Other programs used at most {others:.2f} cores meanwhile. The two pictures are "
        f"{apart:.2f} levels of 255 apart on average."]) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("model", help="a folder in Diffusers layout, of the klein family")
    parser.add_argument("--flux2", default=str(HERE.parent / "build/release/bin/flux2"))
    parser.add_argument("--python", default=sys.executable, help="one that has Diffusers")
    parser.add_argument("--prompt", default="a red fox asleep on a stack of old books")
    parser.add_argument("--size", type=int, default=256, help="pixels of a side")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--wait-quiet", type=float, default=0, metavar="MINUTES",
                        help="before each run, wait as long for other programs to end")
    parser.add_argument("--out", type=Path, help="also write the table here")
    arguments = parser.parse_args()

    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        for command, runs in zip(commands(arguments, f"{folder}/flux2.png") * arguments.rounds,
                                 (ours, theirs) * arguments.rounds):
            wait_until_quiet(arguments.wait_quiet)
            runs.append(measured(command))
            print(json.dumps(vars(runs[-1])), file=sys.stderr)
    text = summary(arguments, ours, theirs)
    print(text)
    if arguments.out:
        arguments.out.write_text(text)


if __name__ == "__main__":
    main()
