"""Statistics of the steps since the last tick, kept on the device until they are read."""

from __future__ import annotations

import torch
from torch import Tensor


class Stats:
    """Sums of 0-d tensors by name; `read` gives their means in one transfer and starts anew.

    A trick may note something on some steps only: each name is averaged over the steps it was in.
    """

    def __init__(self) -> None:
        self.sums: dict[tuple[str, ...], tuple[Tensor, int]] = {}
        self.steps = 0

    def add(self, values: dict[str, Tensor]) -> None:
        """Adds the values of one step."""
        stacked = torch.stack([v.detach().to(torch.float32) for v in values.values()])
        names = tuple(values)
        total, steps = self.sums.get(names, (torch.zeros_like(stacked), 0))
        self.sums[names] = (total + stacked, steps + 1)
        self.steps += 1

    def read(self) -> dict[str, float]:
        """The mean of each name since the last read."""
        totals: dict[str, float] = {}
        counts: dict[str, int] = {}
        for names, (total, steps) in self.sums.items():
            for name, value in zip(names, total.tolist(), strict=True):
                totals[name] = totals.get(name, 0.0) + value
                counts[name] = counts.get(name, 0) + steps
        self.sums, self.steps = {}, 0
        return {name: total / counts[name] for name, total in totals.items()}
