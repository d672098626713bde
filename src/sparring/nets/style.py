"""What the style-based generators share: the mapping network, its noise, mixing, truncation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sparring.nets.architecture import Generator, Spec
from sparring.nets.condition import Condition
from sparring.nets.equal import EqualLinear, act
from sparring.nets.normalise import PixelNorm


class StyleGenerator(Generator):
    """z -> w by fully connected layers, then one w for each of `layers` layers of a synthesis.

    z (n, latent) holds all that is random, so that G is a function of it: the latent proper and,
    with mixing, a second one and two numbers that say whether and from which layer on its style is
    taken; then a map of noise of each size in `maps`. Styles are mixed in training mode only.

    `truncate` pulls w towards a mean: mean + psi (w - mean), psi from 0 to 1. `forward` takes the
    styles of its layers in place of those of z, so that one may ask how the image follows them.
    """

    def __init__(
        self,
        spec: Spec,
        condition: Condition,
        *,
        latent: int,
        width: int,
        depth: int,
        layers: int,
        mixing: float,
        maps: Sequence[tuple[int, int]] = (),
    ) -> None:
        super().__init__()
        self.own, self.layers, self.mixing, self.maps = latent, layers, mixing, tuple(maps)
        self.latent = latent + (latent + 2 if mixing else 0) + sum(h * w for h, w in maps)
        self.normal = PixelNorm()
        self.join = condition.join(spec, latent)
        ins = [self.join.width, *[width] * (depth - 1)]
        self.mapping = nn.ModuleList(EqualLinear(i, width, rate=0.01) for i in ins)
        self.psi: float = 1.0
        self.mean: Tensor | None = None

    def forward(self, z: Tensor, c: Tensor | None = None, styles: Tensor | None = None) -> Tensor:
        """(n, latent) -> images; styles: (n, layers, width) in place of `self.styles(z, c)`."""
        raise NotImplementedError

    def style(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """(n, latent), of which the latent proper counts -> w (n, width), not truncated."""
        w = self.join(self.normal(z[:, : self.own]), c)
        for layer in self.mapping:
            w = act(layer(w))
        return w

    @property
    def used(self) -> int:
        """How many of the layers make the image: a G that grows has not all of them yet."""
        return self.layers

    def styles(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """The w of each layer, (n, layers, width): mixed in training mode, truncated as asked."""
        ws = self.style(z, c)[:, None].expand(-1, self.layers, -1)
        if self.mixing and self.training and self.layers > 1:
            other = self.style(z[:, self.own :], c)[:, None]
            at = 2 * self.own
            whether, where = 0.5 + 0.5 * torch.erf(z[:, at : at + 2] / math.sqrt(2)).T
            first = 1 + (where * (self.used - 1)).floor()
            first = torch.where(whether < self.mixing, first, self.layers)
            later = torch.arange(self.layers, device=z.device) >= first[:, None]
            ws = torch.where(later[:, :, None], other, ws)
        return ws if self.mean is None else torch.lerp(self.mean.to(ws), ws, self.psi)

    def noises(self, z: Tensor) -> list[Tensor]:
        """The maps of noise, (n, 1, h, w) each."""
        if not self.maps:
            return []
        sizes = [h * w for h, w in self.maps]
        parts = z[:, -sum(sizes) :].split(sizes, 1)
        return [p.unflatten(1, (1, *size)) for p, size in zip(parts, self.maps, strict=True)]

    @torch.no_grad()
    def truncate(self, psi: float, z: Tensor, c: Tensor | None = None) -> None:
        """Samples nearer to the mean style, that of z (n, latent) and c; psi = 1 undoes it."""
        self.psi, self.mean = psi, None if psi == 1 else self.style(z, c).mean(0, keepdim=True)


class Noise(nn.Module):
    """Adds a map of noise, scaled by one learned number that starts at zero."""

    def __init__(self) -> None:
        super().__init__()
        self.strength = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, noise: Tensor | None) -> Tensor:
        return x if noise is None else x + (self.strength * noise).to(x)
