"""Parts that cannot go together: refused before training, with the field to change."""

from __future__ import annotations

from functools import partial

from torch import nn

from sparring.errors import RecipeError
from sparring.games import Players
from sparring.nets.minibatch import MinibatchDiscrimination, MinibatchStddev
from sparring.nets.normalise import PixelNorm
from sparring.optim import Optimiser
from sparring.parts import show, walk
from sparring.recipe import Recipe, without
from sparring.schedules import Schedule
from sparring.training.hooks import attempt
from sparring.tricks import Trick

_BATCH = nn.modules.batchnorm._BatchNorm
_WHOLE_BATCH = (MinibatchDiscrimination, MinibatchStddev, _BATCH)
_SCALING = (
    *_WHOLE_BATCH,
    nn.GroupNorm,
    nn.LayerNorm,
    nn.modules.instancenorm._InstanceNorm,
    PixelNorm,
)


def check(recipe: Recipe, players: Players, batch: int) -> None:
    """RecipeError where the tricks, the networks and a process's `batch` do not fit together."""
    for schedule in (part for part in walk(recipe) if isinstance(part, Schedule)):
        attempt(repr(schedule), partial(schedule.at, 0), "at 0 images")
    _check_translation(recipe)
    _check_rates(recipe)
    for name in recipe.game.discriminators:
        _check_groups(recipe, players[name], batch)
        _check_mixing(recipe, name, players[name])
    if batch == 1 and any(isinstance(m, _BATCH) for p in players.values() for m in p.modules()):
        raise RecipeError("BatchNorm has nothing to learn from one image", fix="--batch 2 or more")
    swaps = next((t for t in recipe.tricks if t.swaps), None)
    own = next((t for t in recipe.tricks if t.own_fakes), None)
    if swaps and own:
        raise RecipeError(
            f"{swaps!r} and {own!r} do not go together",
            why=f"{type(own).__name__} compares fakes with what G makes of their noise now",
            fix=without(recipe, swaps),
        )
    grows = [n for n in recipe.game.discriminators if getattr(players[n], "grows", False)]
    if swaps and grows:
        raise RecipeError(
            f"{swaps!r} and {type(recipe.nets).__name__} do not go together",
            why="old fakes are smaller than those of a network that has grown since",
            fix=without(recipe, swaps),
        )
    decoding = next((t for t in recipe.tricks if t.decodes), None)
    blind = [n for n in recipe.game.discriminators if not getattr(players[n], "decodes", False)]
    if decoding and blind:
        raise RecipeError(
            f"{decoding!r} needs a D that decodes its layers",
            why=f"that of {type(recipe.nets).__name__} does not",
            fix=f"--nets FewShot, or {without(recipe, decoding)}",
        )
    matching = next((t for t in recipe.tricks if getattr(t, "paired", False)), None)
    if matching and not getattr(recipe.game, "paired", False):
        raise RecipeError(
            f"{matching!r} compares each fake with its own target",
            why=f"in {type(recipe.game).__name__} there are none",
            fix=f"--tricks {type(matching).__name__}, or --game Pix2Pix",
        )
    unrolling = [t for t in recipe.tricks if t.follows]
    if len(unrolling) > 1:
        raise RecipeError(
            f"{unrolling[0]!r} and {unrolling[1]!r} do not go together",
            why="a D that is looked ahead to is not unrolled once more",
            fix=without(recipe, unrolling[1]),
        )
    unrolls = next(iter(unrolling), None)
    if unrolls and type(recipe.d_optim).follow is Optimiser.follow:
        raise RecipeError(
            f"{unrolls!r} cannot unroll {recipe.d_optim!r}",
            why="this optimiser has no step as a function (its method follow)",
            fix="--d-optim Adam",
        )
    clips = next((t for t in recipe.tricks if t.clips), None)
    if unrolls and clips:
        raise RecipeError(
            f"{unrolls!r} and {clips!r} do not go together",
            why="the steps of D that are looked ahead to would not be clipped",
            fix=f"{without(recipe, clips)}, or GradientPenalty in its place",
        )


def _check_translation(recipe: Recipe) -> None:
    """A game that translates needs networks that do, and no trick that needs noise."""
    game, nets = type(recipe.game), type(recipe.nets)
    if game.translates != nets.translates:
        takes = {True: "images", False: "noise"}
        raise RecipeError(
            f"{game.__name__} and {nets.__name__} do not go together",
            why=f"G is given {takes[game.translates]} in this game, "
            f"and {takes[nets.translates]} by these networks",
            fix="--preset pix2pix, or --nets UNet" if game.translates else "--game Pix2Pix",
        )
    noisy = next((t for t in recipe.tricks if t.steps_in_noise), None)
    if noisy and game.translates:
        raise RecipeError(
            f"{noisy!r} and {game.__name__} do not go together",
            why="it takes a step in G's noise, and this G is shown images",
            fix=without(recipe, noisy),
        )


