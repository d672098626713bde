"""Many image files made into one set: which are classes, which size, what is left out."""

from __future__ import annotations

import os
import shlex
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sparring.data.decode import ENDINGS, Facts, Header, UnreadableError, decode, header
from sparring.data.digest import digest
from sparring.data.paths import printable
from sparring.data.resize import fit
from sparring.data.source import Images, Source
from sparring.errors import DataError

T = TypeVar("T")

_BLOCK = 64  # files per task of the thread pool
_WORTH = 200  # pixels of the smaller side from which threads gain more than they wait for the lock


@dataclass(frozen=True)
class Listing:
    """Image files in a fixed order.

    where: the folder or archive; names: paths inside it, parts divided by "/"; open: the i-th file
    as a binary stream, raising UnreadableError or OSError; others: how many files have no image's
    ending.
    """

    where: str
    names: tuple[str, ...]
    open: Callable[[int], BinaryIO]
    others: int = 0


@dataclass(frozen=True)
class Loaded:
    """The images, and for each of them the name and the nature of its file, in the same order."""

    images: Images
    names: tuple[str, ...]
    facts: tuple[Facts, ...]
    unreadable: int
    limit: int


class Files(Source, abstract=True):
    """Images in many files at `path`.

    With size None they become square, with the largest multiple of 8 up to 64 that at least 90 %
    of them reach with their smaller side (below 32: with that side itself); those that do not are
    left out, for nothing is enlarged unasked. An explicit size enlarges. Images that cannot be
    read are left out, up to 10 or 0.1 % of all.
    """

    path: str = ""

    def open(self, size: tuple[int, int] | None = None) -> Images:
        """Decodes everything, with one channel if all images are grey, else with three.

        Raises DataError if nothing, one image only or too little can be read.
        """
        with self.listing() as listing:
            return load(listing, size).images

    def listing(self) -> AbstractContextManager[Listing]:
        """What is at `path`, closed by the end of the block. Raises DataError."""
        raise NotImplementedError


def ending(name: str) -> str:
    """The ending of a file's name, in small letters, without the dot."""
    return os.path.splitext(name)[1][1:].lower()


def is_image(name: str) -> bool:
    """Whether a path inside a folder or archive is an image's: by its ending, and not hidden."""
    hidden = any(p.startswith(".") or p == "__MACOSX" for p in name.split("/"))
    return not hidden and ending(name) in ENDINGS


