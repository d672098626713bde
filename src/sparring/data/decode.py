"""One image file turned into pixels, or refused with a reason.

What is done to a file, each conversion by the name under which `inspect` counts it:

- exif-rotated: turned upright as its EXIF orientation says
- animated: the first frame is taken
- one-bit: black and white become 0 and 255
- palette: looked up
- alpha: laid on white
- cmyk: converted to RGB by Pillow's plain formula, without colour profiles
- 16-bit: scaled so that 65535 becomes 255 (colour: the high byte, which is all Pillow reads)
- other-colours: YCbCr and HSV converted to RGB
- misnamed: the ending says another format than the content; the content counts
- grey-to-rgb: a grey image in a set that has coloured ones

32-bit integers and floats are refused, for nothing says which range their values have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

ENDINGS = {
    "png": "PNG",
    "jpg": "JPEG",
    "jpeg": "JPEG",
    "webp": "WEBP",
    "bmp": "BMP",
    "gif": "GIF",
    "tif": "TIFF",
    "tiff": "TIFF",
    "ppm": "PPM",
    "pgm": "PPM",
}
PIXEL_LIMIT = 50_000_000  # a header may promise gigabytes; 50 megapixels are 200 MB decoded

_FORMATS = tuple(sorted(set(ENDINGS.values())))
_GREY = {"1", "L", "LA", "I;16", "I;16B", "I;16L", "I;16N", "I"}
_COLOUR = {"RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "P", "PA"}
_PNG = b"\x89PNG\r\n\x1a\n"
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class UnreadableError(ValueError):
    """Says why a file gives no image."""


@dataclass(frozen=True)
class Header:
    """What is known before decoding: the smaller side in pixels, and whether it is grey."""

    side: int
    grey: bool


@dataclass(frozen=True)
class Facts:
    """What a file was: format, Pillow mode, height and width in pixels once upright."""

    format: str
    mode: str
    height: int
    width: int
    conversions: tuple[str, ...]


def header(file: BinaryIO) -> Header:
    """Reads no pixels, except of palette images, which only their pixels show to be grey.

    Raises UnreadableError.
    """
    with _opened(file) as image:
        grey = image.mode in _GREY
        if image.mode in ("P", "PA"):
            rgb = np.asarray(_flat(_loaded(image), sixteen=False))
            grey = rgb.ndim == 2 or bool((rgb == rgb[:, :, :1]).all())
        return Header(min(image.size), grey)


def decode(file: BinaryIO, ending: str, grey: bool) -> tuple[np.ndarray, Facts]:
    """All pixels, uint8 (h, w, 1) if `grey` else (h, w, 3), upright, and what the file was.

    Raises UnreadableError, also for a file cut short that still opens.
    """
    _verify(file)
    with _opened(file) as image:
        form = "JPEG" if image.format == "MPO" else str(image.format)  # MPO: a JPEG with more
        mode, conversions = image.mode, []
        if form != ENDINGS.get(ending, form):
            conversions.append("misnamed")
        if form != "JPEG" and _animated(image):
            conversions.append("animated")
        # Pillow keeps 16-bit colour as RGB; only the raw mode of its decoder tells.
        deep = image.mode.startswith("I") or ";16" in str(getattr(image, "tile", ""))
        turn = _orientation(image)
        image = _loaded(image)
        conversions += _conversions(image, deep, turn)
        image = _flat(image, deep)
        if turn in _UPRIGHT and form != "TIFF":  # Pillow turns TIFF itself
            image = image.transpose(_UPRIGHT[turn])
        if not grey and image.mode == "L":
            conversions.append("grey-to-rgb")
        pixels = np.asarray(image.convert("L" if grey else "RGB"))
    facts = Facts(form, mode, image.height, image.width, tuple(conversions))
    return pixels.reshape(*pixels.shape[:2], -1), facts


def _opened(file: BinaryIO) -> Image.Image:
    """The image with its header read and judged."""
    try:
        image = Image.open(file, formats=_FORMATS)
    except UnidentifiedImageError:
        empty = not file.seek(0, 2)
        why = "the file is empty" if empty else f"no image of the formats {', '.join(_FORMATS)}"
        raise UnreadableError(why) from None
    except Image.DecompressionBombError:
        raise UnreadableError(f"more than the {PIXEL_LIMIT:,} pixels that are read") from None
    except Exception as e:  # noqa: BLE001 - on broken bytes decoders raise anything
        raise UnreadableError(f"cannot be opened ({_said(e)})") from None
    width, height = image.size
    if width * height > PIXEL_LIMIT:
        raise UnreadableError(f"{width} x {height} is more than the {PIXEL_LIMIT:,} pixels read")
    deep = image.mode == "I" and image.format not in ("PNG", "PPM")
    if image.mode not in _GREY | _COLOUR or deep:
        raise UnreadableError(f"its mode {image.mode} has no known range or colour")
    return image


def _verify(file: BinaryIO) -> None:
    """Compares the checksums of a PNG, the only format that has them; Pillow's decoder does not."""
    png = file.read(len(_PNG)) == _PNG
    file.seek(0)
    if png:
        with _opened(file) as image:
            try:
                image.verify()
            except Exception as e:  # noqa: BLE001 - on broken bytes decoders raise anything
                raise UnreadableError(f"damaged ({_said(e)})") from None
        file.seek(0)


def _loaded(image: Image.Image) -> Image.Image:
    try:
        image.load()
    except Exception as e:  # noqa: BLE001 - on broken bytes decoders raise anything
        raise UnreadableError(f"cannot be decoded ({_said(e)})") from None
    return image


def _said(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _animated(image: Image.Image) -> bool:
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # noqa: BLE001 - a broken second frame does not matter: the first is taken
        return True


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:  # noqa: BLE001 - broken EXIF says nothing about the pixels
        return 1


def _conversions(image: Image.Image, deep: bool, turn: int) -> list[str]:
    found = {
        "exif-rotated": turn in _UPRIGHT,
        "one-bit": image.mode == "1",
        "palette": image.mode in ("P", "PA"),
        "alpha": image.has_transparency_data,
        "cmyk": image.mode == "CMYK",
        "16-bit": deep,
        "other-colours": image.mode in ("YCbCr", "HSV"),
    }
    return [name for name, is_so in found.items() if is_so]


def _flat(image: Image.Image, sixteen: bool) -> Image.Image:
    """The image as 8-bit L or RGB, without transparency."""
    if sixteen and image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64).clip(0, 65535)
        return Image.fromarray(((values + 128) // 257).astype(np.uint8))
    grey = image.mode in _GREY
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert("L" if grey else "RGB")
