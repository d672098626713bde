"""Super-resolution: images several times as large."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu

from sparring.errors import RecipeError
from sparring.nets.architecture import Spec
from sparring.nets.normalise import Norm
from sparring.nets.patches import Translating
from sparring.nets.translator import Translator, require_inputs
from sparring.parts import require


class SuperResolver(Translating):
    """Residual blocks at the input's size, then sub-pixel convolutions: x2, x3, x4 or x8 as large.

    Without normalisation, so that what it makes of a place hangs on its surroundings alone, and a
    large image may be taken piece by piece. It learns what bicubic interpolation lacks. width:
    channels; blocks: two convolutions each. dense: each block is one of ESRGAN instead (RRDB), of
    fifteen convolutions that add so many channels each, which looks 15 pixels far and not 2; the
    paper has 23 of them and 32 channels.
    """

    paper: ClassVar[str] = (
        "Ledig et al. 2017, SRGAN, arXiv:1609.04802; Lim et al. 2017, EDSR, arXiv:1707.02921; "
        "Wang et al. 2018, ESRGAN, arXiv:1809.00219"
    )
    width: int = 64
    blocks: int = 16
    dense: int = 0
    d_norm: Norm = "none"

    def check(self) -> None:
        super().check()
        require(self.width >= 1, "width must be at least 1")
        require(self.blocks >= 1, "blocks must be at least 1")
        require(self.dense >= 0, "dense must not be negative")

    def generator(self, spec: Spec) -> Translator:
        return _SuperResolver(spec, self)


class _SuperResolver(Translator):
    def __init__(self, spec: Spec, nets: SuperResolver) -> None:
        super().__init__()
        require_inputs(spec, "SuperResolver")
        (made, *large), (channels, *small) = spec.shape, spec.inputs
        self.factor = large[0] // small[0]
        steps = {2: [2], 3: [3], 4: [2, 2], 8: [2, 2, 2]}.get(self.factor)
        if steps is None or large != [self.factor * s for s in small] or channels != made:
            given, wanted = ("x".join(map(str, s)) for s in (spec.inputs, spec.shape))
            raise RecipeError(
                "SuperResolver makes images 2, 3, 4 or 8 times as large",
                why=f"inputs are {given}, targets {wanted}",
                fix='--game "Pix2Pix(inputs=Downscale(factor=4))", without --to',
            )
        w = nets.width
        self.head = _conv(channels, w)
        kind = partial(_ResidualDense, w, nets.dense) if nets.dense else partial(_Residual, w)
        blocks = [kind() for _ in range(nets.blocks)]
        self.blocks = nn.ModuleList(blocks)
        last = _conv(w, made)
        self.up = nn.Sequential(*(_larger(w, k) for k in steps), last)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, 0.2)
                nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]
        with torch.no_grad():  # at first it is bicubic interpolation, or nearly
            for conv in self.up.modules():
                if isinstance(conv, _SubPixel):
                    conv.even()
            for layer in (last, *(end for block in blocks for end in block.ends)):
                layer.weight.mul_(0.1)
        # A pixel for each convolution; those behind the first sub-pixel step have one together.
        self.reach = (15 if nets.dense else 2) * nets.blocks + 3

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        first = x = self.head(z)
        for block in self.blocks:
            x = x + block(x)
        size = (self.factor * z.shape[2], self.factor * z.shape[3])
        base = interpolate(z, size, mode="bicubic", align_corners=False)
        made = base + self.up(x + first)
        return made if self.training else made.clamp(-1, 1)


def _conv(i: int, o: int) -> nn.Conv2d:
    return nn.Conv2d(i, o, 3, padding=1)


class _Residual(nn.Sequential):
    """What a block of two convolutions adds."""

    def __init__(self, width: int) -> None:
        last = _conv(width, width)
        super().__init__(_conv(width, width), nn.LeakyReLU(0.2), last)
        self.ends = (last,)


class _Dense(nn.Module):
    """Five convolutions that each see what all before them made, a fifth of it added to x."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_conv(width + k * growth, growth) for k in range(4))
        self.last = _conv(width + 4 * growth, width)

    def forward(self, x: Tensor) -> Tensor:
        seen = [x]
        for layer in self.layers:
            seen.append(leaky_relu(layer(torch.cat(seen, 1)), 0.2))
        return x + 0.2 * self.last(torch.cat(seen, 1))


class _ResidualDense(nn.Module):
    """What a residual-in-residual dense block adds: a fifth of three dense blocks in a row."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        blocks = [_Dense(width, growth) for _ in range(3)]
        self.blocks = nn.ModuleList(blocks)
        self.ends = tuple(block.last for block in blocks)

    def forward(self, x: Tensor) -> Tensor:
        made = x
        for block in self.blocks:
            made = block(made)
        return 0.2 * made


class _SubPixel(nn.Conv2d):
    """Makes the channels that PixelShuffle lays out as factor x factor pixels."""

    def even(self) -> None:
        """The same weights for all pixels made of one, so that at first there is no checkerboard.

        Aitken et al. 2017, Checkerboard artifact free sub-pixel convolution, arXiv:1707.02937.
        """
        each = self.out_channels // self.in_channels
        self.weight.copy_(self.weight[::each].repeat_interleave(each, 0))


def _larger(width: int, factor: int) -> nn.Module:
    conv = _SubPixel(width, width * factor * factor, 3, padding=1)
    return nn.Sequential(conv, nn.PixelShuffle(factor), nn.LeakyReLU(0.2))
