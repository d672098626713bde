"""Normalisation by a fixed batch, so that a sample does not depend on the others of its batch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from sparring.nets.architecture import Spec
from sparring.nets.condition import Join, conditional, some
from sparring.nets.normalise import precise


class VirtualBatchNorm(nn.Module):
    """Each sample is normalised by the statistics of the references and itself, and these by
    their own alone.

    The first `references` rows of the input (n, C) or (n, C, H, W) are the references: a fixed
    batch that passes through the network beside every other. Of each channel mean and variance are
    those of the references with weight references / (references + 1), and the sample's own.
    Salimans et al. 2016, Improved techniques for training GANs, arXiv:1606.03498.
    """

    def __init__(self, channels: int, references: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.references, self.eps = references, eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        wide = precise(x)
        own = wide.flatten(2) if x.dim() > 2 else wide[:, :, None]
        means, squares = own.mean(2), own.square().mean(2)
        share = torch.full_like(means[:, :1], 1 / (self.references + 1))
        share[: self.references] = 0
        mean, square = (
            m[: self.references].mean(0) * (1 - share) + m * share for m in (means, squares)
        )
        scale = self.weight * torch.rsqrt((square - mean.square()).clamp(min=0) + self.eps)
        shift = self.bias - mean * scale
        rows = (*mean.shape, *[1] * (x.dim() - 2))
        return (wide * scale.view(rows) + shift.view(rows)).to(x)


class References(nn.Module):
    """The fixed batch: n latents, with conditions as the data have them, before those of G.

    join: G's own, which makes of them what its layers start from.
    """

    z: Tensor
    c: Tensor | None

    def __init__(self, spec: Spec, join: Join, latent: int, n: int) -> None:
        super().__init__()
        self.register_buffer("z", torch.randn(n, latent))
        self.register_buffer("c", some(spec, n) if conditional(join) else None)

    def forward(self, join: Callable[[Tensor, Tensor | None], Tensor], x: Tensor) -> Tensor:
        """x (m, width), joined -> (n + m, width)."""
        return torch.cat([join(self.z.to(x), self.c), x])
