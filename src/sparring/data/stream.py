"""Images decoded each time they are shown: for sets of which no decoded copy fits anywhere."""

from __future__ import annotations

import logging
import warnings
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sparring.data.decode import UnreadableError
from sparring.data.listing import Listing
from sparring.errors import DataError
from sparring.randomness import generator

_log = logging.getLogger("sparring")


class Reader:
    """Gives the images at an index (n,), decoded now, as a tensor (n, C, H, W).

    one: the i-th image (H, W, C) and what its file was, or why there is none. In the place of an
    image that cannot be read stands another one, drawn by its number, always the same; each is
    told once. Raises DataError when there are more than `limit` of them, or no others.
    """

    def __init__(
        self,
        one: Callable[[int], tuple[np.ndarray, Any] | UnreadableError],
        names: Sequence[str],
        where: str,
        limit: int,
        threads: int,
    ) -> None:
        self.one, self.names, self.where, self.limit = one, names, where, limit
        self.threads, self.failed = threads, dict[int, str]()

    def __call__(self, index: Tensor) -> Tensor:
        places = index.tolist()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if self.threads > 1:
                with ThreadPoolExecutor(self.threads) as pool:
                    found = list(pool.map(self._image, places))
            else:
                found = [self._image(i) for i in places]
        return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2)

    def _image(self, i: int) -> np.ndarray:
        rng, place = generator("redraw", i), i
        while True:
            found = self.one(place)
            if not isinstance(found, UnreadableError):
                return found[0]
            if place not in self.failed:
                self.failed[place] = str(found)
                _log.warning("left out %s: %s", self.names[place], found)
            if len(self.failed) > min(self.limit, len(self.names) - 1):
                raise DataError(
                    "too many unreadable images",
                    where=self.where,
                    why=f"{len(self.failed)} so far, such as {self.names[place]}: {found}",
                    fix=f"sparring inspect {self.where}",
                )
            place = int(torch.randint(len(self.names), (), generator=rng))


def keep_open(listing: Listing, stack: ExitStack) -> None:
    """Closes what a listing opens its files from when nobody can open them any more."""
    weakref.finalize(listing.open, stack.close)
