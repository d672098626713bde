"""Faces at 64 px: the presets `dcgan` and `fast` on 10,000 of CelebA, the textbook exercise.

    SPARRING_TEST_DATA=... python benchmarks/faces.py train [--arms dcgan fast] [--epochs 2]
    SPARRING_TEST_DATA=... python benchmarks/faces.py score [--n 500]
    python benchmarks/faces.py show

Data: celeba_10k_89x109.zip in the folder that SPARRING_TEST_DATA names, less the 5 % held out. Its
licence forbids to publish pictures of it, so runs stay in --keep (runs/, which git ignores) and
only numbers go into faces.jsonl.

train: a grid of samples and a checkpoint every epoch, loss curves in report.html, an interpolation
in morph.gif and morph.png. A run that was stopped goes on where its checkpoint stands; --epochs
beyond a finished run goes on too. score: KID of n samples against n training images, for every run
in --keep.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path

from record import Results

import sparring
from sparring.metrics import KID
from sparring.runs import Run
from sparring.sample import save_morph
from sparring.training.setup import open_data

ARMS = ("dcgan", "fast")
FACES = "celeba_10k_89x109.zip"
WEIGHTS = "fid_inception_2015_12_05_pool3_fp32.safetensors"
EPOCHS = 2


def recipe(arm: str, epochs: int) -> sparring.Recipe:
    """A preset on the faces for a number of passes through the training split."""
    folder = os.environ.get("SPARRING_TEST_DATA")
    if not folder:
        raise SystemExit("error: SPARRING_TEST_DATA is not set. Fix: name the test data folder")
    data = sparring.Zip(path=str(Path(folder) / FACES))
    base = replace(sparring.PRESETS[arm](), data=data, size=(64, 64), metrics=())
    _, material = open_data(base)
    epoch = len(material.train)  # pyright: ignore[reportArgumentType]
    return replace(
        base, images=epochs * epoch, sample_every=epoch, checkpoint_every=epoch, precision="bf16"
    )


def train(arms: list[str], epochs: int, keep: Path) -> None:
    """Every arm up to `epochs`; what this process spent goes into the results."""
    for arm in arms:
        out, wanted, spent = keep / f"faces-{arm}", recipe(arm, epochs), time.process_time()
        before = Run(out).stats()[-1:] if out.exists() else []
        first = before[0]["images"] if before else 0
        if first >= wanted.images:
            continue
        if out.exists():
            run = sparring.resume(out, images=wanted.images)
        else:
            run = sparring.train(wanted, out)
        spent = time.process_time() - spent
        model = sparring.load(run)
        for name in ("morph.gif", "morph.png"):
            save_morph(model, run.path / name)
        last = run.stats()[-1]
        Results("faces").add(
            kind="train",
            arm=arm,
            epochs=epochs,
            first=first,
            images=last["images"],
            cpu_seconds=round(spent),
            seconds=round(last["seconds"]),
            load=[round(v, 1) for v in os.getloadavg()],
            memory=last["memory"],
            precision=run.recipe.precision,
        )


def score(arms: list[str], n: int, keep: Path) -> None:
    """KID of every run in `keep`."""
    results = Results("faces")
    for arm in arms:
        run = Run(keep / f"faces-{arm}")
        if not run.stats():
            continue
        images = run.stats()[-1]["images"]
        if results.done(kind="score", arm=arm, images=images, n=n):
            continue
        weights = [Path(os.environ["SPARRING_TEST_DATA"]) / WEIGHTS]
        rows, skipped = sparring.evaluate(run, [KID()], n, weights=weights)
        for row in rows:
            names = ("metric", "value", "se", "protocol", "seconds")
            results.add(kind="score", arm=arm, images=images, n=n, **{k: row[k] for k in names})
        for metric, reason in skipped:
            print(f"{arm}: {metric} skipped: {reason}")


def show() -> None:
    for row in Results("faces").rows():
        if row["kind"] == "train":
            said = f"{row['cpu_seconds']} s of one core for {row['images'] - row['first']:,} images"
        else:
            said = f"{row['metric']} {row['value']:.4g} +- {row['se']:.2g}"
        print(f"{row['arm']:<8}{row['images']:>9,} images  {said}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["train", "score", "show"])
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--n", type=int, default=500)
    parser.add_argument("--keep", type=Path, default=Path("runs"))
    args = parser.parse_args()
    if args.what == "train":
        train(args.arms, args.epochs, args.keep)
    elif args.what == "score":
        score(args.arms, args.n, args.keep)
    show()


if __name__ == "__main__":
    main()
