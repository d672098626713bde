"""Real batches: batch number i depends on (seed, i) alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from sparring.data import Images, Points
from sparring.randomness import Draws, generator


@dataclass(frozen=True)
class Batch:
    """x: float (n, C, H, W) in [-1, 1] or points (n, d); c: labels (n,), (n, K) or None."""

    x: Tensor
    c: Tensor | None = None


class Feed:
    """Real batches of `batch` samples for this process.

    A set that is in memory goes to the device as a whole; of one that is in a file only the images
    of a batch do. Images are shown in a fresh random order each epoch, none twice before all were
    shown once. With `balance`, (N,) the classes of the images, each of the K classes has epochs of
    its own, and every K images on from a multiple of K are one of each, in random order.
    """

    def __init__(
        self,
        data: Images | Points,
        *,
        batch: int,
        seed: int,
        flip: bool = False,
        balance: Tensor | None = None,
        device: torch.device | str = "cpu",
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.data, self.batch, self.seed, self.flip = data, batch, seed, flip
        self.device, self.rank, self.world = device, rank, world
        self.members: list[Tensor] = []
        if isinstance(data, Images):
            pixels = data.pixels.to(device) if isinstance(data.pixels, Tensor) else data.pixels
            labels = None if data.labels is None else data.labels.to(device)
            self.images = replace(data, pixels=pixels, labels=labels)
        self._order = lru_cache(maxsize=2)(self._shuffle)
        if balance is not None:
            found = [balance.cpu() == k for k in balance.unique().tolist()]
            self.members = [where.nonzero().squeeze(1) for where in found]
            self._class_order = lru_cache(maxsize=2 * len(found))(self._shuffle_class)

    def __call__(self, turn: int) -> Batch:
        """The batch of D's step number `turn`."""
        n = self.batch * self.world
        if isinstance(self.data, Points):
            x = self.data.sample(n, generator(self.seed, "data", turn))
            return Batch(x[self.rank * self.batch :][: self.batch].to(self.device))
        find = self._balanced if self.members else self._index
        index = find(turn * n + self.rank * self.batch)
        x = self.images.float(index).to(self.device)
        if self.flip:
            draws = Draws(
                self.seed, "flip", turn, device=self.device, rank=self.rank, world=self.world
            )
            mirrored = draws.uniform(self.batch, 1, 1, 1) < 0.5
            x = torch.where(mirrored, x.flip(3), x)
        labels = self.images.labels
        return Batch(x, None if labels is None else labels[index])

    def _index(self, start: int) -> Tensor:
        """Positions start, start + 1, ... of the endless sequence of shuffled epochs."""
        size, pieces, left = len(self.images), [], self.batch
        while left:
            epoch, offset = divmod(start, size)
            piece = self._order(epoch)[offset : offset + left]
            pieces.append(piece)
            start, left = start + len(piece), left - len(piece)
        return torch.cat(pieces)

    def _shuffle(self, epoch: int) -> Tensor:
        order = torch.randperm(len(self.images), generator=generator(self.seed, "epoch", epoch))
        return order.to(self.device)

    def _balanced(self, start: int) -> Tensor:
        """Positions start, start + 1, ... of the endless sequence in which classes take turns."""
        k, index = len(self.members), []
        for block in range(start // k, (start + self.batch - 1) // k + 1):
            turns = torch.randperm(k, generator=generator(self.seed, "classes", block)).tolist()
            for c in turns[max(start - block * k, 0) : start + self.batch - block * k]:
                epoch, offset = divmod(block, len(self.members[c]))
                index.append(self._class_order(c, epoch)[offset])
        return torch.tensor(index, device=self.device)

    def _shuffle_class(self, c: int, epoch: int) -> list[int]:
        members = self.members[c]
        words = (self.seed, "class epoch", c, epoch)
        return members[torch.randperm(len(members), generator=generator(*words))].tolist()
