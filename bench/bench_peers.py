#!/usr/bin/env python3
"""Everything that is to be reached, measured in one go: one table, as Markdown and as JSON.

    make bench-peers                          # about 40 minutes, 22 GB on the disk
    make bench-peers PEERS="--quick"          # a model cut to a few blocks: only whether all works
    make bench-peers PEERS="--only 'stages 256*'"
    bench/bench_peers.py --table              # the table of what was measured so far

A full-size klein 4B with random weights is written, quantised, and drawn with by flux2 and by
Diffusers, one program after the other, each process measured from outside from its start to its
exit; then every stage alone, with the machine's ceilings measured in the same process. A
measurement is kept in FOLDER/results once it is done and is not repeated, so that a long run can
be split; `--fresh` forgets them. What other programs used of the processor is kept with each one.
"""
import argparse
import fnmatch
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from measuring import measured, processor, wait_until_quiet
from peers_table import SIZES, TYPES, evaluated, markdown

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PROMPT = "a red fox asleep on a stack of old books"
CUT = ["--double", "1", "--single", "2", "--text-layers", "28"]  # 27 is the last that is tapped
STEPS = {256: 4, 512: 3, 1024: 2}
PEER_STEPS = {256: 4, 512: 2, 1024: 2}  # a step of Diffusers at 1024 takes minutes
READ_AT_ONCE = 1 << 24


@dataclass(frozen=True)
class Task:
    name: str
    command: tuple  # of words; ("read", FOLDER): reads the files
    environment: tuple = ()


