"""Normalising layers by name: the field `norm` of an architecture."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

Norm = Literal["batch", "layer", "instance", "pixel", "none"]


def precise(x: Tensor) -> Tensor:
    """At least float32: statistics of half precision have no digits."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


class PixelNorm(nn.Module):
    """Each position's channels divided by their root mean square: (n, C, ...) -> the same.

    Karras et al. 2018, Progressive growing of GANs, arXiv:1710.10196.
    """

    def forward(self, x: Tensor) -> Tensor:
        wide = precise(x)
        return (wide * (wide.square().mean(1, keepdim=True) + 1e-8).rsqrt()).to(x.dtype)


class InstanceNorm(nn.GroupNorm):
    """Each channel of each sample has mean 0 and variance 1: (n, C, ...) -> the same.

    Ulyanov et al. 2016, arXiv:1607.08022. As InstanceNorm2d, of maps of one pixel too. On a CPU
    torch normalises channels-last maps of one channel a group ten times as slowly as contiguous
    ones, in bfloat16 thirty times.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width, width)

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.contiguous())


def normalising(norm: Norm, width: int) -> nn.Module:
    """The layer over maps (n, width, h, w); of these only batch makes samples mix.

    batch: each channel over the batch; layer: each sample over channels and positions; instance:
    each channel of each sample; pixel: each position over the channels; none leaves x as it is.
    """
    match norm:
        case "batch":
            return nn.BatchNorm2d(width)
        case "layer":
            return nn.GroupNorm(1, width)
        case "instance":
            return InstanceNorm(width)
        case "pixel":
            return PixelNorm()
        case "none":
            return nn.Identity()
