"""The picture of asking.md: `python docs/lessons/asking.py`. latent.py uses the same run."""

from __future__ import annotations

from dataclasses import replace

import torch
from drawing import arguments, sheet, spent

import sparring
from sparring.runs import Run
from sparring.sample import to_uint8

BUDGET, COLUMNS = 60_000, 10


def main() -> None:
    args = arguments(__doc__)
    recipe = replace(sparring.PRESETS["cgan"](), images=BUDGET, metrics=())
    if args.toy:
        recipe = replace(recipe, images=256, precision="fp32")
    out = args.runs / "lesson-asking"
    run = Run(out) if out.exists() else sparring.train(recipe, out)
    model = sparring.load(run)
    # The same latents in every row: what differs down a column is the class alone.
    z = model.noise(COLUMNS, seed=1)
    rows = [model.make(z, model.conditions(COLUMNS, classes=[k])) for k in model.spec.classes]
    sheet(to_uint8(torch.cat(rows)), COLUMNS, args.out / "asking-classes.png", 2)
    print(spent(run), model.spec.classes)


if __name__ == "__main__":
    main()