def _check_rates(recipe: Recipe) -> None:
    """A rate that has fallen to zero trains nothing: a run may end there, but not go on."""
    for optim in (recipe.g_optim, recipe.d_optim):
        schedule = optim.schedule
        if schedule and schedule.images and schedule.images < recipe.images and not schedule.end:
            raise RecipeError(
                f"nothing is learned from {schedule.images} images on",
                why=f"the rate of {optim!r} is 0 from there, and the run goes to {recipe.images}",
                fix="--init-from RUN starts a new run from its weights",
            )


def _check_groups(recipe: Recipe, D: nn.Module, batch: int) -> None:
    """The groups of samples that D looks at must divide the batch."""
    nets, pack = type(recipe.nets).__name__, getattr(D, "pack", 1)
    if pack > 1 and recipe.nets.condition is not None:
        raise RecipeError(
            f"{nets}(pack={pack}) cannot be told a condition",
            why="the samples of a pack may be of several classes",
            fix="--condition none, or pack=1",
        )
    groups = [m.group for m in D.modules() if isinstance(m, MinibatchStddev)]
    for field, size in (("pack", pack), *(("stddev", pack * g) for g in groups)):
        if batch % size:
            near = max(1, round(batch / size)) * size
            raise RecipeError(
                f"{nets}({field}={size if field == 'pack' else size // pack}) does not fit the "
                f"batch: {size} samples go together and {batch} are no multiple of it",
                fix=f"--batch {near * recipe.batch // batch}",
            )


def _check_mixing(recipe: Recipe, name: str, D: nn.Module) -> None:
    """A D that looks at several samples must say so, or it is shown real and fake as one batch."""
    layer = next((m for m in D.modules() if isinstance(m, _WHOLE_BATCH)), None)
    if layer is not None and not getattr(D, "mixes", False):
        raise RecipeError(
            f"{name} of {type(recipe.nets).__name__} has a {type(layer).__name__} but does not "
            "say that it mixes samples",
            why="real and fake would be normalised as one batch",
            fix="write mixes = True into its class",
        )


def _unbounded(recipe: Recipe, spectral: bool, judges: list[nn.Module]) -> list[str]:
    """A line where no weights and no penalty bound the slope of D, as its loss wants.

    Spectral norm does not where a layer divides by what it sees: that undoes the division before.
    """
    scaling = next((m for D in judges for m in D.modules() if isinstance(m, _SCALING)), None)
    if spectral and scaling is None:
        return []
    why, fix = "nothing bounds it", "spectral norm in D"
    if spectral:
        why = f"spectral norm does not bound its {type(scaling).__name__}"
        fix = "a D without normalisation (d_norm='none') and minibatch layers"
    return [
        f"warning: {recipe.loss!r} wants a D whose slope is bounded and {why}. "
        f"Fix: --tricks GradientPenalty, or WeightClipping, or {fix}"
    ]


def warnings(recipe: Recipe, players: Players) -> list[str]:
    """A line for each trick that means less here than its name says, and for a loss that does."""
    changes = next((t for t in recipe.tricks if type(t).see is not Trick.see), None)
    found = [
        f"warning: {trick!r} compares a translation with its target after {changes!r} has changed "
        "each of them in another way"
        for trick in recipe.tricks
        if changes and getattr(trick, "paired", False)
    ]
    judges = [players[name] for name in recipe.game.discriminators]
    spectral = [any(hasattr(m, "parametrizations") for m in D.modules()) for D in judges]
    clips = next((t for t in recipe.tricks if t.clips), None)
    if clips and any(spectral):
        found.append(
            f"warning: {clips!r} bounds little beside spectral norm, which scales it again. "
            "Fix: leave one of them out"
        )
    bounded = any(t.slopes or t.per_sample or t.clips for t in recipe.tricks)
    if any(getattr(part, "lipschitz", False) for part in walk(recipe.loss)) and not bounded:
        found += _unbounded(recipe, all(spectral), judges)
    swaps = next((t for t in recipe.tricks if t.swaps), None)
    if swaps and recipe.loss.pairs and recipe.nets.condition:
        found.append(
            f"warning: {recipe.loss!r} compares each real image with the fake beside it, which "
            f"{swaps!r} may swap for one of another class"
        )
    growth = getattr(recipe.nets, "growth", None)
    if isinstance(growth, Schedule) and growth.at(recipe.images) < 1:
        found.append(
            f"warning: {show(recipe.nets)} is not fully grown at the end of the run, so its images "
            f"are smaller ones enlarged. Fix: let growth end at 1 or more, not at {growth.end:g}"
        )
    for name in recipe.game.discriminators:
        D = players[name]
        whole = getattr(D, "mixes", False) and (
            getattr(D, "pack", 1) == 1 or any(isinstance(m, _WHOLE_BATCH) for m in D.modules())
        )
        for trick in recipe.tricks:
            if whole and trick.per_sample:
                found.append(
                    f"warning: {trick!r} is no penalty of one sample's slope here: {name} looks at "
                    "the whole batch (BatchNorm or minibatch statistics), so it takes the slope of "
                    "all logits"
                )
            if getattr(D, "mixes", False) and trick.slopes and getattr(trick, "share", 1.0) < 1:
                found.append(
                    f"warning: {trick!r} takes the slopes of the whole batch: {name} looks at "
                    "several samples at once and cannot be asked about a share of them"
                )
    return found
