"""Starting from the weights of another run, as for fine-tuning on other data."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from sparring.errors import RecipeError
from sparring.nets import Nets, Spec
from sparring.nets.architecture import halvings
from sparring.nets.condition import Classify, Embedding
from sparring.parts import Part, map_parts, show
from sparring.recipe import Recipe
from sparring.runs import Run, open_run
from sparring.schedules import Linear, Schedule
from sparring.training.checkpoint import newest_checkpoint
from sparring.training.setup import Setup

_NAMED = 5  # tensors that are named one by one


@dataclass(frozen=True)
class Inheritance:
    """What a run took from another one.

    lines: what was taken and what was not, in words; origin: which run it was, as the new one's
    folder keeps it.
    """

    lines: tuple[str, ...]
    origin: dict[str, Any]


def afresh(run: Run, size: tuple[int, int] | None = None) -> Recipe:
    """A run's recipe for other data: what its data, machine and budget decided is open again.

    Networks that grow go on from the size that they have reached, to `size` (height, width) where
    another one is wanted. RecipeError for one that they cannot make.
    """
    recipe, state = run.recipe, newest_checkpoint(run).state
    # A run that was extended keeps the schedules of its first budget.
    budgets = (recipe.images, state.get("budget"))
    growth = getattr(recipe.nets, "growth", None)
    if isinstance(growth, Schedule):
        share = min(growth.at(state["images"]), 1.0)
        if size is not None and recipe.size is not None:
            name = type(recipe.nets).__name__
            before, now = (halvings(Spec((1, *s)), name)[0] for s in (recipe.size, size))
            share = min(share * before / now, 1.0)
        grown = Linear(start=round(share, 6), end=2.0)
        recipe = replace(recipe, nets=replace(recipe.nets, growth=grown))

    def reopen(part: Part) -> Part:
        if isinstance(part, Schedule) and part.images in budgets:
            return replace(part, images=None)
        return part

    kept = cast(Recipe, map_parts(recipe, reopen))
    return replace(
        kept,
        held_out=None,
        flip=None,
        metrics=None,
        sample_every=None,
        checkpoint_every=None,
        precision="auto",
    )


def inherit(setup: Setup, path: str | Path) -> Inheritance:
    """Takes over every weight of the run at `path` that has the same name and shape here.

    G, D and the average each from its own; optimisers and tricks start anew. What was learnt of a
    class goes to the class of that name, and others start anew. RunError where there is no run,
    RecipeError where no weight of a generator fits.
    """
    run, everything, classes = open_run(path), setup.everything, setup.spec.classes
    saved, about, lines, taken = newest_checkpoint(run), run.about(), [], {}
    known = about["classes"]
    places = {new: known.index(c) for new, c in enumerate(classes) if c in known}
    told = set[str]()
    averages = {f"ema_{name}": ema.net for name, ema in everything.averages.items()}
    nets = everything.players | averages
    for name, net in nets.items():
        per_class = _per_class(net)
        told |= per_class
        count, total, missed = _take(net, saved.files.get(name, {}), per_class, places)
        taken[name] = [count, total]
        line = f"{name}: {count} of {total} tensors taken from {run.path}"
        if missed:
            more = f" and {len(missed) - _NAMED} more" if missed[_NAMED:] else ""
            line += f"; not {', '.join(missed[:_NAMED])}{more}"
        lines.append(line)
    if not any(taken[name][0] for name in averages):
        raise RecipeError(
            f"nothing in {run.path} fits these networks",
            why="; ".join(lines),
            fix=f"leave --nets and --preset out: the recipe of {run.path} is taken then",
        )
    lines += _other_networks(run, setup.recipe.nets)
    if told and tuple(known) != classes:
        same = ", ".join(classes[new] for new in places) or "none"
        new = ", ".join(c for c in classes if c not in known) or "none"
        lines.append(f"classes: known from {run.path}: {same}; new: {new}")
    origin = {
        "run": str(run.path.resolve()),
        "images": saved.state["images"],
        "weights": run.fingerprint(),
        "taken": taken,
    }
    return Inheritance(tuple(lines), origin)


def _other_networks(run: Run, nets: Nets) -> list[str]:
    """A warning where they are not those of the run: weights of the same names and shapes may mean
    another function in them."""
    theirs = run.recipe.nets
    if type(theirs) is not type(nets):
        differ = [f"{type(theirs).__name__} there, {type(nets).__name__} here"]
    else:
        pairs = ((f.name, getattr(theirs, f.name), getattr(nets, f.name)) for f in fields(nets))
        differ = [
            f"{name} was {show(a)}, is {show(b)}"
            for name, a, b in pairs
            if a != b and not isinstance(b, Schedule)
        ]
    if not differ:
        return []
    return [f"warning: the networks are not those of {run.path}: {', '.join(differ)}"]


def _per_class(net: nn.Module) -> set[str]:
    """The names of the tensors that have a row for each class."""
    found = set[str]()
    for name, m in net.named_modules():
        if isinstance(m, Embedding) and not m.vectors:
            found |= {f"{name}.weight", f"{name}.parametrizations.weight.original"}
        if isinstance(m, Classify):
            found |= {f"{name}.head.weight", f"{name}.head.bias"}
    return found & net.state_dict().keys()


@torch.no_grad()
def _take(
    net: nn.Module, given: dict[str, Tensor], per_class: set[str], places: dict[int, int]
) -> tuple[int, int, list[str]]:
    """How many tensors were taken, of how many, and why each other one was not.

    places: which row here is which row there, for those `per_class`.
    """
    own = {k: t for k, t in net.state_dict().items() if not k.endswith("_extra_state")}
    missed = []
    for key, mine in own.items():
        theirs = given.get(key)
        if theirs is None:
            missed.append(f"{key} (is not there)")
        elif key in per_class and theirs.shape[1:] == mine.shape[1:]:
            if not places:
                missed.append(f"{key} (of other classes)")
                continue
            mine[list(places)] = theirs[list(places.values())].to(mine)
        elif theirs.shape != mine.shape:
            missed.append(f"{key} ({_shape(theirs)} there, {_shape(mine)} here)")
        else:
            mine.copy_(theirs)
    return len(own) - len(missed), len(own), missed


def _shape(t: Tensor) -> str:
    return "x".join(map(str, t.shape)) or "one number"
