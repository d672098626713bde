"""What a report is made of: a run, and everything in it that is opened only when asked for."""

from __future__ import annotations

import json
import math
import re
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparring.data import Images, Points, Unpaired, divide, opened
from sparring.errors import DataError, RecipeError, RunError
from sparring.metrics import Real
from sparring.nets import Discriminator
from sparring.parts import Part, show
from sparring.randomness import Draws, generator
from sparring.recipe import Recipe
from sparring.runs import Run
from sparring.sample import Model, examples, load


class Material:
    """A run and what belongs to it. Everything raises RunError, DataError or OSError if missing.

    train, held_out: how the data were divided, where the caller has opened them already.
    """

    def __init__(
        self,
        run: Run,
        train: Images | Points | None = None,
        held_out: Images | None = None,
    ) -> None:
        self.run = run
        if train is not None:
            self.divided = train, held_out

    @property
    def recipe(self) -> Recipe:
        return self.run.recipe

    @cached_property
    def stats(self) -> list[dict[str, Any]]:
        """The rows of statistics, by images."""
        return _ordered(self.run.stats())

    @cached_property
    def scores(self) -> list[dict[str, Any]]:
        """The rows of scores, by images; of two of one metric at one place the later."""
        kept = {(r.get("images"), r.get("metric")): r for r in self.run.scores() if r.get("metric")}
        return _ordered(list(kept.values()))

    @cached_property
    def model(self) -> Model:
        return load(self.run)

    @cached_property
    def translating(self) -> Model:
        """The model with the examples that one which translates is shown."""
        train, held_out = self.divided
        assert isinstance(train, Images)
        real = Real(self.run.name, train=train, held_out=held_out)
        return load(self.run, shown=examples(self.recipe.game, real))

    @cached_property
    def discriminator(self) -> Discriminator:
        return self.run.load_discriminator()

    @cached_property
    def train(self) -> Images | Points:
        """The training split, opened as training opened it."""
        return self.divided[0]

    @cached_property
    def divided(self) -> tuple[Images | Points, Images | None]:
        """The training split and what was held out of it."""
        data = opened(self.recipe.data, self.recipe.size)
        return (data, None) if isinstance(data, Points) else divide(data, self.recipe.held_out)

    @property
    def paired(self) -> bool:
        """Whether the inputs of a game that translates have targets."""
        return not isinstance(self.recipe.data, Unpaired)

    @property
    def points(self) -> Points:
        """The data where they are points."""
        if not isinstance(self.train, Points):
            raise RunError("these data are images, not points", where=self.run.path)
        return self.train

    @cached_property
    def images(self) -> int:
        """Real images that D has seen."""
        last = self.stats[-1]["images"] if self.stats else 0
        return int(max(last, *(images for images, _ in self.sample_files), 0))

    @property
    def state(self) -> str:
        """How far the run is."""
        if not self.stats and not self.sample_files:
            return "not started"
        losses = [self.stats[-1].get(k, 0.0) for k in ("d_loss", "g_loss")] if self.stats else []
        if any(v is None or not math.isfinite(v) for v in losses):
            return f"diverged at {self.images:,} images"
        if self.images >= self.recipe.images:
            return "finished"
        return f"at {self.images / self.recipe.images:.0%} of the budget"

    @cached_property
    def sample_files(self) -> list[tuple[int, Path]]:
        """(images, file) of the samples taken on the way."""
        files = [*self.run.samples.glob("*.png"), *self.run.samples.glob("*.npy")]
        found = [(int(f.stem), f) for f in files if re.fullmatch(r"\d+", f.stem)]
        return sorted(found)

    def clouds(self, dimensions: int, most: int) -> list[tuple[int, NDArray[np.float64]]]:
        """(images, points (n, d)) over time, at most `most` of them; a damaged file is left out."""
        found = []
        for images, file in evenly([f for f in self.sample_files if f[1].suffix == ".npy"], most):
            try:
                points = np.load(file, allow_pickle=False)
            except (OSError, ValueError, EOFError):
                continue
            if points.ndim == 2 and points.shape[1] == dimensions:
                found.append((images, points[np.isfinite(points).all(1)].astype(float)))
        return found

    def logits(self, x: Tensor, slopes: bool = False) -> Tensor:
        """D's logits of x (n, d), (n,); with `slopes` their gradient at x, (n, d).

        Of several logits for one x the mean. D is asked in one batch; RunError where it judges a
        point by the others.
        """
        x = x.detach().float().clone().requires_grad_(slopes)
        with torch.set_grad_enabled(slopes):
            try:
                logits, two = self.discriminator(x), self.discriminator(x[:2])
            except RecipeError:  # such as of a pack that does not divide
                logits = two = x[:0]
            assert isinstance(logits, Tensor)
            assert isinstance(two, Tensor)
            near = partial(torch.allclose, rtol=1e-3, atol=1e-4, equal_nan=True)
            if len(logits) != len(x) or not near(two, logits[:2]):
                raise RunError("this D judges several points at once, which cannot be drawn")
            flat = logits.flatten(1).mean(1) if logits.dim() > 1 else logits
            return torch.autograd.grad(flat.sum(), x)[0] if slopes else flat.float()

    @cached_property
    def fakes(self) -> Tensor:
        """10,000 generated points, (10000, d)."""
        return self.model.sample(10_000, self.recipe.seed)

    def many(self, n: int) -> Tensor:
        """n generated points, (n, d), drawn at one go: a hundred thousand draws apart are slow."""
        draws = Draws(self.recipe.seed, "report", "many")
        return self.model.make(self.model.generator.noise(n, draws).to(self.model.device))

    @cached_property
    def reals(self) -> Tensor:
        """10,000 real points, (10000, d)."""
        return self.points.sample(10_000, generator("report", "real", self.recipe.seed))

    def trained_with(self) -> dict[str, str]:
        """Versions and device that the run itself tells of."""
        told = {}
        header = re.match(r"# sparring (\S+)", _read(self.run.path / "recipe.py"))
        if header:
            told["sparring"] = header[1]
        for folder in self.run.saved()[:1]:
            try:
                state = json.loads(_read(folder / "state.json") or "{}")
            except json.JSONDecodeError:
                continue
            told |= {k: str(state[k]) for k in ("sparring", "torch") if state.get(k)}
        device = re.search(r" images on (\S+)$", _read(self.run.log), re.M)
        if device:
            told["device"] = device[1]
        return told

    @property
    def origin(self) -> str:
        """What it started from, in words."""
        told = self.run.origin
        if told is None:
            return "nothing"
        counts = ", ".join(f"{net} {n} of {of}" for net, (n, of) in told["taken"].items())
        return (
            f"the weights {told['weights']} of {Path(told['run']).name} at {told['images']:,} "
            f"images (tensors taken: {counts})"
        )

    @cached_property
    def changed(self) -> str:
        """In what way the data are no longer those that were trained on; "" where they are, or
        where they or their digest are missing."""
        before = self.run.trained_on
        try:
            now = self.train.digest
        except (RunError, DataError, OSError):
            return ""
        if before in (None, now):
            return ""
        return (
            f"their digest was {before}, is {now}, and what is real on this page is of the new ones"
        )

    def subject(self) -> str:
        """What trained on what, in words."""
        recipe = self.recipe
        words = [f"{_name(recipe.nets)} on {_name(recipe.data)}"]
        words += [f"{recipe.size[0]} × {recipe.size[1]}"] if recipe.size else []
        words += [_name(recipe.loss)]
        words += [", ".join(type(t).__name__ for t in recipe.tricks)] if recipe.tricks else []
        return " · ".join(words)


def evenly(items: list[Any], most: int) -> list[Any]:
    """At most `most` of the items, evenly spread, the first and the last among them."""
    if len(items) <= most:
        return items
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def _name(part: Part) -> str:
    """A part's text, its name alone where no field is set."""
    return show(part).removesuffix("()")


def _ordered(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    kept = [r for r in rows if isinstance(r, dict) and isinstance(r.get("images"), (int, float))]
    return sorted(kept, key=lambda r: r["images"])


def _read(path: Path) -> str:
    """A file's text, empty where there is none."""
    return path.read_text(errors="replace") if path.is_file() else ""
