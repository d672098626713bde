"""Are generators that learnt their images by heart called out, and only those?

Trains `fast` on 20, 200 and 9,500 images of the bundled Fashion-MNIST, and scores each run by the
tests of copying and by the attack on its discriminator, all against 500 images that none of them
saw: held out by the run where it has them, given as a control where the set is too small to hold
any out. One line for each run.

    python benchmarks/memorisation.py [--images 100000] [--seeds 0 1]
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from record import Results

from sparring.api import evaluate, train
from sparring.data import Fashion, Images, Npz, Source, split, take
from sparring.metrics import Birthday, ClusterCoverage, Membership, Memorisation
from sparring.presets import fast
from sparring.recipe import Recipe

METRICS = (Memorisation(), Membership(), Birthday(), ClusterCoverage())
LIMIT = 0.01  # of a p-value, below which a generator is called out


def stored(images: Images, index: torch.Tensor, path: Path) -> Source:
    """Some of the images as a file."""
    pixels = take(images, index).pixels
    assert isinstance(pixels, torch.Tensor)  # Fashion-MNIST is in memory
    np.savez_compressed(path, images=pixels.permute(0, 2, 3, 1).numpy())
    return Npz(path=str(path))


def trained_on(size: int, folder: Path, images: int, seed: int) -> tuple[Recipe, Source]:
    """The recipe, and the control: the images that a run on all of them holds out."""
    everything = Fashion().open()
    inside, outside = split(len(everything))
    control = stored(everything, outside, folder / "control.npz")
    recipe = replace(fast(), images=images, seed=seed, metrics=())
    if size >= len(inside):
        return recipe, control
    assert everything.labels is not None
    labels = everything.labels[inside]
    each = [inside[labels == c][: size // 10] for c in range(10)]
    data = stored(everything, torch.cat(each), folder / "data.npz")
    return replace(recipe, data=data, held_out=0), control


def once(size: int, images: int, seed: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        recipe, control = trained_on(size, folder, images, seed)
        run = train(recipe, folder / "run", device="cpu")
        rows, skipped = evaluate(run, METRICS, control=control)
        assert not skipped, skipped
    scores = {row["metric"]: row["value"] for row in rows}
    details = {row["metric"]: row["detail"] for row in rows}
    p = {name: scores[f"{name}-p"] for name in ("authenticity", "copy-test", "copied")}
    return {
        "size": size,
        "images": images,
        "seed": seed,
        "called_out": p["copied"] <= LIMIT,
        **{name: round(value, 5) for name, value in scores.items()},
        "authenticity_held_out": round(details["authenticity"]["held_out"], 4),
        "membership_interval": [round(v, 4) for v in details["membership-auc"]["interval"]],
        "birthday_real": round(details["birthday"]["real"]["value"]),
        # The reference is named after files of this script's own, which are gone.
        "protocol": {k: v for k, v in rows[0]["protocol"].items() if k != "reference"},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[20, 200, 9500])
    args = parser.parse_args()
    results = Results("memorisation")
    for seed in args.seeds:
        for size in args.sizes:
            if not results.done(size=size, images=args.images, seed=seed):
                results.add(**once(size, args.images, seed))
    for row in results.rows():
        names = ("authenticity", "copy-test", "copied", "copied-p", "membership-auc", "birthday")
        print(row["size"], row["seed"], row["called_out"], {name: row[name] for name in names})


if __name__ == "__main__":
    main()
