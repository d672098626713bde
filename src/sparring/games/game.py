"""The contract of a game: who plays, on which pairs of real and fake, and what G owes besides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

from torch import Tensor, nn

from sparring.data import Images, Points
from sparring.nets.architecture import Discriminator, Generator, Nets, Spec
from sparring.parts import Part
from sparring.randomness import Draws


class Batch(Protocol):
    """What a feed gives for one step.

    x: real images or points; c: their conditions or None; a: inputs to be translated, or None.
    """

    @property
    def x(self) -> Tensor: ...
    @property
    def c(self) -> Tensor | None: ...
    @property
    def a(self) -> Tensor | None: ...


@dataclass
class Pair:
    """One discriminator's match: the real samples, the fakes against them, and how to make more.

    z: what G made the fakes of, noise or images. sides: the channels of each of the images that D
    sees beside each other; () is one image.
    """

    name: str
    D: nn.Module
    G: nn.Module
    real: Tensor
    fake: Tensor
    z: Tensor
    c: Tensor | None
    draw: Callable[[], Tensor]
    sides: tuple[int, ...] = ()


Players = dict[str, nn.Module]


class Game(Part, kind="games", abstract=True):
    """Who plays. `generators` and `discriminators` name the players; the first G is kept.

    `translates`: whether G is shown images in the place of noise.
    """

    translates: ClassVar[bool] = False

    @property
    def generators(self) -> tuple[str, ...]:
        raise NotImplementedError

    @property
    def discriminators(self) -> tuple[str, ...]:
        raise NotImplementedError

    def fit(self, spec: Spec, train: Images | Points) -> Spec:
        """What the networks are for, of the data's `spec`: a game that translates adds `inputs`.

        RecipeError or DataError where the game cannot be played with these data.
        """
        return spec

    def build(self, nets: Nets, spec: Spec) -> Players:
        """The networks by name."""
        raise NotImplementedError

    def pairs(self, players: Players, batch: Batch, draws: Callable[[str], Draws]) -> list[Pair]:
        """One pair per discriminator, with fresh fakes that carry G's graph."""
        raise NotImplementedError

    def terms(self, players: Players, pairs: list[Pair]) -> dict[str, Tensor]:
        """What G owes besides its adversarial losses (L1, cycle, identity), by name, weighed."""
        return {}


__all__ = ["Batch", "Discriminator", "Game", "Generator", "Pair", "Players"]
