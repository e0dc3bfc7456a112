#!/usr/bin/env python3
"""Writes data/: small picture files, and what Pillow makes of them and of pseudo-random pixels.

    pip install pillow==13.0.0 && python3 make_cases.py

decode.json   file -> Pillow's mode, size, SHA-256 of its pixels as opened and after exif_transpose
resize.json   rows of Image.resize on pixels from `noise` below -> SHA-256 of the result
"""
import hashlib
import io
import json
import random
import struct
import zlib
from pathlib import Path

from PIL import Image, ImageOps, PngImagePlugin

OUT = Path(__file__).parent / "data"
SIZE = (23, 14)
BANDS = {"RGB": 3, "RGBA": 4, "L": 1, "LA": 2, "1": 1, "P": 1, "I;16": 2}


def noise(seed, count):
    """xorshift32, the second lowest byte of every state; the C++ test has the same."""
    state, out = seed, bytearray()
    for _ in range(count):
        state ^= (state << 13) & 0xFFFFFFFF
        state ^= state >> 17
        state ^= (state << 5) & 0xFFFFFFFF
        out.append(state >> 8 & 0xFF)
    return bytes(out)


def noise_image(mode, width, height, seed):
    data = noise(seed, width * height * BANDS[mode])
    if mode == "1":
        return Image.frombytes("L", (width, height), bytes(255 if b & 1 else 0 for b in data)).convert("1")
    image = Image.frombytes(mode, (width, height), data)
    if mode == "P":
        image.putpalette(noise(seed + 1, 768))
    return image


