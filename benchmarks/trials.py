"""Trials behind the presets: a preset with some fields changed, for a budget of processor time.

    SPARRING_TEST_DATA=... python benchmarks/trials.py [--cpu 200] NAME FIELD=VALUE ...

One thread; the budget becomes a number of images by the processor time of 150 steps, so that a busy
machine disturbs little (a shared cache and shared cores still do). A FIELD is one of the recipe's,
or lr, b1 (of both optimisers) or end (where a cosine of the rate ends); VALUE as in a recipe. Data
and score as in demo_quality.py. One seed: differences of a tenth are noise.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path

import torch
from record import Results

import sparring
from sparring.metrics import DomainFid
from sparring.parts import map_parts, read
from sparring.recipe import Recipe
from sparring.sample import Model
from sparring.sample.evaluate import evaluate
from sparring.schedules import Cosine, Schedule
from sparring.training.device import Device
from sparring.training.setup import Material, Setup, open_data


def changed(recipe: Recipe, words: list[str]) -> Recipe:
    """The recipe with the changes that the words name."""
    for word in words:
        field, text = word.split("=", 1)
        sides = {side: getattr(recipe, side) for side in ("g_optim", "d_optim")}
        if field == "lr":
            recipe = replace(recipe, **{s: replace(o, lr=float(text)) for s, o in sides.items()})
        elif field == "b1":
            betas = (float(text), recipe.g_optim.betas[1])  # pyright: ignore
            recipe = replace(recipe, **{s: replace(o, betas=betas) for s, o in sides.items()})
        elif field == "end":
            curve = Cosine(start=1.0, end=float(text))
            recipe = replace(recipe, **{s: replace(o, schedule=curve) for s, o in sides.items()})
        else:
            recipe = replace(recipe, **{field: read(text)})
    return recipe


def speed(recipe: Recipe, material: Material) -> float:
    """Images per second of processor time."""
    setup = Setup(recipe, material, Device("cpu", "bf16"))
    for number in range(10):
        setup.advance(number)
    start = time.process_time()
    for number in range(10, 160):
        setup.advance(number)
    return 150 * recipe.images_per_step / (time.process_time() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("changes", nargs="*")
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--cpu", type=float, default=200)
    args = parser.parse_args()
    torch.set_num_threads(1)
    source = sparring.Npz(path=str(Path(os.environ["SPARRING_TEST_DATA"]) / "fashion_mnist.npz"))
    recipe = replace(sparring.PRESETS[args.preset](), data=source, precision="bf16", metrics=())
    recipe, material = open_data(changed(recipe, args.changes))
    images = int(speed(recipe, material) * args.cpu)
    recipe = map_parts(
        replace(recipe, images=images),
        lambda part: replace(part, images=images) if isinstance(part, Schedule) else part,
    )
    setup = Setup(recipe, material, Device("cpu", "bf16"))
    start = time.process_time()
    for number in range(recipe.steps):
        setup.advance(number)
    spent = time.process_time() - start
    model = Model(setup.averages["G"].net, material.spec, images)  # pyright: ignore
    scores, _ = evaluate(model, (DomainFid(),), material.real)
    Results("trials").add(
        name=args.name,
        preset=args.preset,
        changes=args.changes,
        images=images,
        cpu_seconds=round(spent),
        domain_fid=round(scores[0]["value"], 1),
    )


if __name__ == "__main__":
    main()
