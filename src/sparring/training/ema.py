"""The moving average of a generator's weights (Karras et al. 2018, arXiv:1710.10196)."""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import nn

from sparring.nets import Generator


class Ema:
    """An exponential average of a network, with a half-life in images.

    The half-life is at most `ramp` times the images seen, so the random start is soon forgotten.
    Floating-point buffers (BatchNorm's statistics) are averaged alike, others copied. Without a
    half-life the average is the network as it is, which is copied only when somebody looks.
    """

    def __init__(self, net: nn.Module, half_life: int, ramp: float) -> None:
        self._net = copy.deepcopy(net).eval().requires_grad_(False)
        self.half_life, self.ramp = half_life, ramp
        self._behind = False
        pairs = list(zip(_tensors(self._net), _tensors(net), strict=True))
        self._mine = [a for a, _ in pairs if a.is_floating_point()]
        self._theirs = [b for a, b in pairs if a.is_floating_point()]
        self._counts = [(a, b) for a, b in pairs if not a.is_floating_point()]

    @property
    def net(self) -> nn.Module:
        """The averaged network, in eval mode."""
        if self._behind:
            self._move(1.0)
        return self._net

    def at(self, images: int) -> None:
        """Tells a network that grows how many images have been seen."""
        if getattr(self._net, "grows", False):
            cast(Generator, self._net).at(images)

    def decay(self, batch: int, images: int) -> float:
        """The share of the average that a step of `batch` images keeps, after `images` images."""
        half_life = min(self.half_life, self.ramp * images) if self.ramp else self.half_life
        return 0.5 ** (batch / half_life) if half_life > 0 else 0.0

    def update(self, batch: int, images: int) -> None:
        """Moves the average towards the network, after a step of `batch` images."""
        if self.half_life:
            self._move(1 - self.decay(batch, images))
        else:
            self._behind = True

    @torch.no_grad()
    def _move(self, by: float) -> None:
        torch._foreach_lerp_(  # pyright: ignore[reportPrivateImportUsage]
            self._mine, self._theirs, by
        )
        for a, b in self._counts:
            a.copy_(b)
        self._behind = False


def _tensors(net: nn.Module) -> list[torch.Tensor]:
    return [*(p.detach() for p in net.parameters()), *net.buffers()]
