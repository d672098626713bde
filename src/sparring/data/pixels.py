"""The pixels of many files: decoded in threads, resized or cut."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from sparring.data.decode import Facts, Form, UnreadableError, decode
from sparring.data.listing import Listing, Size, ending
from sparring.data.patches import cut
from sparring.data.plan import Plan, bytes_each
from sparring.data.resize import fit
from sparring.data.tally import Tally
from sparring.errors import DataError

T = TypeVar("T")
Decoded = tuple[np.ndarray, Facts] | UnreadableError

_BLOCK = 64  # files per task of the thread pool
_GROUP = 32 * 2**20  # bytes of pixels decoded before they are handed on


def decoded(
    listing: Listing, plan: Plan, tally: Tally, failed: dict[int, str]
) -> Iterator[tuple[np.ndarray, list[int]]]:
    """Groups of decoded images (m, H, W, C) and their files, in order; notes what failed."""
    each = bytes_each(plan.size, plan.form.channels, plan.form.range)
    group = max(_BLOCK, _GROUP // each // _BLOCK * _BLOCK)

    def one(i: int) -> Decoded:
        return attempt(listing, i, plan.form, plan.size)

    with ThreadPoolExecutor(threads(plan.large)) as pool:
        for start in range(0, len(plan.taken), group):
            places = plan.taken[start : start + group]
            kept, pixels = [], []
            for i, found in zip(places, _each(pool, one, places)):
                if isinstance(found, UnreadableError):
                    failed[i] = str(found)
                else:
                    kept.append(i)
                    pixels.append(found[0])
                    if listing.patches is None or listing.patches[i][1] == 0:
                        tally.add(found[1])
            if kept:
                yield np.stack(pixels), kept


def attempt(listing: Listing, i: int, form: Form, size: Size) -> Decoded:
    """The i-th file decoded and resized, or cut, (H, W, C), or why it is not."""
    found = _whole(listing, i, form) if listing.patches is None else _again(listing, i, form)
    if isinstance(found, UnreadableError):
        return found
    pixels, facts = found
    if listing.half is not None:
        width = pixels.shape[1] // 2
        pixels = pixels[:, -width:] if listing.half else pixels[:, :width]
    if listing.patches is not None:
        return cut(pixels, size, listing.patches[i]), facts
    return fit(pixels, size, form.clear), facts


def _whole(listing: Listing, i: int, form: Form) -> Decoded:
    """All pixels of the i-th file (h, w, C), or why there are none."""
    try:
        with listing.open(i) as file:
            return decode(file, ending(listing.names[i]), form)
    except UnreadableError as e:
        return e
    except OSError as e:
        return UnreadableError(e.strerror or str(e))


def _again(listing: Listing, i: int, form: Form) -> Decoded:
    """As `_whole`, but a file that this thread has just decoded is not decoded again."""
    assert listing.patches is not None
    last, key = listing.last, (listing.patches[i][0], form)
    if getattr(last, "key", None) != key:
        last.key, last.found = key, _whole(listing, i, form)
    return last.found


def threads(large: bool) -> int:
    """Pillow decodes large images without holding Python's lock."""
    return min(8, os.cpu_count() or 1) if large else 1


def _each(pool: ThreadPoolExecutor, work: Callable[[int], T], items: Sequence[int]) -> list[T]:
    blocks = [items[i : i + _BLOCK] for i in range(0, len(items), _BLOCK)]
    return [r for block in pool.map(lambda b: [work(i) for i in b], blocks) for r in block]


def gathered(
    listing: Listing, groups: Iterator[tuple[np.ndarray, list[int]]], plan: Plan
) -> tuple[np.ndarray, list[int]]:
    """All groups in one array, without a second copy, which might not fit."""
    shape = (len(plan.taken), *plan.size, plan.form.channels)
    try:
        pixels = np.empty(shape, plan.form.dtype)
    except MemoryError:
        need = len(plan.taken) * bytes_each(plan.size, plan.form.channels, plan.form.range) / 1e9
        raise DataError(
            "not enough memory",
            where=listing.where,
            why=f"{shape[0]} images of {shape[1]} x {shape[2]} need {need:.1f} GB",
            fix="choose a smaller --size, or keep='cache'",
        ) from None
    kept: list[int] = []
    for group, places in groups:
        pixels[len(kept) : len(kept) + len(places)] = group
        kept += places
    return pixels[: len(kept)], kept
