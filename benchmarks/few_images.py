"""A folder of few images: what to train on it, at equal processor time.

    SPARRING_TEST_DATA=... python benchmarks/few_images.py [--n 240] [--arms NAME ...]
                              [--cpu 480] [--seeds 0] [--precision bf16] [--table]

Data: n of the 1,178 painted portraits of portrait_paintings_1178_96px.zip in the folder that
SPARRING_TEST_DATA names, in an order drawn once, at 64 pixels, flipped. The others are never
trained on: the scores compare 1,000 samples with them (KID and FID of the FID Inception), and KID
with the n that were trained on as well, which falls below the other where images are learnt by
heart. One thread; --cpu seconds become a number of images by a short run of each arm first. Samples
stay in runs/few-images.

Arms: presets, alone or with augmentation. `fewshot` has a width of 16 for its 32, so that it sees
more images in the time; rates are the preset's.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from record import Results

import sparring
from sparring.data import Images, take
from sparring.metrics import FID, KID, Real
from sparring.recipe import Recipe, fill_schedules
from sparring.sample import Model, grid, to_uint8
from sparring.sample.evaluate import evaluate
from sparring.training.device import Device
from sparring.training.setup import Material, Setup, open_data
from sparring.tricks import ADA, DiffAugment

PORTRAITS = "portrait_paintings_1178_96px.zip"
PICTURES = Path("runs") / "few-images"
SAMPLES = 1_000


def preset(name: str, *tricks: Any, **nets: Any) -> Recipe:
    """A preset with tricks added to its own and with fields of its networks changed."""
    recipe = sparring.PRESETS[name]()
    return replace(
        recipe, nets=replace(recipe.nets, **nets), tricks=(*recipe.tricks, *tricks), metrics=()
    )


ARMS = {
    "fast": lambda: preset("fast"),
    "fast, DiffAugment": lambda: preset("fast", DiffAugment()),
    "fast, ADA": lambda: preset("fast", ADA()),
    "fewshot, width 16": lambda: preset("fewshot", g_width=16, d_width=16),
}


def divided(recipe: Recipe, n: int) -> tuple[Recipe, Material, Real]:
    """The opened recipe, its n images to train on, and all others to compare with."""
    recipe, material = open_data(recipe)
    assert isinstance(material.train, Images)
    order = torch.randperm(len(material.train), generator=torch.Generator().manual_seed(0))
    others = Real("the portraits not trained on", train=take(material.train, order[n:]))
    return recipe, replace(material, train=take(material.train, order[:n])), others


def speed(recipe: Recipe, material: Material) -> float:
    """Images per second of processor time, of the fastest of four short runs."""
    steps = 32
    recipe = fill_schedules(replace(recipe, images=(steps + 1) * recipe.images_per_step))
    best = 0.0
    for _ in range(4):
        setup = Setup(recipe, material, Device("cpu", recipe.precision))  # pyright: ignore
        setup.advance(0)
        start = time.process_time()
        for number in range(1, steps + 1):
            setup.advance(number)
        seen = steps * recipe.images_per_step
        best = max(best, seen / (time.process_time() - start))
    return best


def measure(results: Results, key: dict[str, Any]) -> None:
    """One run and its row."""
    data = sparring.Zip(path=str(Path(os.environ["SPARRING_TEST_DATA"]) / PORTRAITS))
    recipe = replace(
        ARMS[key["arm"]](),
        data=data,
        size=(64, 64),
        held_out=0,
        seed=key["seed"],
        precision=key["precision"],
        flip=True,
    )
    images = int(speed(*divided(recipe, key["n"])[:2]) * key["cpu"])
    recipe, material, others = divided(replace(recipe, images=images), key["n"])
    setup = Setup(recipe, material, Device("cpu", key["precision"]))
    start, stats = time.process_time(), {}
    for number in range(recipe.steps):
        stats = setup.advance(number)
    spent = time.process_time() - start
    model = Model(setup.averages["G"].net, material.spec)  # pyright: ignore
    found, skipped = evaluate(model, (KID(n=SAMPLES), FID(n=SAMPLES)), others)
    assert isinstance(material.train, Images)
    seen = Real("the portraits trained on", train=material.train)
    again, missed = evaluate(model, (KID(n=SAMPLES),), seen)
    assert not [*skipped, *missed], (skipped, missed)
    scores = {s["metric"]: [round(s["value"], 5), s["se"]] for s in found}
    results.add(
        **key,
        images=images,
        cpu_seconds=round(spent),
        d_right=[round(float(stats[f"d_acc_{k}"]), 2) for k in ("real", "fake")],
        scores=scores,
        kid_to_trained=round(again[0]["value"], 5),
    )
    PICTURES.mkdir(parents=True, exist_ok=True)
    name = "-".join(str(v) for v in key.values()).replace(" ", "_")
    grid(to_uint8(model.sample(40, 0)), columns=10).save(PICTURES / f"{name}.png")
    print(key, images, scores, again[0]["value"], f"{spent:.0f} s", flush=True)


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown, a line for each run."""
    lines = ["| images | arm | shown | time | FID | KID | KID to those trained on |"]
    lines.append("| --- " * 7 + "|")
    for r in rows:
        (fid, _), (kid, se) = (r["scores"][k] for k in ("fid", "kid"))
        lines.append(
            f"| {r['n']} | {r['arm']} | {r['images']:,} | {r['cpu_seconds']} s | {fid:.0f} "
            f"| {kid:.3f} ± {se:.3f} | {r['kid_to_trained']:.3f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, nargs="+", default=[240])
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS)
    parser.add_argument("--cpu", type=int, default=480)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    results = Results("few_images")
    if args.table:
        print(table(results.rows()))
        return
    for n in args.n:
        for seed in args.seeds:
            for arm in args.arms:
                key = {"n": n, "arm": arm, "cpu": args.cpu, "seed": seed}
                key["precision"] = args.precision
                if not results.done(**key):
                    measure(results, key)


if __name__ == "__main__":
    main()
