"""Images in NumPy files: arrays (N, H, W) or (N, H, W, C), any number of channels."""

from __future__ import annotations

import zipfile
import zlib
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from sparring.data.assembly import arrange
from sparring.data.decode import UnreadableError, scaled
from sparring.data.labels import Labels
from sparring.data.paths import existing, printable
from sparring.data.resize import fit
from sparring.data.source import Images, Source
from sparring.errors import DataError
from sparring.parts import require

# Images and their labels, in the order in which they are looked for.
_PAIRS = {"arr_0": "arr_1", "images": "labels", "x": "y", "x_train": "y_train"}


class Npz(Source):
    """Images in a NumPy .npz file, or the one array of a .npy.

    In a .npz they are the array arr_0, images, x or x_train, else the only uint8 array of 3 or 4
    dimensions; labels are arr_1, labels, y or y_train: one whole number or text each, or K numbers
    (N, K); `classes` may name them. Nothing but plain arrays is read, never a pickle.

    range: the values that become -1 and 1, for arrays of other numbers, such as (0, 65535) for
    uint16; they are kept whole as float32. None takes uint8 only.
    """

    path: str = ""
    range: tuple[float, float] | None = None

    def check(self) -> None:
        low, high = self.range or (0, 1)
        require(low < high, "the range goes from a lower to a higher value")

    def open(self, size: tuple[int, int] | None = None) -> Images:
        """Size None keeps the images as they are. Raises DataError, with the reason."""
        path = str(existing(self.path))
        known = headers(path)
        name = _choose(known, path, self.range)
        labels = _labels(path, known, name)
        pixels = read(path, name)
        if self.range is not None:
            try:
                pixels = scaled(pixels, self.range) if pixels.size else pixels.astype(np.float32)
            except UnreadableError as e:
                raise DataError(f"bad range of '{name}'", where=path, why=str(e)) from None
        return images(pixels, labels, path, size)


def images(
    pixels: np.ndarray, labels: Labels | None, where: str, size: tuple[int, int] | None
) -> Images:
    """The set of uint8, or float32 in [-1, 1], (N, H, W) or (N, H, W, C), resized to `size`."""
    pixels = np.ascontiguousarray(pixels if pixels.ndim == 4 else pixels[..., None])
    if size not in (None, pixels.shape[1:3]) and len(pixels):
        pixels = _resized(pixels, size, where)
    return arrange(pixels, labels, where)


def _resized(pixels: np.ndarray, size: tuple[int, int], where: str) -> np.ndarray:
    shape = (len(pixels), *size, pixels.shape[3])
    try:
        found = np.empty(shape, pixels.dtype)
    except MemoryError:
        why = f"{shape[0]} images of {size[0]} x {size[1]}"
        fix = "choose a smaller --size"
        raise DataError("not enough memory", where=where, why=why, fix=fix) from None
    for i, image in enumerate(pixels):
        found[i] = fit(image, size)
    return found


