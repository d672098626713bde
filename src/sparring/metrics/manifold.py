"""Precision, recall, density and coverage: two sets taken as the balls around their members.

The ball of a member reaches to its k-th nearest neighbour in its own set, itself not counted.
Both sets are of one size, for a larger one has smaller balls and more of them. Distances are
float64, and those near a radius are taken from differences; two that agree to nine digits count as
equal, so that a tie is one whatever the order of the sums was.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.errors import DataError
from sparring.metrics.chance import share_error
from sparring.metrics.comparison import Comparison, Sides
from sparring.metrics.metric import Fake, Real, Score
from sparring.metrics.neighbours import nearest
from sparring.parts import require

_ROWS = 512
_TIE = 1e-9  # of a squared radius
_UNSURE = 1e-9  # of the squared lengths from which a distance was computed


class PrecisionRecall(Comparison):
    """The share of samples inside a real ball, and of real images inside a sample's ball.

    Both in [0, 1]; a point on the edge of a ball is inside. `k` is 3 and n the same on both sides
    in the paper, whose features are VGG16's; here they are Inception's pool3, and the protocol says
    so. Their errors take the balls as given.
    """

    yields = ("precision", "recall")
    paper = "Kynkaanniemi et al. 2019, arXiv:1904.06991"

    k: int = 3

    def check(self) -> None:
        super().check()
        require(self.k >= 1, "k must be at least 1")

    def score(self, real: Real, fake: Fake, n: int | None = None) -> list[Score]:
        sides = self.sides(real, fake, n, equal=True)
        found = balls(sides, self.k, edge=True)
        return _scores(self, sides, found, ("precision", "recall"), "d <= r")


class DensityCoverage(Comparison):
    """How many real balls a sample lies in, over k, and the share of real balls with a sample.

    density >= 0, above 1 where samples crowd where the data do; coverage in [0, 1], 1 - 2^-k
    expected of samples of the data's own distribution. A point on the edge of a ball is outside.
    Their errors take the balls as given.
    """

    yields = ("density", "coverage")
    paper = "Naeem et al. 2020, arXiv:2002.09797"

    k: int = 5

    def check(self) -> None:
        super().check()
        require(self.k >= 1, "k must be at least 1")

    def score(self, real: Real, fake: Fake, n: int | None = None) -> list[Score]:
        sides = self.sides(real, fake, n, equal=True)
        found = balls(sides, self.k, edge=False)
        return _scores(self, sides, found, ("density", "coverage"), "d < r")


class PRDC(Comparison):
    """Precision, recall, density and coverage at one k, as the package prdc has them.

    All four without the edge of the balls, so precision and recall may differ from those of
    `PrecisionRecall` where points coincide.
    """

    yields = ("precision", "recall", "density", "coverage")
    paper = "Naeem et al. 2020, arXiv:2002.09797"

    k: int = 5

    def check(self) -> None:
        super().check()
        require(self.k >= 1, "k must be at least 1")

    def score(self, real: Real, fake: Fake, n: int | None = None) -> list[Score]:
        sides = self.sides(real, fake, n, equal=True)
        found = balls(sides, self.k, edge=False)
        names = ("precision", "recall", "density", "coverage")
        return _scores(self, sides, found, names, "d < r", "-prdc")


@dataclass(frozen=True)
class Balls:
    """For each sample the number of real balls it is in (n,); for each real image whether it is in
    a sample's ball, and whether a sample is in its own (N,)."""

    inside: Tensor
    reached: Tensor
    covered: Tensor
    k: int

    def values(self, name: str) -> Tensor:
        """float64, whose mean is the score of that name."""
        of = {
            "precision": self.inside > 0,
            "recall": self.reached,
            "density": self.inside.double() / self.k,
            "coverage": self.covered,
        }
        return of[name].double()


def balls(sides: Sides, k: int, edge: bool) -> Balls:
    """Who is in whose ball; edge: whether a distance equal to the radius is.

    Raises DataError when a set has no k-th neighbour to offer.
    """
    real, fake = sides.real.double(), sides.fake.double()
    if min(len(real), len(fake)) <= k:
        raise DataError(
            f"too few images for k = {k}",
            why=f"{len(real)} real ones and {len(fake)} samples",
            fix=f"give at least {k + 1} of each",
        )
    radius, radius_fake = (nearest(side, k=k)[0][:, -1].square() for side in (real, fake))
    middle = real.mean(dim=0)
    real, fake = real - middle, fake - middle
    size, size_fake = real.square().sum(dim=1), fake.square().sum(dim=1)
    inside, covered = [], torch.zeros(len(real), dtype=torch.bool)
    reached = torch.zeros(len(real), dtype=torch.bool)
    for start in range(0, len(fake), _ROWS):
        part, own = fake[start : start + _ROWS], size_fake[start : start + _ROWS, None]
        away = own + size - 2 * part @ real.T
        theirs = radius_fake[start : start + _ROWS, None]
        slack = _UNSURE * (own + size)
        near = ((away - radius).abs() < slack) | ((away - theirs).abs() < slack)
        for pairs in near.nonzero().split(_ROWS):
            at = tuple(pairs.T)
            away[at] = (part[at[0]] - real[at[1]]).square().sum(dim=1)
        if edge:
            in_real, in_fake = away <= radius * (1 + _TIE), away <= theirs * (1 + _TIE)
        else:
            in_real, in_fake = away < radius * (1 - _TIE), away < theirs * (1 - _TIE)
        inside.append(in_real.sum(dim=1))
        covered |= in_real.any(dim=0)
        reached |= in_fake.any(dim=0)
    return Balls(torch.cat(inside), reached, covered, k)


def _scores(
    metric: Comparison,
    sides: Sides,
    found: Balls,
    names: tuple[str, ...],
    rule: str,
    tail: str = "",
) -> list[Score]:
    seen = sides.protocol | {"inside": rule}
    scores = []
    for name in names:
        values = found.values(name)
        error = float(values.std(correction=0) / len(values) ** 0.5)
        if name != "density":
            error = share_error(int(values.sum()), len(values))
        called = metric.named(
            name + (tail if name in ("precision", "recall") else ""), sides.extractor
        )
        scores.append(Score(called, float(values.mean()), error, seen, better="higher"))
    return scores
