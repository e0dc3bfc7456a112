"""Makes what the test of the nano model compares with: tests/nano/scenes.json and tests/nano/data.

scenes.json  prompts with seeds, what each wants, and which of it Diffusers' own pictures have
data/        contact sheets with the verdicts of score.py, for the scorer in C++ to repeat:
             drawn   the scenes as the renderer draws them
             faults  the same with one thing wrong in each
             model   what Diffusers drew

    python make_scenes_test.py            everything: some minutes on two cores
    python make_scenes_test.py --check    draws nothing: are the verdicts still score.py's?
"""

import argparse
import json
import os
import sys

import numpy as np
from PIL import Image

import scenes
import score

HERE = os.path.dirname(os.path.abspath(__file__))
MODEL = os.path.join(HERE, "..", "..", "models", "nano")
OUT = os.path.join(HERE, "..", "..", "tests", "nano")
SHEETS = ("drawn", "faults", "model")

SETTINGS = {
    "width": 128,
    "height": 128,
    "num_inference_steps": 25,
    "guidance_scale": 3.5,
    "max_sequence_length": 48,
}
FIRST_SEED = 7000
BATCH = 12
COLUMNS = 8

# kind of scene, how many: single objects cover every place, the others every relation
PLAN = (
    ("single", 8),
    ("single_pos", 14),
    ("lr", 8),
    ("tb", 6),
    ("corners", 4),
    ("inside", 2),
    ("row", 4),
    ("list3", 2),
)
FAULTS = ("color", "shape", "background", "position", "missing", "extra", "size", "noise", "blur")


