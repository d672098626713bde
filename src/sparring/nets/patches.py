"""What all networks that translate have in common: a discriminator of patches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from sparring.errors import RecipeError
from sparring.nets.architecture import Discriminator, Nets, Spec
from sparring.nets.condition import Condition
from sparring.nets.normalise import Norm, normalising
from sparring.nets.spectral import spectral
from sparring.nets.translator import published
from sparring.parts import require


class Translating(Nets, abstract=True):
    """Networks that translate; what they have in common is D, which judges patches.

    d_layers: strided layers of D, of which each patch spans 16 pixels (1), 34 (2), 70 (3) or 142
    (4); 0 judges single pixels; no more than the image bears. d_whole: it judges the image as one,
    by as many layers as leave 4 to 7 pixels, in place of patches. d_width: channels of the first
    one. scales: how many such D look at it, each at half the size of the one before. d_spectral:
    its weights are divided by their spectral norm.
    """

    translates: ClassVar[bool] = True
    d_width: int = 64
    d_layers: int = 3
    d_whole: bool = False
    d_norm: Norm = "instance"
    d_spectral: bool = False
    scales: int = 1

    def check(self) -> None:
        require(self.d_width >= 1, "d_width must be at least 1")
        require(self.d_layers >= 0, "d_layers must not be negative")
        require(self.scales >= 1, "scales must be at least 1")
        require(self.condition is None, "networks that translate are told no condition")

    def discriminator(self, spec: Spec) -> Discriminator:
        return spectral(_Discriminator(spec, self), self.d_spectral)


class _Discriminator(Discriminator):
    """Logits (n, scales, h', w'), those of a coarser scale repeated to the size of the finest."""

    def __init__(self, spec: Spec, nets: Translating) -> None:
        super().__init__()
        self.mixes = nets.d_norm == "batch"
        channels, height, width = spec.shape
        least = 8 * 2 ** (nets.scales - 1)
        if min(height, width) < least:
            of = "patches" if nets.scales == 1 else f"{nets.scales} scales"
            raise RecipeError(
                f"a discriminator of {of} needs images of at least {least} pixels",
                why=f"these are {height}x{width}",
                fix=f"--size {least} or more",
            )
        self.see = Condition().see(spec)
        self.scales = nn.ModuleList(
            _Patches(channels, (height >> k, width >> k), nets) for k in range(nets.scales)
        )
        published(self)

    def forward(
        self, x: Tensor, c: Tensor | None = None, features: bool = False
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        found: dict[str, Tensor] = {}
        logits: list[Tensor] = []
        for k, scale in enumerate(self.scales):
            layers = scale(avg_pool2d(x, 2**k) if k else x)
            name = f"scale{k}." if len(self.scales) > 1 else ""
            found |= {f"{name}layer{i}": f for i, f in enumerate(layers[:-1])}
            logits.append(layers[-1])
        size = logits[0].shape[2:]
        whole = torch.cat([logits[0], *(interpolate(f, size) for f in logits[1:])], 1)
        return (whole, found) if features else whole


class _Patches(nn.Module):
    """(n, C, h, w) -> its layers, of which the last is the logits (n, 1, h', w')."""

    def __init__(self, channels: int, size: Sequence[int], nets: Translating) -> None:
        super().__init__()
        layers, i = [], channels
        height, width = size
        if nets.d_whole:
            for k in range(max(1, min(size).bit_length() - 3)):
                o = nets.d_width * min(8, 2**k)
                conv = nn.Conv2d(i, o, 4, 2, 1)
                layers += [_block(conv, o, nets) if k else [conv, nn.LeakyReLU(0.2)]]
                i, height, width = o, height // 2, width // 2
            layers += [[nn.Conv2d(i, 1, (height, width))]]
        elif nets.d_layers == 0:
            layers = [[nn.Conv2d(i, nets.d_width, 1), nn.LeakyReLU(0.2)]]
            wide = 2 * nets.d_width
            layers += [_block(nn.Conv2d(nets.d_width, wide, 1), wide, nets)]
            layers += [[nn.Conv2d(wide, 1, 1)]]
        else:
            # The last two convolutions of 4 need at least 3 pixels.
            bears = max(k for k in range(1, 16) if k == 1 or min(size) >> k >= 3)
            for k in range(min(nets.d_layers, bears)):
                o = nets.d_width * min(8, 2**k)
                conv = nn.Conv2d(i, o, 4, 2, 1)
                layers += [_block(conv, o, nets) if k else [conv, nn.LeakyReLU(0.2)]]
                i = o
            o = min(8 * nets.d_width, 2 * i)
            layers += [_block(nn.Conv2d(i, o, 4, 1, 1), o, nets), [nn.Conv2d(o, 1, 4, 1, 1)]]
        self.layers = nn.ModuleList(nn.Sequential(*layer) for layer in layers)

    def forward(self, x: Tensor) -> list[Tensor]:
        found = []
        for layer in self.layers:
            x = layer(x)
            found.append(x)
        return found


def _block(conv: nn.Module, width: int, nets: Translating) -> list[nn.Module]:
    return [conv, normalising(nets.d_norm, width), nn.LeakyReLU(0.2)]
