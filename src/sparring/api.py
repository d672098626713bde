"""What the command line does, as functions: train, resume, evaluate, load."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sparring.errors import RecipeError
from sparring.metrics import Metric
from sparring.recipe import Recipe
from sparring.report import write_report
from sparring.runs import Run, open_run
from sparring.sample import Model, load
from sparring.sample.evaluate import evaluate as score
from sparring.training import resume as _resume
from sparring.training import train as _train
from sparring.training.setup import Material, open_data

Tick = Callable[[dict[str, Any]], None]


def train(
    recipe: Recipe,
    out: str | Path | None = None,
    *,
    name: str = "custom",
    device: str = "auto",
    minutes: float | None = None,
    parts: Sequence[Path] = (),
    on_tick: Tick | None = None,
    quiet: bool = True,
) -> Run:
    """Trains a recipe into a new run folder and writes its report.

    out: the folder, by default runs/NNNN-data-name. minutes: replaces the recipe's budget by the
    number of images this machine trains in that time. parts: your own part files, of which the run
    keeps copies. on_tick: called with each row of statistics
    (the columns of stats.jsonl). Errors are SparringErrors: RecipeError, DataError, DiskError,
    DivergedError, and Stopped after a Ctrl-C, when everything is saved.
    """
    if not isinstance(recipe, Recipe):
        raise RecipeError(
            f"train takes a Recipe, not {recipe!r}",
            fix="Recipe(data=Ring()), or PRESETS[name](), changed by dataclasses.replace",
        )
    return _train(
        recipe,
        out,
        name=name,
        device=device,
        minutes=minutes,
        parts=parts,
        on_tick=on_tick,
        on_end=_write,
        quiet=quiet,
    )


def resume(
    run: str | Path | Run,
    *,
    images: int | None = None,
    recipe: Recipe | None = None,
    override: bool = False,
    device: str = "auto",
    on_tick: Tick | None = None,
    quiet: bool = True,
) -> Run:
    """Continues a run exactly where its newest intact checkpoint stands.

    images: a new total. recipe: if it differs from the run's own, it is refused with the
    differences, unless `override`.
    """
    path = run.path if isinstance(run, Run) else run
    return _resume(
        path,
        images=images,
        recipe=recipe,
        override=override,
        device=device,
        on_tick=on_tick,
        on_end=_write,
        quiet=quiet,
    )


def _write(run: Run, material: Material) -> None:
    write_report(run, train=material.train)


def evaluate(
    run: str | Path | Run, metrics: Sequence[Metric] | None = None, n: int | None = None
) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """Scores a run's generator against its data: rows of scores, (metric, reason) skipped.

    The rows are appended to the run's scores and its report is written anew.
    """
    found = run if isinstance(run, Run) else open_run(run)
    model = load(found)
    recipe, material = open_data(found.recipe)
    start = time.perf_counter()
    scores, skipped = score(model, metrics or recipe.metrics or (), material.real, n)
    rows = [
        {"images": model.images, **s, "seconds": round(time.perf_counter() - start, 2)}
        for s in scores
    ]
    for row in rows:
        found.add("scores", row)
    _write(found, material)
    return rows, skipped


__all__ = ["Model", "evaluate", "load", "resume", "train"]
