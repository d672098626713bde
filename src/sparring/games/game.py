"""The contract of a game: who plays, on which pairs of real and fake, and what G owes besides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from sparring.nets.architecture import Discriminator, Generator, Nets, Spec
from sparring.parts import Part
from sparring.randomness import Draws


class Batch(Protocol):
    """What a feed gives for one step: x, real images or points, and c, their conditions or None."""

    @property
    def x(self) -> Tensor: ...
    @property
    def c(self) -> Tensor | None: ...


@dataclass
class Pair:
    """One discriminator's match: the real samples, the fakes against them, and how to make more."""

    name: str
    D: nn.Module
    G: nn.Module
    real: Tensor
    fake: Tensor
    z: Tensor
    c: Tensor | None
    draw: Callable[[], Tensor]


Players = dict[str, nn.Module]


class Game(Part, kind="games", abstract=True):
    """Who plays. `generators` and `discriminators` name the players; the first G is kept."""

    @property
    def generators(self) -> tuple[str, ...]:
        raise NotImplementedError

    @property
    def discriminators(self) -> tuple[str, ...]:
        raise NotImplementedError

    def build(self, nets: Nets, spec: Spec) -> Players:
        """The networks by name."""
        raise NotImplementedError

    def pairs(self, players: Players, batch: Batch, draws: Callable[[str], Draws]) -> list[Pair]:
        """One pair per discriminator, with fresh fakes that carry G's graph."""
        raise NotImplementedError

    def term(self, players: Players, pairs: list[Pair]) -> Tensor | float:
        """What G owes besides its adversarial losses (L1, cycle, identity)."""
        return 0.0


__all__ = ["Batch", "Discriminator", "Game", "Generator", "Pair", "Players"]
