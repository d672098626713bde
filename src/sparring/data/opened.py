"""A source opened and held to its contract: sources are often the users' own."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import torch
from torch import Tensor

from sparring.data.digest import digest
from sparring.data.rows import Rows
from sparring.data.source import Images, Points, Source
from sparring.errors import DataError, SparringError
from sparring.parts import show

_DRAWN = 4  # points that are looked at
_ABOVE = 1e-4  # what rounding may add to a pixel's range


def opened(source: Source, size: tuple[int, int] | None = None) -> Images | Points:
    """What a source yields, named classes and a digest added where it gives none.

    Raises DataError where that is not what `Images` and `Points` say, or where opening fails.
    """
    where = show(source)
    try:
        found = source.open(size)
    except (SparringError, MemoryError):
        raise
    except NotImplementedError as e:
        raise DataError("this source cannot be opened", where=where, fix="write its open") from e
    except Exception as e:
        why = " ".join(f"{type(e).__name__}: {e}".split())[:300]
        raise DataError("opening fails", where=where, why=why, fix="--debug shows where") from e
    if isinstance(found, Images):
        return _images(found, size, where)
    if isinstance(found, Points):
        return _points(found, where)
    raise DataError(
        f"open gives {_kind(found)}, neither images nor points",
        where=where,
        fix="return sparring.Images(pixels=...) or sparring.Points(...)",
    )


def _images(images: Images, size: tuple[int, int] | None, where: str) -> Images:
    _check_pixels(images.pixels, where)
    height, width = images.shape[1:]
    if size is not None and (height, width) != tuple(size):
        raise DataError(
            f"the images are {height}x{width}, not {size[0]}x{size[1]}",
            where=where,
            why="open is asked for that size",
            fix=f"scale them in open, or --size {height}x{width}",
        )
    if images.inputs is not None:
        inputs = _images(images.inputs, None, f"the inputs of {where}")
        if images.paired and len(inputs) != len(images):
            raise DataError(
                f"{len(inputs)} inputs to {len(images)} images",
                where=where,
                fix="paired=False where they are a set of their own",
            )
        images = replace(images, inputs=inputs)
    if images.labels is not None:
        _check_labels(images.labels, len(images), where)
        images = replace(images, classes=_classes(images.labels, tuple(images.classes), where))
    return images if images.digest else replace(images, digest=digest(images.pixels, images.labels))


def _check_pixels(pixels: Tensor | Rows, where: str) -> None:
    if not isinstance(pixels, (Tensor, Rows)):
        fix = "torch.from_numpy(pixels)" if hasattr(pixels, "__array__") else "torch.stack them"
        raise DataError(f"the pixels are {_kind(pixels)}, not a tensor", where=where, fix=fix)
    shape = tuple(pixels.shape)
    said = f"the pixels have the shape {shape}"
    if len(shape) != 4 or 0 in shape[1:]:
        fix = "pixels[:, None]" if len(shape) == 3 else ""
        raise DataError(said, where=where, why="images are (N, C, H, W)", fix=fix)
    if shape[3] in (1, 3) and min(shape[1:3]) > 4:
        why = "the channels come before height and width"
        raise DataError(said, where=where, why=why, fix="pixels.permute(0, 3, 1, 2)")
    if shape[0] < 2:
        what = "only one image" if shape[0] else "no image"
        raise DataError(what, where=where, fix="give at least 2 images")
    if pixels.dtype not in (torch.uint8, torch.float32):
        raise DataError(
            f"the pixels are {pixels.dtype}".replace("torch.", ""),
            where=where,
            why="images are uint8 from 0 to 255 or float32 from -1 to 1",
            fix="pixels.float()" if pixels.dtype.is_floating_point else "pixels.to(torch.uint8)",
        )
    if isinstance(pixels, Tensor) and pixels.dtype == torch.float32:
        low, high = (float(x) for x in pixels.aminmax())
        if not -1 - _ABOVE <= low <= high <= 1 + _ABOVE:  # nor where one of them is NaN
            raise DataError(
                f"the pixels are from {low:.4g} to {high:.4g}",
                where=where,
                why="those of float32 are from -1 to 1",
                fix="pixels / 127.5 - 1" if low >= 0 and 1 < high <= 255 else "",
            )


def _check_labels(labels: Tensor, n: int, where: str) -> None:
    if not isinstance(labels, Tensor):
        fix = "torch.as_tensor(labels)"
        raise DataError(f"the labels are {_kind(labels)}, not a tensor", where=where, fix=fix)
    if labels.dim() not in (1, 2) or len(labels) != n:
        raise DataError(
            f"the labels have the shape {tuple(labels.shape)}",
            where=where,
            why=f"there are {n} images, with one class each (N,) or K numbers each (N, K)",
        )
    wanted = torch.int64 if labels.dim() == 1 else torch.float32
    if labels.dtype != wanted:
        raise DataError(
            f"the labels are {labels.dtype}, not {wanted}".replace("torch.", ""),
            where=where,
            fix=f"labels.{'long' if labels.dim() == 1 else 'float'}()",
        )
    if not labels.isfinite().all():
        raise DataError("a label is not finite", where=where)


def _classes(labels: Tensor, names: tuple[str, ...], where: str) -> tuple[str, ...]:
    """The names of the classes or columns, numbers where there are none; DataError for too few."""
    if labels.dim() == 2:
        used, needed = labels.shape[1], f"{labels.shape[1]} columns"
    else:
        low, high = int(labels.min()), int(labels.max())
        if low < 0:
            raise DataError(f"a label is {low}", where=where, why="classes are counted from 0")
        used, needed = high + 1, f"classes up to {high}"
    if not names:
        return tuple(map(str, range(used)))
    if len(names) < used or (labels.dim() == 2 and len(names) != used):
        raise DataError(
            f"{len(names)} classes are named, the labels have {needed}",
            where=where,
            fix="name them all in classes, or none",
        )
    return names


def _points(points: Points, where: str) -> Points:
    modes = points.modes
    if not isinstance(modes, Tensor) or modes.dim() != 2 or not modes.shape[1]:
        why = "they are (K, d), and (0, d) where there are none"
        raise DataError(f"the modes are {_kind(modes)}", where=where, why=why)
    d = modes.shape[1]
    x = points.sample(_DRAWN, torch.Generator().manual_seed(0))
    for name, values, shape in (
        ("sample", x, (_DRAWN, d)),
        ("log_density", points.log_density(x), (_DRAWN,)),
    ):
        if not isinstance(values, Tensor) or values.shape != shape:
            why = f"of {_DRAWN} points with these modes it is a tensor {shape}"
            raise DataError(f"{name} gives {_kind(values)}", where=where, why=why)
        if not values.isfinite().all():
            raise DataError(f"{name} gives numbers that are not finite", where=where)
    if points.digest:
        return points
    return replace(points, digest=hashlib.sha256(where.encode()).hexdigest()[:16])


def _kind(value: object) -> str:
    """What a value is, in words."""
    if isinstance(value, Tensor):
        return f"a tensor {tuple(value.shape)}"
    return "nothing" if value is None else f"a {type(value).__module__}.{type(value).__name__}"
