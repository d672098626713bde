"""Randomness by name: a draw depends on (seed, words that name it), never on what was drawn before.

So the order of draws, the number of workers, restarts and the number of processes do not matter,
and a resumed run repeats an undisturbed one without any stored generator state. Draws are made for
the global batch; each process keeps its rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


def mix(*words: object) -> int:
    """32 well-mixed bits of the words (the CPU generator uses no more of a seed)."""
    text = "\0".join(map(str, words)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=4).digest(), "little")


def generator(*words: object, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh generator for the draw that the words name."""
    return torch.Generator(device).manual_seed(mix(*words))


@contextmanager
def seeded(*words: object) -> Iterator[None]:
    """The global generators, seeded by the words inside the block, as they were after it."""
    with torch.random.fork_rng():
        seed_global(*words)
        yield


def seed_global(*words: object) -> None:
    """Seeds the global generators, for modules with randomness of their own such as dropout.

    Not by torch.manual_seed: where CUDA is not in use, each call of that keeps a stack trace.
    """
    torch.default_generator.manual_seed(mix(*words))
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(mix(*words))


class Draws:
    """The random numbers of one side of one step, row by row of the batch.

    Every method draws for all processes together and returns this process's rows, so `world`
    processes of batch B see what one process of batch B * world would.
    """

    def __init__(
        self,
        *words: object,
        device: torch.device | str = "cpu",
        rank: int = 0,
        world: int = 1,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.words, self.device, self.rank, self.world = words, device, rank, world
        self.dtype = dtype
        self.generator = generator(*words, device=device)

    def _rows(self, x: Tensor) -> Tensor:
        n = x.shape[0] // self.world
        return x[self.rank * n : (self.rank + 1) * n]

    def normal(self, n: int, *shape: int) -> Tensor:
        """(n, \\*shape) standard normal numbers."""
        size = (n * self.world, *shape)
        return self._rows(
            torch.randn(size, generator=self.generator, device=self.device, dtype=self.dtype)
        )

    def uniform(self, n: int, *shape: int) -> Tensor:
        """(n, \\*shape) numbers uniform in [0, 1)."""
        size = (n * self.world, *shape)
        return self._rows(
            torch.rand(size, generator=self.generator, device=self.device, dtype=self.dtype)
        )

    def integers(self, high: int, n: int, *shape: int) -> Tensor:
        """(n, \\*shape) int64 numbers uniform in [0, high)."""
        size = (n * self.world, *shape)
        return self._rows(torch.randint(high, size, generator=self.generator, device=self.device))

    def permutation(self, n: int) -> Tensor:
        """(n,) int64: a permutation, the same on every process."""
        return torch.randperm(n, generator=self.generator, device=self.device)
