"""Generators that are shown an image and make another of it.

Such a generator serves images of any size: it pads them to what it can halve, repeating the edge,
and cuts the result to the size it was given.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn.functional import pad

from sparring.errors import RecipeError
from sparring.nets.architecture import Generator, Spec
from sparring.randomness import Draws

Up = Literal["transposed", "resize"]


class Translator(Generator):
    """a -> x: images (n, Ca, h, w) in [-1, 1] to (n, C, h * factor, w * factor), of any h and w.

    factor: how much larger what it makes is. reach: how many pixels of a away from a place may
    still change the result there, but by the statistics of norms over the image (GroupNorm, each
    met once); None where all may. grain: of how many pixels the sides must be multiples for it not
    to pad them.
    """

    latent: int = 0
    factor: int = 1
    reach: int | None = None
    grain: int = 1

    def noise(self, n: int, rng: Draws) -> Tensor:
        raise RecipeError(
            "this generator makes nothing from noise",
            why="it translates images",
            fix="sparring translate RUN INPUT --out DIR",
        )

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """(n, Ca, h, w) -> (n, C, h * factor, w * factor)"""
        raise NotImplementedError


def padded(x: Tensor, multiple: int) -> Tensor:
    """(n, C, h, w) with its edges repeated until both sides are multiples of a number."""
    height, width = x.shape[2:]
    below, right = -height % multiple, -width % multiple
    return pad(x, (0, right, 0, below), mode="replicate") if below or right else x


def doubling(i: int, o: int, up: Up) -> nn.Module:
    """(n, i, h, w) -> (n, o, 2h, 2w)"""
    if up == "transposed":
        return nn.ConvTranspose2d(i, o, 4, 2, 1)
    return nn.Sequential(nn.Upsample(scale_factor=2.0), nn.Conv2d(i, o, 3, padding=1))


def published(net: nn.Module) -> None:
    """Weights from N(0, 0.02), biases 0, as in pix2pix and CycleGAN; BatchNorm's from N(1, 0.02).

    Other norms start at 1, as they are made; InstanceNorm has no weights there.
    """
    for layer in net.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d)):
            nn.init.normal_(layer.weight, 1.0 if isinstance(layer, nn.BatchNorm2d) else 0.0, 0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def same_size(spec: Spec, name: str) -> tuple[int, int]:
    """Channels of the input and of the output; RecipeError unless both are of one size."""
    require_inputs(spec, name)
    if spec.inputs[1:] != spec.shape[1:]:
        given, wanted = ("x".join(map(str, s[1:])) for s in (spec.inputs, spec.shape))
        raise RecipeError(
            f"{name} makes images of the size of its input",
            why=f"inputs are {given}, targets {wanted}",
            fix="--nets SuperResolver, which enlarges them, or inputs of the size of the targets",
        )
    return spec.inputs[0], spec.shape[0]


def require_inputs(spec: Spec, name: str) -> None:
    if not spec.inputs:
        raise RecipeError(
            f"{name} translates images, and this game makes them from noise",
            fix="--preset pix2pix",
        )