class Peers:
    """The models, the programs and the measurements of one folder."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.folder = arguments.folder / ("quick" if arguments.quick else "full")
        self.results = self.folder / "results"
        self.flux2 = str(arguments.flux2)

    def model(self, kind):
        return self.folder / ("int8" if kind == "int8" else "klein-4b")

    # --- What is measured ---------------------------------------------------------------------

    def bench(self, name, kind, size, *more, environment=()):
        steps = str(STEPS[size])
        return Task(name, (self.flux2, "bench", "--width", str(size), "--height", str(size),
                           "--steps", steps, "--compute", kind, "--progress", "none",
                           "--json", "-", *self.threads(), *more), environment)

    def command(self, kind, size, steps):
        return Task(f"command {size} {kind}", (
            self.flux2, "generate", "--model", str(self.model(kind)), "--prompt", PROMPT,
            "--seed", "0", "--steps", str(steps), "--width", str(size), "--height", str(size),
            "--compute", kind, "--no-prompt-cache", "--output", str(self.folder / "flux2.png"),
            "--json", "--quiet", *self.threads()))

    def diffusers(self, size):
        return Task(f"diffusers {size}", (
            str(self.arguments.python), str(HERE / "diffusers_run.py"), str(self.model("bf16")),
            "--prompt", PROMPT, "--seed", "0", "--steps", str(PEER_STEPS[size]), "--size", str(size),
            "--threads", str(self.arguments.threads), "--once",
            "--output", str(self.folder / "diffusers.png")))

    def threads(self):
        return ("--threads", str(self.arguments.threads))

    def tasks(self):
        """Those that a ratio compares stand beside each other."""
        for kind in TYPES:
            yield self.command(kind, 256, STEPS[256])
        yield self.diffusers(256)
        for kind in TYPES:
            yield Task(f"reading {kind}", ("read", str(self.model(kind) / "transformer")))
        for size in self.sizes():
            for kind in TYPES:
                yield self.bench(f"stages {size} {kind}", kind, size, "--model",
                                 str(self.model(kind)))
            if size > 256:
                yield self.diffusers(size)
                if size == 1024:
                    for kind in TYPES:
                        yield self.command(kind, size, 1)
        limit = (("ONEDNN_MAX_CPU_ISA", "AVX2"), ("DNNL_MAX_CPU_ISA", "AVX2"))  # oneDNN 3 and 2
        yield self.bench("avx2", "f32", 256, "--random", "klein-4b", "--layers", "3",
                         "--isa", "avx2", environment=limit)
        for model in ("klein-9b", "dev"):
            for size in self.sizes():
                for kind in TYPES:
                    yield self.bench(f"blocks {model} {size} {kind}", kind, size, "--random", model,
                                     "--layers", "1")

    def sizes(self):
        return SIZES[:1] if self.arguments.quick else SIZES

    # --- How ----------------------------------------------------------------------------------

    def make_models(self):
        """Each folder appears complete or not at all."""
        for kind, command in (
                ("bf16", [sys.executable, ROOT / "tools/make_random_model.py",
                          *(CUT if self.arguments.quick else [])]),
                ("int8", [self.flux2, "quantize", "--model", self.model("bf16"), "--output"])):
            model = self.model(kind)
            if model.exists():
                continue
            unfinished = model.with_name(model.name + ".part")
            subprocess.run(["rm", "-rf", unfinished], check=True)
            self.folder.mkdir(parents=True, exist_ok=True)
            subprocess.run([*command, unfinished], check=True, stdout=sys.stderr)
            unfinished.rename(model)

    def run(self, task):
        """Into the page cache with all that the task reads, then the task."""
        if task.command[0] == "read":
            read_files(Path(task.command[1]))
            return {"seconds": read_files(Path(task.command[1])), "others": 0.0}
        for word in task.command:
            if word in (str(self.model("bf16")), str(self.model("int8"))):
                read_files(Path(word))
        wait_until_quiet(self.arguments.wait_quiet)
        os.environ.update(dict(task.environment))
        try:
            done = measured(list(task.command))
        finally:
            for name, _ in task.environment:
                del os.environ[name]
        return done.report | {"seconds": done.seconds, "peak_all": done.peak_all,
                              "peak_anonymous": done.peak_anonymous, "others": done.others}

    def measure(self):
        self.results.mkdir(parents=True, exist_ok=True)
        for task in self.tasks():
            if not any(fnmatch.fnmatch(task.name, only) for only in self.arguments.only):
                continue
            if self.kept(task) is not None:
                print(f"{task.name}: measured before", file=sys.stderr)
                continue
            begin = time.monotonic()
            result = self.run(task) | {"command": list(task.command)}
            file = self.file_of(task)
            unfinished = file.with_suffix(".part")
            unfinished.write_text(json.dumps(result, indent=1))
            unfinished.rename(file)
            print(f"{task.name}: {time.monotonic() - begin:.0f} s, others {result['others']:.2f} "
                  "cores", file=sys.stderr, flush=True)

    def file_of(self, task):
        return self.results / (task.name.replace(" ", "_") + ".json")

    def kept(self, task):
        """The measurement, if it was made with the same command."""
        file = self.file_of(task)
        if not file.exists():
            return None
        result = json.loads(file.read_text())
        return result if result["command"] == list(task.command) else None

    def write_table(self):
        kept = {task.name: self.kept(task) for task in self.tasks()}
        measurements = {name: result for name, result in kept.items() if result is not None}
        lines = evaluated(measurements)
        text = markdown(lines, self.foot(measurements))
        (self.folder / "table.md").write_text(text)
        machine = next((m["ceilings"] for m in measurements.values() if "ceilings" in m), {})
        (self.folder / "table.json").write_text(json.dumps(
            {"processor": processor(), "threads": self.arguments.threads, "rows": lines,
             "ceilings": machine,
             "others": {name: m["others"] for name, m in measurements.items()}}, indent=1) + "\n")
        print(text)
        print(f"written to {self.folder}/table.md and table.json", file=sys.stderr)

    def foot(self, measurements):
        disturbed = max(((m["others"], name) for name, m in measurements.items()), default=(0, ""))
        machine = [m["ceilings"] for m in measurements.values() if "ceilings" in m]
        versions = [m["versions"] for m in measurements.values() if "versions" in m]
        foot = [f"{processor()}, {self.arguments.threads} threads"
                + (", torch {torch}, Diffusers {diffusers}".format(**versions[0]) if versions else "")
                + f". Steps of Diffusers at 1024 x 1024: {PEER_STEPS[1024]}."]
        for key, name in (("matmul_bf16_flops", "bf16 matmul"), ("matmul_int8_flops", "int8 matmul"),
                          ("convolution_flops", "convolution")):
            peaks = [m[key] / 1e9 for m in machine if key in m]
            if peaks:
                foot.append(f"Peak of {name}, measured in each run: {min(peaks):.0f} to "
                            f"{max(peaks):.0f} GFLOP/s.")
        foot.append(f"Other programs used at most {disturbed[0]:.2f} cores ({disturbed[1]}).")
        if self.arguments.quick:
            foot.append("A model cut to a few blocks: not to be compared with the targets.")
        return foot


def read_files(folder):
    """Reads all files below once; seconds."""
    begin, buffer = time.monotonic(), bytearray(READ_AT_ONCE)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with open(path, "rb", buffering=0) as file:
                while file.readinto(buffer):
                    pass
    return time.monotonic() - begin


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--folder", type=Path, default=ROOT / "build/peers",
                        help="for models and results; 22 GB (quick: 10 GB)")
    parser.add_argument("--flux2", type=Path, default=ROOT / "build/release/bin/flux2")
    parser.add_argument("--python", type=Path, help="one that has Diffusers; default: its own venv",
                        default=os.environ.get("FLUX2_PEERS_PYTHON", ROOT / "build/peers/venv/bin/python"))
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--quick", action="store_true", help="a cut model, 256 x 256 alone")
    parser.add_argument("--only", action="append", metavar="PATTERN",
                        help="measurements to make: 'stages 256*'; default: all")
    parser.add_argument("--fresh", action="store_true", help="forget what was measured before")
    parser.add_argument("--table", action="store_true", help="measure nothing")
    parser.add_argument("--wait-quiet", type=float, default=0, metavar="MINUTES",
                        help="before each measurement, wait as long for other programs to end")
    arguments = parser.parse_args()
    arguments.only = arguments.only or ["*"]

    peers = Peers(arguments)
    if arguments.fresh:
        subprocess.run(["rm", "-rf", peers.results], check=True)
    if not arguments.table:
        peers.make_models()
        peers.measure()
    peers.write_table()


if __name__ == "__main__":
    main()
