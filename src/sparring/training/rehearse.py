"""One pass through networks and loss before the run exists, so that a wrong part says so."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from sparring.errors import RecipeError
from sparring.games import Pair, Players
from sparring.losses import Loss
from sparring.parts import show
from sparring.randomness import Draws
from sparring.recipe import Recipe
from sparring.training.device import Device
from sparring.training.feed import Batch
from sparring.training.hooks import attempt, one_number


@torch.no_grad()
def rehearse(recipe: Recipe, players: Players, batch: Batch, device: Device) -> None:
    """RecipeError, naming the part, where the networks or the loss break their contracts.

    The networks are asked in eval mode, so nothing of them changes, and are left in train mode.
    """
    for net in players.values():
        net.eval()
    draws = partial(_draws, recipe, device)
    G, D = f"the generator of {show(recipe.nets)}", f"the discriminator of {show(recipe.nets)}"
    with device.autocast():
        for pair in attempt(G, lambda: recipe.game.pairs(players, batch, draws)):
            _generated(G, pair)
            real, fake = (attempt(D, partial(_judged, pair, x)) for x in (pair.real, pair.fake))
            _alone(D, pair, device)
            _lost(recipe.loss, real.float(), fake.float(), draws("loss"))
    for net in players.values():
        net.train()


def _lost(loss: Loss, real: Tensor, fake: Tensor, rng: Draws) -> None:
    """Both sides' losses; G's is told D(real) only where it says that it reads it."""
    d, g = (f"{type(loss).__name__}.{side}" for side in "dg")
    one_number(attempt(d, partial(loss.d, real, fake, rng)), d)
    one_number(attempt(g, partial(loss.g, real, fake, rng)), g)
    if loss.needs_real:
        return
    try:
        one_number(loss.g(None, fake, rng), g)
    except Exception as e:
        raise RecipeError(f"{g} reads D(real)", fix="write needs_real = True in its class") from e


def _draws(recipe: Recipe, device: Device, name: str) -> Draws:
    words = (recipe.seed, "rehearsal", name)
    return Draws(*words, device=device.torch, rank=device.rank, world=device.world)


def _generated(name: str, pair: Pair) -> None:
    if pair.fake.shape != pair.real.shape:
        made, wanted = ("x".join(map(str, x.shape)) for x in (pair.fake, pair.real))
        raise RecipeError(f"{name} makes {made}, the real batch is {wanted}")


def _alone(name: str, pair: Pair, device: Device) -> None:
    """RecipeError where D, unsaid, answers otherwise of a sample alone than in its batch."""
    if getattr(pair.D, "mixes", False):
        return
    x, c = pair.real, pair.c

    def answer(n: int) -> Tensor:
        return pair.D(x[:n], None if c is None else c[:n])[:1].float()

    with torch.autocast(device.torch.type, enabled=False):  # else rounding is seen as well
        whole = attempt(name, partial(answer, len(x)))
        alone = attempt(name, partial(answer, 1), "on one sample")
        scale = whole.abs().max()
        if (whole - alone).abs().max() <= scale / 100:
            return
        again = attempt(name, partial(answer, len(x)))
    if (whole - again).abs().max() <= scale / 1e4:  # else it answers by chance
        raise RecipeError(
            f"{name} judges a sample by the others of its batch and does not say so",
            why="real and fake would be judged as one batch",
            fix="write mixes = True into its class",
        )


def _judged(pair: Pair, x: Tensor) -> Tensor:
    """The logits; ValueError where the answer is not logits and a dict of features."""
    answer = pair.D(x, pair.c, features=True)
    if not (isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[1], dict)):
        raise ValueError("with features=True it must return (logits, dict of layers)")
    logits = answer[0]
    if not logits.dim() or len(logits) * getattr(pair.D, "pack", 1) != len(x):
        raise ValueError(f"logits are (N,) or (N, 1, h, w), not {tuple(logits.shape)}")
    return logits
