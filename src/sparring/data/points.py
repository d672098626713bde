"""Points from mixtures of Gaussians, or scattered along curves: endless data of a known density.

Every mixture has equal weights and one isotropic standard deviation. Samples come from the given
generator alone, on its device.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from sparring.data.source import Points, Source
from sparring.parts import require


def mixture(modes: Tensor, sigma: float) -> Points:
    """Equal-weight Gaussians of standard deviation `sigma` around `modes`, float (K, d)."""
    described = repr(tuple(modes.shape)).encode() + modes.numpy().tobytes() + repr(sigma).encode()
    return Points(
        modes=modes,
        sigma=sigma,
        sample=partial(_sample, modes, sigma),
        log_density=partial(_log_density, modes, sigma),
        digest=hashlib.sha256(described).hexdigest()[:16],
    )


def _sample(modes: Tensor, sigma: float, n: int, generator: torch.Generator) -> Tensor:
    """Float (n, d): a mode drawn with equal chances, plus noise."""
    device = generator.device
    chosen = torch.randint(len(modes), (n,), generator=generator, device=device)
    noise = torch.randn(n, modes.shape[1], generator=generator, device=device)
    return modes.to(device)[chosen] + sigma * noise


def _log_density(modes: Tensor, sigma: float, x: Tensor) -> Tensor:
    """The natural logarithm of the density at x, (n, d) -> (n,), in the precision of x."""
    k, d = modes.shape
    squares = (x[:, None, :] - modes.to(x)).square().sum(-1)
    log_norm = math.log(k) + d / 2 * math.log(2 * math.pi * sigma**2)
    return torch.logsumexp(squares / (-2 * sigma**2), dim=1) - log_norm


class Toy(Source, abstract=True):
    """A source of points."""

    points: ClassVar[bool] = True


class Mixture1D(Toy):
    """Equal-weight Gaussians on a line, their centres evenly spaced from -span to span.

    modes: how many; one alone sits at 0. sigma: the standard deviation of each.
    """

    modes: int = 2
    sigma: float = 0.35
    span: float = 2.0

    def check(self) -> None:
        _check_mixture(self.modes, self.sigma)
        require(self.span > 0, "span must be a positive number")

    def open(self, size: tuple[int, int] | None = None) -> Points:
        """Points in one dimension, (n, 1)."""
        if self.modes == 1:
            return mixture(torch.zeros(1, 1), self.sigma)
        return mixture(torch.linspace(-self.span, self.span, self.modes)[:, None], self.sigma)


class Ring(Toy):
    """Equal-weight Gaussians evenly spaced on a circle, the first on the positive x axis.

    The toy of Metz et al. 2017 ("Unrolled GANs", arXiv:1611.02163) with the numbers of PacGAN.
    """

    paper: ClassVar[str] = "Lin et al. 2018, PacGAN, arXiv:1712.04086"
    modes: int = 8
    radius: float = 1.0
    sigma: float = 0.01

    def check(self) -> None:
        _check_mixture(self.modes, self.sigma)
        require(self.radius > 0, "radius must be a positive number")

    def open(self, size: tuple[int, int] | None = None) -> Points:
        """Points in the plane, (n, 2)."""
        angle = torch.arange(self.modes, dtype=torch.float64) * (2 * math.pi / self.modes)
        modes = self.radius * torch.stack([angle.cos(), angle.sin()], dim=1)
        return mixture(modes.float(), self.sigma)


class Grid(Toy):
    """Equal-weight Gaussians on a square grid around 0, side x side of them.

    The toy of VEEGAN (Srivastava et al. 2017, arXiv:1705.07761) with the numbers of PacGAN.
    spacing: the distance of neighbours.
    """

    paper: ClassVar[str] = "Lin et al. 2018, PacGAN, arXiv:1712.04086"
    side: int = 5
    spacing: float = 2.0
    sigma: float = 0.05

    def check(self) -> None:
        _check_mixture(self.side, self.sigma)
        require(self.spacing > 0, "spacing must be a positive number")

    def open(self, size: tuple[int, int] | None = None) -> Points:
        """Points in the plane, (n, 2)."""
        line = self.spacing * (torch.arange(self.side) - (self.side - 1) / 2)
        return mixture(torch.cartesian_prod(line, line).reshape(-1, 2), self.sigma)


class SwissRoll(Toy):
    """Points along a spiral of one and a half turns, with Gaussian noise.

    With t uniform on [3/2 pi, 9/2 pi] a point is radius t / (9/2 pi) (cos t, sin t) plus noise of
    standard deviation sigma, as in the toy of WGAN-GP. Its density is the integral over t of the
    noise's density around the spiral.
    """

    paper: ClassVar[str] = "Gulrajani et al. 2017, WGAN-GP, arXiv:1704.00028"
    radius: float = 2.0
    sigma: float = 0.05

    def check(self) -> None:
        require(self.radius > 0, "radius must be a positive number")
        require(self.sigma > 0, "sigma must be a positive number")

    def open(self, size: tuple[int, int] | None = None) -> Points:
        """Points in the plane, (n, 2)."""
        start, end = 1.5 * math.pi, 4.5 * math.pi

        def spiral(u: Tensor) -> Tensor:
            t = start + u * (end - start)
            return self.radius / end * t[..., None] * torch.stack([t.cos(), t.sin()], dim=-1)

        speed = self.radius / end * math.hypot(1, end) * (end - start)
        return curves((spiral,), speed, self.sigma, repr(self))


class Moons(Toy):
    """Points along two half circles that reach into each other, with Gaussian noise.

    With a uniform on [0, pi], half of the points are (cos a, sin a) and half (1 - cos a,
    1/2 - sin a), plus noise of standard deviation sigma, as in scikit-learn's make_moons. Their
    density is half the sum of the integrals over a of the noise's density around each.
    """

    paper: ClassVar[str] = "Pedregosa et al. 2011, Scikit-learn, arXiv:1201.0490"
    sigma: float = 0.1

    def check(self) -> None:
        require(self.sigma > 0, "sigma must be a positive number")

    def open(self, size: tuple[int, int] | None = None) -> Points:
        """Points in the plane, (n, 2)."""

        def upper(u: Tensor) -> Tensor:
            a = u * math.pi
            return torch.stack([a.cos(), a.sin()], dim=-1)

        def lower(u: Tensor) -> Tensor:
            return torch.tensor([1.0, 0.5], dtype=u.dtype, device=u.device) - upper(u)

        return curves((upper, lower), math.pi, self.sigma, repr(self))


Curve = Callable[[Tensor], Tensor]

_NODES = 8  # of Gauss and Legendre on each piece
_AT_ONCE = 4_000_000  # distances of points and nodes


def curves(lines: Sequence[Curve], speed: float, sigma: float, described: str) -> Points:
    """Points u -> line(u), u uniform on [0, 1], along one of `lines` at random, plus noise.

    line: (...,) -> (..., 2), no faster than `speed`. The density is the integral
    p(x) = 1/K sum_k int_0^1 N(x; line_k(u), sigma^2 I) du, by Gauss and Legendre's rule on pieces
    of one sigma: to 12 digits within 4 sigma of a line, to 7 within 8.
    """
    pieces = max(1, math.ceil(speed / sigma))
    x, w = np.polynomial.legendre.leggauss(_NODES)
    inside, weights = torch.from_numpy((x + 1) / 2), torch.from_numpy(w / 2)
    u = (torch.arange(pieces, dtype=torch.float64)[:, None] + inside).flatten() / pieces
    nodes = torch.cat([line(u) for line in lines])
    log_weights = (weights / (pieces * len(lines))).log().repeat(pieces * len(lines))
    return Points(
        modes=torch.empty(0, 2),
        sigma=sigma,
        sample=partial(_sample_curves, lines, sigma),
        log_density=partial(_curve_density, nodes, log_weights, sigma),
        digest=hashlib.sha256(described.encode()).hexdigest()[:16],
        box=torch.stack([nodes.amin(0), nodes.amax(0)]).float(),
    )


def _sample_curves(
    lines: Sequence[Curve], sigma: float, n: int, generator: torch.Generator
) -> Tensor:
    """Float (n, 2): a line with equal chances, a place on it, plus noise."""
    device = generator.device
    chosen = torch.randint(len(lines), (n,), generator=generator, device=device)
    u = torch.rand(n, generator=generator, device=device)
    noise = torch.randn(n, 2, generator=generator, device=device)
    places = torch.stack([line(u) for line in lines])
    return places[chosen, torch.arange(n, device=device)] + sigma * noise


def _curve_density(nodes: Tensor, log_weights: Tensor, sigma: float, x: Tensor) -> Tensor:
    """The natural logarithm of the density at x, (n, 2) -> (n,), computed in float64."""
    nodes, log_weights = nodes.to(x.device), log_weights.to(x.device)
    found = []
    for block in x.split(max(1, _AT_ONCE // len(nodes))):
        squares = (block.double()[:, None, :] - nodes).square().sum(-1)
        found.append(torch.logsumexp(log_weights - squares / (2 * sigma**2), dim=1))
    return (torch.cat(found) - math.log(2 * math.pi * sigma**2)).to(x.dtype)


def _check_mixture(modes: int, sigma: float) -> None:
    require(modes >= 1, "there must be at least one mode")
    require(sigma > 0, "sigma must be a positive number")
