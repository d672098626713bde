"""Patches: entries of a listing that are pieces of its files, at their own scale."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import torch

from sparring.data.decode import Header, UnreadableError
from sparring.data.listing import Listing, Size, default_side, look
from sparring.errors import DataError
from sparring.randomness import generator


def patch_size(listing: Listing, ranged: bool) -> Size:
    """That of the patches, where none is asked for: as of whole images."""
    heads = _heads(listing, ranged)
    side = default_side([h.side for h in heads if h is not None])
    return side, side


def patches(listing: Listing, most: int, size: Size, ranged: bool) -> tuple[tuple[int, int], ...]:
    """(number of a file, which of its patches) up to `most` of each; one of a file that holds none.

    DataError where no file holds any.
    """
    found, heads = [], _heads(listing, ranged)
    known = [h for h in heads if h is not None]
    side = max((h.side for h in known), default=0)
    if known and not any(holds(h, size) for h in known):
        raise DataError(
            f"no image holds a patch of {size[0]}x{size[1]}",
            where=listing.where,
            why=f"the first is {known[0].height}x{known[0].width}",
            fix=f"--patches 0, which enlarges them, or --size {side // 8 * 8 or side}",
        )
    for i, head in enumerate(heads):
        side_by_side = (head.height // size[0]) * (head.width // size[1]) if head else 0
        found += [(i, k) for k in range(max(1, min(most, side_by_side)))]
    return tuple(found)


def patched(listing: Listing, table: tuple[tuple[int, int], ...]) -> Listing:
    """The listing with an entry for each of these patches."""
    return replace(
        listing,
        names=tuple(listing.names[i] for i, _ in table),
        open=lambda n: listing.open(table[n][0]),
        stamp=lambda n: f"{listing.stamp(table[n][0])} patch {table[n]}",
        patches=table,
        last=threading.local(),
    )


def _heads(listing: Listing, ranged: bool) -> list[Header | None]:
    found = (look(listing, i, ranged) for i in range(len(listing.names)))
    return [None if isinstance(h, UnreadableError) else h for h in found]


def first(listing: Listing, i: int) -> tuple[int, int]:
    """The number of the i-th entry's file and an entry that is that file's."""
    if listing.patches is None:
        return i, i
    file, k = listing.patches[i]
    return file, i - k


def holds(head: Header, size: Size) -> bool:
    """Whether a patch of this size lies within the image."""
    return head.height >= size[0] and head.width >= size[1]


def cut(pixels: np.ndarray, size: Size, patch: tuple[int, int]) -> np.ndarray:
    """A patch of pixels (h, w, C), as they are, at a place that its number decides."""
    u = torch.rand(2, generator=generator("patch", *patch)).tolist()
    top, left = (int(x * (have - want + 1)) for x, have, want in zip(u, pixels.shape, size))
    return pixels[top : top + size[0], left : left + size[1]]
