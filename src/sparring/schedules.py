"""Schedules: numbers that change with the images seen. Any part may hold one in a field."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from sparring.parts import Part, require


class Schedule(Part, kind="schedules", abstract=True):
    """A number that changes with the images seen: from `start` to `end` over `images`.

    `images=None` means the whole budget of the run; the resolved recipe holds the number. Beyond
    it the last value holds, so a run that is extended goes on at `end`.
    """

    start: float = 1.0
    end: float = 0.1
    images: int | None = None

    def check(self) -> None:
        require(self.images is None or self.images > 0, "images must be positive")

    def __call__(self, images: Tensor) -> Tensor:
        """The value at `images` (a 0-d integer tensor), as a 0-d float tensor on its device."""
        if self.images is None:
            raise ValueError(f"{self!r} has no length yet: resolve the recipe first")
        return self.curve((images / self.images).clamp(0, 1))

    def at(self, images: int) -> float:
        """The value as a number on the host, for what is decided there."""
        return float(self(torch.tensor(images)))

    def curve(self, t: Tensor) -> Tensor:
        """The value at the share t in [0, 1] of the way."""
        raise NotImplementedError


class Linear(Schedule):
    """A straight line from start to end."""

    def curve(self, t: Tensor) -> Tensor:
        return self.start + (self.end - self.start) * t


class Exponential(Schedule):
    """A geometric decay from start to end, both positive."""

    def check(self) -> None:
        super().check()
        require(self.start > 0 and self.end > 0, "start and end must be positive")

    def curve(self, t: Tensor) -> Tensor:
        return self.start * (self.end / self.start) ** t


class Cosine(Schedule):
    """Half a cosine wave from start to end."""

    paper: ClassVar[str] = "Loshchilov & Hutter 2017, SGDR, arXiv:1608.03983"

    def curve(self, t: Tensor) -> Tensor:
        return self.end + (self.start - self.end) * (1 + torch.cos(math.pi * t)) / 2


class FlatThenLinear(Schedule):
    """A constant, then a straight line to end over the last half of the images."""

    paper: ClassVar[str] = "Zhu et al. 2017, CycleGAN, arXiv:1703.10593"

    def curve(self, t: Tensor) -> Tensor:
        return self.start + (self.end - self.start) * (2 * t - 1).clamp(min=0)


def least(x: float | Schedule) -> float:
    """The lesser end of a field that may be a number or a schedule."""
    return min(x.start, x.end) if isinstance(x, Schedule) else x


def value(x: float | Schedule, images: Tensor) -> float | Tensor:
    """A field that may be a number or a schedule, at `images`."""
    return x(images) if isinstance(x, Schedule) else x
