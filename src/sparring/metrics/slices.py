"""The sliced Wasserstein distance of features: along many directions, sorted against sorted."""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.metrics.comparison import Comparison
from sparring.metrics.metric import Fake, Real, Score
from sparring.parts import require
from sparring.randomness import generator

_GROUPS = 10  # of the jackknife


class SlicedFeatures(Comparison):
    """The root of the mean squared Wasserstein-2 distance along random directions of the features.

    In the features' unit; no Gaussian is assumed, and no eigenvalues are needed. Both sides are cut
    to one number. Like FID it is above 0 for samples of the data's own distribution: the detail has
    that of other real images, as `floor`, where there are enough.
    """

    paper = "Rabin et al. 2011, SSVM; Deshpande et al. 2018, arXiv:1803.11188"

    n: int = 5000
    directions: int = 1000

    def check(self) -> None:
        super().check()
        require(self.directions >= 1, "directions must be at least 1")

    def score(self, real: Real, fake: Fake, n: int | None = None) -> list[Score]:
        sides = self.sides(real, fake, n, equal=True)
        m = len(sides.fake)
        theta = unit_vectors(self.directions, sides.extractor.dimension)
        x, y = (
            torch.cat([p.double() @ theta.T for p in z.split(1024)])
            for z in (sides.real, sides.fake)
        )
        value = wasserstein(x, y)
        error, detail = None, {}
        if m >= 2 * _GROUPS:
            groups = torch.arange(m) % _GROUPS
            without = [wasserstein(x[groups != g], y[groups != g]) for g in range(_GROUPS)]
            spread = torch.tensor(without, dtype=torch.float64).var(correction=0)
            error = float((spread * (_GROUPS - 1)).sqrt())
            # At random: real images may come sorted by class.
            half, order = m // 2, torch.randperm(m, generator=generator("floor", m))
            one, two = x[order[:half]], x[order[half : 2 * half]]
            detail = {"floor": wasserstein(one, two), "floor_n": half}
        seen = sides.protocol
        return [Score(self.named("sliced-features", sides.extractor), value, error, seen, detail)]


def unit_vectors(n: int, d: int) -> Tensor:
    """float64 (n, d), uniform on the sphere, always the same."""
    theta = torch.randn(n, d, dtype=torch.float64, generator=generator("directions", n, d))
    return theta / theta.norm(dim=1, keepdim=True)


def project(features: Tensor, theta: Tensor) -> Tensor:
    """float64 (n, k): features (n, d) along directions (k, d)."""
    return torch.cat([part.double() @ theta.T for part in features.split(1024)])


def wasserstein(x: Tensor, y: Tensor) -> float:
    """The root of the mean over columns of the squared W2 distance of x and y, both (n, k)."""
    apart = x.sort(dim=0).values - y.sort(dim=0).values
    return float(apart.square().mean().sqrt())
