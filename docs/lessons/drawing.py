"""What the scripts of the lessons share: their flags, and figures in the style of the report."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from matplotlib.axes import Axes
from PIL import Image
from torch import Tensor

from sparring.report.svg import alone, legend, render
from sparring.runs import Run
from sparring.sample import grid

HERE = Path(__file__).parent


def arguments(about: str | None) -> argparse.Namespace:
    """--out, --runs and --toy; both folders are made. One thread, as the times are given for."""
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--out", type=Path, default=HERE, help="where figures go")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where runs go")
    parser.add_argument("--toy", action="store_true", help="a few steps only, for the tests")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    args.runs.mkdir(parents=True, exist_ok=True)
    return args


def write(svg: str, path: Path) -> None:
    """An SVG that needs no page, on a light ground, so that it reads on a dark one too."""
    path.write_text(alone(svg) + "\n")


def save(ax: Axes, path: Path, label: str) -> None:
    """The figure of `ax`, with its legend; `label` is what it shows, in words."""
    if ax.get_legend_handles_labels()[1]:
        legend(ax)
    write(render(ax, label), path)


def sheet(images: Tensor, columns: int, path: Path, scale: int = 1) -> None:
    """uint8 images (n, C, H, W) as a PNG, row by row."""
    made = grid(images, columns=columns)
    size = (scale * made.width, scale * made.height)
    made.resize(size, Image.Resampling.NEAREST).save(path, optimize=True)


def spent(run: Run) -> str:
    """What a run took."""
    last = run.stats()[-1]
    return f"{run.path}: {last['images']:,} images in {last['seconds']:.0f} s"
