"""What can be compared: sets of images, arrays, functions that generate, each as real or as fake.

Images are uint8 in 0..255, as NumPy arrays (N, H, W) or (N, H, W, C) or as tensors (N, C, H, W);
or floats in [-1, 1] as tensors (N, C, H, W). Floats of another range are refused: a set in [0, 1]
taken for one in [-1, 1] would be scored as pale.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sparring.data import Images, Whole
from sparring.data.arrays import images, read
from sparring.data.digest import digest
from sparring.data.paths import existing
from sparring.errors import DataError
from sparring.metrics import Fake, Real
from sparring.metrics.metric import finite
from sparring.randomness import generator, seeded
from sparring.sample.draw import to_uint8

BLOCK = 64


def reference(found: Whole, name: str) -> Real:
    """A set as the real side, all of it."""
    return Real(f"{name}, all {len(found.images)} images", train=found.images)


def samples(found: Whole, name: str) -> Fake:
    """A set as the fake side: in an order that is random but always the same."""
    own = found.images
    # Another order than that of the real side: paired files must not be drawn in pairs.
    order = torch.randperm(len(own), generator=generator("samples", len(own)))

    def take(n: int) -> Iterator[Tensor]:
        for rows in order[:n].split(256):
            yield own.uint8(rows)

    def labels(n: int) -> Tensor:
        assert own.labels is not None
        return own.labels[order[:n]]

    return Fake(
        name,
        take,
        about=(("generator_digest", own.digest),),
        count=len(own),
        label=lambda i: found.label(int(order[i])),
        labels=None if own.labels is None or own.vectors else labels,
        classes=own.classes,
    )


def points(values: Any, name: str) -> Fake:
    """Points (N, d) of an array, a tensor, a .npy file, or the array arr_0 of a .npz."""
    if isinstance(values, (str, Path)):
        values = read(str(existing(str(values))), "arr_0")
    x = torch.as_tensor(values)
    if x.ndim != 2 or not x.is_floating_point():
        raise DataError("no points", where=name, why=f"{x.dtype} {tuple(x.shape)} is not (N, d)")
    known = hashlib.sha256(x.detach().cpu().double().contiguous().numpy().tobytes()).hexdigest()
    about = (("generator_digest", known[:16]),)
    return Fake(name, lambda n: iter([x[:n]]), about=about, count=len(x))


def function(make: Callable[[int], Any], name: str, seed: int = 0, points: bool = False) -> Fake:
    """A function that makes n samples, called for 64 at a time under seeded global randomness."""

    def take(n: int) -> Iterator[Tensor]:
        ends: list[float] = []
        for start in range(0, n, BLOCK):
            with seeded("score", seed, start // BLOCK), torch.no_grad():
                made = torch.as_tensor(make(BLOCK)) if points else _stacked(make(BLOCK), name)
            if len(made) != BLOCK:
                raise DataError(
                    f"the function made {len(made)} samples", where=name, why=f"{BLOCK} were asked"
                )
            if not points and made.is_floating_point():
                ends += _ends(made, name, start)
                # What range they have is a matter of all samples, not of one batch.
                _refuse_range(min(ends), max(ends), name, whole=start + BLOCK >= n)
                made = to_uint8(made)
            yield made[: n - start]

    return Fake(name, take, about=(("seed", seed),))


def array(values: Any, name: str, size: tuple[int, int] | None = None) -> Whole:
    """Arrays or tensors as a set of images, scaled and cropped to `size` where that is given.

    DataError when they are none, naming what is wrong.
    """
    found = pixels(values, name)
    if size not in (None, found.shape[2:]):
        rows = found.permute(0, 2, 3, 1).numpy()
        return Whole(images(np.ascontiguousarray(rows), None, name, size))
    found = found.to(memory_format=torch.channels_last)
    return Whole(Images(found, digest=digest(found, None)))


def pixels(values: Any, name: str) -> Tensor:
    """uint8 (N, C, H, W) of images as the head of this file lists them. Raises DataError."""
    x = _stacked(values, name)
    if x.dtype == torch.uint8:
        return x
    _refuse_range(*_ends(x, name), name)
    return to_uint8(x)


def _stacked(values: Any, name: str) -> Tensor:
    """The same as a tensor on the CPU, uint8 or float. Raises DataError for all else."""
    x = torch.from_numpy(np.ascontiguousarray(values)) if isinstance(values, np.ndarray) else values
    if not isinstance(x, Tensor) or x.ndim not in (3, 4):
        what = f"an array {tuple(x.shape)}" if isinstance(x, Tensor) else f"a {type(x).__name__}"
        raise DataError("no images", where=name, why=f"{what} is not (N, H, W[, C])")
    x = x.detach().cpu()
    if isinstance(values, np.ndarray):
        x = x[:, None] if x.ndim == 3 else x.movedim(-1, 1)
    elif x.ndim == 3:
        raise DataError("no images", where=name, why="a tensor of images is (N, C, H, W)")
    if x.dtype != torch.uint8 and not x.is_floating_point():
        raise DataError(f"images of {x.dtype}", where=name, fix="give uint8 from 0 to 255")
    return x


def _ends(x: Tensor, name: str, first: int = 0) -> tuple[float, float]:
    """The least and the greatest number of float images, the first of which is number `first`."""
    if not len(x):
        raise DataError("no images", where=name, why="there are none")
    finite(x, first)
    return float(x.min()), float(x.max())


def _refuse_range(low: float, high: float, name: str, whole: bool = True) -> None:
    """DataError for floats outside [-1, 1], or, where these are the ends of all of them, without
    one clearly below 0: such images are of the range [0, 1], but for what rounding adds."""
    if low < -1.0001 or high > 1.0001 or (whole and low > -0.1):
        raise DataError(
            f"float images from {low:.3g} to {high:.3g}",
            where=name,
            why="the range of floats is [-1, 1]" if high > 1 else "is it [0, 1] or [-1, 1]?",
            fix="give uint8 from 0 to 255",
        )
