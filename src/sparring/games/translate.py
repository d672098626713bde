"""Games from image to image: G is shown an image and not noise.

What D sees is one image whose channels are those of the input and of the translation, where it is
told the input; so every loss and every trick does with it what it does with any image.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from sparring.data import Images, Points
from sparring.errors import DataError, RecipeError
from sparring.games.game import Batch, Game, Pair, Players
from sparring.games.inputs import Inputs, Stored
from sparring.metrics.perceptual import LEAST, LpipsAlex, lpips, refuse_small
from sparring.nets.architecture import Nets, Spec
from sparring.parts import require, show
from sparring.randomness import Draws


class Translation(Game, abstract=True):
    """A game in which G is shown images.

    inputs: what is translated. `paired`: whether each input belongs to its image.
    """

    translates: ClassVar[bool] = True
    paired: ClassVar[bool] = True
    inputs: Inputs = Stored()


class Pix2Pix(Translation):
    """G translates an image, D judges the pair of both; G also owes `l1` times the mean error.

    conditional: whether D sees the input beside the translation. perceptual: weight of the LPIPS
    distance to the target, by which an error counts as much as it shows; its network is fetched as
    the metric's is.
    """

    paper: ClassVar[str] = "Isola et al. 2017, pix2pix, arXiv:1611.07004"
    l1: float = 100.0
    perceptual: float = 0.0
    conditional: bool = True

    def check(self) -> None:
        for name in ("l1", "perceptual"):
            require(getattr(self, name) >= 0, f"{name} must not be negative")

    @property
    def generators(self) -> tuple[str, ...]:
        return ("G",)

    @property
    def discriminators(self) -> tuple[str, ...]:
        return ("D",)

    def fit(self, spec: Spec, train: Images | Points) -> Spec:
        if isinstance(train, Points):
            raise RecipeError("points are not translated", fix="give images")
        stored = isinstance(self.inputs, Stored)
        if not train.paired and (stored or train.inputs is not None):
            one = "" if stored else f", or the images alone that {show(self.inputs)} is made of"
            raise RecipeError(
                "pix2pix learns from pairs, and these are two sets without pairs",
                fix=f"--preset cyclegan, or data of the kind Pairs or SideBySide{one}",
            )
        if self.perceptual:
            self._refuse_unseen(spec.shape, train)
            lpips()  # no weights, no training
        return replace(spec, inputs=self.inputs.shape(train))

    def _refuse_unseen(self, shape: tuple[int, ...], train: Images) -> None:
        """RecipeError for images (C, H, W) that LPIPS cannot look at."""
        try:
            refuse_small(shape)
        except DataError as e:
            larger = ""
            if min(shape[1:]) < LEAST:
                cut = ", with --patches 0 for smaller images" if train.groups is not None else ""
                larger = f"--size {self.inputs.least_side(LEAST + 1)} or more{cut}, or "
            raise RecipeError(
                f"perceptual={self.perceptual:g} does not fit these images",
                why=str(e),
                fix=f'{larger}--game "{show(replace(self, perceptual=0.0))}"',
            ) from None

    def build(self, nets: Nets, spec: Spec) -> Players:
        seen = spec.shape[0] + (spec.inputs[0] if self.conditional else 0)
        judged = replace(spec, shape=(seen, *spec.shape[1:]))
        return {"G": nets.generator(spec), "D": nets.discriminator(judged)}

    def pairs(self, players: Players, batch: Batch, draws: Callable[[str], Draws]) -> list[Pair]:
        G = players["G"]
        a = self.inputs.of(batch.x, batch.a, draws("input"))
        return [
            Pair(
                name="D",
                D=players["D"],
                G=G,
                real=self.seen(a, batch.x),
                fake=self.seen(a, G(a)),
                z=a,
                c=None,
                draw=lambda: self.seen(a, G(a)),
                sides=(a.shape[1], batch.x.shape[1]) if self.conditional else (),
            )
        ]

    def seen(self, a: Tensor, x: Tensor) -> Tensor:
        """What D sees of the inputs a (n, Ca, h, w) and of images x (n, C, H, W)."""
        if not self.conditional:
            return x
        a = a if a.shape[2:] == x.shape[2:] else interpolate(a, x.shape[2:])
        return torch.cat([a, x], 1)

    def terms(self, players: Players, pairs: list[Pair]) -> dict[str, Tensor]:
        (pair,) = pairs
        k = pair.z.shape[1] if self.conditional else 0
        made, wanted = pair.fake[:, k:], pair.real[:, k:]
        terms = {"l1": self.l1 * (made - wanted).abs().mean()}
        if self.perceptual:
            with torch.autocast(made.device.type, enabled=False):
                both = (x.float().expand(-1, 3, -1, -1) for x in (made, wanted))
                terms["lpips"] = self.perceptual * _lpips(made.device)(*both).mean()
        return terms


@cache
def _lpips(device: torch.device) -> LpipsAlex:
    return copy.deepcopy(lpips()[0]).to(device)


class CycleGAN(Translation):
    """Two sets without pairs: G translates one into the other, G_back back, each against its own D.

    G also owes `cycle` times the mean error of going there and back, both ways round, and
    `identity` times what it changes of an image that needs no change; None is half of `cycle`, and
    0 where the two sets differ in channels, so that there is no such image. The paper's 10 and 5
    stand beside a squared distance of which `LeastSquares` is half: 5 and 2.5 are as published.
    """

    paper: ClassVar[str] = "Zhu et al. 2017, CycleGAN, arXiv:1703.10593"
    paired: ClassVar[bool] = False
    cycle: float = 10.0
    identity: float | None = None

    def check(self) -> None:
        for name in ("cycle", "identity"):
            require((getattr(self, name) or 0) >= 0, f"{name} must not be negative")
        require(isinstance(self.inputs, Stored), "both sets are those of the data")

    @property
    def generators(self) -> tuple[str, ...]:
        return ("G", "G_back")

    @property
    def discriminators(self) -> tuple[str, ...]:
        return ("D", "D_back")

    def fit(self, spec: Spec, train: Images | Points) -> Spec:
        if isinstance(train, Points):
            raise RecipeError("points are not translated", fix="give images")
        fitted = replace(spec, inputs=self.inputs.shape(train))
        if self.identity and fitted.inputs[0] != spec.shape[0]:
            raise RecipeError(
                f"images of {fitted.inputs[0]} and of {spec.shape[0]} channels are never the same",
                fix=f'--game "{show(replace(self, identity=None))}"',
            )
        return fitted

    def build(self, nets: Nets, spec: Spec) -> Players:
        back = turned(spec)
        there = {"G": nets.generator(spec), "G_back": nets.generator(back)}
        return {**there, "D": nets.discriminator(spec), "D_back": nets.discriminator(back)}

    def pairs(self, players: Players, batch: Batch, draws: Callable[[str], Draws]) -> list[Pair]:
        assert batch.a is not None
        ways = (("", batch.a, batch.x), ("_back", batch.x, batch.a))
        return [_way(players, *way) for way in ways]

    def terms(self, players: Players, pairs: list[Pair]) -> dict[str, Tensor]:
        G, back = players["G"], players["G_back"]
        there, home = pairs
        a, x = there.z, home.z
        identity = self._identity(a.shape[1], x.shape[1])
        if not identity:
            return {"cycle": self.cycle * (_error(back(there.fake), a) + _error(G(home.fake), x))}
        again_a, same_a = _both(back, there.fake, a)
        again_x, same_x = _both(G, home.fake, x)
        return {
            "cycle": self.cycle * (_error(again_a, a) + _error(again_x, x)),
            "identity": identity * (_error(same_x, x) + _error(same_a, a)),
        }

    def _identity(self, channels: int, made: int) -> float:
        """Its weight between images of so many channels."""
        if self.identity is None:
            return self.cycle / 2 if channels == made else 0.0
        return self.identity


def turned(spec: Spec) -> Spec:
    """What the networks of the way back are for."""
    return replace(spec, shape=spec.inputs, inputs=spec.shape)


def _way(players: Players, suffix: str, a: Tensor, x: Tensor) -> Pair:
    G = players[f"G{suffix}"]
    name = f"D{suffix}"
    return Pair(name=name, D=players[name], G=G, real=x, fake=G(a), z=a, c=None, draw=lambda: G(a))


def _both(G: nn.Module, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """G of two batches, in one pass where neither changes what it makes of the other."""
    if getattr(G, "mixes", False) or first.shape[1:] != second.shape[1:]:
        return G(first), G(second)
    made, other = G(torch.cat([first, second])).split([len(first), len(second)])
    return made, other


def _error(made: Tensor, wanted: Tensor) -> Tensor:
    """The mean absolute error."""
    return (made.float() - wanted).abs().mean()
