"""The Dirac-GAN of every loss with every stabiliser: eigenvalues at the equilibrium and 500 steps.

    python benchmarks/dirac.py          # runs what is not in dirac.jsonl, then draws docs/dirac.png

Mescheder et al. 2018, arXiv:1801.04406: data are a point mass at 0, G makes theta, D(x) = psi x,
and (0, 0) is the equilibrium. Everything runs through the real step, in float64, at rate 0.1 from
psi = theta = 0.5. Eigenvalues are those of the Jacobian of one step at the equilibrium, by central
differences. A cell is `measured` where it goes: the distance after 500 steps over the first one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from record import Results
from torch import Tensor, nn

from sparring.data import Points, Source
from sparring.losses import (
    Hinge,
    LeastSquares,
    Loss,
    Minimax,
    NonSaturating,
    RelativisticAverage,
    RelativisticPaired,
    Wasserstein,
)
from sparring.nets import Discriminator, Generator, Nets, Spec
from sparring.optim import SGD
from sparring.parts import show
from sparring.recipe import Recipe
from sparring.training.device import Device
from sparring.training.setup import Setup, open_data
from sparring.tricks import R1, R2, GradientPenalty, InstanceNoise, Trick, WeightClipping

RATE, STEPS, START = 0.1, 500, 0.5
UPDATES = ("alternating", "simultaneous")
LOSSES: tuple[Loss, ...] = (
    Minimax(),
    NonSaturating(),
    LeastSquares(real=1, fake=-1, target=1),
    Wasserstein(),
    Hinge(),
    RelativisticPaired(),
    RelativisticAverage(),
)
STABILISERS: dict[str, tuple[Trick, ...]] = {
    "none": (),
    "R1": (R1(gamma=1.0),),
    "R2": (R2(gamma=1.0),),
    "penalty to 1": (GradientPenalty(weight=0.5),),
    "instance noise": (InstanceNoise(sigma=0.8),),
    "clipping": (WeightClipping(limit=1.0),),
}


class PointMass(Source):
    """Points at 0, in float64."""

    def open(self, size: tuple[int, int] | None = None) -> Points:
        return Points(
            modes=torch.zeros(1, 1),
            sigma=0.0,
            sample=lambda n, generator: torch.zeros(n, 1, dtype=torch.float64),
            log_density=lambda x: torch.zeros(len(x)),
            digest="point mass",
        )


class _G(Generator):
    def __init__(self) -> None:
        super().__init__()
        self.latent = 1
        self.theta = nn.Parameter(torch.zeros(1, dtype=torch.float64))

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        return self.theta.expand(len(z), 1)


class _D(Discriminator):
    def __init__(self) -> None:
        super().__init__()
        self.psi = nn.Parameter(torch.zeros(1, dtype=torch.float64))

    def forward(self, x: Tensor, c: Tensor | None = None, features: bool = False) -> Any:
        logits = (self.psi * x).squeeze(1)
        return (logits, {}) if features else logits


class DiracPair(Nets):
    """x = theta against D(x) = psi x."""

    def generator(self, spec: Spec) -> Generator:
        return _G()

    def discriminator(self, spec: Spec) -> Discriminator:
        return _D()


def build(loss: Loss, tricks: tuple[Trick, ...], updates: Any, batch: int) -> Setup:
    recipe = Recipe(
        data=PointMass(),
        nets=DiracPair(),
        loss=loss,
        tricks=tricks,
        updates=updates,
        g_optim=SGD(lr=RATE),
        d_optim=SGD(lr=RATE),
        batch=batch,
        images=batch * STEPS,
        precision="fp32",
        metrics=(),
        ema=0,
    )
    recipe, material = open_data(recipe)
    return Setup(recipe, material, Device("cpu", "fp32"))


def put(setup: Setup, psi: float, theta: float) -> None:
    with torch.no_grad():
        setup.players["D"].psi.fill_(psi)  # pyright: ignore
        setup.players["G"].theta.fill_(theta)  # pyright: ignore


def at(setup: Setup) -> list[float]:
    return [float(setup.players["D"].psi), float(setup.players["G"].theta)]  # pyright: ignore


def eigenvalues(loss: Loss, tricks: tuple[Trick, ...], updates: str, noisy: bool) -> list[complex]:
    """Of one step at the equilibrium; noise is averaged over a large batch."""
    setup, d, columns = build(loss, tricks, updates, 2**16 if noisy else 2), 1e-4, []
    for psi, theta in ((d, 0.0), (0.0, d)):
        ends = []
        for sign in (1, -1):
            put(setup, sign * psi, sign * theta)
            setup.step(0, setup.feed)
            ends.append(torch.tensor(at(setup), dtype=torch.float64))
        columns.append((ends[0] - ends[1]) / (2 * d))
    return torch.linalg.eigvals(torch.stack(columns, dim=1)).tolist()


def measure(loss: Loss, tricks: tuple[Trick, ...], updates: str) -> dict[str, object]:
    noisy = any(isinstance(t, InstanceNoise) for t in tricks)
    found = eigenvalues(loss, tricks, updates, noisy)
    setup = build(loss, tricks, updates, 256 if noisy else 2)
    put(setup, START, START)
    path = [at(setup)]
    for number in range(STEPS):
        setup.step(number, setup.feed)
        path.append(at(setup))
    distance = torch.tensor(path, dtype=torch.float64).norm(dim=1)
    return {
        "modulus": round(max(abs(z) for z in found), 6),
        "eigenvalues": [[round(z.real, 6), round(z.imag, 6)] for z in found],
        "last_over_first": float(f"{distance[-50:].mean() / distance[0]:.4g}"),
        "path": [[round(x, 3) for x in p] for p in path[::2]],
    }


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """One panel for each cell: the path in the plane of psi (across) and theta (up)."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt
    from matplotlib.lines import Line2D

    colours = {"converges": "#0072b2", "stays away": "#999999", "ends farther away": "#d55e00"}
    fig, axes = plt.subplots(
        len(LOSSES), 2 * len(STABILISERS), figsize=(13.2, 8.4), sharex=True, sharey=True
    )
    for i, loss in enumerate(LOSSES):
        for j, (updates, name) in enumerate((u, s) for u in UPDATES for s in STABILISERS):
            ax = axes[i][j]
            key = {"loss": show(loss), "stabiliser": name, "updates": updates}
            (row,) = [r for r in rows if all(r[k] == v for k, v in key.items())]
            x, y = zip(*row["path"], strict=True)
            ratio = row["last_over_first"]
            far = "ends farther away" if ratio > 1.25 else "stays away"
            said = "converges" if ratio < 0.2 else far
            ax.plot(x, y, color=colours[said], lw=0.6)
            ax.plot(0, 0, "+", color="black", ms=4, mew=0.6)
            ax.set(xlim=(-2, 2), ylim=(-2, 2), xticks=[], yticks=[])
            # |slope| - 1 has a kink at psi = 0, so that step has no derivative there.
            text = "no derivative" if name == "penalty to 1" else f"{row['modulus']:.4f}"
            ax.text(-1.9, 1.45, text, fontsize=6)
            for side in ax.spines.values():
                side.set_linewidth(0.4)
            if i == 0:
                ax.set_title(name, fontsize=7.5)
            if j == 0:
                words = show(loss).split("(")[0].replace("Relativistic", "Relativistic\n")
                ax.set_ylabel(words, fontsize=7.5, rotation=0, ha="right", va="center")
    for k, updates in enumerate(UPDATES):
        fig.text(0.31 + 0.45 * k, 0.965, f"{updates} updates", ha="center", fontsize=10)
    handles = [Line2D([], [], color=c, label=n) for n, c in colours.items()]
    fig.legend(handles=handles, loc="lower center", ncols=3, fontsize=8, frameon=False)
    fig.subplots_adjust(left=0.085, right=0.995, top=0.925, bottom=0.06, wspace=0.06, hspace=0.06)
    fig.savefig(path, dpi=110)


def main() -> None:
    torch.set_num_threads(1)
    results = Results("dirac")
    for loss in LOSSES:
        for name, tricks in STABILISERS.items():
            for updates in UPDATES:
                key = {"loss": show(loss), "stabiliser": name, "updates": updates}
                if not results.done(**key):
                    row = measure(loss, tricks, updates)
                    results.add(**key, tricks=show(tricks), **row)
                    print(json.dumps(key), row["modulus"], row["last_over_first"])
    draw(results.rows(), Path(__file__).parent.parent / "docs" / "dirac.png")


if __name__ == "__main__":
    main()
