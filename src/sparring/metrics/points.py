"""Scores of points against a distribution that is known exactly.

All in float64. A mixture here is `sparring.data.source.Points` with K modes of equal weight and one
isotropic standard deviation sigma; other points have no modes, and some scores do without.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sparring.data.source import Points
from sparring.errors import DataError
from sparring.metrics.chance import counted_error, share_error
from sparring.metrics.metric import Fake, Metric, Real, Score, finite, protocol
from sparring.parts import require
from sparring.randomness import generator


class ModeCoverage(Metric):
    """Modes covered, share of high-quality samples and reverse KL of samples of a mixture.

    Every sample belongs to its nearest mode, and is of high quality within `sigmas` standard
    deviations of it. Four scores of n samples:

    modes: those with at least `least` high-quality samples (1 in the papers); modes-half: those
    with at least half of their due n / K. high-quality: the share of such samples, in [0, 1]; its
    detail says what a perfect sampler has (98.89 % at 3 sigma in two dimensions, not 99.7 %).
    reverse-kl: KL of the samples' modes to the uniform distribution, in nats, 0 log 0 = 0.
    """

    yields = ("modes", "modes-half", "high-quality", "reverse-kl")
    paper = "Srivastava et al. 2017, VEEGAN, arXiv:1705.07761; Lin et al. 2018, arXiv:1712.04086"

    n: int = 10_000
    sigmas: float = 3.0
    least: int = 1

    def check(self) -> None:
        require(self.n >= 1, "n must be at least 1")
        require(0 < self.sigmas < math.inf, "sigmas must be a positive number")
        require(self.least >= 1, "least must be at least 1")

    def score(self, real: Real, fake: Fake, n: int | None = None) -> list[Score]:
        points = _modes(real, "mode coverage")
        n = fake.enough(n or self.n)
        samples = finite(fake.draw(n, points.shape)).double()
        away, nearest = _nearest_modes(samples, points)
        good = away <= self.sigmas * points.sigma
        k = len(points.modes)
        counts = nearest.bincount(minlength=k)
        good_counts = nearest[good].bincount(minlength=k)
        share = good.double().mean().item()
        # The samples of low quality are one more kind, so that all are counted.
        kinds = torch.cat([good_counts, (~good).sum()[None]])
        kl, kl_error = kl_divergence(counts)
        seen = protocol(self, real, fake, n_fake=n, dtype="float64")
        histogram = {"modes": points.modes.tolist(), "counts": counts.tolist()}
        covered = {**histogram, "high_quality_counts": good_counts.tolist(), "of": k}
        up = "higher"
        return [
            _met("modes", kinds, self.least, seen, covered),
            _met("modes-half", kinds, n / k / 2, seen, covered),
            Score(
                "high-quality",
                share,
                share_error(int(good.sum()), n),
                seen,
                {"perfect": perfect_quality(points, self.sigmas)},
                up,
            ),
            Score("reverse-kl", kl, kl_error, seen, {**histogram, "perfect": (k - 1) / (2 * n)}),
        ]


def _met(name: str, kinds: Tensor, least: float, seen: dict, covered: dict) -> Score:
    """How many kinds, the last not counted, have at least so many samples."""

    def met(counts: Tensor) -> Tensor:
        return (counts[..., :-1] >= least).sum(-1)

    error = counted_error(kinds, met, name)
    return Score(name, float(met(kinds)), error, seen, covered, "higher")


class Wasserstein1D(Metric):
    """Exact Wasserstein-1 distance of samples on a line to a mixture of Gaussians.

    The integral of |F_n - F|, where F is the mixture's own distribution function and not one of
    other draws: nothing is random but the samples. In the unit of x; for points of one dimension
    only, others raise DataError. The error is that of a bootstrap of the samples; the detail
    `perfect` is what a perfect sampler has on average at this n.
    """

    paper = "Arjovsky et al. 2017, arXiv:1701.07875"

    n: int = 10_000

    def check(self) -> None:
        require(self.n >= 1, "n must be at least 1")

    def score(self, real: Real, fake: Fake, n: int | None = None) -> list[Score]:
        points = _modes(real, "the 1-D Wasserstein distance")
        if points.shape != (1,):
            why = f"these have {points.shape[0]}"
            raise DataError("the 1-D Wasserstein distance needs one dimension", why=why)
        n = fake.enough(n or self.n)
        samples = finite(fake.draw(n, points.shape)).double().flatten().sort().values
        line = Line(points)
        levels = line.quantile(torch.arange(1, n, dtype=torch.float64) / n)
        value = line.distance(samples, levels)
        rng = generator("wasserstein-1d bootstrap", n)
        again = [
            line.distance(samples[torch.randint(n, (n,), generator=rng).sort().values], levels)
            for _ in range(50)
        ]
        error = torch.tensor(again, dtype=torch.float64).std().item() if n > 1 else None
        seen = protocol(
            self, real, fake, n_fake=n, against="the exact distribution", dtype="float64"
        )
        detail = {"perfect": line.expected_distance(n)}
        return [Score("wasserstein-1d", value, error, seen, detail)]


class SlicedWasserstein(Metric):
    """Wasserstein-1 distance of the projections of samples and data, averaged over directions.

    `n` samples against `n` fresh real points, always the same, in the unit of the points. On each
    of `directions` lines the distance is exact. In the plane the lines are evenly spaced, beyond it
    drawn at random. The error is that of a bootstrap of the samples; the detail `perfect` is what
    another n real points have.
    """

    paper = "Bonneel et al. 2015, J. Math. Imaging Vis. 51; Kolouri et al. 2019, arXiv:1902.00434"

    n: int = 10_000
    directions: int = 64

    def check(self) -> None:
        require(self.n >= 2, "n must be at least 2")
        require(self.directions >= 1, "directions must be at least 1")

    def score(self, real: Real, fake: Fake, n: int | None = None) -> list[Score]:
        points = _points(real, "the sliced Wasserstein distance")
        n, (d,) = fake.enough(n or self.n), points.shape
        lines = self._lines(d)
        made = finite(fake.draw(n, points.shape)).double() @ lines
        drawn, other = (
            (points.sample(n, generator("sliced-wasserstein", n, k)).double() @ lines)
            .sort(dim=0)
            .values
            for k in range(2)
        )

        def distance(projected: Tensor) -> float:
            return (projected.sort(dim=0).values - drawn).abs().mean().item()

        rng = generator("sliced-wasserstein bootstrap", n)
        again = [distance(made[torch.randint(n, (n,), generator=rng)]) for _ in range(20)]
        error = torch.tensor(again, dtype=torch.float64).std().item()
        seen = protocol(self, real, fake, n_real=n, n_fake=n, dtype="float64")
        detail = {"perfect": distance(other)}
        return [Score("sliced-wasserstein", distance(made), error, seen, detail)]

    def _lines(self, d: int) -> Tensor:
        """Unit vectors float64 (d, directions)."""
        if d == 2:
            angle = torch.arange(self.directions, dtype=torch.float64) * (math.pi / self.directions)
            return torch.stack([angle.cos(), angle.sin()])
        rng = generator("sliced-wasserstein directions", d, self.directions)
        lines = torch.randn(d, self.directions, generator=rng, dtype=torch.float64)
        return lines / lines.norm(dim=0)


class HighDensity(Metric):
    """The share of samples in the smallest region that holds the share `level` of the data.

    That region is where the exact density is above a level, which is found from 20,000 real
    points. A perfect sampler scores `level`, 0.99 by default; samples that leave the data score
    less. It says nothing about what the samples leave out.
    """

    paper = "Hyndman 1996, Computing and graphing highest density regions, Am. Stat. 50"

    n: int = 10_000
    level: float = 0.99

    def check(self) -> None:
        require(self.n >= 1, "n must be at least 1")
        require(0 < self.level < 1, "level lies in (0, 1)")

    def score(self, real: Real, fake: Fake, n: int | None = None) -> list[Score]:
        points = _points(real, "the high-density share")
        n = fake.enough(n or self.n)
        samples = finite(fake.draw(n, points.shape)).double()
        known = points.log_density(points.sample(20_000, generator("high-density")).double())
        least = known.sort().values[round((1 - self.level) * (len(known) - 1))]
        inside = int((points.log_density(samples) >= least).sum())
        seen = protocol(self, real, fake, n_fake=n, dtype="float64")
        detail = {"perfect": self.level}
        return [Score("high-density", inside / n, share_error(inside, n), seen, detail, "data")]


class Line:
    """The distribution of a mixture in one dimension: its functions of x, float64, any shape."""

    def __init__(self, points: Points) -> None:
        self.modes = points.modes.double().cpu().flatten()
        self.sigma = float(points.sigma)

    def _standard(self, x: Tensor) -> Tensor:
        return (x[..., None] - self.modes) / self.sigma

    def cdf(self, x: Tensor) -> Tensor:
        """F(x)."""
        return torch.special.ndtr(self._standard(x)).mean(-1)

    def cdf_integral(self, x: Tensor) -> Tensor:
        """The integral of F from minus infinity to x."""
        z = self._standard(x)
        density = torch.exp(-z.square() / 2) / math.sqrt(2 * math.pi)
        return self.sigma * (z * torch.special.ndtr(z) + density).mean(-1)

    def quantile(self, level: Tensor) -> Tensor:
        """The x where F(x) = level, for levels in (0, 1), by bisection to the last bit or two."""
        reach = 40 * self.sigma
        low = torch.full_like(level, self.modes.min().item() - reach)
        high = torch.full_like(level, self.modes.max().item() + reach)
        for _ in range(64):
            middle = (low + high) / 2
            below = self.cdf(middle) < level
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return (low + high) / 2

    def distance(self, samples: Tensor, levels: Tensor) -> float:
        """The integral of |F_n - F| for sorted samples (n,); levels: quantiles of i/n, (n - 1,).

        Between two samples F_n is constant and F crosses it at most once, at the level's quantile:
        there each piece is cut in two and integrated in closed form.
        """
        n = len(samples)
        left, right = samples[:-1], samples[1:]
        cut = torch.minimum(torch.maximum(levels, left), right)
        step = torch.arange(1, n, dtype=torch.float64) / n
        at_left, at_cut, at_right = map(self.cdf_integral, (left, cut, right))
        above = step * (cut - left) - (at_cut - at_left)
        below = (at_right - at_cut) - step * (right - cut)
        first = self.cdf_integral(samples[:1])
        last = self.cdf_integral(samples[-1:]) - (samples[-1:] - self.modes.mean())
        return float((above + below).sum() + first.sum() + last.sum())

    def expected_distance(self, n: int) -> float:
        """The mean of `distance` for n samples of the mixture itself, for large n.

        n F_n(x) is binomial; its mean absolute deviation is taken as that of a Gaussian.
        """
        reach = 8 * self.sigma
        start, stop = self.modes.min().item() - reach, self.modes.max().item() + reach
        x = torch.linspace(start, stop, 20_001, dtype=torch.float64)
        f = self.cdf(x)
        return float(torch.trapezoid((2 * f * (1 - f) / (math.pi * n)).sqrt(), x))


def perfect_quality(points: Points, sigmas: float) -> float | None:
    """The share of the mixture itself within `sigmas` standard deviations of its nearest mode.

    Exact on a line; elsewhere exact but for strays between modes (a chi-square tail), and None
    where the modes' balls overlap.
    """
    radius = sigmas * points.sigma
    modes = points.modes.double().cpu()
    d = modes.shape[1]
    if d == 1:
        centres = modes.flatten().sort().values
        low, high = centres - radius, centres + radius
        # Overlapping stretches count once: each starts no earlier than the one before ends.
        low[1:] = torch.maximum(low[1:], high[:-1])
        line = Line(points)
        return float((line.cdf(high) - line.cdf(low)).sum())
    apart = torch.pdist(modes)
    if len(apart) and apart.min() < 2 * radius:
        return None
    half = torch.tensor([d / 2, sigmas**2 / 2], dtype=torch.float64)
    return float(torch.special.gammainc(half[0], half[1]))


def _points(real: Real, what: str) -> Points:
    if real.points is None:
        raise DataError(f"{what} needs points of a known density", where=real.name)
    return real.points


def _modes(real: Real, what: str) -> Points:
    points = _points(real, what)
    if not len(points.modes):
        raise DataError(f"{what} needs modes", where=real.name, why="these points have none")
    return points


def _nearest_modes(samples: Tensor, points: Points) -> tuple[Tensor, Tensor]:
    """Distance (n,) and index (n,) of each sample's nearest mode."""
    modes = points.modes.double().cpu()
    # Differences, not products: cdist's default loses the digits that 3 sigma of 0.01 needs.
    away = torch.cdist(samples, modes, compute_mode="donot_use_mm_for_euclid_dist")
    nearest = away.min(dim=1)
    return nearest.values, nearest.indices


