"""One image file turned into pixels, or refused with a reason.

What is done to a file, each conversion by the name under which `inspect` counts it:

- exif-rotated: turned upright as its EXIF orientation says
- animated: the first frame is taken
- one-bit: black and white become 0 and 255
- palette: looked up
- alpha: laid on white, unless the set keeps it
- opaque: no alpha in a set that keeps it; 255 is added
- cmyk: converted to RGB by Pillow's plain formula, without colour profiles
- 16-bit: scaled so that 65535 becomes 255 (colour: the high byte, which is all Pillow reads)
- other-colours: YCbCr and HSV converted to RGB
- misnamed: the ending says another format than the content; the content counts
- grey-to-rgb: a grey image in a set that has coloured ones
- rgb-to-grey: a coloured image in a set that is asked to be grey

32-bit integers and floats are refused unless a range is given, for nothing says which range their
values have. With a range values are taken as they are, 16 bits whole, and scaled to [-1, 1].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO, Literal

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


Mode = Literal["L", "LA", "RGB", "RGBA"]


class UnreadableError(ValueError):
    """Says why a file gives no image."""


class RangeError(UnreadableError):
    """The file's values have no range of their own, and none is given."""


@dataclass(frozen=True)
class Form:
    """What every file becomes: uint8, or with range = (low, high) float32, low at -1, high at 1."""

    mode: Mode = "RGB"
    range: tuple[float, float] | None = None

    @property
    def channels(self) -> int:
        return len(self.mode)

    @property
    def grey(self) -> bool:
        return self.mode in ("L", "LA")

    @property
    def clear(self) -> bool:
        """Whether the last channel says how opaque a pixel is."""
        return self.mode in ("LA", "RGBA")

    @property
    def dtype(self) -> np.dtype[np.generic]:
        return np.dtype(np.uint8 if self.range is None else np.float32)


@dataclass(frozen=True, slots=True)
class Header:
    """What is known before decoding: height and width once upright, and whether it is grey."""

    height: int
    width: int
    grey: bool

    @property
    def side(self) -> int:
        """The smaller one, in pixels."""
        return min(self.height, self.width)


@dataclass(frozen=True)
class Facts:
    """What a file was: format, Pillow mode, height and width in pixels once upright."""

    format: str
    mode: str
    height: int
    width: int
    conversions: tuple[str, ...]


def header(file: BinaryIO, ranged: bool = False) -> Header:
    """Reads no pixels, except of palette images, which only their pixels show to be grey.

    ranged: whether a range is given. Raises UnreadableError.
    """
    with _opened(file, ranged) as image:
        grey = image.mode in _GREY or image.mode == "F"
        if image.mode in ("P", "PA"):
            rgb = np.asarray(_flat(_loaded(image), sixteen=False))
            grey = rgb.ndim == 2 or bool((rgb == rgb[:, :, :1]).all())
        lying = _orientation(image) >= 5 and not _stands(image)
        width, height = image.size[::-1] if lying else image.size
        return Header(height, width, grey)


def decode(file: BinaryIO, ending: str, form: Form) -> tuple[np.ndarray, Facts]:
    """All pixels (h, w, C), upright, as `form` says, and what the file was.

    Raises UnreadableError, also for a file cut short that still opens.
    """
    _verify(file, form.range is not None)
    with _opened(file, form.range is not None) as image:
        kind = "JPEG" if image.format == "MPO" else str(image.format)  # MPO: a JPEG with more
        mode, conversions = image.mode, []
        if kind != ENDINGS.get(ending, kind):
            conversions.append("misnamed")
        if kind != "JPEG" and _animated(image):
            conversions.append("animated")
        # Pillow keeps 16-bit colour as RGB; only the raw mode of its decoder tells.
        deep = image.mode.startswith("I") or ";16" in str(getattr(image, "tile", ""))
        turn, stands = _orientation(image), _stands(image)
        image = _loaded(image)
        conversions += _conversions(image, deep, turn, form)
        if turn in _UPRIGHT and not stands:
            image = image.transpose(_UPRIGHT[turn])
        pixels = _bytes(image, deep, form) if form.range is None else _values(image, deep, form)
    facts = Facts(kind, mode, image.height, image.width, tuple(conversions))
    return pixels.reshape(*pixels.shape[:2], -1), facts