def plan():
    """Scenes of every kind; backgrounds, shapes and places taken in turn, the rest drawn."""
    rng = np.random.default_rng(31)
    backgrounds, out = list(scenes.BGS), []
    for kind, count in PLAN:
        for i in range(count):
            number = len(out)
            background = backgrounds[number % len(backgrounds)]
            shape = scenes.SHAPES[(number + number // 8) % len(scenes.SHAPES)]
            while True:
                scene = scenes.scene(rng, kind)
                first = scene["objs"][-1]
                if scene["bg"] != background or (kind != "inside" and first["shape"] != shape):
                    continue
                if kind != "single_pos" or first["pos"] == scenes.POSNAMES[i % 9]:
                    break
            caption = scenes.caption(scene, rng)
            forget_unsaid_size(scene, caption)
            out.append((scene, caption))
    drawn = {o["color"] for scene, _ in out for o in scene["objs"]}
    assert drawn == set(scenes.COLORS), f"no scene has {set(scenes.COLORS) - drawn}"
    return out


def forget_unsaid_size(scene, caption):
    """A size that the caption does not name is not asked for."""
    for o in scene["objs"]:
        if o["size"] not in caption:
            o["size"] = "medium"


def wanted(scene):
    """The scene as scenes.json stores it: what score.py reads and nothing else."""
    keys = ("shape", "color", "size", "cx", "cy", "r", "pos")
    objects = [{k: o[k] for k in keys} for o in scene["objs"]]
    return {"bg": scene["bg"], "kind": scene["kind"], "rel": scene["rel"], "objs": objects}


def verdict(picture, scene):
    return {k: bool(v) for k, v in score.score(picture, scene).items()}


def faulty(scene, fault, rng):
    """The scene's picture with one thing wrong, or None where the scene has no such thing."""
    wrong = {**scene, "objs": [dict(o) for o in scene["objs"]]}
    objects = wrong["objs"]
    o = objects[rng.integers(len(objects))]
    if fault == "color":
        o["color"] = scenes.pick_color(rng, scene["bg"], tuple(x["color"] for x in objects))
    elif fault == "shape":
        o["shape"] = scenes.pick_shape(rng, tuple(x["shape"] for x in objects))
    elif fault == "background":
        fits = lambda b: not any(x["color"] in scenes.BAD[b] for x in objects)
        wrong["bg"] = [b for b in scenes.BGS if b != scene["bg"] and fits(b)][0]
    elif fault == "position":
        if scene["kind"] in ("single", "inside"):
            return None
        for x in objects:
            x["cx"], x["cy"] = 128 - x["cx"], 128 - x["cy"]
    elif fault == "missing":
        objects.remove(o)
    elif fault == "extra":
        more = scenes.obj(rng, scene["bg"], "small")
        objects.append(scenes.place(more, 128, 128, "bottom right", rng))
    elif fault == "size":
        o["r"] *= 1.7 if o["r"] < 20 else 0.45
    picture = scenes.render(wrong).astype(np.float32)
    if fault == "noise":
        picture += rng.normal(0, 14, (16, 16, 3)).repeat(8, 0).repeat(8, 1)
    elif fault == "blur":
        for axis in (0, 1):
            picture = sum(np.roll(picture, k, axis) for k in range(-2, 3)) / 5
    return np.clip(picture, 0, 255).astype(np.uint8)


def draw(entries):
    """What Diffusers draws for the prompts, in float32, a generator for each picture."""
    import torch
    from diffusers import Flux2KleinPipeline

    pipe = Flux2KleinPipeline.from_pretrained(MODEL, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    pictures = []
    for start in range(0, len(entries), BATCH):
        part = entries[start : start + BATCH]
        seeds = [torch.Generator("cpu").manual_seed(e["seed"]) for e in part]
        result = pipe(prompt=[e["prompt"] for e in part], generator=seeds, **SETTINGS)
        pictures += [np.asarray(image.convert("RGB")) for image in result.images]
        print(f"{len(pictures)} of {len(entries)} pictures", file=sys.stderr, flush=True)
    return pictures


def rates(entries):
    """criterion -> [scenes that have it, scenes that were asked for it]"""
    out = {}
    for e in entries:
        for k, v in e["diffusers"].items():
            had, asked = out.get(k, (0, 0))
            out[k] = (had + v, asked + 1)
    return {k: list(v) for k, v in out.items()}


def write_sheet(name, cases, pictures):
    rows = -(-len(pictures) // COLUMNS)
    sheet = np.zeros((rows * 128, COLUMNS * 128, 3), np.uint8)
    for i, picture in enumerate(pictures):
        y, x = i // COLUMNS * 128, i % COLUMNS * 128
        sheet[y : y + 128, x : x + 128] = picture
    Image.fromarray(sheet).save(os.path.join(OUT, "data", name + ".png"), optimize=True)
    write_json(os.path.join("data", name + ".json"), {"columns": COLUMNS, "cases": cases})


def write_json(name, data):
    """One scene or case a line."""
    lines = []
    for key, value in data.items():
        if isinstance(value, list):
            rows = ",\n".join("  " + json.dumps(v) for v in value)
            lines.append(f'"{key}": [\n{rows}\n ]')
        else:
            lines.append(f'"{key}": {json.dumps(value)}')
    with open(os.path.join(OUT, name), "w", encoding="utf-8") as file:
        file.write("{\n " + ",\n ".join(lines) + "\n}\n")


def make():
    rng = np.random.default_rng(47)
    planned = plan()
    entries = [
        {"prompt": caption, "seed": FIRST_SEED + i, "want": wanted(scene)}
        for i, (scene, caption) in enumerate(planned)
    ]
    drawn, faults = [], []
    for i, (scene, _) in enumerate(planned):
        drawn.append((i, "none", scenes.render(scene)))
        for k in range(2):
            fault = FAULTS[(2 * i + k) % len(FAULTS)]
            picture = faulty(scene, fault, rng)
            if picture is not None:
                faults.append((i, fault, picture))
    pictures = draw(entries)
    for e, picture in zip(entries, pictures):
        e["diffusers"] = verdict(picture, {**e["want"]})
    os.makedirs(os.path.join(OUT, "data"), exist_ok=True)
    write_json("scenes.json", {"settings": SETTINGS, "rates": rates(entries), "scenes": entries})
    model = [(i, "none", picture) for i, picture in enumerate(pictures)]
    for name, rows in zip(SHEETS, (drawn, faults, model)):
        cases = [
            {"scene": i, "fault": fault, "verdict": verdict(picture, entries[i]["want"])}
            for i, fault, picture in rows
        ]
        write_sheet(name, cases, [picture for _, _, picture in rows])
    print(json.dumps(rates(entries)))


def read_json(name):
    with open(os.path.join(OUT, name), encoding="utf-8") as file:
        return json.load(file)


def check():
    """How many verdicts of the committed sheets are not score.py's."""
    wants = [e["want"] for e in read_json("scenes.json")["scenes"]]
    wrong = total = 0
    for name in SHEETS:
        data = read_json(os.path.join("data", name + ".json"))
        sheet = np.asarray(Image.open(os.path.join(OUT, "data", name + ".png")))
        for i, case in enumerate(data["cases"]):
            y, x = i // data["columns"] * 128, i % data["columns"] * 128
            now = verdict(sheet[y : y + 128, x : x + 128], wants[case["scene"]])
            total += 1
            if now != case["verdict"]:
                wrong += 1
                print(f"{name} {i}: {now}, recorded {case['verdict']}")
    print(f"{wrong} of {total} verdicts differ")
    return wrong


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only compare the verdicts")
    if parser.parse_args().check:
        sys.exit(1 if check() else 0)
    make()
