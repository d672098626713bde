"""How many different images a generator makes, from how often two samples are the same one."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from sparring.data.source import Images
from sparring.metrics.features import (
    Features,
    Pixels,
    fake_features,
    named,
    real_features,
)
from sparring.metrics.metric import Fake, Metric, Real, Score, protocol
from sparring.metrics.neighbours import nearest, within
from sparring.metrics.picture import picture, samples
from sparring.parts import require

_SHOWN = 8  # pairs in the picture


class Birthday(Metric):
    """The number of different images a generator makes, by the birthday paradox.

    Two of n samples are one image when they are no further apart in `features` than all but the
    closest `closest` of n real images are from their nearest neighbour among themselves. Of k
    equally likely images two samples are the same with probability 1 / k, so the score `birthday`
    is the number of pairs over the number of pairs that are one image; where there is none, it is
    the number of pairs, and the truth is at least about that.

    Its detail: the same number for the real images, at which variety cannot be told from that of
    the data; `batch`, how many samples have an even chance of holding a pair (Arora and Zhang
    square it); and the closest pairs as a picture, for the rule sees likeness only in `features`.
    """

    paper = "Arora and Zhang 2017, arXiv:1706.08224"

    n: int = 2000
    features: Features = Pixels()
    closest: float = 0.01

    def check(self) -> None:
        require(self.n >= 2, "n must be at least 2")
        require(0 < self.closest < 1, "closest lies between 0 and 1")

    def score(self, real: Real, fake: Fake, n: int | None = None) -> list[Score]:
        n = fake.enough(n or self.n)
        extractor = self.features.open(real)
        images = real.some(n)
        truth = real_features(extractor, real, n)
        made = fake_features(extractor, real, fake, n)
        away, twin = (v[:, 0] for v in nearest(truth))
        radius = float(torch.quantile(away, self.closest))
        value, error, found = _support(within(made, radius))
        real_value, _, real_found = _support(within(truth, radius))
        seen = protocol(
            self,
            real,
            fake,
            split="train",
            n_real=len(truth),
            n_fake=len(made),
            **extractor.protocol,
            dtype="distances float64",
        )
        detail = {
            "same": found,
            "pairs": n * (n - 1) // 2,
            "radius": radius,
            "batch": 0.5 + math.sqrt(0.25 + 2 * math.log(2) * value),
            "real": {"value": real_value, "same": real_found, "n": len(truth)},
            "picture": _picture(_pairs(*nearest(made)), _pairs(away, twin), images, real, fake),
        }
        return [Score(named("birthday", extractor), value, error, seen, detail, "higher")]


def _support(others: Tensor) -> tuple[float, float | None, int]:
    """The support, its standard error and the pairs that are one image.

    others: int64 (n,), how many of the other samples are the same as each. The share of pairs is a
    U-statistic; its variance is Hoeffding's, of the chances of single samples to be met again and
    of single pairs.
    """
    n, found = len(others), int(others.sum()) // 2
    pairs = n * (n - 1) / 2
    if not found:
        return pairs, None, 0
    share = found / pairs
    single = share * (1 - share)
    chances = float((others.double() / (n - 1)).var()) - single / (n - 1)
    variance = 4 * max(chances, 0.0) / n + single / pairs
    return 1 / share, math.sqrt(variance) / share**2, found


def _pairs(away: Tensor, twin: Tensor) -> list[tuple[int, int]]:
    """The closest pairs of nearest neighbours, each once, nearest first."""
    kept: dict[tuple[int, int], None] = {}
    for i in away.flatten().argsort(stable=True).tolist():
        j = int(twin.flatten()[i])
        kept.setdefault((min(i, j), max(i, j)))
        if len(kept) == _SHOWN:
            break
    return list(kept)


def _picture(
    made: list[tuple[int, int]],
    found: list[tuple[int, int]],
    images: Images,
    real: Real,
    fake: Fake,
) -> dict[str, Any]:
    drawn = iter(samples(fake, real, [i for pair in made for i in pair]))
    rows: list[list[Tensor | None]] = []
    for row in range(max(len(made), len(found))):
        left = [next(drawn), next(drawn)] if row < len(made) else [None, None]
        pair = images.uint8(torch.tensor(found[row])).cpu() if row < len(found) else (None, None)
        rows.append([*left, *pair])
    columns = ("sample", "most like it", "real image", "most like it")
    return picture(rows, columns, "The pairs most alike: of the samples, and of real images.")
