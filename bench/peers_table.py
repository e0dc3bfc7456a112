"""The table of bench_peers.py: what is to be reached, and what the measurements say.

A row takes what it needs out of the measurements by name and says nothing where one is missing.
"""
from dataclasses import dataclass
from statistics import median
from typing import Callable

SIZES = (256, 512, 1024)
TYPES = ("bf16", "int8")
GB = 1e9


@dataclass(frozen=True)
class Row:
    name: str
    target: str  # for people
    unit: str
    reached: Callable  # of the measurements; KeyError: one is missing
    good: Callable  # of what was reached
    peer: Callable = None  # the same figure of Diffusers


def at_most(limit):
    return f"<= {limit}", lambda value: value <= limit


def at_least(limit):
    return f">= {limit}", lambda value: value >= limit


def later(steps):
    """The median step after the first; the first where there is no other."""
    return median(steps[1:] or steps)


def step_seconds(stages):
    return later(stages["step_seconds"])


def share(stages, stage, prefix):
    """Seconds at the ceiling over seconds, of the operations whose name begins so."""
    ops = [op for op in stages["ops"][stage] if op["name"].startswith(prefix)]
    seconds = sum(op["seconds"] for op in ops)
    return sum(op["seconds"] * op["ceiling_share"] for op in ops) / seconds


def row(name, target, reached, unit="", peer=None):
    return Row(name, target[0], unit, reached, target[1], peer)


def peer_step(size):
    """Diffusers' step, by our count of FLOP and the ceilings of our run."""
    def ratio(m):
        ours = m[f"stages {size} bf16"]
        floor = step_seconds(ours) / ours["ratios"]["step"]
        return later(m[f"diffusers {size}"]["step_seconds"]) / floor
    return ratio


def step_rows():
    for size in SIZES:
        yield row(f"a step at {size} x {size}, bf16: time over that of its FLOP at the matmul peak",
                  at_most(1.12), lambda m, s=size: m[f"stages {s} bf16"]["ratios"]["step"],
                  peer=peer_step(size))
    for size in SIZES:
        yield row(f"linear layers of a step at {size} x {size}, int8: the same at the int8 peak",
                  at_most(1.25),
                  lambda m, s=size: 1 / share(m[f"stages {s} int8"], "denoise", "linear"))
    for size, faster in zip(SIZES, (1.7, 1.55, 1.35)):
        yield row(f"a step at {size} x {size}: int8 against our bf16", at_least(faster),
                  lambda m, s=size: (step_seconds(m[f"stages {s} bf16"])
                                     / step_seconds(m[f"stages {s} int8"])), "x faster")


def stage_rows():
    yield row("attention, 4608 tokens x 24 heads x 128, bf16: share of the matmul peak",
              at_least(0.75), lambda m: share(m["stages 1024 bf16"], "denoise", "attention"))
    for kind, limit in zip(TYPES, (1.15, 1.3)):
        yield row(f"text encoding, 512 tokens, {kind}: time over its floor", at_most(limit),
                  lambda m, t=kind: m[f"stages 256 {t}"]["ratios"]["text"])
    for size in SIZES[1:]:
        yield row(f"VAE decoding {size} x {size}, bf16: time over that of its FLOP at the "
                  "convolution peak", at_most(1.3),
                  lambda m, s=size: m[f"stages {s} bf16"]["ratios"]["decode"])


def first_step(kind):
    """Loading the transformer and the first step, against reading its file and 1.1 later steps."""
    def ratio(m):
        stages = m[f"stages 256 {kind}"]
        spent = stages["seconds_load_transformer"] + stages["step_seconds"][0]
        return spent / (1.1 * step_seconds(stages) + m[f"reading {kind}"]["seconds"])
    return ratio


def command_rows():
    for kind in TYPES:
        yield row(f"loading the transformer and the first step, {kind}, over 1.1 x a later step and "
                  "reading the file once", at_most(1.0), first_step(kind))
    for kind, faster in zip(TYPES, (2.2, 3.5)):
        yield row(f"whole command, 256 x 256, 4 steps, prompt to PNG, {kind}, against Diffusers bf16",
                  at_least(faster),
                  lambda m, t=kind: m["diffusers 256"]["seconds"] / m[f"command 256 {t}"]["seconds"],
                  "x faster")
    for kind, limit in zip(TYPES, (8.5, 4.8)):
        yield row(f"peak memory of that command, anonymous, {kind}", at_most(limit),
                  lambda m, t=kind: m[f"command 256 {t}"]["peak_anonymous"] / GB, "GB",
                  lambda m: m["diffusers 256"]["peak_anonymous"] / GB)
    for kind in TYPES:
        yield row(f"what 1024 x 1024 adds to it, {kind}", at_most(1.5),
                  lambda m, t=kind: (m[f"command 1024 {t}"]["peak_anonymous"]
                                     - m[f"command 256 {t}"]["peak_anonymous"]) / GB, "GB")
    yield row("AVX2 only: linear layers of a step in f32, share of oneDNN's f32 peak with AVX2",
              at_least(0.85), lambda m: share(m["avx2"], "denoise", "linear"))


def block_rows():
    for model in ("klein-9b", "dev"):
        for size in SIZES:
            name = f"{model}, one block of each kind, {512 + (size // 16) ** 2} tokens"
            at = f"{model} {size}"
            yield row(f"{name}, bf16: time over that of its FLOP at the matmul peak",
                      at_most(1.12), lambda m, a=at: m[f"blocks {a} bf16"]["ratios"]["step"])
            yield row(f"{name}, int8: linear layers over their FLOP at the int8 peak",
                      at_most(1.25), lambda m, a=at: 1 / share(m[f"blocks {a} int8"], "denoise",
                                                                "linear"))


def rows():
    return [*step_rows(), *stage_rows(), *command_rows(), *block_rows()]


def evaluated(measurements):
    """One dictionary a row: name, target, reached, verdict, diffusers."""
    def of(function):
        try:
            return None if function is None else function(measurements)
        except KeyError:
            return None
    result = []
    for line in rows():
        reached = of(line.reached)
        verdict = "not measured" if reached is None else "yes" if line.good(reached) else "no"
        result.append({"name": line.name, "target": line.target, "unit": line.unit,
                       "reached": reached, "verdict": verdict, "diffusers": of(line.peer)})
    return result


def markdown(lines, foot):
    def number(value, unit):
        return "" if value is None else f"{value:.2f} {unit}".strip()
    text = ["| klein 4B unless said otherwise | target | reached | Diffusers | met |",
            "| --- | ---: | ---: | ---: | --- |"]
    for line in lines:
        cells = [line["name"], f"{line['target']} {line['unit']}".strip(),
                 number(line["reached"], line["unit"]), number(line["diffusers"], line["unit"]),
                 line["verdict"]]
        text.append("| " + " | ".join(cells) + " |")
    return "\n".join(text) + "\n\n" + "\n".join(foot) + "\n"
