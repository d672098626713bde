"""How images come to the size a feature network reads: four ways that give four different FIDs.

Each part is one of the common tools' way, to within rounding of float32, and named by what it does.
Parmar et al. 2022 (arXiv:2104.11222) measured what the difference does to the scores.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from sparring.parts import Part


class Resize(Part, kind="resizes"):
    """Uint8 images of any size to float ones of side x side pixels in [0, 255].

    centre, spread: the network reads (x - centre) / spread, which differs between the tools too.
    """

    centre: ClassVar[float] = 128.0
    spread: ClassVar[float] = 128.0

    def __call__(self, images: Tensor, side: int) -> Tensor:
        """float32 (B, C, side, side) in [0, 255] of images uint8 (B, C, H, W)."""
        raise NotImplementedError

    def scaled(self, images: Tensor, side: int) -> Tensor:
        """float32 (B, 3, side, side) about in [-1, 1], as a network reads it; grey is repeated."""
        x = self(images, side).sub_(self.centre).div_(self.spread)
        return x.expand(-1, 3, -1, -1)


class TFBilinear(Resize):
    """Bilinear from the corner, without antialiasing, as TensorFlow 1 did it.

    The way of TTUR, torch-fidelity and StyleGAN: pixel i of the result lies at i * size / side.
    """

    paper = "Heusel et al. 2017, arXiv:1706.08500"

    def __call__(self, images: Tensor, side: int) -> Tensor:
        x = images.float()
        for dim in (2, 3):
            size = x.shape[dim]
            at = torch.arange(side, dtype=torch.float32, device=x.device) * (size / side)
            low = at.long().clamp_max(size - 1)
            high = (low + 1).clamp_max(size - 1)
            weight = (at - low).view((-1, 1) if dim == 2 else (-1,))
            below = x.index_select(dim, low)
            x = below + (x.index_select(dim, high) - below) * weight
        return x


class Bilinear(Resize):
    """Bilinear between pixel centres, without antialiasing, as pytorch-fid does it."""

    paper = "Heusel et al. 2017, arXiv:1706.08500"
    centre = spread = 127.5

    def __call__(self, images: Tensor, side: int) -> Tensor:
        return functional.interpolate(images.float(), (side, side), mode="bilinear")


class AntialiasedBilinear(Resize):
    """Bilinear between pixel centres, antialiased where it shrinks, as torchmetrics 1.8 does it."""

    paper = "Parmar et al. 2022, arXiv:2104.11222"

    def __call__(self, images: Tensor, side: int) -> Tensor:
        return functional.interpolate(images.float(), (side, side), mode="bilinear", antialias=True)


class PILBicubic(Resize):
    """Bicubic as in Pillow: antialiased, without rounding to whole levels, as clean-fid does it."""

    paper = "Parmar et al. 2022, arXiv:2104.11222"

    def __call__(self, images: Tensor, side: int) -> Tensor:
        # torch's antialiased bicubic is Pillow's filter, to a thousandth of a grey level.
        x = functional.interpolate(images.float(), (side, side), mode="bicubic", antialias=True)
        return x.clamp_(0, 255)
