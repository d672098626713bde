"""The figures of ../reading-the-report.md: `python docs/lessons/curves.py`.

Three runs on the ring of eight Gaussians, with the same small networks: one healthy, one whose
generator collapses, one whose discriminator is too strong for its loss.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from drawing import arguments, spent, write

import sparring
from sparring.losses import Minimax, NonSaturating, RelativisticPaired
from sparring.nets import MLP
from sparring.optim import SGD, Adam
from sparring.report.figures import curves, series
from sparring.report.svg import FAKE, REAL, axes, legend, render
from sparring.runs import Run
from sparring.schedules import Cosine, Exponential
from sparring.tricks import R1, R2

STEPS = 2_000
NETS = MLP(latent=2, g_widths=(128, 128), d_widths=(128, 128))


def base() -> sparring.Recipe:
    """What the three have in common."""
    return sparring.Recipe(
        data=sparring.Ring(),
        nets=NETS,
        g_optim=Adam(lr=1e-3),
        d_optim=Adam(lr=1e-3),
        batch=256,
        images=256 * STEPS,
        ema=0,
    )


def healthy() -> sparring.Recipe:
    """Paired relativistic loss, R1 and R2 whose weight falls."""
    gamma = Exponential(start=0.2, end=0.005)
    optim = Adam(lr=5e-3, betas=(0.0, 0.99), schedule=Cosine(start=1.0, end=0.02))
    return replace(
        base(),
        loss=RelativisticPaired(),
        tricks=(R1(gamma=gamma), R2(gamma=gamma)),
        g_optim=optim,
        d_optim=optim,
    )


def collapsed() -> sparring.Recipe:
    """The plain GAN."""
    return replace(base(), loss=NonSaturating())


def too_strong() -> sparring.Recipe:
    """The saturating loss, plain gradient descent for G, and a D that learns fast."""
    return replace(base(), loss=Minimax(), g_optim=SGD(lr=1e-3), d_optim=Adam(lr=5e-3))


RUNS: dict[str, Callable[[], sparring.Recipe]] = {
    f.__name__: f for f in (healthy, collapsed, too_strong)
}


def draw(run: Run, name: str, out: Path) -> None:
    """The panels of the report for one run, small, and its samples."""
    rows, size = run.stats(), (280, 180)
    d, g = "D", "G"
    panels = {
        "losses": (("d_loss", d), ("g_loss", g), {}),
        "accuracy": (
            ("d_acc_real", "real"),
            ("d_acc_fake", "generated"),
            {"limits": (-0.03, 1.03), "percent": True},
        ),
        "gradients": (("d_grad_norm", d), ("g_grad_norm", g), {"log": True}),
    }
    for panel, (first, second, options) in panels.items():
        lines = [series(rows, *first), series(rows, *second)]
        svg = curves(lines, f"{name}: {panel}", size=size, **options)
        write(svg, out / f"curves-{name}-{panel}.svg")
    points = np.load(sorted(run.samples.glob("*.npy"))[-1])[:150]
    data = run.recipe.data.open(None)
    assert isinstance(data, sparring.Points)
    with axes(280, 290) as ax:
        look = {"linestyle": "", "color": REAL, "fillstyle": "none", "markersize": 12}
        ax.plot(*data.modes.T.numpy(), marker="o", label="modes", **look)
        ax.plot(*points.T, marker=".", linestyle="", color=FAKE, markersize=4, label="generated")
        ax.set_xlim(-1.5, 1.5)
        ax.set_ylim(-1.5, 1.5)
        legend(ax)
        write(render(ax, f"{name}: samples"), out / f"curves-{name}-samples.svg")


def main() -> None:
    args = arguments(__doc__)
    for name, make in RUNS.items():
        out = args.runs / f"curves-{name}"
        recipe = replace(make(), images=2560) if args.toy else make()
        run = Run(out) if out.exists() else sparring.train(recipe, out)
        draw(run, name.replace("_", "-"), args.out)
        scores = {r["metric"]: r["value"] for r in run.scores()}
        print(spent(run), {k: round(v, 3) for k, v in scores.items()})


if __name__ == "__main__":
    main()
