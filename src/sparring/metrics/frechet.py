"""The Frechet distance between two sets of features, each taken as a Gaussian.

Heusel et al. 2017 (arXiv:1706.08500), after Dowson and Landau 1982::

    d^2 = |m_a - m_b|^2 + tr S_a + tr S_b - 2 tr (S_a S_b)^(1/2)

Everything is float64. The scatter (n - 1) S is kept as a triangular root R with R^T R = (n - 1) S:
its Cholesky factor, but got by QR from the features themselves, so it exists at any rank and keeps
the digits that forming S would square away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from sparring.errors import DataError

# An eigenvalue of S_a S_b below this share of the largest has lost too many digits to take its
# square root; the singular values of R_a R_b^T, which are those roots, are computed instead.
_TRUSTED = 1e-12
# A squared distance further below zero than this share of the traces is no rounding error.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Gaussian:
    """Mean and unbiased covariance of n features, in memory that does not grow with n.

    mean: float64 (d,); root: float64 (min(n, d), d), upper triangular, with
    root^T root = (n - 1) covariance.
    """

    n: int
    mean: Tensor
    root: Tensor

    @classmethod
    def of(cls, features: Tensor | Iterable[Tensor]) -> Gaussian:
        """The statistics of features (N, d), whole or in batches (B, d) of any sizes, N >= 2.

        How they are cut into batches does not change a bit of the result. Raises DataError when
        there are fewer than two, or when one is not finite.
        """
        total: Gaussian | None = None
        for block in _blocks([features] if isinstance(features, Tensor) else features):
            mean = block.mean(dim=0)
            part = cls(len(block), mean, _triangle(block - mean))
            total = part if total is None else total.join(part)
        if total is None or total.n < 2:
            raise DataError("too few samples for a covariance", why="it takes at least two")
        return total

    def join(self, other: Gaussian) -> Gaussian:
        """The statistics of both sets together (Chan, Golub and LeVeque 1983, for roots)."""
        n = self.n + other.n
        apart = other.mean - self.mean
        between = apart * (self.n * other.n / n) ** 0.5
        rows = torch.cat([self.root, other.root, between[None]])
        return Gaussian(n, self.mean + apart * (other.n / n), _triangle(rows))

    @property
    def covariance(self) -> Tensor:
        """float64 (d, d), divided by n - 1."""
        return self.root.T @ self.root / (self.n - 1)

    @property
    def trace(self) -> float:
        """The trace of the covariance."""
        return self.root.square().sum().item() / (self.n - 1)


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """The squared Frechet distance of two Gaussians, as every FID is: >= 0, no unit.

    Exact at any rank. Rounding below zero becomes 0. Raises ArithmeticError when the result is
    more negative than rounding explains.
    """
    traces = a.trace + b.trace
    overlap = _overlap(a.root, b.root) / ((a.n - 1) * (b.n - 1)) ** 0.5
    distance = (a.mean - b.mean).square().sum().item() + traces - 2 * overlap
    if not distance >= -_ROUNDING * traces:
        raise ArithmeticError(f"Frechet distance {distance:.3g} with traces {traces:.3g}")
    return max(distance, 0.0)


def distance_error(groups: Sequence[Gaussian], reference: Gaussian) -> float:
    """The standard error of the distance to a fixed reference: the delete-one-group jackknife.

    groups: the samples dealt into at least two sets of one size, each of at least two. Up to 1.4
    times too large where both have one distribution, as in `sampling_error`.
    Source: Efron and Tibshirani 1993, chapter 11.
    """
    without = [
        frechet_distance(reduce(Gaussian.join, [*groups[:i], *groups[i + 1 :]]), reference)
        for i in range(len(groups))
    ]
    values = torch.tensor(without, dtype=torch.float64)
    return values.sub(values.mean()).square().mean().mul(len(groups) - 1).sqrt().item()


def sampling_error(features: Tensor, a: Gaussian, b: Gaussian) -> float:
    """The standard error of the distance of a's samples to the fixed b, to first order.

    features: (n, d), a's own or some of them. The infinitesimal jackknife: how the distance answers
    to the weight of each sample, whose gradient is that of a linear functional and of I - T for
    the optimal transport map T from a to b. Where both have one distribution that gradient is 0 and
    the next order counts twice, so the error is up to 1.45 times too large.
    Source: Efron and Tibshirani 1993, chapter 21.
    """
    from_a, to_b = a.root / (a.n - 1) ** 0.5, b.root / (b.n - 1) ** 0.5
    across = to_b @ from_a.T
    values, vectors = torch.linalg.eigh(across @ across.T)
    kept = values > 1e-10 * values[-1]
    turned = (vectors[:, kept] / values[kept].pow(0.25)).T @ to_b
    influence = []
    for part in features.split(1024):
        away = part.double() - a.mean
        moved = (away @ turned.T).square().sum(dim=1)
        influence.append(2 * away @ (a.mean - b.mean) + away.square().sum(dim=1) - moved)
    return float(torch.cat(influence).std() / a.n**0.5)


def _overlap(a: Tensor, b: Tensor) -> float:
    """tr (A B)^(1/2) for the scatters A = a^T a and B = b^T b."""
    across = a @ b.T
    if min(across.shape) == a.shape[1]:
        values = torch.linalg.eigvalsh(across @ across.T)
        if values[0] > _TRUSTED * values[-1]:
            return values.sqrt().sum().item()
    return torch.linalg.svdvals(across).sum().item()


def _triangle(rows: Tensor) -> Tensor:
    return torch.linalg.qr(rows, mode="r").R


def _blocks(batches: Iterable[Tensor]) -> Iterator[Tensor]:
    """The rows of the batches as float64, cut anew into blocks of one size (the last is shorter).

    Blocks have at least twice as many rows as columns, so the QR of a block costs little more than
    its covariance would.
    """
    held: list[Tensor] = []
    rows = seen = 0
    for batch in batches:
        good = batch.isfinite().all(dim=1)
        if not good.all():
            raise DataError(f"features of sample {seen + int((~good).nonzero()[0])} are not finite")
        size = max(1024, 2 * batch.shape[1])
        held.append(batch.detach().double())
        rows, seen = rows + len(batch), seen + len(batch)
        while rows >= size:
            together = torch.cat(held)
            yield together[:size]
            held, rows = [together[size:]], rows - size
    if rows:
        yield torch.cat(held)
