"""The moving average of a generator's weights (Karras et al. 2018, arXiv:1710.10196)."""

from __future__ import annotations

import copy

import torch
from torch import nn


class Ema:
    """An exponential average of a network, with a half-life in images.

    The half-life is at most `ramp` times the images seen, so the random start is soon forgotten.
    Floating-point buffers (BatchNorm's statistics) are averaged alike, others copied.
    """

    def __init__(self, net: nn.Module, half_life: int, ramp: float) -> None:
        self.net = copy.deepcopy(net).eval().requires_grad_(False)
        self.half_life, self.ramp = half_life, ramp
        pairs = list(zip(_tensors(self.net), _tensors(net), strict=True))
        self._mine = [a for a, _ in pairs if a.is_floating_point()]
        self._theirs = [b for a, b in pairs if a.is_floating_point()]
        self._counts = [(a, b) for a, b in pairs if not a.is_floating_point()]

    def decay(self, batch: int, images: int) -> float:
        """The share of the average that a step of `batch` images keeps, after `images` images."""
        half_life = min(self.half_life, self.ramp * images) if self.ramp else self.half_life
        return 0.5 ** (batch / half_life) if half_life > 0 else 0.0

    @torch.no_grad()
    def update(self, batch: int, images: int) -> None:
        """Moves the average towards the network, after a step of `batch` images."""
        torch._foreach_lerp_(  # pyright: ignore[reportPrivateImportUsage]
            self._mine, self._theirs, 1 - self.decay(batch, images)
        )
        for a, b in self._counts:
            a.copy_(b)


def _tensors(net: nn.Module) -> list[torch.Tensor]:
    return [*(p.detach() for p in net.parameters()), *net.buffers()]
