"""The game of Goodfellow et al. 2014: images from noise, one generator, one discriminator."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import ClassVar, cast

from sparring.games.game import Batch, Game, Pair, Players
from sparring.nets.architecture import Generator, Nets, Spec
from sparring.randomness import Draws


class Noise(Game):
    """One generator makes samples from noise, one discriminator judges them."""

    paper: ClassVar[str] = "Goodfellow et al. 2014, Generative adversarial nets, arXiv:1406.2661"

    @property
    def generators(self) -> tuple[str, ...]:
        return ("G",)

    @property
    def discriminators(self) -> tuple[str, ...]:
        return ("D",)

    def build(self, nets: Nets, spec: Spec) -> Players:
        return {"G": nets.generator(spec), "D": nets.discriminator(spec)}

    def pairs(self, players: Players, batch: Batch, draws: Callable[[str], Draws]) -> list[Pair]:
        G, n = cast(Generator, players["G"]), batch.x.shape[0]
        z = G.noise(n, draws("z"))
        more = cache(lambda: draws("draw"))  # one stream, however often a fake is asked for
        return [
            Pair(
                name="D",
                D=players["D"],
                G=G,
                real=batch.x,
                fake=G(z, batch.c),
                z=z,
                c=batch.c,
                draw=lambda: G(G.noise(n, more()), batch.c),
            )
        ]
