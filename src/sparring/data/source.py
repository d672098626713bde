"""What a source of real data is, and the two things it can yield: images or points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from sparring.parts import Part


@dataclass(frozen=True)
class Images:
    """A set of images of one size, decoded.

    pixels: uint8 (N, C, H, W), channels-last in memory; labels: int64 (N,) indices into `classes`,
    or None; classes: their names; digest: 16 hexadecimal digits of the SHA-256 of shape, pixels
    and labels; left_out: (file, reason) for each image not taken.
    """

    pixels: Tensor
    labels: Tensor | None = None
    classes: tuple[str, ...] = ()
    digest: str = ""
    left_out: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        return self.pixels.shape[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W)"""
        return tuple(self.pixels.shape[1:])


@dataclass(frozen=True)
class Points:
    """A distribution with a known density, in one or more dimensions: endless data.

    modes: float (K, d), the centres of equal-weight isotropic Gaussians of standard deviation
    `sigma`; `sample(n, generator)` gives float (n, d); `log_density(x)` of (n, d) gives (n,),
    exact. digest: 16 hexadecimal digits of what they are.
    """

    modes: Tensor
    sigma: float
    sample: Callable[[int, torch.Generator], Tensor]
    log_density: Callable[[Tensor], Tensor]
    digest: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        """(d,)"""
        return tuple(self.modes.shape[1:])


class Source(Part, kind="data"):
    """Where real data come from.

    `flips`: whether mirroring left to right is usual for these images (the recipe's `flip=None`
    follows it).
    """

    flips: ClassVar[bool] = False

    def open(self, size: tuple[int, int] | None = None) -> Images | Points:
        """Decodes everything. `size` is (height, width); None takes the source's own default.

        Raises DataError when there is nothing usable. Points have no size.
        """
        raise NotImplementedError
