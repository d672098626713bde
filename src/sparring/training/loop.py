"""The loop: steps, and once in a while statistics, samples, scores and checkpoints."""

from __future__ import annotations

import copy
import io
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from sparring.data import SideBySide
from sparring.errors import DivergedError, RecipeError, SparringError
from sparring.nets import Discriminator, Generator
from sparring.recipe import Recipe, differences, read_recipe
from sparring.runs import Run, create_run, locked, open_run, refuse_existing
from sparring.sample import Model, in_rows, png, to_uint8
from sparring.sample.evaluate import evaluate
from sparring.sample.examples import examples
from sparring.sample.judge import judging
from sparring.sample.translate import how_many, translations
from sparring.storage import replace_file
from sparring.training.checkpoint import newest_checkpoint, save_checkpoint
from sparring.training.device import Device
from sparring.training.forecast import plan
from sparring.training.inherit import Inheritance, inherit
from sparring.training.setup import Material, Setup, open_data
from sparring.training.signals import Interrupts
from sparring.training.stats import Stats
from sparring.training.terminal import Terminal, clock
from sparring.training.watch import Careful, Ticks, Watcher, loggers

MOST_ROWS = 16  # classes that a grid of samples has rows for

Tick = Callable[[dict[str, Any]], None]
End = Callable[[Run, Material], None]


class Stopped(SparringError):
    """The run was asked to stop and has saved."""

    exit_code = 75


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
        raise RecipeError(f"--minutes must be positive, not {minutes}")
    found = loggers(logger)
    if not machine.first:
        return _join(machine, init_from)
    refuse_existing(out)
    given, (recipe, material) = recipe, open_data(recipe)
    alone, where = Device(device), Path(out or "runs")
    recipe, said = plan(given, recipe, material, alone, where, minutes=minutes, heard=not quiet)
    setup, taken = _begin(recipe, material, machine, init_from)
    run = create_run(out, f"{type(recipe.data).__name__.lower()}-{name}")
    run.write_recipe(recipe)
    run.keep_parts(parts)
    if taken:
        run.write_origin(taken.origin)
    machine.launch()
    machine.agree((str(run.path), str(recipe)))
    with locked(run), Terminal(run.log, recipe.images, quiet) as terminal:
        terminal.say(_opening(run, setup, material))
        took = taken.lines if taken else ()
        for line in (*_halved(recipe), *took, *said, *setup.warnings, *_left_out(material)):
            terminal.say(line)
        watchers = _watchers(on_tick, watch, found, terminal)
        Loop(run, setup, material, terminal, watchers, on_end).go(0)
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
    setup = Setup(recipe, material, machine)
    setup.everything.state = {"seconds": 0.0, "budget": recipe.images}
    if not init_from:
        return setup, None
    return setup, inherit(setup.everything, init_from, material.spec.classes)


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
        setup, _ = _begin(wanted, material, machine, None)
        setup.everything.restore(saved.files)
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


