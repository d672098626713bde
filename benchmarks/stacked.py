"""Stacked MNIST: modes found by trained generators, and what a perfect sampler has.

    python benchmarks/stacked.py mnist.npz [--seeds 3]
    python benchmarks/stacked.py mnist.npz --train PRESET [--images 1000000] [--seeds 1]
                                           [--precision bf16]

A perfect sampler: the 10,000 test digits, which nothing was trained on, stacked at random, in the
place of a generator's samples. --train: a preset, one thread, schedules over the images it sees;
its moving average is scored. 26,000 samples, as published; one line for each run, with the tricks
that the preset had then (a row without them is from before 2026-11-29: penalties from 0.5).
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from record import Results

import sparring
from sparring.data import Images, StackedMnist, split, take
from sparring.metrics import Fake, Real, StackedModes
from sparring.randomness import generator
from sparring.recipe import fill_schedules
from sparring.sample import Model, to_uint8
from sparring.training.device import Device
from sparring.training.setup import Setup, open_data


def scored(real: Real, fake: Fake) -> dict[str, object]:
    scores = StackedModes().score(real, fake)
    kept = ("features_accuracy", "features_tested", "features_digest")
    return {
        "scores": {s.metric: s.value for s in scores},
        "se": {s.metric: s.se for s in scores if s.se is not None},
        "expected": scores[2].detail["perfect"],
        **{name: scores[0].protocol[name] for name in kept},
    }


def perfect(path: str, seed: int) -> dict[str, object]:
    stacked = StackedMnist(path=path).open()
    assert isinstance(stacked, Images)
    real = Real("stacked MNIST", train=take(stacked, split(len(stacked))[0]))
    with np.load(path, allow_pickle=False) as arrays:
        digits = torch.from_numpy(arrays["x_test"])
    chosen = torch.randint(len(digits), (26_000, 3), generator=generator("perfect", seed))
    fake = Fake(f"test digits, seed {seed}", lambda n: (digits[i] for i in chosen[:n].split(500)))
    return scored(real, fake)


def trained(path: str, preset: str, images: int, seed: int, precision: Any) -> dict[str, object]:
    recipe = replace(sparring.PRESETS[preset](), data=StackedMnist(path=path), seed=seed)
    recipe = replace(recipe, precision=precision, images=images, metrics=())
    recipe, material = open_data(recipe)
    setup = Setup(fill_schedules(recipe), material, Device("cpu", precision))
    start = time.process_time()
    for number in range(recipe.steps):
        setup.advance(number)
    spent = round(time.process_time() - start)
    model = Model(setup.averages["G"].net, material.spec)  # pyright: ignore
    fake = Fake(preset, lambda n: (to_uint8(x) for x in model.batches(n)))
    said = {"nets": repr(recipe.nets), "tricks": repr(recipe.tricks), "cpu_seconds": spent}
    return {**said, **scored(material.real, fake)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--train", metavar="PRESET")
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--precision", choices=["bf16", "fp32"], default="bf16")
    args = parser.parse_args()
    torch.set_num_threads(1)
    results = Results("stacked")
    for seed in range(args.seeds):
        if args.train:
            key = {"preset": args.train, "images": args.images, "seed": seed}
            key["precision"] = args.precision
            if not results.done(**key):
                results.add(**key, **trained(args.path, *key.values()))
        elif not results.done(preset=None, seed=seed):
            results.add(seed=seed, **perfect(args.path, seed))
    for row in results.rows():
        name = "perfect"
        if "preset" in row:
            name = f"{row['preset']}, {row['images']:,} images, {row.get('precision', 'bf16')}"
        print(name, row["seed"], row["scores"], "expected", row["expected"])


if __name__ == "__main__":
    main()
