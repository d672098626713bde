"""The figures of game.md: `python docs/lessons/game.py`."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import torch
from drawing import arguments, save, spent, write
from torch import Tensor

import sparring
from sparring.metrics import optimum
from sparring.report.points import judgement
from sparring.report.svg import FAKE, INK, MUTED, REAL, axes
from sparring.runs import Run

X = torch.linspace(-8, 12, 20_001, dtype=torch.float64)


def normal(x: Tensor, mean: float, sigma: float) -> Tensor:
    """The density of a Gaussian."""
    return torch.exp(-(((x - mean) / sigma) ** 2) / 2) / (sigma * math.sqrt(2 * math.pi))


def jensen_shannon(p: Tensor, q: Tensor) -> float:
    """JS(p, q) in nats, by the trapezoid rule on X. The best D makes V = 2 JS - log 4."""
    middle = (p + q).clamp(min=1e-300) / 2
    return float(torch.trapezoid(torch.xlogy(p, p / middle) + torch.xlogy(q, q / middle), X)) / 2


def best(out: Path) -> None:
    """Two densities and the best discriminator between them."""
    x = torch.linspace(-4, 4, 401, dtype=torch.float64)
    p = (normal(x, -2, 0.35) + normal(x, 2, 0.35)) / 2
    q = normal(x, 0.5, 1.0)
    with axes(420, 250) as ax:
        ax.plot(x, p, color=REAL, label="p, the data")
        ax.plot(x, q, color=FAKE, linestyle=(0, (4, 1.6)), label="q, the generator")
        ax.plot(x, p / (p + q), color=INK, linestyle=(0, (1.2, 1.4)), label="D* = p / (p + q)")
        ax.axhline(0.5, color=MUTED, linewidth=0.8)
        ax.set_xlim(-4, 4)
        ax.set_xlabel("x")
        save(ax, out / "game-best.svg", "Densities p and q, and the best discriminator")


def distances(out: Path) -> None:
    """JS and the Earth-Mover distance of two Gaussians as one moves away."""
    shifts = torch.linspace(0, 4, 81)
    p = normal(X, 0, 0.3)
    js = [jensen_shannon(p, normal(X, float(s), 0.3)) for s in shifts]
    with axes(420, 250) as ax:
        ax.plot(shifts, js, color=REAL, label="JS (nats)")
        ax.plot(shifts, shifts, color=FAKE, linestyle=(0, (4, 1.6)), label="Earth-Mover")
        ax.axhline(math.log(2), color=MUTED, linewidth=0.8)
        ax.text(0.05, math.log(2) + 0.08, "log 2", color=MUTED)
        ax.set_xlim(0, 4)
        ax.set_ylim(0, 4)
        ax.set_xlabel("distance between the two Gaussians (sigma 0.3)")
        save(ax, out / "game-distances.svg", "JS and Earth-Mover distance against the shift")


def earth(out: Path) -> None:
    """The Earth-Mover distance as the area between two distribution functions."""
    x = torch.linspace(-4, 4, 801, dtype=torch.float64)
    f = (torch.special.ndtr((x + 2) / 0.35) + torch.special.ndtr((x - 2) / 0.35)) / 2
    g = torch.special.ndtr(x - 0.5)
    with axes(420, 250) as ax:
        ax.fill_between(x, f, g, color=MUTED, alpha=0.18, linewidth=0)
        ax.plot(x, f, color=REAL, label="F of the data")
        ax.plot(x, g, color=FAKE, linestyle=(0, (4, 1.6)), label="F of the generator")
        for level in (0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9):
            start, end = (float(x[(h > level).nonzero()[0, 0]]) for h in (g, f))
            arrow = {"arrowstyle": "->", "color": INK, "linewidth": 0.9}
            ax.annotate("", (end, level), (start, level), arrowprops=arrow)
        ax.set_xlim(-4, 4)
        ax.set_ylim(0, 1.02)
        ax.set_xlabel("x")
        save(ax, out / "game-earth.svg", "Arrows move the generator's mass to the data's")


def played(run: Run, out: Path) -> None:
    """What a run made of the game: its value over time, and D beside D*."""
    rows, model, d = run.stats(), sparring.load(run), run.load_discriminator()
    with axes(420, 250) as ax:
        ax.plot([r["images"] / 1000 for r in rows], [-r["d_loss"] for r in rows], color=REAL)
        ax.axhline(-math.log(4), color=FAKE, linestyle=(0, (4, 1.6)), label="−log 4")
        ax.set_ylim(-1.5, 0.02)
        ax.set_xlim(left=0)
        ax.set_xlabel("thousands of real points seen by D")
        ax.set_ylabel("V(D, G)")
        save(ax, out / "game-value.svg", "The value of the game over a run")
    points = run.recipe.data.open(None)
    assert isinstance(points, sparring.Points)
    found = optimum(lambda x: d(x).sigmoid(), points, model.sample(100_000, seed=1))
    write(judgement(found.x, found.d, found.optimal, found.p + found.q), out / "game-played.svg")
    print(f"{spent(run)}, value {-rows[-1]['d_loss']:.3f}, D off D* by {found.error:.3f}")


def main() -> None:
    args = arguments(__doc__)
    for draw in (best, distances, earth):
        draw(args.out)
    recipe = sparring.PRESETS["mixture1d"]()
    if args.toy:
        recipe = replace(recipe, images=2560, metrics=())
    out = args.runs / "lesson-game"
    played(Run(out) if out.exists() else sparring.train(recipe, out), args.out)


if __name__ == "__main__":
    main()
