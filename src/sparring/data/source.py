"""What a source of real data is, and the two things it can yield: images or points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from sparring.data.rows import Rows
from sparring.parts import Part


@dataclass(frozen=True)
class Images:
    """A set of images of one size.

    pixels: (N, C, H, W), channels-last in memory, uint8 from 0 to 255 or float32 from -1 to 1; a
    tensor, or rows of a file. Read them by `uint8` and `float`, a few at a time.
    labels: int64 (N,) indices into `classes`; or float32 (N, K), one column for each of `classes`
    (several labels as 0 and 1, or numbers as they were given, not scaled); or None.
    classes: the names; digest: 16 hexadecimal digits of the SHA-256 of what the set is;
    left_out: (file, reason) for each image not taken; unlabelled: why folders are no classes that
    would be, if they are not.
    inputs: the images that are to be translated into these; where `paired` the i-th belongs to the
    i-th of these, else they are a set of their own, of any number.
    groups: int64 (N,), of patches the number of the photo that each is from: those of one are held
    out together.
    """

    pixels: Tensor | Rows
    labels: Tensor | None = None
    classes: tuple[str, ...] = ()
    digest: str = ""
    left_out: tuple[tuple[str, str], ...] = ()
    unlabelled: str = ""
    inputs: Images | None = None
    paired: bool = True
    groups: Tensor | None = None

    def __len__(self) -> int:
        return self.pixels.shape[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W)"""
        return tuple(self.pixels.shape[1:])

    @property
    def vectors(self) -> bool:
        """Whether a label is a row of K numbers and not one class."""
        return self.labels is not None and self.labels.dim() == 2

    def uint8(self, index: Tensor | slice) -> Tensor:
        """The images at an index int64 (n,), a mask or a slice as uint8 (n, C, H, W)."""
        x = self.pixels[index]
        return x if x.dtype == torch.uint8 else (x * 127.5 + 128).clamp(0, 255).to(torch.uint8)

    def float(self, index: Tensor | slice) -> Tensor:
        """The same images as float32 in [-1, 1]."""
        x = self.pixels[index]
        return x.float().div_(127.5).sub_(1) if x.dtype == torch.uint8 else x


@dataclass(frozen=True)
class Points:
    """A distribution with a known density, in one or more dimensions: endless data.

    modes: float (K, d), the centres of equal-weight isotropic Gaussians of standard deviation
    `sigma`, K = 0 where there are none; `sample(n, generator)` gives float (n, d); `log_density(x)`
    of (n, d) gives (n,), exact. digest: 16 hexadecimal digits of what they are. box: (2, d), the
    least and the greatest coordinates of what the noise `sigma` is added to; None follows `modes`.
    """

    modes: Tensor
    sigma: float
    sample: Callable[[int, torch.Generator], Tensor]
    log_density: Callable[[Tensor], Tensor]
    digest: str = ""
    box: Tensor | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """(d,)"""
        return tuple(self.modes.shape[1:])

    @property
    def ends(self) -> tuple[Tensor, Tensor]:
        """The least and the greatest coordinates without the noise, (d,) each."""
        if self.box is None:
            return self.modes.amin(0), self.modes.amax(0)
        return self.box[0], self.box[1]


class Source(Part, kind="data"):
    """Where real data come from.

    `flips`: whether mirroring left to right is usual for these images (the recipe's `flip=None`
    follows it). `points`: whether it yields points.
    """

    flips: ClassVar[bool] = False
    points: ClassVar[bool] = False

    def open(self, size: tuple[int, int] | None = None) -> Images | Points:
        """Decodes everything. `size` is (height, width); None takes the source's own default.

        Raises DataError when there is nothing usable. Points have no size.
        """
        raise NotImplementedError
