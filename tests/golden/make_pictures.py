"""Pictures in many forms with the pixels that Pillow reads from them, and pictures that it has resized: pictures.json.

Usage: python make_pictures.py (needs Pillow and NumPy)
"""

import base64
import io
import json
import pathlib

import numpy as np
from PIL import Image, ImageOps

WIDTH, HEIGHT = 23, 17
WHITE = (255, 255, 255)


def text(data):
    return base64.b64encode(bytes(data)).decode()


def scene(width, height, channels, seed=0):
    """Smooth waves with some noise."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x * (0.2 + 0.1 * c) + c) * np.cos(y * (0.3 - 0.05 * c) - c) for c in range(channels)]
    values = 128 + 110 * np.stack(waves, -1) + random.normal(0, 8, (height, width, channels))
    return np.clip(values, 0, 255).astype(np.uint8)


def on_white(image):
    """RGB as a viewer shows it on white."""
    image = ImageOps.exif_transpose(image)
    if "transparency" in image.info or image.mode in ("LA", "RGBA", "PA"):
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, WHITE + (255,)), image).convert("RGB")
    return image.convert("RGB")


def entry(image, format, tolerance=0, **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    shown = on_white(Image.open(io.BytesIO(file.getvalue())))
    return {
        "file": text(file.getvalue()),
        "width": shown.width,
        "height": shown.height,
        "pixels": text(shown.tobytes()),
        "tolerance": tolerance,
    }


def files():
    rgb = Image.fromarray(scene(WIDTH, HEIGHT, 3))
    rgba = Image.fromarray(scene(WIDTH, HEIGHT, 4), "RGBA")
    grey = rgb.convert("L")
    grey_alpha = Image.merge("LA", (grey, rgba.getchannel("A")))
    palette = rgb.quantize(13)
    made = {
        "png 1 bit": entry(grey.convert("1"), "PNG"),
        "png grey": entry(grey, "PNG"),
        "png grey, one grey transparent": entry(grey, "PNG", transparency=grey.getpixel((3, 4))),
        "png 1 bit, black transparent": entry(grey.convert("1"), "PNG", transparency=0),
        "png grey with alpha": entry(grey_alpha, "PNG", tolerance=1),
        "png palette of 4 bits": entry(palette, "PNG"),
        "png palette of 2 bits": entry(rgb.quantize(4), "PNG"),
        "png palette, one colour transparent": entry(palette, "PNG", transparency=2),
        "png palette with alpha": entry(palette, "PNG", tolerance=1, transparency=bytes(range(0, 260, 20))),
        "png rgb": entry(rgb, "PNG"),
        "png rgb, one colour transparent": entry(rgb, "PNG", transparency=rgb.getpixel((5, 6))),
        "png rgba": entry(rgba, "PNG", tolerance=1),
        "jpeg": entry(rgb, "JPEG", tolerance=6, quality=90, subsampling=0),
        "jpeg, colours halved": entry(rgb, "JPEG", tolerance=24, quality=90),
        "jpeg progressive": entry(rgb, "JPEG", tolerance=6, quality=90, subsampling=0, progressive=True),
        "jpeg with restarts": entry(rgb, "JPEG", tolerance=6, subsampling=0, restart_marker_blocks=1),
        "jpeg grey": entry(grey, "JPEG", tolerance=6),
        "jpeg cmyk": entry(rgb.convert("CMYK"), "JPEG", tolerance=8, quality=95, subsampling=0),
        "webp": entry(rgb, "WEBP", tolerance=8, quality=95),
        "webp lossless": entry(rgb, "WEBP", lossless=True),
        "webp lossless with alpha": entry(rgba, "WEBP", tolerance=1, lossless=True, exact=True),
        "webp animated": entry(rgb, "WEBP", lossless=True, save_all=True, append_images=[rgb.rotate(180)]),
        "gif": entry(palette, "GIF"),
        "gif transparent": entry(palette, "GIF", transparency=1),
        "gif animated": entry(palette, "GIF", save_all=True, append_images=[palette.rotate(180)], duration=50),
        "bmp rgb": entry(rgb, "BMP"),
        "bmp grey": entry(grey, "BMP"),
        "bmp palette": entry(palette, "BMP"),
        "bmp 1 bit": entry(grey.convert("1"), "BMP"),
    }
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        made[f"jpeg of orientation {orientation}"] = entry(
            rgb, "JPEG", tolerance=6, quality=90, subsampling=0, exif=exif
        )
    return made


def resized():
    made = []
    for channels in (3, 1):
        values = scene(61, 47, channels, seed=1)
        image = Image.fromarray(values if channels == 3 else values[..., 0])
        for width, height in ((16, 16), (47, 47), (61, 47), (64, 64), (20, 31), (5, 90), (1, 1), (90, 7)):
            fit = ImageOps.fit(image, (width, height), Image.Resampling.BICUBIC)
            made.append(
                {"channels": channels, "width": width, "height": height, "pixels": text(fit.tobytes())}
            )
    return {
        "width": 61,
        "height": 47,
        "rgb": text(scene(61, 47, 3, seed=1).tobytes()),
        "grey": text(scene(61, 47, 1, seed=1).tobytes()),
        "to": made,
    }


OUT = pathlib.Path(__file__).parent / "pictures.json"
OUT.write_text(json.dumps({"files": files(), "resized": resized()}, indent=1) + "\n")