def headers(path: str) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Shape and type of each array, from the headers alone; that of a .npy is called arr_0."""
    if alone(path):
        try:
            with open(path, "rb") as file:
                return {"arr_0": _header(file)}
        except (OSError, ValueError, EOFError) as e:
            raise DataError("not a .npy file that can be read", where=path, why=str(e)) from None
    known = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                if member.endswith(".npy"):
                    with archive.open(member) as file:
                        known[member.removesuffix(".npy")] = _header(file)
    except (zipfile.BadZipFile, zlib.error, OSError, ValueError, EOFError, RuntimeError) as e:
        raise DataError("not a .npz file that can be read", where=path, why=str(e)) from None
    return known


def alone(path: str) -> bool:
    """Whether the file is one array."""
    return path.lower().endswith(".npy")


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    old = npy.read_magic(file) == (1, 0)
    read = npy.read_array_header_1_0 if old else npy.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype


def read(path: str, name: str) -> np.ndarray:
    try:
        if alone(path):
            return np.load(path, allow_pickle=False)
        with np.load(path, allow_pickle=False) as file:
            return file[name]
    except (
        zipfile.BadZipFile, zlib.error, OSError, ValueError, EOFError, KeyError, MemoryError
    ) as e:  # fmt: skip
        raise DataError(f"cannot read the array '{printable(name)}'", where=path, why=str(e)) from e


def _choose(
    known: dict[str, tuple[tuple[int, ...], np.dtype[Any]]],
    path: str,
    range: tuple[float, float] | None,
) -> str:
    """The name of the array that holds the images. Raises DataError if none can."""
    shapes = "; ".join(f"{printable(n)}: {d} {s}" for n, (s, d) in known.items()) or "nothing"
    name = next((n for n in _PAIRS if n in known), None)
    if name is None:
        kinds = "u" if range is None else "uif"
        fitting = [
            n
            for n, (s, d) in known.items()
            if len(s) in (3, 4) and d.kind in kinds and (range is not None or d == np.uint8)
        ]
        if len(fitting) != 1:
            raise DataError(
                f"{'several' if fitting else 'no'} arrays could be the images",
                where=path,
                why=f"it holds {shapes}",
                fix=f"name the images {', '.join(_PAIRS)}, uint8 (N, H, W) or (N, H, W, C)",
            )
        return fitting[0]
    shape, dtype = known[name]
    if range is not None and dtype.kind not in "uif":
        raise DataError(f"the array '{name}' is {dtype}, which holds no numbers", where=path)
    if range is None and dtype != np.uint8:
        low, high = _ends(path, name, dtype)
        if dtype.kind == "f" and 0 not in shape and np.isnan(low):
            why = "there is NaN among its values"
            raise DataError(f"the array '{name}' holds no images", where=path, why=why)
        raise DataError(
            f"the array '{name}' is {dtype}, not uint8",
            where=path,
            why="images are whole numbers from 0 to 255"
            + (f", these are from {low:.6g} to {high:.6g}" if low <= high else ""),
            fix=f"{_conversion(dtype, low, high)}, or give the range, as in "
            f"\"Npz(path='{path}', range=({_range(dtype, low, high)}))\"",
        )
    why = fix = ""
    if len(shape) not in (3, 4) or 0 in shape[1:]:
        why = "images are (N, H, W) or (N, H, W, C)"
    elif len(shape) == 4 and _channels_first(*shape[1:]):
        why, fix = "channels come last", "save it as x.transpose(0, 2, 3, 1)"
    if why:
        raise DataError(f"the array '{name}' has the shape {shape}", where=path, why=why, fix=fix)
    return name


def _channels_first(first: int, second: int, third: int) -> bool:
    """Whether three sides can only be channels, height and width: few, then many."""
    square = first in (1, 3) and third > 4 and second == third
    return square or (first <= 16 < third and first < second)


def _ends(path: str, name: str, dtype: np.dtype[Any]) -> tuple[float, float]:
    """The least and the greatest number of an array, NaN where it has none."""
    values = read(path, name) if dtype.kind in "uif" else np.empty(0)
    return (float(values.min()), float(values.max())) if values.size else (np.nan, np.nan)


def _conversion(dtype: np.dtype[Any], low: float, high: float) -> str:
    if dtype.kind == "f" and low < 0:
        return "save (x * 127.5 + 127.5).round().astype('uint8') if x is in [-1, 1]"
    if dtype.kind == "f" and high <= 1:
        return "save (x * 255).round().astype('uint8') if x is in [0, 1]"
    if low >= 0 and high <= 255:
        return "save x.round().astype('uint8')" if dtype.kind == "f" else "save x.astype('uint8')"
    if dtype == np.uint16:
        return "save (x / 257).round().astype('uint8')"
    return "save x.astype('uint8') once its values are from 0 to 255"


def _range(dtype: np.dtype[Any], low: float, high: float) -> str:
    """Those that a type has where it is short, else those that the values suggest."""
    if dtype.kind in "ui" and dtype.itemsize <= 2:
        return f"0, {np.iinfo(dtype).max}"
    if dtype.kind == "f" and abs(low) <= 1 and abs(high) <= 1:
        return f"{-1 if low < 0 else 0}, 1"
    return "0, 255" if low >= 0 and high <= 255 else f"{low:.6g}, {high:.6g}"


def _labels(
    path: str, known: dict[str, tuple[tuple[int, ...], np.dtype[Any]]], name: str
) -> Labels | None:
    """Indices into the class names, or numbers (N, K), and the names; None without labels."""
    wanted = [_PAIRS[name]] if name in _PAIRS else list(_PAIRS.values())
    label = next((n for n in [*wanted, *_PAIRS.values()] if n in known and n != name), None)
    if label is None:
        return None
    n, (shape, dtype) = known[name][0][0], known[label]
    rows = len(shape) == 2 and shape[0] == n and shape[1] >= 1 and dtype.kind in "iufb"
    single = shape in ((n,), (n, 1)) and dtype.kind in "iuU"
    if not rows and not single:
        raise DataError(
            f"the labels '{label}' are {dtype} {shape}",
            where=path,
            why=f"there must be one whole number or text, or K numbers, for each of the {n} images",
        )
    given = tuple(map(str, read(path, "classes").reshape(-1))) if "classes" in known else ()
    if rows and not single:
        return _columns(read(path, label), given, label, path)
    values = read(path, label).reshape(-1)
    if not given or dtype.kind == "U":
        names, indices = np.unique(values, return_inverse=True)
        return indices, tuple(str(v) for v in names)
    names = given
    if n and (values.min() < 0 or values.max() >= len(names)):
        raise DataError(
            f"the labels '{label}' run from {values.min()} to {values.max()}",
            where=path,
            why=f"'classes' has {len(names)} names",
        )
    return values, names


def _columns(values: np.ndarray, names: tuple[str, ...], label: str, path: str) -> Labels:
    """Numbers (N, K) as labels, their columns named 0, 1, ... unless `names` has K names."""
    names = names or tuple(map(str, range(values.shape[1])))
    if len(names) != values.shape[1]:
        why = f"'classes' has {len(names)} names for {values.shape[1]} columns"
        raise DataError(f"the labels '{label}' and their names differ", where=path, why=why)
    if not np.isfinite(values.astype(np.float64)).all():
        raise DataError(f"the labels '{label}' are not all finite", where=path)
    return values.astype(np.float32), names
