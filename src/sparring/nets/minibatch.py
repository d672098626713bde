"""Layers that look at several samples at once, so that D sees a lack of variety.

A discriminator that uses one of them `mixes`: its logit for a sample depends on the others.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from sparring.errors import RecipeError


def packed(x: Tensor, pack: int) -> Tensor:
    """`pack` samples joined along their channels: (n, C, ...) -> (n / pack, pack C, ...).

    Lin et al. 2018, PacGAN, arXiv:1712.04086. Raises RecipeError where pack does not divide n.
    """
    n = x.shape[0]
    if n % pack:
        raise RecipeError(f"pack={pack} does not divide {n} samples")
    return x.reshape(n // pack, pack * x.shape[1], *x.shape[2:])


class MinibatchDiscrimination(nn.Module):
    """How near each sample is to the others in learned spaces: (n, f) -> (n, f + kernels).

    M = f T with T (inputs, kernels, dim); feature b of sample i is
    sum over j != i of exp(-|M_ib - M_jb|_1). Salimans et al. 2016, Improved techniques for training
    GANs, arXiv:1606.03498. Costs n^2 kernels dim.
    """

    def __init__(self, inputs: int, kernels: int, dim: int = 5) -> None:
        super().__init__()
        self.kernels, self.dim = kernels, dim
        # Components of M then have the variance of the features.
        self.T = nn.Parameter(torch.randn(inputs, kernels * dim) / math.sqrt(inputs))

    def forward(self, f: Tensor) -> Tensor:
        m = (f @ self.T).unflatten(1, (self.kernels, self.dim))
        m = m.to(self.T.dtype)  # distances are of nearly equal numbers
        distance = (m[:, None] - m[None]).abs().sum(-1)
        # Each sample is at distance 0 from itself, which exp turns into 1.
        return torch.cat([f, (torch.exp(-distance).sum(1) - 1).to(f)], dim=1)


class MinibatchStddev(nn.Module):
    """The mean standard deviation of a group of samples as one more channel.

    (n, C, ...) -> (n, C + 1, ...): over each group of `group` samples the standard deviation of
    every feature, averaged into one number. Karras et al. 2018, Progressive growing of GANs,
    arXiv:1710.10196. Where group does not divide n their greatest common divisor takes its place.
    """

    def __init__(self, group: int = 4) -> None:
        super().__init__()
        self.group = group

    def forward(self, f: Tensor) -> Tensor:
        group = math.gcd(self.group, f.shape[0])
        each = f.unflatten(0, (-1, group)).float()
        # The square root has no slope at zero, where all samples are one.
        deviation = (each.var(1, unbiased=False) + 1e-8).sqrt().flatten(1).mean(1)
        column = deviation.repeat_interleave(group).to(f)
        rows = column.view(-1, *[1] * (f.dim() - 1)).expand(-1, 1, *f.shape[2:])
        return torch.cat([f, rows], dim=1)
