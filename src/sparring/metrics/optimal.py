"""How far a discriminator of points on a line is from the best one there is.

Against a generator with density q the best discriminator says D*(x) = p(x) / (p(x) + q(x)), where p
is the density of the data (Goodfellow et al. 2014, arXiv:1406.2661, proposition 1). Here p is exact
and q a kernel density estimate of samples. All in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.data.source import Points
from sparring.errors import DataError

_BINS = 4096


@dataclass(frozen=True)
class Optimum:
    """A discriminator beside the optimal one on a grid; all float64 (m,) but `error`.

    x: the grid; p, q: the densities of data and samples; optimal: D*; d: D as a probability;
    error: the mean of |D - D*| under (p + q) / 2, in [0, 1].
    """

    x: Tensor
    p: Tensor
    q: Tensor
    optimal: Tensor
    d: Tensor
    error: float


def optimum(
    discriminator: Callable[[Tensor], Tensor],
    points: Points,
    samples: Tensor,
    x: Tensor | None = None,
) -> Optimum:
    """Compares a discriminator with the optimal one.

    discriminator: points float32 (m, 1) to probabilities of being real, (m,); samples: (n,) or
    (n, 1), best 100,000 of them; x: the grid (m,), ascending, or None for 401 places that cover
    data and samples. Raises DataError for points of another dimension or samples not finite.
    """
    if points.shape != (1,):
        raise DataError("D* is drawn on a line", why=f"these points have {points.shape[0]} axes")
    samples = _flat(samples)
    width = bandwidth(samples)
    if x is None:
        x = _grid(points, samples)
        # A kernel narrower than the grid would fall between its places.
        width = max(width, float(x[1] - x[0]))
    x = x.double().cpu()
    p = points.log_density(x[:, None]).exp()
    q = kde(samples, x, width)
    with torch.no_grad():
        d = discriminator(x[:, None].float()).detach().cpu().double().flatten()
    return Optimum(x, p, q, optimal_discriminator(p, q), d, discriminator_error(d, p, q, x))


def optimal_discriminator(p: Tensor, q: Tensor) -> Tensor:
    """D* = p / (p + q), of densities of one shape; 1/2 where both are zero."""
    both = p + q
    return torch.where(both > 0, p / both.where(both > 0, 1.0), 0.5)


def discriminator_error(d: Tensor, p: Tensor, q: Tensor, x: Tensor) -> float:
    """The mean of |D - D*| under (p + q) / 2 on the grid x, by the trapezoid rule: in [0, 1].

    d: probabilities of being real at x; p, q: the densities there; all (m,), x ascending. The
    density outside the grid is left out.
    """
    d, p, q, x = (v.double().cpu() for v in (d, p, q, x))
    weight = p + q
    away = (d - optimal_discriminator(p, q)).abs()
    return float(torch.trapezoid(weight * away, x) / torch.trapezoid(weight, x))


# ---------------------------------------------------------------------------- density of samples


def kde(samples: Tensor, x: Tensor, width: float | None = None) -> Tensor:
    """The density of samples (n,) or (n, 1) at x (m,): Gaussian kernels of one width, float64.

    width: the kernels' standard deviation in the unit of x; None takes `bandwidth(samples)`.
    Raises DataError for samples that are not finite.
    """
    samples = _flat(samples)
    width = bandwidth(samples) if width is None else width
    x = x.double().cpu()
    rows = max(1, 4_000_000 // len(samples))
    sums = [
        torch.exp(-((part[:, None] - samples) / width).square() / 2).sum(1)
        for part in x.split(rows)
    ]
    return torch.cat(sums) / (len(samples) * width * math.sqrt(2 * math.pi))


def bandwidth(samples: Tensor) -> float:
    """The width of kernel for samples (n,): Botev, Grotowski and Kroese 2010 (Ann. Stat. 38).

    Their fixed point (the improved Sheather-Jones rule) assumes no shape. Silverman's rule, taken
    only where it finds none, assumes one hump: for two modes far apart it blurs them so much that
    D* would be 0.03 off with a perfect generator.
    """
    samples = _flat(samples)
    quarters = torch.quantile(samples, torch.tensor([0.25, 0.75], dtype=torch.float64))
    spread = float(samples.std()) if len(samples) > 1 else 0.0
    if spread == 0:
        return 1e-3 * max(1.0, float(samples[0].abs()))
    ranged = float(quarters[1] - quarters[0]) / 1.34
    silverman = 0.9 * (min(spread, ranged) or spread) * len(samples) ** -0.2
    low, high = float(samples.min()), float(samples.max())
    # The cosine series below mirrors the histogram at its ends, so these are set apart a little.
    low, high = low - (high - low) / 10, high + (high - low) / 10
    shares = torch.histc(samples, _BINS, low, high) / len(samples)
    time = _diffusion_time(_cosines(shares)[1:], len(samples))
    return silverman if time is None else math.sqrt(time) * (high - low)


def _cosines(shares: Tensor) -> Tensor:
    """sum_j shares_j cos(pi k (j + 1/2) / m) for k = 0 .. m - 1, by one FFT of the mirror image."""
    m = len(shares)
    turn = torch.exp(-0.5j * math.pi / m * torch.arange(m, dtype=torch.float64))
    return (torch.fft.fft(torch.cat([shares, shares.flip(0)]))[:m] * turn).real / 2


def _diffusion_time(a: Tensor, n: int) -> float | None:
    """The squared bandwidth on the unit interval, the root of t = xi gamma^[7](t) of the paper.

    a: the cosine coefficients 1 .. m - 1 of the histogram; n: how many samples it counts.
    """
    squares = torch.arange(1, len(a) + 1, dtype=torch.float64).square()
    power = a.square()

    def roughness(order: int, time: float) -> float:
        """The squared norm of the derivative of this order, after smoothing for `time`."""
        terms = squares**order * power * torch.exp(-squares * (math.pi**2 * time))
        return 2 * math.pi ** (2 * order) * float(terms.sum())

    def excess(time: float) -> float:
        norm = roughness(7, time)
        for order in range(6, 1, -1):
            odd = math.prod(range(1, 2 * order, 2)) / math.sqrt(2 * math.pi)
            constant = (1 + 0.5 ** (order + 0.5)) / 3
            norm = roughness(order, (2 * constant * odd / (n * norm)) ** (2 / (3 + 2 * order)))
        return time - (2 * n * math.sqrt(math.pi) * norm) ** -0.4

    low, high = 1e-10, 0.1
    try:
        if excess(low) > 0 or excess(high) < 0:
            return None
        for _ in range(50):
            middle = math.sqrt(low * high)
            low, high = (middle, high) if excess(middle) < 0 else (low, middle)
    except ZeroDivisionError:  # nothing is left of a derivative after so much smoothing
        return None
    return math.sqrt(low * high)


def _grid(points: Points, samples: Tensor) -> Tensor:
    """401 places over the modes and all but the outermost thousandths of the samples."""
    ends = torch.quantile(samples, torch.tensor([0.001, 0.999], dtype=torch.float64))
    reach = 5 * points.sigma
    first, last = points.ends
    low = min(first.item() - reach, ends[0].item() - points.sigma)
    high = max(last.item() + reach, ends[1].item() + points.sigma)
    return torch.linspace(low, high, 401, dtype=torch.float64)


def _flat(samples: Tensor) -> Tensor:
    samples = samples.detach().double().cpu().flatten()
    if len(samples) == 0 or not samples.isfinite().all():
        raise DataError("no density of the samples", why="there is none, or one is not finite")
    return samples
