"""How a run starts: a new one at image 0, an old one where its newest checkpoint stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from sparring.data import SideBySide
from sparring.errors import RecipeError
from sparring.presets import PRESETS
from sparring.recipe import Recipe, differences, read_recipe
from sparring.runs import Run, create_run, locked, open_run, refuse_existing
from sparring.training.checkpoint import newest_checkpoint
from sparring.training.device import Device
from sparring.training.forecast import astray, plan
from sparring.training.inherit import Inheritance, inherit
from sparring.training.loop import End, Loop
from sparring.training.setup import Material, Setup, open_data
from sparring.training.terminal import Terminal
from sparring.training.watch import Careful, Ticks, Watcher, loggers

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
    watch: Sequence[Watcher] = (),
    logger: Sequence[str] = (),
    init_from: str | Path | None = None,
    devices: int = 1,
    on_end: End | None = None,
    quiet: bool = False,
) -> Run:
    """Trains a recipe into a new run folder and returns the run.

    `out` defaults to runs/NNNN-data-name. `minutes` replaces the recipe's budget by the number of
    images this machine trains in that time. `parts` are the user's own files, of which the run
    keeps copies. `on_tick` gets each row of statistics; `watch` and the loggers named by `logger`
    hear of more; `init_from` is a run whose weights are taken over where they fit; `devices`
    processes share each batch; `on_end` gets the run and its opened data when training is done,
    was stopped or has diverged.
    Raises RecipeError, DataError, DiskError, DivergedError, Stopped.
    """
    machine = Device(device, processes=devices)
    if minutes is not None and not minutes > 0:
        raise RecipeError(f"--minutes must be positive, not {minutes}", fix="--minutes 10")
    found = loggers(logger)
    if not machine.first:
        return _join(machine, init_from)
    refuse_existing(out)
    given, (recipe, material) = recipe, open_data(recipe)
    alone, where = Device(device), Path(out or "runs")
    tell = None if quiet else Terminal(None, recipe.images).say
    recipe, said = plan(given, recipe, material, alone, where, minutes=minutes, tell=tell)
    setup, taken = _begin(recipe, material, machine, init_from)
    run = create_run(out, f"{type(recipe.data).__name__.lower()}-{name}")
    run.write_recipe(recipe)
    run.keep_parts(parts)
    if taken:
        run.write_origin(taken.origin)
    machine.launch()
    machine.agree((str(run.path), str(recipe)))
    with locked(run), Terminal(run.log, recipe.images, quiet) as terminal:
        terminal.say(_opening(run, setup, material, name))
        took = taken.lines if taken else ()
        for line in (*_halved(recipe), *took, *said, *setup.warnings, *_left_out(material)):
            terminal.say(line)
        watchers = _watchers(on_tick, watch, found, terminal)
        Loop(run, setup, material, terminal, watchers, on_end).go(0)
        if minutes is not None:
            for line in astray(recipe, minutes, run.stats()[-1]["seconds"]):
                terminal.say(line)
    return run


def resume(
    path: str | Path,
    *,
    images: int | None = None,
    recipe: Recipe | None = None,
    override: bool = False,
    device: str = "auto",
    on_tick: Tick | None = None,
    watch: Sequence[Watcher] = (),
    logger: Sequence[str] = (),
    devices: int = 1,
    on_end: End | None = None,
    quiet: bool = False,
) -> Run:
    """Continues a run exactly where its newest intact checkpoint stands; `images` is a new total.

    A `recipe` that differs from the run's is refused, with the differences, unless `override`.
    """
    run, found = open_run(path), loggers(logger)
    machine = Device(device, processes=devices)
    first = machine.first
    with locked(run) if first else nullcontext():
        saved = newest_checkpoint(run)
        wanted = recipe or run.recipe
        wanted = wanted if images is None else replace(wanted, images=images)
        changed = [d for d in differences(saved.recipe, wanted) if d[0] != "images"]
        if changed and not override:
            text = "; ".join(f"{name} was {old}, is {new}" for name, old, new in changed)
            raise RecipeError(
                "the recipe has changed", where=run.path, why=text, fix="add --override to go on"
            )
        _refuse_fixed(saved.recipe, wanted, run)
        if saved.state["images"] >= wanted.images:
            raise RecipeError(
                f"{run.path} is done",
                why=f"it has seen all its {saved.state['images']:,} images",
                fix=f"sparring resume {run.path} --images {2 * saved.state['images']}",
            )
        wanted, material = open_data(wanted)
        machine.precision = cast(Any, wanted.precision)
        # Twice: tricks begin with these weights, and their first look at G moves its BatchNorm.
        restore, seen = (lambda s: s.everything.restore(saved.files)), saved.state["images"]
        setup = Setup(wanted, material, machine, restore, seen)
        setup.everything.restore(saved.files, machine.rank)
        setup.everything.state = saved.state
        machine.launch()
        if not first:
            silent = Terminal(None, wanted.images, quiet=True)
            Loop(run, setup, material, silent).go(saved.state["step"])
            return run
        with Terminal(run.log, wanted.images, quiet) as terminal:
            for line in saved.skipped:
                terminal.say(f"warning: checkpoint {line}; an older one is used")
            if saved.state["data"] != material.digest:
                terminal.say("warning: the data have changed since this run began")
            run.sweep()
            run.write_recipe(wanted)
            run.cut(saved.state["images"])
            if saved.recipe.metrics != wanted.metrics:
                run.best.unlink(missing_ok=True)  # another score may decide now
            terminal.say(f"resuming {run.path} at {saved.state['images']:,} images")
            watchers = _watchers(on_tick, watch, found, terminal)
            Loop(run, setup, material, terminal, watchers, on_end).go(saved.state["step"])
    return run


def _join(machine: Device, init_from: str | Path | None) -> Run:
    """What every process but the first does: it steps along, and neither writes nor speaks."""
    machine.launch()
    path, text = machine.agree(("", ""))
    recipe, material = open_data(read_recipe(text))
    setup, _ = _begin(recipe, material, machine, init_from)
    run = Run(path)
    Loop(run, setup, material, Terminal(None, recipe.images, quiet=True)).go(0)
    return run


def _begin(
    recipe: Recipe, material: Material, machine: Device, init_from: str | Path | None
) -> tuple[Setup, Inheritance | None]:
    """Everything at image 0, and what was taken from another run."""
    machine.precision = cast(Any, recipe.precision)
    taken: list[Inheritance] = []
    weigh = (lambda s: taken.append(inherit(s, init_from))) if init_from else None
    setup = Setup(recipe, material, machine, weigh)
    setup.everything.state = {"seconds": 0.0, "budget": recipe.images}
    return setup, taken[0] if taken else None


def _watchers(
    on_tick: Tick | None, watch: Sequence[Watcher], found: Sequence[Watcher], terminal: Terminal
) -> list[Watcher]:
    """All that look on: the loggers carefully, so that training never hangs on one."""
    ticks = [Ticks(on_tick)] if on_tick else []
    return [*(Careful(logger, terminal.say) for logger in found), *watch, *ticks]


def _refuse_fixed(old: Recipe, new: Recipe, run: Run) -> None:
    """RecipeError for a change that makes no sense in the middle of a run, `override` or not."""
    fixed = ["batch", "d_steps"]  # images are counted in steps of these
    fixed += [
        n for n in ("g_optim", "d_optim") if type(getattr(old, n)) is not type(getattr(new, n))
    ]
    for name, before, after in differences(old, new):
        if name in fixed:
            raise RecipeError(
                f"{name} cannot change within a run",
                where=run.path,
                why=f"it was {before}, is {after}",
                fix=f"start anew from its weights: sparring train --init-from {run.path}",
            )


def _opening(run: Run, setup: Setup, material: Material, name: str) -> str:
    """The first line: what trains on what, where. It says which preset, which may be chosen."""
    recipe = setup.recipe
    sizes = [
        f"{name} {sum(p.numel() for p in net.parameters()):,} weights"
        for name, net in setup.players.items()
    ]
    what = "x".join(map(str, material.spec.shape))
    preset = f"preset {name}, " if name in PRESETS else ""
    return (
        f"{run.path}: {preset}{type(recipe.nets).__name__} on {material.real.name} ({what}), "
        f"{', '.join(sizes)}, {recipe.images:,} images on {setup.device.torch}"
    )


def _halved(recipe: Recipe) -> list[str]:
    """What a folder of ordinary photos would be taken for, too."""
    if not isinstance(recipe.data, SideBySide):
        return []
    given = recipe.data.input
    made = "right" if given == "left" else "left"
    return [f"pairs: the {given} half of each image is to become its {made} half"]


def _left_out(material: Material) -> list[str]:
    """One line for each image that could not be used, the first ten of them; one where images
    beside folders take the classes from all."""
    found, said = material.left_out, material.unlabelled
    lines = [f"{said}: all are taken, none has a class"] if said else []
    lines += [f"left out {file}: {reason}" for file, reason in found[:10]]
    return lines + (
        [f"left out {len(found) - 10} more, which sparring inspect lists"] if found[10:] else []
    )
