"""Nearest neighbours and clusters of features, exact and repeatable, in float64 and flat memory."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.errors import DataError
from sparring.randomness import generator

_BLOCK = 4_000_000  # distances held at a time: 32 MB


def nearest(x: Tensor, y: Tensor | None = None, k: int = 1) -> tuple[Tensor, Tensor]:
    """The k nearest rows of y (M, d) to each row of x (n, d): distances and indices, both (n, k).

    Euclidean, ascending; float64 and int64. y None takes x itself, where no row is its own
    neighbour. Fewer than k columns where there are fewer rows to choose from. Ranked by one matrix
    product; the distances are then taken from differences, so that equal rows are at exactly 0.
    Raises DataError where there is no row to choose.
    """
    own = y is None
    x = x.double()
    y = x if y is None else y.double()
    k = min(k, len(y) - own)
    if k < 1:
        raise DataError("no neighbours", why="there are too few images")
    middle = y.mean(dim=0)
    centred, squares = y - middle, (y - middle).square().sum(1)
    distances, indices = [], []
    for start in range(0, len(x), rows := max(1, _BLOCK // len(y))):
        part = x[start : start + rows]
        ranked = squares - 2 * (part - middle) @ centred.T
        if own:
            at = torch.arange(len(part))
            ranked[at, at + start] = torch.inf
        index = ranked.topk(k, largest=False).indices
        away = torch.stack([(part - y[index[:, j]]).norm(dim=1) for j in range(k)], dim=1)
        away, order = away.sort(dim=1, stable=True)
        distances.append(away)
        indices.append(index.gather(1, order))
    return torch.cat(distances), torch.cat(indices)


def within(x: Tensor, radius: float) -> Tensor:
    """int64 (n,): how many other rows of x (n, d) lie within `radius` >= 0 of each row.

    Rows nearer than a hundred-thousandth of the spread of all count as equal, so that rounding
    hides no duplicate.
    """
    x = x.double() - x.double().mean(dim=0)
    squares = x.square().sum(1)
    limit = radius**2 + 1e-10 * float(squares.mean())
    counts = [
        (
            squares[start : start + rows, None] + squares - 2 * x[start : start + rows] @ x.T
            <= limit
        ).sum(1)
        for rows in [max(1, _BLOCK // len(x))]
        for start in range(0, len(x), rows)
    ]
    return torch.cat(counts) - 1


@dataclass(frozen=True, eq=False)
class Clusters:
    """Centres float64 (k, d) of k-means."""

    centres: Tensor

    @classmethod
    def of(cls, x: Tensor, k: int, rounds: int = 50) -> Clusters:
        """k-means of features (n, d): Lloyd's rounds from the seeding of k-means++.

        Arthur and Vassilvitskii 2007. The seed is fixed, so equal features give equal clusters;
        k falls to the number of different rows where there are fewer. Clusters that run empty are
        left out.
        """
        x = x.double()
        clusters = cls(_seeds(x, k))
        before = None
        for _ in range(rounds):
            at = clusters.assign(x)
            if before is not None and bool((at == before).all()):
                break
            before = at
            sizes = at.bincount(minlength=len(clusters.centres))
            sums = torch.zeros_like(clusters.centres).index_add_(0, at, x)
            means = torch.where(
                sizes[:, None] > 0, sums / sizes.clamp_min(1)[:, None], clusters.centres
            )
            clusters = cls(means)
        sizes = clusters.assign(x).bincount(minlength=len(clusters.centres))
        return cls(clusters.centres[sizes > 0])

    def assign(self, x: Tensor) -> Tensor:
        """int64 (n,): the nearest centre of each row."""
        half = self.centres.square().sum(1) / 2
        return (half - x.double() @ self.centres.T).argmin(dim=1)


def _seeds(x: Tensor, k: int) -> Tensor:
    """k rows, each drawn in proportion to the square of its distance from those before it."""
    rng = generator("k-means", len(x), x.shape[1], k)
    chosen = [int(torch.randint(len(x), (1,), generator=rng))]
    away = (x - x[chosen[0]]).square().sum(1)
    while len(chosen) < k and away.max() > 0:
        chosen.append(int(torch.multinomial(away / away.sum(), 1, generator=rng)))
        away = torch.minimum(away, (x - x[chosen[-1]]).square().sum(1))
    return x[chosen]
