"""From a recipe to everything a run needs: data, networks, optimisers, the step."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn

from sparring.data import Files, Images, Points, Source, anchored, divide, opened
from sparring.errors import RecipeError
from sparring.games import Players, Translation
from sparring.metrics import Metric, Real, default_metrics, translation_metrics
from sparring.nets import Generator, Spec, conditional
from sparring.optim import Optimiser
from sparring.parts import Part, map_parts, show, walk
from sparring.randomness import seed_global, seeded
from sparring.recipe import Recipe, fill_schedules
from sparring.training import compatibility
from sparring.training.checkpoint import Everything
from sparring.training.conditions import check, describe
from sparring.training.device import Device
from sparring.training.ema import Ema
from sparring.training.feed import Feed
from sparring.training.hooks import attempt
from sparring.training.rehearse import rehearse
from sparring.training.step import Step


@dataclass(frozen=True)
class Material:
    """Opened data: what trains, and what the metrics compare with."""

    train: Images | Points
    real: Real
    spec: Spec
    digest: str
    left_out: tuple[tuple[str, str], ...] = ()
    unlabelled: str = ""


def open_data(recipe: Recipe) -> tuple[Recipe, Material]:
    """Opens the data; the recipe with everything they decide filled in.

    DataError where they are unusable, RecipeError where the recipe does not fit them.
    """
    recipe = _cut(replace(recipe, data=anchored(recipe.data)))
    data, name = opened(recipe.data, recipe.size), show(recipe.data)
    if isinstance(data, Points):
        if recipe.game.translates:
            raise RecipeError("points are not translated", where=name, fix="give images")
        if recipe.precision == "auto":  # bfloat16 keeps three digits of a point
            recipe = replace(recipe, precision="fp32")
        if recipe.size is not None:
            raise RecipeError("points have no size", where=name, fix="leave --size out")
        if recipe.flip or recipe.held_out or recipe.jitter:
            raise RecipeError(
                "points are neither flipped nor cropped nor held out",
                where=name,
                fix="--no-flip, --jitter 0, --held-out 0",
            )
        held_out, real = 0, Real(name=name, points=data)
        train: Images | Points = data
    else:
        train, held = divide(data, recipe.held_out)
        held_out = len(held) if held else 0
        real = Real(name=f"{name}, training split", train=train, held_out=held)
        recipe = replace(recipe, size=data.shape[1:])
    every = max(1, recipe.images // 20)
    recipe = replace(
        recipe,
        held_out=held_out,
        flip=type(recipe.data).flips if recipe.flip is None else recipe.flip,
        metrics=_metrics(recipe, real) if recipe.metrics is None else recipe.metrics,
        sample_every=recipe.sample_every or every,
        checkpoint_every=recipe.checkpoint_every or 2 * every,
    )
    spec = recipe.game.fit(describe(train), train)
    left_out, unlabelled = (
        (data.left_out, data.unlabelled) if isinstance(data, Images) else ((), "")
    )
    check(recipe, spec, name, unlabelled)
    material = Material(train, real, spec, train.digest, left_out, unlabelled)
    return fill_schedules(recipe), material


def _cut(recipe: Recipe) -> Recipe:
    """The recipe with its patches taken of all data that are files; without them for others."""
    sets = [part for part in walk(recipe.data) if isinstance(part, Source)]
    single = [s for s in sets if not any(isinstance(p, Source) for p in list(walk(s))[1:])]
    files = all(isinstance(part, Files) for part in single)
    if recipe.patches and not files and recipe.size is not None:
        raise RecipeError(
            "patches are cut from image files",
            where=show(recipe.data),
            why="what is no file would be scaled to --size as a whole",
            fix="--patches 0, or leave --size out",
        )

    def cut(part: Part) -> Part:
        return replace(part, patches=recipe.patches) if isinstance(part, Files) else part

    if not files:
        return replace(recipe, patches=0)
    return replace(recipe, data=map_parts(recipe.data, cut)) if recipe.patches else recipe


def _metrics(recipe: Recipe, real: Real) -> tuple[Metric, ...]:
    game = recipe.game
    if isinstance(game, Translation):
        return translation_metrics(game.paired)
    return default_metrics(real)


def _built(recipe: Recipe, spec: Spec) -> Players:
    """RecipeError, naming the architecture, where it gives no networks."""
    name = show(recipe.nets)
    players = attempt(name, lambda: recipe.game.build(recipe.nets, spec), "to build its networks")
    for player, net in players.items():
        if not isinstance(net, nn.Module):
            raise RecipeError(f"{name} gives no network for {player}", fix="return an nn.Module")
    return players


class Setup:
    """Networks, averages, optimisers and the step of one run, ready at image 0.

    weigh: gives the networks their weights, where these are not new ones, before tricks see them;
    images: how many these have seen, which decides the stage of networks that grow.
    """

    def __init__(
        self,
        recipe: Recipe,
        material: Material,
        device: Device,
        weigh: Callable[[Setup], None] | None = None,
        images: int = 0,
    ) -> None:
        self.recipe, self.device, self.spec = recipe, device, material.spec
        if recipe.deterministic:
            # cuBLAS asks for it, before its first use.
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.use_deterministic_algorithms(True)
        if recipe.batch % device.world:
            near = max(1, round(recipe.batch / device.world)) * device.world
            raise RecipeError(
                f"{device.world} processes cannot share a batch of {recipe.batch}",
                why="each takes as many images",
                fix=f"--batch {near}",
            )
        with seeded(recipe.seed, "weights"):
            players = _built(recipe, material.spec)
        compatibility.check(recipe, players, recipe.batch // device.world)
        self.warnings = compatibility.warnings(recipe, players)
        data = material.train
        deaf = [name for name, net in players.items() if not conditional(net)]
        if recipe.nets.condition and deaf:
            raise RecipeError(
                f"{' and '.join(deaf)} of {type(recipe.nets).__name__} "
                f"{'does' if len(deaf) == 1 else 'do'} not read the condition",
                fix="--condition none",
            )
        labels = data.labels if isinstance(data, Images) else None
        if labels is not None and recipe.nets.condition is None:
            data = replace(data, labels=None)
        self.players = {name: device.place(net).train() for name, net in players.items()}
        game = recipe.game
        self.averages = {
            name: Ema(self.players[name], recipe.ema, recipe.ema_ramp) for name in game.generators
        }
        self.g_optim = self._optimiser("G", recipe.g_optim, game.generators)
        self.d_optim = self._optimiser("D", recipe.d_optim, game.discriminators)
        self.step = Step(recipe, self.players, self.g_optim, self.d_optim, device)
        self.feed = Feed(
            data,
            batch=recipe.batch // device.world,
            seed=recipe.seed,
            flip=bool(recipe.flip),
            jitter=recipe.jitter,
            balance=labels if recipe.balance_classes else None,
            device=device.torch,
            rank=device.rank,
            world=device.world,
        )
        self.everything = Everything(
            players=self.players,
            averages=self.averages,
            optims={"g": self.g_optim, "d": self.d_optim},
            tricks=self.step.states,
        )
        if weigh is not None:
            weigh(self)
        with seeded(recipe.seed, "start"):
            first = self.feed(0)
            rehearse(recipe, self.players, first, device)
            self.grow(images)
            self.step.start(first)

    def _optimiser(
        self, side: str, part: Optimiser, names: tuple[str, ...]
    ) -> torch.optim.Optimizer:
        """RecipeError where it cannot be built over the weights of these networks."""
        found = [p for name in names for p in self.players[name].parameters() if p.requires_grad]
        if not found:
            raise RecipeError(f"{side} of {show(self.recipe.nets)} has no weights to train")
        name = f"{type(part).__name__}.build"
        optim = attempt(name, lambda: part.build(found), "over the weights")
        if not isinstance(optim, torch.optim.Optimizer):
            raise RecipeError(f"{name} gives no optimiser", fix="return one of torch.optim")
        if len(optim.param_groups) > 1:
            raise RecipeError(
                f"{name} makes {len(optim.param_groups)} groups of weights",
                why="a run has one rate for each side",
                fix="give the weights as one list",
            )
        return optim

    def grow(self, images: int) -> None:
        """Tells every network how many images have been seen."""
        for net in self.players.values():
            if getattr(net, "grows", False):
                cast(Generator, net).at(images)
        for ema in self.averages.values():
            ema.at(images)

    def advance(self, number: int) -> dict[str, Tensor]:
        """Step `number` from 0, with its learning rates and the moving average; its statistics."""
        recipe, seen = self.recipe, number * self.recipe.images_per_step
        for optim, part in ((self.g_optim, recipe.g_optim), (self.d_optim, recipe.d_optim)):
            if part.schedule is not None:
                optim.param_groups[0]["lr"] = part.rate(seen)
        self.grow(seen)
        seed_global(recipe.seed, "global", number, self.device.rank)
        stats = self.step(number, self.feed)
        images = seen + recipe.images_per_step
        for ema in self.averages.values():
            ema.update(recipe.images_per_step, images)
        return stats
