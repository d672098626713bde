"""Statistics of the steps since the last tick, kept on the device until they are read."""

from __future__ import annotations

import torch
from torch import Tensor


class Stats:
    """Sums of 0-d tensors by name; `read` gives their means in one transfer and starts anew."""

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ()
        self.total: Tensor | None = None
        self.steps = 0

    def add(self, values: dict[str, Tensor]) -> None:
        """Adds the values of one step; the names must not change between reads."""
        stacked = torch.stack([v.detach().to(torch.float32) for v in values.values()])
        self.total = stacked if self.total is None else self.total.add_(stacked)
        self.names = tuple(values)
        self.steps += 1

    def read(self) -> dict[str, float]:
        """The mean of each name since the last read."""
        if self.total is None:
            return {}
        means = (self.total / self.steps).tolist()
        self.total, self.steps = None, 0
        return dict(zip(self.names, means, strict=True))
