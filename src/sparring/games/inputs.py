"""What a game translates from: inputs that the data bring along, or made from the images."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, pad

from sparring.channels import coloured
from sparring.data import Images
from sparring.errors import DataError, RecipeError
from sparring.parts import Part, require
from sparring.randomness import Draws


class Inputs(Part, kind="inputs"):
    """Where the inputs of a translation come from.

    `paired`: whether each belongs to the image it is to become.
    """

    paired: ClassVar[bool] = True

    def shape(self, train: Images) -> tuple[int, ...]:
        """(Ca, h, w) of the inputs of these images; RecipeError or DataError if there are none."""
        raise NotImplementedError

    def of(self, x: Tensor, a: Tensor | None, draws: Draws) -> Tensor:
        """The inputs (n, Ca, h, w) in [-1, 1] of images x (n, C, H, W); a: those of the data."""
        raise NotImplementedError

    def least_side(self, least: int) -> int:
        """The smallest side in pixels, of `least` or more, of which inputs can be made."""
        return least

    def look(self, a: Tensor) -> Tensor:
        """Inputs as one looks at them."""
        return a

    def prepare(self, a: Tensor) -> Tensor:
        """A file's pixels (n, Ca, h, w) in [-1, 1] as inputs."""
        return a


class Stored(Inputs):
    """The inputs that the data bring along: SideBySide, Pairs or Unpaired."""

    def shape(self, train: Images) -> tuple[int, ...]:
        if train.inputs is None:
            raise DataError(
                "these images have no inputs to be translated from",
                fix="sparring train A/ --to B/, or images of A and B side by side",
            )
        return train.inputs.shape

    def of(self, x: Tensor, a: Tensor | None, draws: Draws) -> Tensor:
        assert a is not None
        return a


class Downscale(Inputs):
    """The image `factor` times smaller, each pixel the mean of a square: for super-resolution."""

    factor: int = 4

    def check(self) -> None:
        require(self.factor >= 2, "factor must be at least 2")

    def shape(self, train: Images) -> tuple[int, ...]:
        channels, height, width = train.shape
        if height % self.factor or width % self.factor:
            near = [max(1, s // self.factor) * self.factor for s in (height, width)]
            raise RecipeError(
                f"a factor of {self.factor} does not divide {height}x{width}",
                fix=f"--size {near[0]}x{near[1]}",
            )
        return channels, height // self.factor, width // self.factor

    def least_side(self, least: int) -> int:
        return math.ceil(least / self.factor) * self.factor

    def of(self, x: Tensor, a: Tensor | None, draws: Draws) -> Tensor:
        return avg_pool2d(x, self.factor)


class Greyscale(Inputs):
    """The image without its colours: for colourisation. Weights of ITU-R 601, as Pillow's L."""

    def shape(self, train: Images) -> tuple[int, ...]:
        if train.shape[0] != 3:
            raise RecipeError(
                f"images of {train.shape[0]} channels have no colours to take away",
                fix="give colour images",
            )
        return 1, *train.shape[1:]

    def of(self, x: Tensor, a: Tensor | None, draws: Draws) -> Tensor:
        return (x * x.new_tensor([0.299, 0.587, 0.114])[None, :, None, None]).sum(1, keepdim=True)


class Edges(Inputs):
    """The strength of edges, by Sobel's masks: white on black, one channel.

    gain: how strong an edge becomes white.
    """

    gain: float = 2.0

    def check(self) -> None:
        require(self.gain > 0, "gain must be positive")

    def shape(self, train: Images) -> tuple[int, ...]:
        return 1, *train.shape[1:]

    def of(self, x: Tensor, a: Tensor | None, draws: Draws) -> Tensor:
        grey = x[:, : coloured(x.shape[1])].mean(1, keepdim=True)
        grey = pad(grey, (1, 1, 1, 1), mode="replicate")
        across = grey.new_tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8
        slopes = conv2d(grey, torch.stack([across, across.T])[:, None])
        return (slopes.norm(dim=1, keepdim=True) * self.gain).clamp(max=1) * 2 - 1


class Hole(Inputs):
    """The image with a rectangle cut out, and where, as a last channel: for inpainting.

    Both sides of the hole are at most `side` of the image's; its place and sides are drawn anew
    each time. The hole is 0, its channel 1 inside and -1 outside.
    """

    side: float = 0.5

    def check(self) -> None:
        require(0 < self.side < 1, "side must lie between 0 and 1")

    def shape(self, train: Images) -> tuple[int, ...]:
        channels = train.shape[0]
        if coloured(channels) < channels:
            raise RecipeError(
                f"images of {channels} channels have their transparency where a hole would be",
                fix="give images without it, as channels='rgb' has them",
            )
        return channels + 1, *train.shape[1:]

    def of(self, x: Tensor, a: Tensor | None, draws: Draws) -> Tensor:
        n, _, height, width = x.shape
        u = draws.uniform(n, 4)
        rows = _inside(height, u[:, 0], u[:, 1], self.side, x)
        columns = _inside(width, u[:, 2], u[:, 3], self.side, x)
        hole = rows[:, None, :, None] & columns[:, None, None, :]
        return torch.cat([x.masked_fill(hole, 0.0), hole.to(x) * 2 - 1], 1)

    def look(self, a: Tensor) -> Tensor:
        return a[:, :-1]

    def prepare(self, a: Tensor) -> Tensor:
        """What is transparent in the file is the hole."""
        hole = a[:, -1:] < 0
        return torch.cat([a[:, :-1].masked_fill(hole, 0.0), hole.to(a) * 2 - 1], 1)


def _inside(length: int, size: Tensor, place: Tensor, most: float, like: Tensor) -> Tensor:
    """(n, length) bool: an interval of at least a quarter of the most, anywhere inside."""
    long = (length * most * (0.25 + 0.75 * size)).clamp(min=1)
    start = place * (length - long)
    at = torch.arange(length, device=like.device) + 0.5
    return (at >= start[:, None]) & (at < (start + long)[:, None])
