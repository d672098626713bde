"""Real batches: batch number i depends on (seed, i) alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from sparring.data import Images, Points
from sparring.randomness import Draws, generator, mix


@dataclass(frozen=True)
class Batch:
    """x: float (n, C, H, W) in [-1, 1] or points (n, d); c: labels (n,), (n, K) or None; a: inputs
    to be translated, float (n, Ca, h, w) in [-1, 1], or None."""

    x: Tensor
    c: Tensor | None = None
    a: Tensor | None = None


class Feed:
    """Real batches of `batch` samples for this process.

    A set that is in memory goes to the device as a whole; of one that is in a file only the images
    of a batch do. Images are shown in a fresh random order each epoch, none twice before all were
    shown once. With `balance`, (N,) the classes of the images, each of the K classes has epochs of
    its own, and every K images on from a multiple of K are one of each, in random order.

    flip: mirrored at random; jitter: enlarged by this share and cropped back at a random place.
    Inputs that belong to the images are turned and cropped with them; those that are a set of their
    own have an order of their own.
    """

    def __init__(
        self,
        data: Images | Points,
        *,
        batch: int,
        seed: int,
        flip: bool = False,
        jitter: float = 0.0,
        balance: Tensor | None = None,
        device: torch.device | str = "cpu",
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.data, self.batch, self.seed = data, batch, seed
        self.flip, self.jitter = flip, jitter
        self.device, self.rank, self.world = device, rank, world
        self.members: list[Tensor] = []
        if isinstance(data, Images):
            self.images = _moved(data, device)
            if data.inputs is not None and not data.paired:
                self.others = Feed(
                    data.inputs,
                    batch=batch,
                    seed=mix(seed, "inputs"),
                    flip=flip,
                    jitter=jitter,
                    device=device,
                    rank=rank,
                    world=world,
                )
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
        images, labels = self.images, self.images.labels
        x = self._turned(images.float(index).to(self.device), turn)
        a = None
        if images.inputs is not None and images.paired:
            a = self._turned(images.inputs.float(index).to(self.device), turn)
        elif images.inputs is not None:
            a = self.others(turn).x
        return Batch(x, None if labels is None else labels[index], a)

    def _turned(self, x: Tensor, turn: int) -> Tensor:
        """Images (n, C, h, w) mirrored and cropped as all that is shown in this turn."""
        if self.flip:
            mirrored = self._draws("flip", turn).uniform(self.batch, 1, 1, 1) < 0.5
            x = torch.where(mirrored, x.flip(3), x)
        if self.jitter:
            x = cropped(x, self.jitter, self._draws("jitter", turn).uniform(self.batch, 2))
        return x

    def _draws(self, name: str, turn: int) -> Draws:
        return Draws(self.seed, name, turn, device=self.device, rank=self.rank, world=self.world)

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


def cropped(x: Tensor, by: float, place: Tensor) -> Tensor:
    """Images x (n, C, h, w) enlarged by a share and cropped back, at a place (n, 2) in [0, 1)."""
    n, _, height, width = x.shape
    size = (round(height * (1 + by)), round(width * (1 + by)))
    large = interpolate(x, size, mode="bilinear", align_corners=False)
    spare = torch.tensor(size, device=x.device) - torch.tensor([height, width], device=x.device)
    top, left = (place * (spare + 1)).long().unbind(1)
    rows = top[:, None] + torch.arange(height, device=x.device)
    columns = left[:, None] + torch.arange(width, device=x.device)
    which = torch.arange(n, device=x.device)[:, None, None]
    return large[which, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _moved(data: Images, device: torch.device | str) -> Images:
    """A set on the device, where it is in memory, with the inputs that belong to it."""
    pixels = data.pixels.to(device) if isinstance(data.pixels, Tensor) else data.pixels
    labels = None if data.labels is None else data.labels.to(device)
    inputs = _moved(data.inputs, device) if data.inputs is not None and data.paired else data.inputs
    return replace(data, pixels=pixels, labels=labels, inputs=inputs)