def load(listing: Listing, size: tuple[int, int] | None = None, strict: bool = True) -> Loaded:
    """Decodes and resizes all files. `strict` refuses when too many cannot be read.

    Raises DataError.
    """
    _refuse_none(listing)
    labels, classes = classify(listing)
    limit = max(10, len(listing.names) // 1000)
    with warnings.catch_warnings():  # around all threads: the filters are global
        warnings.simplefilter("ignore")
        Image.init()
        heads = [_header(listing, i) for i in range(len(listing.names))]
        left_out = {i: str(h) for i, h in enumerate(heads) if isinstance(h, UnreadableError)}
        good = {i: h for i, h in enumerate(heads) if isinstance(h, Header)}
        _refuse_many(listing, left_out, limit if strict else None)
        side = default_side([h.side for h in good.values()])
        small = {i for i, h in good.items() if size is None and h.side < side}
        taken = [i for i in good if i not in small]
        grey = all(good[i].grey for i in taken)
        large = any(good[i].side >= _WORTH for i in taken)
        pixels, facts = _decode(listing, taken, size or (side, side), grey, large)
    failed = {i: str(f) for i, f in zip(taken, facts) if isinstance(f, UnreadableError)}
    unreadable = left_out | failed
    _refuse_many(listing, unreadable, limit if strict else None)
    left_out = unreadable | dict.fromkeys(small, f"its smaller side is below {side} pixels")
    kept = [row for row, i in enumerate(taken) if i not in failed]
    images = arrange(
        _compact(pixels, kept),
        None if labels is None else [labels[taken[row]] for row in kept],
        classes,
        listing.where,
        [(printable(listing.names[i]), left_out[i]) for i in sorted(left_out)],
    )
    names = tuple(printable(listing.names[taken[row]]) for row in kept)
    known = tuple(f for f in facts if isinstance(f, Facts))
    return Loaded(images, names, known, len(unreadable), limit)


def arrange(
    pixels: np.ndarray,
    labels: Sequence[int] | np.ndarray | None,
    classes: tuple[str, ...],
    where: str,
    left_out: Sequence[tuple[str, str]] = (),
) -> Images:
    """The set of images (N, H, W, C), uint8, without the classes that none of them has.

    Raises DataError for fewer than two images.
    """
    if len(pixels) < 2:
        raise DataError(
            "only one usable image" if len(pixels) else "no usable image",
            where=where,
            why="; ".join(f"{name}: {why}" for name, why in left_out[:3]),
            fix="give at least 2 images",
        )
    values = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    indices: Tensor | None = None
    if labels is not None:
        used, inverse = np.unique(np.asarray(labels), return_inverse=True)
        classes = tuple(classes[i] for i in used)
        indices = torch.from_numpy(inverse.astype(np.int64))
    return Images(
        pixels=values,
        labels=indices,
        classes=classes if labels is not None else (),
        digest=digest(values, indices),
        left_out=tuple(left_out),
    )


def classify(listing: Listing) -> tuple[list[int] | None, tuple[str, ...]]:
    """Labels and class names from the first-level folders, or (None, ()) where there are none.

    One folder around everything does not count, and one class alone is none. Raises DataError when
    images lie beside class folders.
    """
    parts = [name.split("/") for name in listing.names]
    if all(len(p) > 1 for p in parts) and len({p[0] for p in parts}) == 1:
        parts = [p[1:] for p in parts]
    folders = sorted({p[0] for p in parts if len(p) > 1})
    loose = sum(len(p) == 1 for p in parts)
    if loose and folders:
        raise DataError(
            f"{loose} images lie beside class folders",
            where=listing.where,
            why=f"folders such as '{printable(folders[0])}' are classes, these have none",
            fix="move them into a folder of their own",
        )
    if len(folders) < 2:
        return None, ()
    index = {name: i for i, name in enumerate(folders)}
    return [index[p[0]] for p in parts], tuple(map(printable, folders))


def default_side(sides: Sequence[int]) -> int:
    """The side of the square that at least 90 % of the images reach; see `Files`."""
    if not sides:
        return 0
    ordered = sorted(sides)
    reached = ordered[len(ordered) // 10]  # at most a tenth lies below
    return reached if reached < 32 else min(64, reached // 8 * 8)


def _refuse_none(listing: Listing) -> None:
    if not listing.names:
        others = f"{listing.others} files of other kinds" if listing.others else "it is empty"
        raise DataError(
            "no image found",
            where=listing.where,
            why=others,
            fix=f"give files that end in {', '.join(ENDINGS)}",
        )


def _refuse_many(listing: Listing, unreadable: dict[int, str], limit: int | None) -> None:
    total = len(listing.names)
    if len(unreadable) == total or (limit is not None and len(unreadable) > limit):
        first = min(unreadable)
        count = f"{len(unreadable)} of {total}" if total > 1 else "the only one"
        raise DataError(
            "no usable image" if len(unreadable) == total else "too many unreadable images",
            where=listing.where,
            why=f"{count} cannot be read, such as {printable(listing.names[first])}:"
            f" {unreadable[first]}",
            fix=f"sparring inspect {shlex.quote(listing.where)}",
        )


def _header(listing: Listing, i: int) -> Header | UnreadableError:
    try:
        with listing.open(i) as file:
            return header(file)
    except UnreadableError as e:
        return e
    except OSError as e:
        return UnreadableError(e.strerror or str(e))


def _decode(
    listing: Listing, taken: Sequence[int], size: tuple[int, int], grey: bool, large: bool
) -> tuple[np.ndarray, list[Facts | UnreadableError]]:
    """uint8 (N, H, W, C), rows of unreadable files undefined, and what each file was."""
    try:
        pixels = np.empty((len(taken), *size, 1 if grey else 3), np.uint8)
    except MemoryError:
        need = len(taken) * size[0] * size[1] * 3 / 1e9
        raise DataError(
            "not enough memory",
            where=listing.where,
            why=f"{len(taken)} images of {size[0]} x {size[1]} need {need:.1f} GB",
            fix="choose a smaller --size",
        ) from None

    def one(row: int) -> Facts | UnreadableError:
        try:
            with listing.open(taken[row]) as file:
                decoded, facts = decode(file, ending(listing.names[taken[row]]), grey)
        except UnreadableError as e:
            return e
        except OSError as e:
            return UnreadableError(e.strerror or str(e))
        pixels[row] = fit(decoded, size)
        return facts

    return pixels, _each(one, range(len(taken)), min(8, os.cpu_count() or 1) if large else 1)


def _each(work: Callable[[int], T], items: range, threads: int) -> list[T]:
    """[work(i) for i in items]: Pillow decodes without holding Python's lock."""
    blocks = [items[i : i + _BLOCK] for i in range(0, len(items), _BLOCK)]
    with ThreadPoolExecutor(threads) as pool:
        done = pool.map(lambda block: [work(i) for i in block], blocks)
        return [result for block in done for result in block]


def _compact(pixels: np.ndarray, kept: Sequence[int]) -> np.ndarray:
    """The kept rows, moved together in place: a second copy might not fit."""
    if len(kept) < len(pixels):
        for to, row in enumerate(kept):
            pixels[to] = pixels[row]
    return pixels[: len(kept)]