def smooth(mode):
    """A picture that JPEG likes; alpha and hue vary over it."""
    w, h = SIZE
    x = [[(i * 255 // (w - 1), j * 255 // (h - 1)) for i in range(w)] for j in range(h)]
    rgba = bytes(v for row in x for a, b in row for v in (a, b, (a + b) // 2, 255 - a))
    image = Image.frombytes("RGBA", SIZE, rgba)
    return image if mode == "RGBA" else image.convert(mode)


def pixels(image):
    return (image.convert("L") if image.mode == "1" else image).tobytes()


def sha(image):
    return hashlib.sha256(pixels(image)).hexdigest()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(size, depth, color, rows, extra=b"", interlace=0):
    header = struct.pack(">IIBBBBB", *size, depth, color, 0, 0, interlace)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def raw_png(depth, color, extra=b""):
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]
    stride = (SIZE[0] * samples * depth + 7) // 8
    rows = b"".join(b"\0" + noise(7 + y, stride) for y in range(SIZE[1]))
    return png(SIZE, depth, color, rows, extra)


def interlaced_png(image):
    """Adam7, https://www.w3.org/TR/png/#8Interlace, 8 bits a sample."""
    w, h = image.size
    bands, data, rows = BANDS[image.mode], image.tobytes(), b""
    for x0, y0, dx, dy in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)):
        for y in range(y0, h, dy):
            row = b"".join(data[(y * w + x) * bands : (y * w + x + 1) * bands] for x in range(x0, w, dx))
            rows += b"\0" + row if row else b""
    return png((w, h), 8, {1: 0, 2: 4, 3: 2, 4: 6}[bands], rows, interlace=1)


def saved(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def exif(orientation, order="MM"):
    block = struct.pack(">H" if order == "MM" else "<H", 42)
    pack = (">" if order == "MM" else "<")
    block = order.encode() + block + struct.pack(pack + "IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    return b"Exif\0\0" + block


def files():
    plte = chunk(b"PLTE", noise(3, 768))
    for depth in (1, 2, 4, 8, 16):
        yield f"gray{depth}.png", raw_png(depth, 0)
    for depth in (1, 2, 4, 8):
        yield f"palette{depth}.png", raw_png(depth, 3, chunk(b"PLTE", noise(3, 3 * 2**depth)))
    yield "palette-short.png", raw_png(8, 3, chunk(b"PLTE", noise(3, 30)))
    yield "palette-trns.png", raw_png(8, 3, plte + chunk(b"tRNS", noise(5, 200)))
    yield "gray-trns.png", raw_png(8, 0, chunk(b"tRNS", b"\0\x33"))
    for depth in (8, 16):
        yield f"rgb{depth}.png", raw_png(depth, 2)
        yield f"gray-alpha{depth}.png", raw_png(depth, 4)
        yield f"rgba{depth}.png", raw_png(depth, 6)
    for mode in ("RGB", "RGBA", "L", "LA"):
        yield f"interlaced-{mode.lower()}.png", interlaced_png(smooth(mode))
    frames = [noise_image("RGBA", *SIZE, seed) for seed in (11, 12)]
    yield "animated.png", saved(frames[0], "PNG", save_all=True, append_images=frames[1:])
    yield "animated.webp", saved(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    yield "lossy.webp", saved(smooth("RGB"), "WEBP", quality=80)
    yield "lossy-alpha.webp", saved(smooth("RGBA"), "WEBP", quality=80)
    yield "lossless.webp", saved(smooth("RGB"), "WEBP", lossless=True)
    yield "lossless-alpha.webp", saved(smooth("RGBA"), "WEBP", lossless=True)
    for name, options in (("444", {"subsampling": 0}), ("422", {"subsampling": 1}), ("420", {"subsampling": 2}), ("progressive", {"progressive": True})):
        yield f"rgb-{name}.jpg", saved(smooth("RGB"), "JPEG", quality=90, **options)
    yield "gray.jpg", saved(smooth("L"), "JPEG")
    yield "cmyk.jpg", saved(Image.frombytes("CMYK", SIZE, smooth("RGBA").tobytes()), "JPEG", quality=95)
    for o in range(10):
        kind = ("png", "jpg", "webp")[o % 3]
        options = {"quality": 90} if kind == "jpg" else {"lossless": True} if kind == "webp" else {}
        name = {"jpg": "JPEG"}.get(kind, kind.upper())
        yield f"orientation{o}.{kind}", saved(smooth("RGB"), name, exif=exif(o, "II" if o % 2 else "MM"), **options)
    xmp = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="6"/></x:xmpmeta>'
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", xmp)
    yield "orientation-xmp.png", saved(smooth("RGB"), "PNG", pnginfo=info)
    yield "orientation-xmp.jpg", saved(smooth("RGB"), "JPEG", xmp=xmp.replace('="6"', ">8<").encode())
    info = PngImagePlugin.PngInfo()
    block = exif(3)
    info.add_text("Raw profile type exif", f"\nexif\n{len(block):8}\n" + "\n".join(block.hex()[i : i + 20] for i in range(0, 2 * len(block), 20)) + "\n", zip=True)
    yield "orientation-raw-profile.png", saved(smooth("RGB"), "PNG", pnginfo=info)
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", "gr\u00fcn\nSteps: 4")
    info.add_text("zipped", "a" * 300, zip=True)
    info.add_itxt("unicode", "\u732b \U0001f408", zip=True)
    yield "text.png", saved(smooth("L"), "PNG", pnginfo=info)


def resize_rows():
    pick = random.Random(20261125)
    filters = {"nearest": Image.Resampling.NEAREST, "bicubic": Image.Resampling.BICUBIC, "lanczos": Image.Resampling.LANCZOS}
    for i in range(280):
        mode = list(BANDS)[i % 7]
        small, large = (lambda: pick.randint(1, 12)), (lambda: pick.randint(1, 130))
        width, height, to_width, to_height = (pick.choice((small, large, large))() for _ in range(4))
        if i % 9 == 0:
            to_width = width
        if i % 11 == 0:
            to_height = height
        name = pick.choice(("lanczos", "bicubic")) if mode == "I;16" else pick.choice(list(filters))
        box = [0.0, 0.0, float(width), float(height)]
        if i % 4 == 0:  # multiples of 1/8 are exact in float32
            x, y = sorted(pick.randint(0, 8 * width) / 8 for _ in range(2)), sorted(pick.randint(0, 8 * height) / 8 for _ in range(2))
            box = [x[0], y[0], x[1], y[1]]
        image = noise_image(mode, width, height, i + 1)
        result = image.resize((to_width, to_height), filters[name], box=tuple(box))
        yield {"mode": mode, "from": [width, height], "to": [to_width, to_height], "filter": name, "box": box, "seed": i + 1,
               "sha256": sha(result), "rgb": sha(result.convert("RGB")), "gray": sha(result.convert("L"))}


def main():
    OUT.mkdir(exist_ok=True)
    decoded = []
    for name, data in files():
        (OUT / name).write_bytes(data)
        image = Image.open(io.BytesIO(data))
        image.load()
        upright = ImageOps.exif_transpose(image)
        if image.mode == "CMYK":
            image, upright = image.convert("RGB"), upright.convert("RGB")
        decoded.append({"file": name, "mode": image.mode, "size": list(image.size), "sha256": sha(image),
                        "rgb": sha(image.convert("RGB")), "upright_size": list(upright.size), "upright": sha(upright)})
    (OUT / "decode.json").write_text("[\n" + ",\n".join(json.dumps(r) for r in decoded) + "\n]\n")
    (OUT / "resize.json").write_text("[\n" + ",\n".join(json.dumps(r) for r in resize_rows()) + "\n]\n")


if __name__ == "__main__":
    main()
