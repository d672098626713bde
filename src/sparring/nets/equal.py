"""Equalised learning rate: weights drawn from N(0, 1) and scaled when they are used.

So a step of Adam moves every weight by the same share of its range, whatever the layer's inputs.
Karras et al. 2018, Progressive growing of GANs, arXiv:1710.10196.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class EqualLinear(nn.Module):
    """x W' gain / sqrt(inputs) + b, with weights from N(0, 1); b starts at `bias`.

    rate: how much slower than others this layer learns; what it computes at first is the same.
    """

    def __init__(
        self, i: int, o: int, gain: float = 1.0, bias: float = 0.0, rate: float = 1.0
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(o, i) / rate)
        self.bias = nn.Parameter(torch.full((o,), bias / rate))
        self.scale, self.rate = gain * rate / math.sqrt(i), rate

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight * self.scale, self.bias * self.rate)


class EqualConv(nn.Module):
    """A convolution that keeps the size, scaled by gain / sqrt(inputs), weights from N(0, 1)."""

    def __init__(self, i: int, o: int, size: int = 3, gain: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(o, i, size, size))
        self.bias = nn.Parameter(torch.zeros(o))
        self.scale, self.padding = gain / math.sqrt(i * size * size), size // 2

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.weight * self.scale, self.bias, padding=self.padding)


def act(x: Tensor) -> Tensor:
    """LeakyReLU(0.2) times sqrt 2, which keeps the size of N(0, 1) numbers to within 2 %."""
    return functional.leaky_relu(x, 0.2) * math.sqrt(2)
