"""What a metric is: two sets in, scores with their protocol out. It never sees a trainer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from sparring.data.source import Images, Points
from sparring.parts import Part


@dataclass(frozen=True)
class Real:
    """The reference: the training split and what was held out of it.

    train, held_out: the images of each (held_out None where nothing was); for points, `points`.
    name: what the protocol calls the reference, such as "fashion, train split".
    """

    name: str
    train: Images | None = None
    held_out: Images | None = None
    points: Points | None = None


@dataclass(frozen=True)
class Fake:
    """Generated samples: `take(n)` yields batches, uint8 (B, C, H, W) or float points (B, d).

    The first n samples are the same whatever n is. name: what the protocol calls them, such as
    "EMA generator at 120000 images, seed 0".
    """

    name: str
    take: Callable[[int], Iterator[Tensor]]


@dataclass(frozen=True)
class Score:
    """One number, its standard error where one is known, and everything needed to repeat it.

    detail: material for the report (a class histogram, a curve), JSON-able.
    """

    metric: str
    value: float
    se: float | None = None
    protocol: dict[str, Any] = field(default_factory=dict)
    detail: dict[str, Any] = field(default_factory=dict)


class Metric(Part, kind="metrics"):
    """A part that scores samples against real data."""

    def score(self, real: Real, fake: Fake, n: int | None = None) -> list[Score]:
        """One or more scores, `n` samples each side where the metric has no own reason.

        Raises DataError, with the reason a user reads, when it cannot be computed on these data.
        """
        raise NotImplementedError
