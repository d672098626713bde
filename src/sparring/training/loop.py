"""The loop: steps, and once in a while statistics, samples, scores and checkpoints."""

from __future__ import annotations

import copy
import io
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch

from sparring.errors import DivergedError, SparringError
from sparring.metrics.features import watching
from sparring.nets import Discriminator, Generator
from sparring.runs import Run
from sparring.sample import Model, in_rows, png, to_uint8
from sparring.sample.evaluate import evaluate
from sparring.sample.examples import examples
from sparring.sample.judge import judging
from sparring.sample.translate import both_ways, how_many
from sparring.storage import replace_file
from sparring.training.checkpoint import save_checkpoint
from sparring.training.setup import Material, Setup
from sparring.training.signals import Interrupts
from sparring.training.stats import Stats
from sparring.training.terminal import Terminal
from sparring.training.watch import Watcher

MOST_ROWS = 16  # classes that a grid of samples has rows for

End = Callable[[Run, Material], None]


class Stopped(SparringError):
    """The run was asked to stop and has saved."""

    exit_code = 75


class _Enough(BaseException):
    """Somebody asked to stop while a run was scored: no failure of a metric, which none catches."""


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
                        self.score(images, interrupts)
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
            "memory": _memory(self.setup.device.kind),
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

        Of a game that translates the same inputs, each above what was made of it and its target, or
        what came back of that; the other way round below.
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
            picture, x = both_ways(model, how_many(model.spec.shape))
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
        everything = self.setup.everything
        everything.others = self.setup.device.gather(everything.kept())
        if not self.setup.device.first:
            return
        images = steps * self.setup.recipe.images_per_step
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

    def score(self, images: int, interrupts: Interrupts) -> None:
        """Scores of the averaged generator into scores.jsonl; the best so far is kept.

        A failing metric goes into skipped.jsonl and never stops the training. Who asks to stop
        meanwhile gets no scores; what was trained is saved by then.
        """
        if not self.setup.device.first:
            return
        start = time.perf_counter()
        recipe, model = self.setup.recipe, self.model(images)
        judge = None if recipe.game.translates else judging(self.discriminator)
        metrics = recipe.metrics or ()
        if images >= recipe.images:  # the bar is at its end, and this may take as long as it took
            names = dict.fromkeys(type(m).__name__ for m in metrics)
            self.terminal.say(f"scoring by {', '.join(names)}; Ctrl-C leaves it out")

        def watch(features: str, done: int, total: int) -> None:
            if interrupts.asked:
                raise _Enough
            self.terminal.scoring(features, done, total)

        try:
            with watching(watch):
                scores, skipped = evaluate(model, metrics, self.material.real, judge=judge)
        except _Enough:
            self.terminal.say(f"scores left out: sparring evaluate {self.run.path}")
            return
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


def _memory(kind: str) -> float:
    """Peak memory in GB: the device's on a GPU, the process's on a CPU."""
    if kind == "cuda":
        return round(torch.cuda.max_memory_allocated() / 1e9, 3)
    import resource

    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 3)
