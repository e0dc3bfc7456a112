#!/usr/bin/env python3
"""flux2 against Diffusers in bf16, on one checkpoint, in one sitting: a Markdown table.

    tools/make_random_model.py /tmp/klein-4b
    bench/compare_diffusers.py /tmp/klein-4b --flux2 build/release/bin/flux2 \\
        --python VENV/bin/python --wait-quiet 30 --out table.md

VENV needs torch, diffusers, transformers, accelerate and pillow. Programs take turns, `--rounds`
times, and figures are medians over all rounds. Memory is read from /proc every 20 ms: "anonymous"
is what the process made itself, the rest of "all" are pages of files that the system can take
back. What other programs used of the processor meanwhile is measured and printed: timings with
more than a few percent are not worth keeping.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
TICKS = os.sysconf("SC_CLK_TCK")
QUIET = 0.05  # of one core
SAMPLE_SECONDS = 0.02


@dataclass
class Run:
    report: dict  # what the program printed
    seconds: float  # start to exit
    peak_all: int  # bytes
    peak_anonymous: int
    others: float  # cores that everything else kept busy

    def stage(self, name):
        found = [s["seconds"] for s in self.report["stages"] if s["name"] == name]
        return found[0] if found else None

    @property
    def first_step(self):
        return self.report["step_seconds"][0]

    @property
    def step(self):
        """The median step after the first, which may pay for things that happen once."""
        steps = self.report["step_seconds"]
        return median(steps[1:] or steps)


def busy_seconds():
    """What all processors have worked since the machine started, idle and waiting left out."""
    fields = [int(x) for x in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    idle, waiting, guests = fields[3], fields[4], sum(fields[8:])
    return (sum(fields) - idle - waiting - guests) / TICKS


def wait_until_quiet(minutes):
    deadline = time.monotonic() + 60 * minutes
    while True:
        before = busy_seconds()
        time.sleep(3)
        busy = (busy_seconds() - before) / 3
        if busy < QUIET or time.monotonic() > deadline:
            return
        print(f"waiting: others keep {busy:.2f} cores busy", file=sys.stderr)
        time.sleep(10)


def memory_of(pid):
    """(highest resident set so far, anonymous memory now) in bytes; zeros once it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0, 0
    values = dict(line.split(":", 1) for line in lines)
    return tuple(1024 * int(values.get(key, "0 kB").split()[0]) for key in ("VmHWM", "RssAnon"))


def measured(command):
    """Runs a program that prints a JSON object, and watches it."""
    begin, busy = time.monotonic(), busy_seconds()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peaks, ended = [0, 0], threading.Event()

    def watch():
        while not ended.wait(SAMPLE_SECONDS):
            for i, value in enumerate(memory_of(process.pid)):
                peaks[i] = max(peaks[i], value)

    watcher = threading.Thread(target=watch)
    watcher.start()
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    ended.set()
    watcher.join()
    if process.returncode != 0:
        raise SystemExit(f"{command[0]} failed with status {process.returncode}")
    seconds = time.monotonic() - begin
    own = usage.ru_utime + usage.ru_stime
    others = max(0.0, busy_seconds() - busy - own) / seconds
    return Run(json.loads(output), seconds, peaks[0], peaks[1], others)


def commands(arguments, picture):
    request = ["--prompt", arguments.prompt, "--steps", str(arguments.steps),
               "--seed", str(arguments.seed), "--threads", str(arguments.threads)]
    ours = [arguments.flux2, "generate", "--model", arguments.model, *request,
            "--width", str(arguments.size), "--height", str(arguments.size), "--guidance", "1",
            "--compute", "bf16", "--noise-dtype", "bf16", "--output", picture,
            "--json", "--quiet"]
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


def processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown processor"


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
