"""The figures of latent.md: `python docs/lessons/latent.py`, after asking.py, whose run it uses."""

from __future__ import annotations

from pathlib import Path

import torch
from asking import BUDGET
from drawing import arguments, save, sheet
from PIL import Image
from torch import Tensor

import sparring
from sparring.report.svg import FAKE, MUTED, REAL, axes
from sparring.sample import Model, grid, to_uint8
from sparring.sample.morph import slerp, walk

STEPS, WALKS = 9, 4


def norms(latent: int, out: Path) -> None:
    """How long latents are, and the points half way between two of them."""
    torch.manual_seed(0)
    a, b = torch.randn(2, 20_000, latent)
    edges = torch.linspace(0, 12, 121)
    with axes(420, 250) as ax:
        for z, colour, dashes, label in (
            (a, REAL, "-", "latents"),
            ((a + b) / 2, FAKE, (0, (4, 1.6)), "middle, straight"),
            (slerp(a, b, 0.5), MUTED, (0, (1.2, 1.4)), "middle, sphere"),
        ):
            counts = torch.histogram(z.norm(dim=1), edges, density=True).hist
            ax.stairs(counts, edges, color=colour, linestyle=dashes, label=label)
        ax.set_xlim(0, 12)
        ax.set_xlabel(f"length of a latent of {latent} numbers")
        ax.set_ylabel("density")
        ax.yaxis.set_ticklabels([])
        save(ax, out / "latent-norms.svg", "Lengths of latents and of the points between them")


def between(model: Model) -> dict[str, Tensor]:
    """Walks between pairs of latents: straight, and along the sphere; uint8 images, row by row."""
    z = model.noise(2 * WALKS, seed=3).unflatten(0, (2, WALKS))
    c = model.conditions(WALKS, classes=["sneaker", "dress", "bag", "pullover"])
    assert c is not None
    shares = torch.linspace(0, 1, STEPS)
    found = {}
    for name, path in (
        ("straight", [torch.lerp(z[0], z[1], float(t)) for t in shares]),
        ("sphere", [slerp(z[0], z[1], float(t)) for t in shares]),
    ):
        steps = torch.stack(path, 1).flatten(0, 1)
        found[name] = to_uint8(model.make(steps, c.repeat_interleave(STEPS, 0)))
    return found


def animation(model: Model, path: Path) -> None:
    """A short closed walk of one sample of each class, small enough for a page."""
    walks = walk(model, stops=3, frames=8, tracks=10, seed=2)
    frames = [grid(step, columns=5) for step in walks]
    size = (2 * frames[0].width, 2 * frames[0].height)
    frames = [f.resize(size, Image.Resampling.NEAREST).quantize(16) for f in frames]
    frames[0].save(
        path, save_all=True, append_images=frames[1:], duration=100, loop=0, optimize=True
    )


def contrast(model: Model, n: int) -> tuple[float, float, float]:
    """Mean deviation of the pixels of samples, and of samples half way: straight, on the sphere."""
    a, b = model.noise(2 * n, seed=5).unflatten(0, (2, n))
    c = model.conditions(n, seed=5)
    made = [model.make(z, c) for z in (a, (a + b) / 2, slerp(a, b, 0.5))]
    ends, straight, sphere = (x.flatten(1).std(1).mean().item() for x in made)
    return ends, straight, sphere


def main() -> None:
    args = arguments(__doc__)
    run = args.runs / "lesson-asking"
    if not run.exists():
        raise SystemExit(f"error: no run {run}. Fix: python asking.py ({BUDGET:,} images)")
    model = sparring.load(run)
    norms(model.noise(1).shape[1], args.out)
    for name, images in between(model).items():
        sheet(images, STEPS, args.out / f"latent-{name}.png", 2)
    animation(model, args.out / "latent.gif")
    print("contrast: ends {:.3f}, straight {:.3f}, sphere {:.3f}".format(*contrast(model, 1024)))


if __name__ == "__main__":
    main()