def _opening(run: Run, setup: Setup, material: Material) -> str:
    """The first line: what trains on what, where."""
    recipe = setup.recipe
    sizes = [
        f"{name} {sum(p.numel() for p in net.parameters()):,} weights"
        for name, net in setup.players.items()
    ]
    what = "x".join(map(str, material.spec.shape))
    return (
        f"{run.path}: {type(recipe.nets).__name__} on {material.real.name} ({what}), "
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
    """One line for each image that could not be used, the first ten of them."""
    found = material.left_out
    lines = [f"left out {file}: {reason}" for file, reason in found[:10]]
    return lines + ([f"left out {len(found) - 10} more: sparring inspect"] if found[10:] else [])


@dataclass
class Loop:
    """Runs the steps that are left and keeps the run folder."""

    run: Run
    setup: Setup
    material: Material
    terminal: Terminal
    watchers: Sequence[Watcher] = ()
    on_end: End | None = None

    def go(self, first: int) -> None:
        """Steps `first` to the end of the budget, then `on_end`."""
        for watcher in self.watchers:
            watcher.begin(self.run, first * self.setup.recipe.images_per_step)
        device = self.setup.device
        try:
            # The caller's global random numbers are none of a run's business.
            with torch.random.fork_rng(devices=[]):
                self.steps(first)
        except (Stopped, DivergedError):
            self.end()
            raise
        else:
            self.end()
        finally:
            for watcher in self.watchers:
                watcher.end(self.run)
            device.land()

    def end(self) -> None:
        """Hands the run and its data on."""
        if self.on_end:
            self.on_end(self.run, self.material)

    def steps(self, first: int) -> None:
        """Steps `first` to the end of the budget."""
        recipe, per_step = self.setup.recipe, self.setup.recipe.images_per_step
        tick = min(max(recipe.images // 256, per_step), 10_000)
        self.stats, self.started = Stats(), time.perf_counter()
        self.before, self.ticked = self.setup.everything.state["seconds"], self.started
        self.paused = 0.0
        if first == 0:
            with self.pause():
                self.sample(0)
                self.save(0)
        with Interrupts() as interrupts:
            for number in range(first, recipe.steps):
                self.stats.add(self.setup.advance(number))
                images, done = (number + 1) * per_step, number + 1 == recipe.steps

                def due(every: int, now: int = images, done: bool = done) -> bool:
                    return done or (every > 0 and now // every > (now - per_step) // every)

                stop = self.setup.device.any(interrupts.asked)
                if due(tick) or due(recipe.checkpoint_every or 0) or stop:
                    self.tick(number + 1)
                with self.pause():
                    if due(recipe.sample_every or 0):
                        self.sample(images)
                    if due(recipe.checkpoint_every or 0) or stop:
                        self.save(number + 1)
                    if recipe.metrics and due(recipe.evaluate_every):
                        self.score(images)
                if stop and not done:
                    raise Stopped(
                        f"stopped after {images:,} images, all saved",
                        fix=f"sparring resume {self.run.path}",
                    )

    @property
    def seconds(self) -> float:
        """Training time so far, over all resumptions."""
        return self.before + time.perf_counter() - self.started

    def tick(self, steps: int) -> None:
        """Reads the statistics since the last tick; DivergedError if one is not finite."""
        if self.stats.steps == 0:
            return
        number, per_step = self.stats.steps, self.setup.recipe.images_per_step
        means = self.setup.device.mean_numbers(self.stats.read())
        now = time.perf_counter()
        row = {
            "images": steps * per_step,
            "seconds": round(self.seconds, 3),
            **means,
            "img_per_s": round(number * per_step / (now - self.ticked - self.paused), 1),
            "memory": _memory(),
        }
        self.ticked, self.paused = now, 0.0
        if self.setup.device.first:
            self.run.add("stats", row)
        bad = [name for name, v in means.items() if not math.isfinite(v)]
        if bad:
            kept = self.run.saved()[:1]
            raise DivergedError(
                f"{bad[0]} is not finite after {row['images']:,} images",
                where=self.run.path,
                why=f"training diverged; checkpoint {kept[0].name if kept else 'none'} is intact",
                fix="lower the rates (--g-lr, --d-lr) or add a penalty (--tricks R1 R2)",
            )
        self.terminal.tick(row)
        for watcher in self.watchers:
            watcher.tick(row)

    def model(self, images: int) -> Model:
        """The averaged generator as it stands."""
        name = self.setup.recipe.game.generators[0]
        generator = cast(Generator, self.setup.averages[name].net)
        weights = "EMA" if self.setup.recipe.ema else "raw"
        shown = examples(self.setup.recipe.game, self.material.real)
        device = self.setup.device.torch
        back = [self.setup.averages[n].net for n in self.setup.recipe.game.generators[1:2]]
        home = cast(Generator, back[0]) if back else None
        return Model(generator, self.setup.spec, images, device, weights, shown, home)

    @contextmanager
    def pause(self) -> Iterator[None]:
        """The time in the block does not count in the images per second."""
        start = time.perf_counter()
        yield
        self.paused += time.perf_counter() - start

    def sample(self, images: int) -> None:
        """The same latents as always: a grid of about 64 images, or 2,000 points as an array.

        Of a game that translates the same inputs, each above what was made of it and its target.
        """
        if not self.setup.device.first:
            return
        model, seed = self.model(images), self.setup.recipe.seed
        path = self.run.samples / f"{images:09d}"
        if model.spec.points:
            x = model.sample(2_000, seed)
            buffer = io.BytesIO()
            np.save(buffer, x.numpy())
            replace_file(path.with_suffix(".npy"), buffer.getvalue())
        elif model.examples is not None:
            picture, x = translations(model, how_many(model.spec.shape))
            replace_file(path.with_suffix(".png"), png(picture))
        else:
            height, width = model.spec.shape[1:]
            n = 64 if max(height, width) <= 64 else 36
            classes = model.every_class(MOST_ROWS)
            n -= n % len(classes) if classes else 0  # as many of each
            x = model.sample(n, seed, classes)
            labels = None if classes is None else model.conditions(n, seed, classes=classes)
            replace_file(path.with_suffix(".png"), png(in_rows(to_uint8(x), labels)))
        for watcher in self.watchers:
            watcher.sample(images, x, path.with_suffix(".npy" if model.spec.points else ".png"))

    def save(self, steps: int) -> None:
        """A checkpoint, and the generator that samples are drawn from."""
        if not self.setup.device.first:
            return
        images = steps * self.setup.recipe.images_per_step
        everything = self.setup.everything
        everything.state = {
            "step": steps,
            "images": images,
            "seconds": round(self.seconds, 3),
            "budget": everything.state.get("budget"),
            "data": self.material.digest,
            "recipe": str(self.setup.recipe),
        }
        save_checkpoint(self.run, everything, images, self.setup.recipe.keep)
        model = self.model(images)
        self.run.save_generator(model.generator, model.spec, images)
        if model.back is not None:
            self.run.save_generator(model.back, model.spec, images, back=True)

    def score(self, images: int) -> None:
        """Scores of the averaged generator into scores.jsonl; the best so far is kept.

        A failing metric goes into skipped.jsonl and never stops the training.
        """
        if not self.setup.device.first:
            return
        start = time.perf_counter()
        recipe, model = self.setup.recipe, self.model(images)
        judge = None if recipe.game.translates else judging(self.discriminator)
        metrics = recipe.metrics or ()
        scores, skipped = evaluate(model, metrics, self.material.real, judge=judge)
        for score in scores:
            row = {"images": images, **score, "seconds": round(time.perf_counter() - start, 2)}
            self.run.add("scores", row)
            for watcher in self.watchers:
                watcher.score(row)
            se = f" +- {score['se']:.3g}" if score["se"] is not None else ""
            self.terminal.say(f"{score['metric']}: {score['value']:.4g}{se}")
        for metric, reason in skipped:
            self.run.add("skipped", {"images": images, "metric": metric, "reason": reason})
            self.terminal.say(f"{metric} skipped: {reason}")
        if recipe.evaluate_every:
            self.keep_best(model, scores)

    def discriminator(self) -> Discriminator:
        """A copy of D as it is now, in eval mode on the CPU, for the metrics that ask it."""
        D = self.setup.players[self.setup.recipe.game.discriminators[0]]
        return cast(Discriminator, copy.deepcopy(D).cpu().eval().requires_grad_(False))

    def keep_best(self, model: Model, scores: list[dict[str, Any]]) -> None:
        """Keeps the generator if its score is better than all before.

        One score decides in the whole run: the first that has a direction. An evaluation in which
        it is skipped keeps nothing, for another score's values do not compare with its own.
        """
        best = self.run.best_score()
        found = [s for s in scores if s["better"] in ("lower", "higher")]
        if best is not None:
            found = [s for s in found if s["metric"] == best["metric"]]
        score = found[0] if found and math.isfinite(found[0]["value"]) else None
        sign = -1 if score and score["better"] == "higher" else 1
        if score and (best is None or sign * score["value"] < sign * best["value"]):
            best = {key: score[key] for key in ("metric", "value")}
            self.run.save_generator(model.generator, model.spec, model.images, best)
        elif best and model.images >= self.setup.recipe.images:
            what = f"{best['metric']} {best['value']:.4g} at {best['images']:,} images"
            self.terminal.say(f"the best was {what}: kept as {self.run.best.name}")


def _memory() -> float:
    """Peak memory in GB: the device's on a GPU, the process's on a CPU."""
    if torch.cuda.is_available():
        return round(torch.cuda.max_memory_allocated() / 1e9, 3)
    import resource

    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 3)


__all__ = ["Stopped", "Tick", "clock", "resume", "train"]
