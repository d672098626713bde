"""Starting from the weights of another run, as for fine-tuning on other data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from sparring.errors import RecipeError
from sparring.parts import Part, map_parts
from sparring.recipe import Recipe
from sparring.runs import open_run
from sparring.schedules import Schedule
from sparring.training.checkpoint import Everything, newest_checkpoint

_NAMED = 5  # tensors that are named one by one


def afresh(recipe: Recipe) -> Recipe:
    """A run's recipe for other data: what its data, machine and budget decided is open again."""

    def reopen(part: Part) -> Part:
        if isinstance(part, Schedule) and part.images == recipe.images:
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


def inherit(everything: Everything, path: str | Path) -> list[str]:
    """Takes over every weight of the run at `path` that has the same name and shape here.

    G, D and the average each from its own; optimisers and tricks start anew. Returns the lines that
    say what was taken and what was not. RunError where there is no run, RecipeError where no weight
    of it fits.
    """
    run = open_run(path)
    saved, lines, taken = newest_checkpoint(run), [], 0
    nets = everything.players | {f"ema_{name}": net for name, net in everything.averages.items()}
    for name, net in nets.items():
        count, total, missed = _take(net, saved.files.get(name, {}))
        taken += count
        line = f"{name}: {count} of {total} tensors taken from {run.path}"
        if missed:
            more = f" and {len(missed) - _NAMED} more" if missed[_NAMED:] else ""
            line += f"; not {', '.join(missed[:_NAMED])}{more}"
        lines.append(line)
    if not taken:
        raise RecipeError(
            f"nothing in {run.path} fits these networks",
            why="; ".join(lines),
            fix=f"leave --nets and --preset out: the recipe of {run.path} is taken then",
        )
    return lines


@torch.no_grad()
def _take(net: nn.Module, given: dict[str, Tensor]) -> tuple[int, int, list[str]]:
    """How many tensors were taken, of how many, and why each other one was not."""
    own, missed = net.state_dict(), []
    for key, mine in own.items():
        theirs = given.get(key)
        if theirs is None:
            missed.append(f"{key} (is not there)")
        elif theirs.shape != mine.shape:
            missed.append(f"{key} ({_shape(theirs)} there, {_shape(mine)} here)")
        else:
            mine.copy_(theirs)
    return len(own) - len(missed), len(own), missed


def _shape(t: Tensor) -> str:
    return "x".join(map(str, t.shape)) or "one number"
