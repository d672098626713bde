"""The pictures of dcgan.md: `python docs/lessons/dcgan.py`.

DCGAN on the bundled Fashion-MNIST images and on scikit-learn's digits, as the page says.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from drawing import arguments, spent
from PIL import Image

import sparring
from sparring.nets import DCGAN
from sparring.optim import Adam
from sparring.runs import Run

ROWS = 6
SETS = {"fashion": (40_000, 2), "digits": (30_000, 4)}  # images to train on, scale of the picture


def course(run: Run, scale: int, path: Path) -> None:
    """The first row of six of the run's own grids, from its start to its end."""
    files, size = sorted(run.samples.glob("*.png")), run.recipe.size
    chosen = [files[round(i * (len(files) - 1) / (ROWS - 1))] for i in range(ROWS)]
    assert size is not None
    height = size[0]
    width = Image.open(chosen[0]).width
    made = Image.new("L", (width, ROWS * (height + 2) - 2), 255)
    for i, file in enumerate(chosen):
        made.paste(Image.open(file).convert("L").crop((0, 0, width, height)), (0, i * (height + 2)))
    made = made.resize((scale * made.width, scale * made.height), Image.Resampling.NEAREST)
    made.save(path, optimize=True)
    print([int(file.stem) for file in chosen])


def main() -> None:
    args = arguments(__doc__)
    for name, (budget, scale) in SETS.items():
        recipe = replace(
            sparring.PRESETS["dcgan"](),
            data=sparring.parse(name, sparring.Source),
            nets=DCGAN(width=32),
            batch=32,
            g_optim=Adam(lr=1e-3),
            d_optim=Adam(lr=1e-3),
            images=256 if args.toy else budget,
            precision="fp32" if args.toy else "auto",
            metrics=(),
        )
        out = args.runs / f"lesson-dcgan-{name}"
        run = Run(out) if out.exists() else sparring.train(recipe, out)
        course(run, scale, args.out / f"dcgan-{name}.png")
        print(spent(run), run.recipe.precision)


if __name__ == "__main__":
    main()