def _opened(file: BinaryIO, ranged: bool = False) -> Image.Image:
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
    wide = image.mode == "F" or (image.mode == "I" and image.format not in ("PNG", "PPM"))
    if wide and not ranged:
        raise RangeError(f"its mode {image.mode} has no known range: give one, range=(0, 1)")
    if image.mode not in _GREY | _COLOUR and not wide:
        raise UnreadableError(f"its mode {image.mode} has no known colour")
    return image


def _verify(file: BinaryIO, ranged: bool) -> None:
    """Compares the checksums of a PNG, the only format that has them; Pillow's decoder does not."""
    png = file.read(len(_PNG)) == _PNG
    file.seek(0)
    if png:
        with _opened(file, ranged) as image:
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


def _stands(image: Image.Image) -> bool:
    """Whether Pillow gives size and pixels upright already, as it does those of TIFF."""
    return image.format == "TIFF"


def _conversions(image: Image.Image, deep: bool, turn: int, form: Form) -> list[str]:
    clear, grey = image.has_transparency_data, image.mode in _GREY or image.mode == "F"
    found = {
        "exif-rotated": turn in _UPRIGHT,
        "one-bit": image.mode == "1",
        "palette": image.mode in ("P", "PA"),
        "alpha": clear and not form.clear,
        "opaque": not clear and form.clear,
        "cmyk": image.mode == "CMYK",
        "16-bit": deep and form.range is None,
        "other-colours": image.mode in ("YCbCr", "HSV"),
        "grey-to-rgb": grey and not form.grey,
        "rgb-to-grey": not grey and image.mode not in ("P", "PA") and form.grey,
    }
    return [name for name, is_so in found.items() if is_so]


def _bytes(image: Image.Image, deep: bool, form: Form) -> np.ndarray:
    """uint8 (h, w) or (h, w, C)"""
    if form.clear and not image.mode.startswith("I"):
        return np.asarray(image.convert("RGBA").convert(form.mode))
    return np.asarray(_flat(image, deep).convert(form.mode))


def _values(image: Image.Image, deep: bool, form: Form) -> np.ndarray:
    """float32 (h, w) or (h, w, C): the file's own values, scaled from the range to [-1, 1]."""
    if deep and not image.mode.startswith("I"):
        raise UnreadableError("16-bit colour, of which Pillow reads 8 bits; a .npz keeps all")
    assert form.range is not None
    single = image.mode.startswith("I") or image.mode == "F"
    if not single:
        image = image.convert("RGBA") if form.clear else _flat(image, False)
        image = image.convert(form.mode)
    values = np.asarray(image).astype(np.float64)
    if single and form.mode != "L":
        opaque = [np.full_like(values, form.range[1])] * form.clear
        values = np.stack([values] * (1 if form.grey else 3) + opaque, axis=2)
    return scaled(values, form.range)


def scaled(values: np.ndarray, range: tuple[float, float]) -> np.ndarray:
    """float32 of the same shape: range = (low, high) becomes [-1, 1]. A level of 16 bits is 500
    times as wide as the rounding of float32, so none is lost.

    Raises UnreadableError for values outside of it, and for those that are not finite.
    """
    low, high = range
    least, most = float(values.min()), float(values.max())
    if not (low <= least and most <= high):
        raise UnreadableError(
            f"its values run from {least:g} to {most:g}, outside the range {low:g} to {high:g}"
        )
    return ((values.astype(np.float64) - low) * (2 / (high - low)) - 1).astype(np.float32)


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
