"""What a generator that translates is shown: inputs, and the images that they should become."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sparring.data import Images
from sparring.games import Game, Inputs, Translation
from sparring.metrics import Real
from sparring.randomness import Draws


@dataclass(frozen=True)
class Examples:
    """Images with inputs. held_out: whether they were kept from training."""

    images: Images
    inputs: Inputs
    held_out: bool

    def __len__(self) -> int:
        return len(self._inputs or self.images)

    @property
    def _inputs(self) -> Images | None:
        return self.images.inputs

    @property
    def paired(self) -> bool:
        """Whether the i-th input has a target, which is the i-th image."""
        return self._inputs is None or self.images.paired

    def turned(self) -> Examples:
        """Those of the way back: the images, to be made the inputs."""
        assert self._inputs is not None
        bare = replace(self.images, inputs=None)
        images = replace(self._inputs, inputs=bare, paired=self.images.paired)
        return replace(self, images=images)

    def input(self, index: Tensor) -> Tensor:
        """The inputs at an index int64 (n,): float (n, Ca, h, w) in [-1, 1], on the CPU."""
        a = None if self._inputs is None else self._inputs.float(index).cpu()
        if not self.paired:
            assert a is not None
            return a
        x = self.images.float(index).cpu()
        # What is drawn for an example is the same in whatever company it comes.
        made = [
            self.inputs.of(
                x[k : k + 1], None if a is None else a[k : k + 1], Draws("example", "input", i)
            )
            for k, i in enumerate(index.tolist())
        ]
        return torch.cat(made)

    def target(self, index: Tensor) -> Tensor | None:
        """What they should become, float (n, C, H, W); None without pairs."""
        return self.images.float(index).cpu() if self.paired else None


def examples(game: Game, real: Real) -> Examples | None:
    """Those held out, or of a run that holds out none those trained on; None for other games."""
    images = real.held_out or real.train
    if not isinstance(game, Translation) or images is None:
        return None
    return Examples(images, game.inputs, held_out=real.held_out is not None)