def expected_divergence(n: int, k: int) -> float:
    """The mean of KL(q | uniform), in nats, of the shares q of n samples of k equal chances: exact.

    For large n it is (k - 1) / 2n. Each count is binomial, and the mean of a sum is the sum of
    the means.
    """
    x = torch.arange(1, n + 1, dtype=torch.float64)
    whole = torch.tensor(float(n), dtype=torch.float64)
    ways = torch.lgamma(whole + 1) - torch.lgamma(x + 1) - torch.lgamma(whole - x + 1)
    other = (n - x) * math.log1p(-1 / k) if k > 1 else torch.where(x < n, -torch.inf, 0.0)
    chances = torch.exp(ways - x * math.log(k) + other)
    return float(k * (chances * (x / n) * (x * k / n).log()).sum())


def kl_divergence(counts: Tensor, p: Tensor | None = None) -> tuple[float, float]:
    """KL(q | p) of the shares q of counts (K,), in nats, and its standard error.

    p: float64 (K,), > 0 wherever there are counts; None is uniform. The error is the delta
    method's, less its bias of (K - 1) / 2n^2, and never below the same number: the variance of the
    chi-square that is left at q = p, where the first order is 0.
    """
    n, k = int(counts.sum()), len(counts)
    q = counts.double() / n
    p = torch.full_like(q, 1 / k) if p is None else p
    ratio = torch.where(q > 0, q / p, 1.0).log()
    kl = (q * ratio).sum()
    first = float((q * ratio.square()).sum() - kl.square()) / n
    second = (k - 1) / (2 * n**2)
    return float(kl.clamp_min(0)), math.sqrt(max(first - second, second))
