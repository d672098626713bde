"""The contract of an architecture: it builds a generator and a discriminator for a spec."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from sparring.errors import RecipeError
from sparring.nets.condition import Condition
from sparring.parts import Part
from sparring.randomness import Draws


@dataclass(frozen=True)
class Spec:
    """What the networks are for: shape is (C, H, W) of images or (d,) of points.

    classes: the names of the labels, none where there are none. A condition is an index into them,
    int64 (n,); with `vectors` it is one number for each of them, float32 (n, K).
    shares: how often each class is in the training data. rows: with `vectors`, some of their rows.
    inputs: (Ca, h, w) of the images that G translates, empty where it is given noise.
    """

    shape: tuple[int, ...]
    classes: tuple[str, ...] = ()
    vectors: bool = False
    shares: tuple[float, ...] = ()
    rows: tuple[tuple[float, ...], ...] = ()
    inputs: tuple[int, ...] = ()

    @property
    def points(self) -> bool:
        return len(self.shape) == 1


class Generator(nn.Module):
    """z -> x. Images come out in [-1, 1], points unbounded.

    `grows`: whether it changes with the images seen. Then it makes smaller images for a while, but
    whole ones in eval mode. `mixes`: whether a sample depends on the others of its batch.
    """

    latent: int
    grows: bool = False
    mixes: bool = False

    def at(self, images: int) -> None:
        """Called before each step with the number of images seen."""

    def noise(self, n: int, rng: Draws) -> Tensor:
        """(n, latent) standard normal noise."""
        return rng.normal(n, self.latent)

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """(n, latent) -> (n, *shape); c: conditions (n,) or (n, K), None where it reads none."""
        raise NotImplementedError


class Discriminator(nn.Module):
    """x -> logits (n,), and with `features=True` also its layers' outputs by name.

    `mixes`: whether a sample's logit depends on the others of its batch (BatchNorm, minibatch
    statistics, packing). Real and fake are then judged apart, and no slopes are taken of a share.
    `grows`: whether it changes with the images seen. `decodes`: whether its features also hold
    small images, `decoded0`, `decoded1` and so on, made from its layers alone.
    """

    mixes: bool = False
    grows: bool = False
    decodes: bool = False

    def at(self, images: int) -> None:
        """Called before each step with the number of images seen."""

    def fit(self, x: Tensor) -> Tensor:
        """Real images as this D is to see them now; D is asked about the result."""
        return x

    def forward(
        self, x: Tensor, c: Tensor | None = None, features: bool = False
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        raise NotImplementedError


class Nets(Part, kind="nets", abstract=True):
    """One architecture.

    `condition`: how G and D are told the class; None makes both ignore it. Weights are drawn from
    the global generator, which the caller seeds. `translates`: whether G is shown images in the
    place of noise. Both methods raise RecipeError for a spec they
    cannot serve, naming what they can.
    """

    translates: ClassVar[bool] = False
    condition: Condition | None = None

    @property
    def conditioning(self) -> Condition:
        """The condition, or the one that tells the networks nothing."""
        return self.condition or Condition()

    def generator(self, spec: Spec) -> Generator:
        raise NotImplementedError

    def discriminator(self, spec: Spec) -> Discriminator:
        raise NotImplementedError


def halvings(spec: Spec, name: str) -> tuple[int, int, int]:
    """(k, h, w): how often the image halves, and what is left, its smaller side 4..9.

    As often as leaves at least 4, or once less where a side is odd before that. Raises RecipeError,
    naming the nearest sizes that work, for any other shape.
    """
    if spec.points:
        raise RecipeError(f"{name} makes images, not points", fix="use --nets MLP")
    _, height, width = spec.shape
    k = _halves(height, width)
    if k:
        return k, height >> k, width >> k
    raise RecipeError(
        f"{name} cannot make {height}x{width} images",
        why="both sides must halve, equally often, until the smaller one is 4..9",
        fix="use --size " + " or --size ".join(_near(height, width)),
    )


def _halves(height: int, width: int) -> int:
    """How often the sides halve; 0 where they do not."""
    most = 0
    while min(height, width) >> (most + 1) >= 4:
        most += 1
    for k in (most, most - 1):
        if k >= 1 and min(height, width) >> k <= 9 and not (height % 2**k or width % 2**k):
            return k
    return 0


def _near(height: int, width: int) -> list[str]:
    """The two nearest sizes that work, the smaller first, as one writes them."""
    sizes = {
        (a << k, b << k)
        for k in range(1, 10)
        for a in _around(height >> k)
        for b in _around(width >> k)
        if _halves(a << k, b << k) and (height != width or a == b)
    }
    best = sorted(sizes, key=lambda s: (abs(s[0] - height) + abs(s[1] - width), s))[:2]
    return [str(h) if h == w else f"{h}x{w}" for h, w in sorted(best)]


def _around(side: int) -> tuple[int, int]:
    return max(4, side), max(4, side) + 1


def widths(width: int, k: int) -> list[int]:
    """Channels from the lowest resolution to the highest, k halvings apart.

    `width` up to 32 pixels (counting the lowest as 4); half as many with each doubling beyond.
    """
    return [max(1, width >> max(0, level - 3)) for level in range(k + 1)]
