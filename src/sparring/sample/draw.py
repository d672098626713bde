"""Samples from a run's generator: sample i depends on (seed, i) and on nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from sparring.nets import Generator, Spec
from sparring.randomness import Draws
from sparring.runs import Run, open_run

BLOCK = 64


class Model:
    """A trained generator. `images`: how many real images its training had seen."""

    def __init__(
        self, generator: Generator, spec: Spec, images: int = 0, device: str | torch.device = "cpu"
    ) -> None:
        self.generator, self.spec, self.images = generator.eval().to(device), spec, images
        self.device = torch.device(device)

    def noise(self, n: int, seed: int = 0, start: int = 0) -> Tensor:
        """(n, latent) latents of the samples start, start + 1, ...; drawn block by block.

        On the CPU, so that a seed gives the same latents on every device.
        """
        first, last = start // BLOCK, (start + n - 1) // BLOCK
        blocks = [
            self.generator.noise(BLOCK, Draws(seed, "sample", b)) for b in range(first, last + 1)
        ]
        return torch.cat(blocks)[start - first * BLOCK :][:n].to(self.device)

    @torch.no_grad()
    def make(self, z: Tensor) -> Tensor:
        """The samples of the latents z (n, latent): float (n, *shape) on the CPU.

        Always computed in blocks of the same size, so that a sample does not depend, in its last
        bit, on how many others were asked for.
        """
        made = []
        for block in z.split(BLOCK):
            pad = BLOCK - len(block)
            full = torch.cat([block, block[:1].expand(pad, *block.shape[1:])]) if pad else block
            made.append(self.generator(full)[: len(block)].float().cpu())
        return torch.cat(made)

    def batches(self, n: int, seed: int = 0) -> Iterator[Tensor]:
        """n samples, in batches of at most 64."""
        for start in range(0, n, BLOCK):
            yield self.make(self.noise(min(BLOCK, n - start), seed, start))

    def sample(self, n: int, seed: int = 0) -> Tensor:
        """n samples: float (n, C, H, W) in [-1, 1], or points (n, d)."""
        return torch.cat(list(self.batches(n, seed)))


def load(run: str | Path | Run, best: bool = False) -> Model:
    """The generator (its moving average) of a run; RunError where there is none.

    best: the one that scored best while it was trained, not the last.
    """
    found = run if isinstance(run, Run) else open_run(run)
    return Model(*found.load_generator(best))


def to_uint8(x: Tensor) -> Tensor:
    """[-1, 1] -> 0..255, rounded to the nearest."""
    return (x * 127.5 + 128).clamp(0, 255).to(torch.uint8)
