"""The figures and the table of vanishing.md: `python docs/lessons/vanishing.py`.

A pair of fully connected networks is trained on Fashion-MNIST. Then G is kept as it is, a new D is
trained against it, and on the way the gradient of both losses of G is measured.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from drawing import arguments, save
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from torch import Tensor, nn

import sparring
from sparring.losses import Minimax, NonSaturating
from sparring.nets import MLP
from sparring.report.figures import compact
from sparring.report.svg import FAKE, MUTED, REAL, axes

NETS = MLP(latent=64, g_widths=(128, 256), d_widths=(256, 128), dropout=0.0)
LOSSES = {"Minimax": Minimax(), "NonSaturating": NonSaturating()}
Row = dict[str, float]


def slopes(out: Path) -> None:
    """What each loss of G says about one sample, by D's logit for it."""
    logit = torch.linspace(-8, 8, 161, dtype=torch.float64)
    with axes(420, 250) as ax:
        ax.plot(logit, logit.sigmoid(), color=REAL, label="Minimax: D(G(z))")
        ax.plot(
            logit,
            (-logit).sigmoid(),
            color=FAKE,
            linestyle=(0, (4, 1.6)),
            label="NonSaturating: 1 − D(G(z))",
        )
        ax.axvline(0, color=MUTED, linewidth=0.8)
        ax.set_xlim(-8, 8)
        ax.set_xlabel("logit of D for a generated image; left of 0 it is called fake")
        ax.set_ylabel("size of the slope")
        save(ax, out / "vanishing-slopes.svg", "Slopes of the two losses of G against D's logit")


def norm(loss: sparring.Loss, G: nn.Module, fake: Tensor) -> float:
    """The length of the gradient of a loss of G, over all weights of G."""
    found = torch.autograd.grad(loss.g(None, fake), list(G.parameters()), retain_graph=True)
    return torch.cat([g.flatten() for g in found]).norm().item()


def measure(G: nn.Module, images: sparring.Images, steps: int) -> list[Row]:
    """A new D trained against G as it stands: accuracy, D(G(z)), both gradients, step by step."""
    torch.manual_seed(1)
    D, loss, rows = NETS.discriminator(sparring.Spec(images.shape)), NonSaturating(), []
    optim = torch.optim.Adam(D.parameters(), lr=2e-4, betas=(0.5, 0.999))
    for step in range(steps + 1):
        real = images.float(torch.randint(len(images), (256,)))
        fake = G(torch.randn(256, 64))
        x, y = D(real), D(fake)
        row: Row = {name: norm(loss_, G, y) for name, loss_ in LOSSES.items()}
        right = ((x > 0).float().mean() + (y < 0).float().mean()) / 2
        rows.append({"step": step, "right": right.item(), "D": y.sigmoid().mean().item(), **row})
        optim.zero_grad()
        loss.d(x, D(fake.detach())).backward()
        optim.step()
    return rows


def draw(rows: list[Row], out: Path) -> None:
    """The gradients over D's steps, and against D's accuracy."""
    looks = {"Minimax": (REAL, "-"), "NonSaturating": (FAKE, (0, (4, 1.6)))}
    for name, x, label in (
        ("vanishing-steps", "step", "steps of D, while G stands still"),
        ("vanishing-accuracy", "right", "share of images D is right on"),
    ):
        with axes(420, 250) as ax:
            for loss, (colour, dashes) in looks.items():
                y = [r[loss] for r in rows]
                style = {"linestyle": dashes} if x == "step" else {"linestyle": "", "markersize": 4}
                mark = "" if x == "step" else "o" if loss == "Minimax" else "x"
                ax.plot([r[x] for r in rows], y, color=colour, label=loss, marker=mark, **style)
            ax.set_yscale("log")
            ax.yaxis.set_major_locator(LogLocator())
            ax.yaxis.set_minor_locator(NullLocator())
            ax.yaxis.set_major_formatter(FuncFormatter(compact))
            ax.set_xlabel(label)
            ax.set_ylabel("gradient of G's loss")
            save(ax, out / f"{name}.svg", f"Length of G's gradient against: {label}")


def main() -> None:
    args = arguments(__doc__)
    slopes(args.out)
    recipe = sparring.Recipe(nets=NETS, images=100_000, precision="fp32", metrics=(), ema=0)
    if args.toy:
        recipe = replace(recipe, images=640)
    out = args.runs / "lesson-vanishing"
    run = out if out.exists() else sparring.train(recipe, out)
    images = recipe.data.open(None)
    assert isinstance(images, sparring.Images)
    G = sparring.load(run).generator.train().requires_grad_(True)
    rows = measure(G, images, 4 if args.toy else 400)
    draw(rows, args.out)
    print("| D's steps | D is right on | mean of D(G(z)) | Minimax | NonSaturating |")
    for row in rows:
        if row["step"] in (0, 10, 25, 50, 100, 200, 400):
            print(
                f"| {row['step']:.0f} | {row['right']:.1%} | {row['D']:.2g} |"
                f" {row['Minimax']:.2g} | {row['NonSaturating']:.2g} |"
            )


if __name__ == "__main__":
    main()
