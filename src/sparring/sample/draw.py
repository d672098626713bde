"""Samples from a run's generator: sample i depends on (seed, i) and on nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sparring.errors import RecipeError
from sparring.games import turned
from sparring.nets import Generator, Spec, conditional
from sparring.nets.style import StyleGenerator
from sparring.parts import nearest
from sparring.randomness import Draws
from sparring.runs import Run, open_run
from sparring.sample.examples import Examples

BLOCK = 64
_STYLES = 64  # blocks of styles of which the mean is taken
Classes = Sequence[str | int] | str | int | Tensor


class Model:
    """A trained generator. `images`: how many real images its training had seen; `weights`: "EMA"
    where they are a moving average, "raw" where they are as training left them.

    A conditional one makes the classes it is asked for; where none are asked for, sample i is of a
    class drawn as the training data are spread. One that translates is shown `examples`, not
    noise: sample i is the translation of the i-th, and there are as many. `back`: the generator of
    the way back, of a game that has one.
    """

    def __init__(
        self,
        generator: Generator,
        spec: Spec,
        images: int = 0,
        device: str | torch.device = "cpu",
        weights: str = "EMA",
        examples: Examples | None = None,
        back: Generator | None = None,
    ) -> None:
        self.weights = weights
        self.generator, self.spec, self.images = generator.eval().to(device), spec, images
        self.device, self.conditional = torch.device(device), conditional(generator)
        self.examples = examples
        self.back = None if back is None else back.eval().to(device)
        side = max(spec.inputs[1:], default=64)
        self.block = max(1, BLOCK * 64**2 // max(64, side) ** 2)  # samples made together

    def turned(self) -> Model:
        """The way back as a model of its own."""
        assert self.back is not None
        shown = None if self.examples is None else self.examples.turned()
        spec = turned(self.spec)
        return Model(self.back, spec, self.images, self.device, self.weights, shown, self.generator)

    @property
    def count(self) -> int | None:
        """How many samples there are; None for as many as one asks for."""
        return None if self.examples is None else len(self.examples)

    def noise(self, n: int, seed: int = 0, start: int = 0) -> Tensor:
        """(n, latent) latents of the samples start, start + 1, ...; drawn block by block.

        On the CPU, so that a seed gives the same latents on every device. Of a generator that
        translates they are the examples' inputs, (n, Ca, h, w), fewer where there are no more.
        """
        if self.examples is not None:
            return self.examples.input(torch.arange(start, min(start + n, len(self.examples))))
        first, last = start // BLOCK, (start + n - 1) // BLOCK
        blocks = [
            self.generator.noise(BLOCK, Draws(seed, "sample", b)) for b in range(first, last + 1)
        ]
        return torch.cat(blocks)[start - first * BLOCK :][:n].to(self.device)

    def conditions(
        self, n: int, seed: int = 0, start: int = 0, classes: Classes | None = None
    ) -> Tensor | None:
        """Those of the samples start, start + 1, ...: int64 (n,) or float (n, K); None if it reads
        none. `classes`, names or indices, take turns. RecipeError where there are none such."""
        if classes is not None:
            asked = self.asked(classes)
            return asked[torch.arange(start, start + n) % len(asked)].to(self.device)
        if not self.conditional:
            return None
        first, last = start // BLOCK, (start + n - 1) // BLOCK
        u = [Draws(seed, "sample class", b).uniform(BLOCK) for b in range(first, last + 1)]
        return self._law(torch.cat(u)[start - first * BLOCK :][:n]).to(self.device)

    def _law(self, u: Tensor) -> Tensor:
        """Conditions as the training data have them, of u uniform in [0, 1)."""
        if self.spec.vectors:
            return torch.tensor(self.spec.rows)[(u * len(self.spec.rows)).long()]
        k = len(self.spec.classes)
        edges = torch.tensor(self.spec.shares or [1 / k] * k, dtype=torch.float64).cumsum(0)
        return torch.searchsorted(edges / edges[-1], u.double(), right=True)

    def every_class(self, most: int) -> list[int] | None:
        """All classes, where it is told classes and there are no more than `most`; else None."""
        known = self.conditional and not self.spec.vectors and len(self.spec.classes) <= most
        return list(range(len(self.spec.classes))) if known else None

    def asked(self, classes: Classes) -> Tensor:
        """Classes by name or index as int64 (m,), "all" as each once; of a generator that takes K
        numbers rows of them as float (m, K). RecipeError for what is none of them."""
        if not self.conditional:
            raise RecipeError(
                "this run knows no classes",
                why="its networks are not conditional",
                fix="train one with --preset cgan, or --condition Projection",
            )
        names = self.spec.classes
        if self.spec.vectors:
            return _rows(classes, names)
        if isinstance(classes, Tensor):
            classes = classes.flatten().tolist()
        words = [classes] if isinstance(classes, str | int) else list(classes)
        if words == ["all"] and "all" not in names:
            words = list(range(len(names)))
        return torch.tensor([self._class(word) for word in words])

    def _class(self, word: str | int) -> int:
        """The index of a class."""
        exact, loose = list(self.spec.classes), [_key(name) for name in self.spec.classes]
        # A class called "7" beats the one with the index 7.
        for name, names in ((str(word), exact), (_key(str(word)), loose)):
            if name in names:
                return names.index(name)
        if str(word).isdecimal() and int(word) < len(names):
            return int(word)
        raise RecipeError(
            f"no class is called '{word}'{nearest(str(word), self.spec.classes)}",
            why="the classes are " + ", ".join(self.spec.classes[:20]),
            fix=f"a name, an index below {len(exact)}, or all",
        )

    def truncate(self, psi: float) -> Model:
        """This model, whose styles from now on lie at psi (0..1) of their way from the mean style.

        Less variety, fewer failures: 0 makes one image but for noise, 1 undoes it. The mean is of
        4096 styles, of classes as the training data have them. RecipeError where G has none.
        Karras et al. 2019, StyleGAN, arXiv:1812.04948.
        """
        G = self.generator
        if not isinstance(G, StyleGenerator):
            raise RecipeError(
                "this run has no styles to truncate",
                why="its networks have no mapping network",
                fix="leave truncation out, or train with --preset stylegan2",
            )
        if not 0 <= psi <= 1:
            raise RecipeError(
                "bad value",
                where="truncation",
                why=f"{psi} is not in [0, 1]",
                fix="0.7, or 1 for none",
            )
        draws = [Draws(0, "truncation", b) for b in range(_STYLES)]
        z = torch.cat([G.noise(BLOCK, d)[:, : G.own] for d in draws])
        u = torch.cat([Draws(0, "truncation class", b).uniform(BLOCK) for b in range(_STYLES)])
        c = self._law(u).to(self.device) if self.conditional else None
        G.truncate(psi, z.to(self.device), c)
        return self

    @torch.no_grad()
    def make(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """The samples of latents z (n, latent) and conditions c: float (n, *shape) on the CPU.

        c: int64 (n,), float (n, K), or shares of the classes float (n, classes), which lie between
        them. Always in blocks of the same size, so that a sample does not depend, in its last
        bit, on how many others were asked for. RecipeError for inputs that are no images of the
        kind that it translates.
        """
        if self.spec.inputs:
            _refuse_inputs(z, self.spec.inputs[0])
        made, size = [], self.block
        blocks = z.split(size)
        for block, given in zip(blocks, [None] * len(blocks) if c is None else c.split(size)):
            whole = _padded(block, size).to(self.device)
            full = self.generator(whole, None if given is None else _padded(given, size))
            made.append(full[: len(block)].float().cpu())
        return torch.cat(made)

    def batches(self, n: int, seed: int = 0, classes: Classes | None = None) -> Iterator[Tensor]:
        """n samples, in batches of at most 64; fewer where there are no more examples."""
        n = n if self.count is None else min(n, self.count)
        for start in range(0, n, BLOCK):
            size = min(BLOCK, n - start)
            c = self.conditions(size, seed, start, classes)
            yield self.make(self.noise(size, seed, start), c)

    def sample(self, n: int, seed: int = 0, classes: Classes | None = None) -> Tensor:
        """n samples: float (n, C, H, W) in [-1, 1], or points (n, d); `classes` take turns."""
        return torch.cat(list(self.batches(n, seed, classes)))

    def _repr_png_(self) -> bytes | None:
        """A grid of 16 samples, which a notebook shows; points have none, nor inputs unseen."""
        from sparring.sample.picture import grid, png

        unseen = self.spec.inputs and self.examples is None
        return None if self.spec.points or unseen else png(grid(to_uint8(self.sample(16))))


def _rows(given: Any, names: tuple[str, ...]) -> Tensor:
    """Rows of K numbers, float (m, K), one after another or nested; RecipeError for others."""
    try:
        rows = torch.tensor([float(x) for x in np.ravel(given)]).view(-1, len(names))
        if not len(rows) or not bool(rows.isfinite().all()):
            raise ValueError
        return rows
    except (ValueError, RuntimeError):
        raise RecipeError(
            "this run takes numbers, not classes",
            why=f"each sample has {len(names)}: {', '.join(names)}",
            fix="give a number for each, in this order",
        ) from None


def _refuse_inputs(a: object, channels: int) -> None:
    """RecipeError for what are no images (n, channels, h, w) from -1 to 1."""
    wanted, fix = f"it translates floats from -1 to 1 of shape (n, {channels}, h, w)", ""
    if not isinstance(a, Tensor):
        said = f"a {type(a).__module__}.{type(a).__name__}"
        fix = "torch.from_numpy(inputs)" if isinstance(a, np.ndarray) else "torch.stack them"
    elif a.dim() != 4 or a.shape[1] != channels:
        said = f"a tensor of shape {tuple(a.shape)}"
        fix = "inputs[None]" if a.dim() == 3 and a.shape[0] == channels else ""
    elif not a.dtype.is_floating_point:
        said = f"a tensor of {a.dtype}"
        fix = "inputs / 127.5 - 1" if a.dtype == torch.uint8 else ""
    else:
        return
    raise RecipeError("these are no inputs", why=f"{wanted}, and was given {said}", fix=fix)


def _key(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).lower()


def _padded(x: Tensor, size: int) -> Tensor:
    """x (n, ...) as a whole block, filled up with its first row."""
    return torch.cat([x, x[:1].expand(size - len(x), *x.shape[1:])]) if len(x) < size else x


def load(
    run: str | Path | Run, best: bool = False, shown: Examples | None = None, back: bool = False
) -> Model:
    """The generator (its moving average) of a run; RunError where there is none.

    best: the one that scored best while it was trained, not the last. shown: what a generator that
    translates makes its samples of. back: the generator of the way back, as CycleGAN has one.
    """
    found = run if isinstance(run, Run) else open_run(run)
    weights = "EMA" if found.recipe.ema else "raw"
    if back:
        return Model(*found.load_generator(best, back=True), weights=weights)
    two = len(found.recipe.game.generators) > 1
    home = found.load_generator(back=True)[0] if two else None
    return Model(*found.load_generator(best), weights=weights, examples=shown, back=home)


def to_uint8(x: Tensor) -> Tensor:
    """[-1, 1] -> 0..255, rounded to the nearest."""
    return (x * 127.5 + 128).clamp(0, 255).to(torch.uint8)
