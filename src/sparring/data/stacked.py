"""Stacked MNIST: images of a thousand modes that are known and easy to tell apart."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import torch
from torch import Tensor

from sparring.data.digest import digest_part
from sparring.data.find import source
from sparring.data.opened import opened
from sparring.data.rows import Rows
from sparring.data.sets import MNIST
from sparring.data.source import Images, Source
from sparring.errors import DataError
from sparring.parts import require
from sparring.randomness import generator

BETWEEN = "/"  # the three classes in the name of a mode, as in 3/1/4


class StackedMnist(Source):
    """Triples of grey images as the channels of one: three random digits make 1,000 modes.

    path: the grey images with their classes, such as an mnist.npz, or class folders; any labelled
    grey set will do, and k classes make k^3 modes. None takes MNIST, which is fetched once. n: how
    many triples, drawn by a fixed seed; 128,000 as in VEEGAN. They are put together when they are
    read, so they take no memory.
    """

    paper = "Metz et al. 2017, arXiv:1611.02163; Srivastava et al. 2017, VEEGAN, arXiv:1705.07761"

    path: str | None = None
    n: int = 128_000

    def check(self) -> None:
        require(self.n >= 2, "n must be at least 2")

    def open(self, size: tuple[int, int] | None = None) -> Images:
        """Images (n, 3, H, W) with labels, the class of the first channel counting most.

        Raises DataError for a set that is not grey or has no classes.
        """
        grey = opened(MNIST() if self.path is None else source(self.path), size)
        if not isinstance(grey, Images) or grey.shape[0] != 1 or grey.labels is None:
            why = getattr(grey, "unlabelled", "")
            why = f"it takes grey images with classes{why and f', and {why}'}"
            raise DataError("cannot stack these data", where=self.path, why=why)
        if grey.labels.dim() != 1:
            raise DataError("cannot stack these data", where=self.path, why="a label has columns")
        chosen = torch.randint(
            len(grey), (self.n, 3), generator=generator("stacked mnist", len(grey), self.n)
        )
        names = [name.replace(BETWEEN, "_") for name in grey.classes]
        return Images(
            pixels=Rows((self.n, 3, *grey.shape[1:]), torch.uint8, _reader(grey, chosen)),
            labels=grey.labels[chosen] @ (len(names) ** torch.arange(2, -1, -1)),
            classes=tuple(map(BETWEEN.join, product(names, repeat=3))),
            digest=digest_part(grey.digest, chosen.flatten()),
        )


def _reader(grey: Images, chosen: Tensor) -> Callable[[Tensor], Tensor]:
    def read(index: Tensor) -> Tensor:
        channels = grey.uint8(chosen[index].flatten())
        together = channels.reshape(len(index), 3, *grey.shape[1:])
        return together.contiguous(memory_format=torch.channels_last)

    return read


def is_stacked(images: Images) -> bool:
    """Whether these are triples of grey images with a class for each of the three."""
    k = round(len(images.classes) ** (1 / 3))
    pieces = [name.split(BETWEEN) for name in images.classes]
    names = [piece[-1] for piece in pieces[:k]]
    triples = pieces == [list(p) for p in product(names, repeat=3)]
    labelled = images.labels is not None and images.labels.dim() == 1
    return images.shape[0] == 3 and k >= 2 and labelled and triples


def unstacked(images: Images) -> tuple[Tensor, tuple[str, ...]]:
    """The classes of the three channels, int64 (N, 3), and the k names; DataError for others."""
    if not is_stacked(images) or images.labels is None:
        raise DataError("these are no stacked images", why="there are no three classes to each")
    k = round(len(images.classes) ** (1 / 3))
    names = tuple(name.split(BETWEEN)[-1] for name in images.classes[:k])
    place = torch.tensor([k * k, k, 1], device=images.labels.device)
    return images.labels[:, None] // place % k, names
