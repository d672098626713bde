"""Points from mixtures of Gaussians: endless data whose density is known exactly.

Every mixture has equal weights and one isotropic standard deviation. Samples come from the given
generator alone, on its device.
"""

from __future__ import annotations

import hashlib
import math
from functools import partial
from typing import ClassVar

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


class Mixture1D(Source):
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


class Ring(Source):
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


class Grid(Source):
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


def _check_mixture(modes: int, sigma: float) -> None:
    require(modes >= 1, "there must be at least one mode")
    require(sigma > 0, "sigma must be a positive number")
