#!/usr/bin/env python3
"""Writes data/inpaint.json: crop regions, filled pictures and overlays as Diffusers makes them from the noise
pictures of make_cases.py.

    pip install pillow==13.0.0 diffusers==0.42.1 torch && python3 make_inpaint_cases.py
"""
import json
import random

from diffusers.image_processor import VaeImageProcessor
from diffusers.pipelines.flux2.image_processor import Flux2ImageProcessor
from make_cases import BANDS, OUT, noise_image, sha
from PIL import Image

COVER = VaeImageProcessor(vae_scale_factor=16)
CENTRE = Flux2ImageProcessor()


def rows():
    pick = random.Random(7)
    for i in range(84):
        mode = list(BANDS)[i % 7]
        width, height = pick.randint(20, 120), pick.randint(20, 120)
        picture = (16 * pick.randint(1, 8), 16 * pick.randint(1, 8))
        box = [pick.randrange(width), pick.randrange(height)]
        box += [pick.randint(box[0] + 1, width), pick.randint(box[1] + 1, height)]
        mask = Image.new("L", (width, height))
        mask.paste(pick.choice((1, 100, 255)), tuple(box))
        padding = pick.choice((0, 1, 8, 40))
        region = COVER.get_crop_region(mask, *picture, padding)
        original = noise_image(mode, width, height, 2 * i + 1)
        painted = noise_image("RGB", *picture, 2 * i + 2)
        soft = noise_image("L", width, height, 3 * i + 5)
        yield {"mode": mode, "size": [width, height], "picture": picture, "white": box, "value": mask.getpixel(tuple(box[:2])),
               "padding": padding, "region": region, "seeds": [2 * i + 1, 2 * i + 2, 3 * i + 5],
               "fill": sha(COVER._resize_and_fill(original.crop(region), *picture).convert("RGB")),
               "cover": sha(COVER.apply_overlay(soft, original, painted, region)),
               "centre": sha(CENTRE.apply_overlay(soft, original, painted, region))}


if __name__ == "__main__":
    (OUT / "inpaint.json").write_text("[\n" + ",\n".join(json.dumps(r) for r in rows()) + "\n]\n")
