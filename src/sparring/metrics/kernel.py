"""Maximum mean discrepancies: two sets compared by a kernel of their features, in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.metrics.comparison import Comparison
from sparring.metrics.metric import Fake, Real, Score
from sparring.parts import require
from sparring.randomness import generator

Kernel = Callable[[Tensor, Tensor], Tensor]
_ROWS = 1024


class KID(Comparison):
    """Kernel distance: the unbiased squared MMD of features under (x.y / d + 1)^3.

    Unbiased at every n, so near 0, also below it, for samples of the data's own distribution. Of
    all pairs of the n samples and n real images, once, with its standard error; with `subsets` the
    mean over that many random subsets of `size`, as most tools report it (100 of 1000), whose error
    is that of all pairs and of the draw of the subsets: their spread alone is none, for they
    overlap.
    """

    paper = "Binkowski et al. 2018, arXiv:1801.01401"

    n: int = 2048
    subsets: int = 0
    size: int = 1000

    def check(self) -> None:
        super().check()
        require(self.n >= 4, "n must be at least 4")
        require(self.subsets >= 0, "subsets must not be negative")
        require(self.size >= 2, "size must be at least 2")

    def score(self, real: Real, fake: Fake, n: int | None = None) -> list[Score]:
        sides = self.sides(real, fake, n)
        whole = discrepancy(sides.fake, sides.real, cubic)
        value, error, detail = whole.value, whole.error, {}
        seen = sides.protocol | {"kernel": "(x.y / d + 1)^3", "estimate": "all pairs, unbiased"}
        if self.subsets:
            drawn = self._subsets(sides.fake, sides.real)
            values = drawn[: self.subsets]
            value = float(values.mean())
            # Given the samples the subsets are drawn independently around the value of all pairs.
            error = (whole.error**2 + float(drawn.var()) / self.subsets) ** 0.5
            detail = {"std_of_subsets": float(values.std(correction=0))}
            size = min(self.size, len(sides.fake), len(sides.real))
            seen["estimate"] = f"{self.subsets} subsets of {size}, unbiased"
        name = self.named("kid", sides.extractor)
        name = name if sides.extractor.key == "inception" else f"kd-{sides.extractor.key}"
        return [Score(name, value, error, seen, detail)]

    def _subsets(self, fake: Tensor, real: Tensor) -> Tensor:
        """float64: of each subset, and of some more where a few do not tell their spread."""
        rng = generator("kid subsets", len(fake), len(real), self.size)
        size = min(self.size, len(fake), len(real))
        values = []
        for _ in range(max(self.subsets, 10)):
            x = fake[torch.randperm(len(fake), generator=rng)[:size]]
            y = real[torch.randperm(len(real), generator=rng)[:size]]
            values.append(discrepancy(x, y, cubic).value)
        return torch.tensor(values, dtype=torch.float64)


@dataclass(frozen=True)
class Discrepancy:
    """The squared MMD of two sets. value: unbiased; error: its standard error; biased: with the
    pairs of a sample with itself."""

    value: float
    error: float
    biased: float


def discrepancy(x: Tensor, y: Tensor, kernel: Kernel) -> Discrepancy:
    """The squared MMD of x (m, d) and y (n, d), of all pairs, in memory that does not square.

    The U-statistic of Gretton et al. 2012 (JMLR 13) for sets of two sizes. Its variance is that of
    the first two orders of Hoeffding's decomposition, so it holds at distance 0 as well.
    """
    xx, yy, xy = _sums(x, x, kernel), _sums(y, y, kernel), _sums(x, y, kernel)
    m, n = len(x), len(y)
    mean_x = (xx.rows - xx.diagonal) / (m - 1)
    mean_y = (yy.rows - yy.diagonal) / (n - 1)
    value = mean_x.mean() + mean_y.mean() - 2 * xy.rows.sum() / (m * n)
    first = (mean_x - xy.rows / n).var() / m + (mean_y - xy.columns / m).var() / n
    # The variance of these means holds the second order twice; once is taken away again.
    second = (
        2 * xx.remainder(own=True) / m**2
        + 2 * yy.remainder(own=True) / n**2
        + 4 * xy.remainder(own=False) / (m * n)
    )
    variance = torch.maximum(4 * first - second, second / 2)
    biased = xx.rows.sum() / m**2 + yy.rows.sum() / n**2 - 2 * xy.rows.sum() / (m * n)
    return Discrepancy(float(value), float(variance.clamp_min(0).sqrt()), float(biased))


def cubic(x: Tensor, y: Tensor) -> Tensor:
    """(x.y / d + 1)^3, (m, n)."""
    return (x @ y.T / x.shape[1] + 1) ** 3


@dataclass(frozen=True)
class _Sums:
    """Sums of a kernel's values over the rows, columns and all of a matrix (m, n)."""

    rows: Tensor
    columns: Tensor
    diagonal: Tensor
    squares: Tensor

    def remainder(self, own: bool) -> Tensor:
        """The mean square of what is left of the values without their rows' and columns' means."""
        m, n = len(self.rows), len(self.columns)
        if not own:
            rows, columns, mean = self.rows / n, self.columns / m, self.rows.sum() / (m * n)
            left = self.squares - n * rows.square().sum() - m * columns.square().sum()
            return (left / (m * n) + mean.square()).clamp_min(0)
        rows = (self.rows - self.diagonal) / (m - 1)
        square = (self.squares - self.diagonal.square().sum()) / (m * (m - 1))
        return (square - 2 * rows.square().mean() + rows.mean().square()).clamp_min(0)


def _sums(x: Tensor, y: Tensor, kernel: Kernel) -> _Sums:
    rows, diagonal = [], []
    columns = torch.zeros(len(y), dtype=torch.float64)
    squares = torch.zeros((), dtype=torch.float64)
    other = y.double()
    for start, part in _parts(x):
        values = kernel(part, other)
        rows.append(values.sum(dim=1))
        columns += values.sum(dim=0)
        squares += values.square().sum()
        diagonal.append(values.diagonal(start))
    return _Sums(torch.cat(rows), columns, torch.cat(diagonal)[: len(x)], squares)


def _parts(x: Tensor) -> Iterator[tuple[int, Tensor]]:
    for start in range(0, len(x), _ROWS):
        yield start, x[start : start + _ROWS].double()
