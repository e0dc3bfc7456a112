"""Runs a program that prints a JSON object, and measures it from outside: seconds, memory, and what
other programs used of the processor meanwhile.

Memory is read from /proc every 20 ms: "anonymous" is what the process made itself, the rest of
"all" are pages of files that the system can take back.
"""
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

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


def processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown processor"
