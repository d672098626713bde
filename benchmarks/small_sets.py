"""Small and simple sets: whether `fast` keeps all classes, and how that hangs on its penalties.

    SPARRING_TEST_DATA=... python benchmarks/small_sets.py [--sets NAME ...] [--n N ...]
                                 [--arms NAME ...] [--seeds 0 1] [--images 60000] [--table]

The tables of docs/presets.md and docs/log.md: `--sets stripes --n 2000 --images 30000`, `--sets
shapes --n 200`, `--sets fashion --n 60000`, each with the arms and seeds that the tables name.

Sets: `shapes`, drawn here (40 pixels, colour, two classes: crescents and leaves of many colours and
places); `stripes`, drawn too (28 pixels, grey, two classes: waves that stand or lie, of many
lengths and places); `fashion`, Fashion-MNIST (28 pixels, grey, ten classes), from the folder that
SPARRING_TEST_DATA names. A run trains on the first n images of the whole set's training split, one
thread, fp32. Arms: the preset, its penalties stronger or weaker, and what else was tried against a
lost class; names say how their penalties fall where they are not the preset's 2 to 0.05.

Score: the whole training split, whatever n, against 5,000 samples of the moving average in the eyes
of a classifier of the whole set (`domain-fid`; `class-tv`, how far the classes' shares are from the
data's: 0.5 is one class of two), precision and recall of 2,000 (k = 3). So what is learnt by heart
is no gain. D right on fakes is the mean of the last 200 steps.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from record import Results

import sparring
from sparring.data import Images, Source, take
from sparring.losses import NonSaturating
from sparring.metrics import DomainFeatures, DomainFid, PrecisionRecall
from sparring.recipe import Recipe
from sparring.sample import Model, grid, to_uint8
from sparring.sample.evaluate import evaluate
from sparring.schedules import Cosine, Exponential, Schedule
from sparring.training.device import Device
from sparring.training.setup import Setup, open_data
from sparring.tricks import R1, R2, DiffAugment, Trick

FAST = sparring.PRESETS["fast"]()


def penalties(start: float, end: float = 0.05) -> tuple[Trick, ...]:
    """The preset's own, falling from and to other weights."""
    return falling(Cosine(start=start, end=end))


def falling(gamma: Schedule) -> tuple[Trick, ...]:
    return tuple(replace(t, gamma=gamma) for t in FAST.tricks)


def rates(g: float, d: float) -> dict[str, Any]:
    """Both players' learning rates."""
    return {"g_optim": replace(FAST.g_optim, lr=g), "d_optim": replace(FAST.d_optim, lr=d)}


WEAK = {"tricks": penalties(0.5)}
ARMS: dict[str, dict[str, Any]] = {
    "fast": {},
    "from 0.5": WEAK,
    "from 5": {"tricks": penalties(5.0)},
    "exponential": {"tricks": falling(Exponential(start=2.0, end=0.05))},
    "to 0.02": {"tricks": penalties(2.0, 0.02)},
    "5 throughout": {"tricks": penalties(5.0, 5.0)},
    "from 0.5, DiffAugment": {"tricks": (*penalties(0.5), DiffAugment())},
    "from 0.5, rates 1e-3": WEAK | rates(1e-3, 1e-3),
    "from 0.5, rate of D 1e-3": WEAK | rates(3e-3, 1e-3),
    "from 0.5, NonSaturating": WEAK | {"loss": NonSaturating()},
    "1 throughout, each step, whole batch": {"tricks": (R1(), R2())},
    "1 throughout, each step, whole batch, DiffAugment": {"tricks": (R1(), R2(), DiffAugment())},
}
SETS = ("shapes", "stripes", "fashion")
COUNT = 6_000  # of the sets that are drawn
PICTURES = Path("runs") / "small-sets"


def shape(rng: np.random.Generator, leaf: bool, side: int = 40) -> np.ndarray:
    """A crescent on a dark ground or a leaf on a light one, drawn four times as large."""
    big = 4 * side
    dark, bright = rng.integers(0, 60, 3), rng.integers(150, 256, 3)
    ground, colour = (bright, rng.integers(20, 140, 3)) if leaf else (dark, bright)
    image = Image.new("RGB", (big, big), tuple(map(int, ground)))
    draw, (x, y) = ImageDraw.Draw(image), rng.uniform(0.4, 0.6, 2) * big
    r = float(rng.uniform(0.2, 0.35) * big)
    if leaf:
        t, thin = np.linspace(0, 2 * np.pi, 60), float(rng.uniform(0.3, 0.6))
        along, across = r * np.cos(t), thin * r * np.sin(t) * np.abs(np.sin(t))
        a = rng.uniform(0, np.pi)
        corners = np.stack(
            [
                x + along * np.cos(a) - across * np.sin(a),
                y + along * np.sin(a) + across * np.cos(a),
            ],
            1,
        )
        draw.polygon([tuple(p) for p in corners.tolist()], fill=tuple(map(int, colour)))
    else:
        draw.ellipse((x - r, y - r, x + r, y + r), fill=tuple(map(int, colour)))
        dx, dy = rng.uniform(0.3, 0.6, 2) * r * rng.choice((-1, 1), 2)
        draw.ellipse((x + dx - r, y + dy - r, x + dx + r, y + dy + r), fill=tuple(map(int, ground)))
    return np.asarray(image.resize((side, side), Image.Resampling.BOX))


def stripes(rng: np.random.Generator, lying: bool, side: int = 28) -> np.ndarray:
    along = np.arange(side) / rng.uniform(4, 12) + rng.uniform()
    bright = np.round(255 * (0.5 + 0.5 * np.sin(2 * np.pi * along))).astype(np.uint8)
    image = np.broadcast_to(bright, (side, side))
    return image.T if lying else image


DRAWN = {"shapes": shape, "stripes": stripes}


def source(name: str) -> Source:
    if name in DRAWN:
        rng = np.random.default_rng(0)
        labels = rng.integers(0, 2, COUNT)
        images = np.stack([DRAWN[name](rng, bool(label)) for label in labels])
        file = PICTURES / f"{name}-{os.getpid()}.npz"
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, x_train=images, y_train=labels)
        return sparring.Npz(path=str(file))
    return sparring.Npz(path=str(Path(os.environ["SPARRING_TEST_DATA"]) / "fashion_mnist.npz"))


def measure(results: Results, key: dict[str, Any]) -> None:
    """One run and its row; its grid stays in runs/small-sets."""
    plain = replace(FAST, data=source(key["set"]), images=key["images"], seed=key["seed"])
    recipe: Recipe = replace(plain, **ARMS[key["arm"]], precision="fp32", metrics=())
    recipe, material = open_data(recipe)
    assert isinstance(material.train, Images)
    few = take(material.train, torch.arange(min(key["n"], len(material.train))))
    setup = Setup(recipe, replace(material, train=few), Device("cpu", "fp32"))
    start, right = time.process_time(), []
    for number in range(recipe.steps):
        stats = setup.advance(number)
        if number >= recipe.steps - 200:
            right.append(float(stats["d_acc_fake"]))
    spent = time.process_time() - start
    model = Model(setup.averages["G"].net, material.spec)  # pyright: ignore
    metrics = (DomainFid(n=5_000), PrecisionRecall(features=DomainFeatures(), n=2_000))
    found, skipped = evaluate(model, metrics, material.real)
    assert not skipped, skipped
    scores = {s["metric"]: s["value"] and round(s["value"], 4) for s in found}
    results.add(
        **key,
        cpu_seconds=round(spent),
        d_right_fake=round(statistics.mean(right), 3),
        scores=scores,
    )
    PICTURES.mkdir(parents=True, exist_ok=True)
    name = "-".join(str(v) for v in key.values()).replace(" ", "_")
    grid(to_uint8(model.sample(40, 0)), columns=10).save(PICTURES / f"{name}.png")
    print(key, scores, f"{spent:.0f} s", flush=True)


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: each score's mean over the seeds."""
    names = ("domain-fid", "class-tv", "precision[domain]", "recall[domain]")
    lines = [f"| set | images | arm | {' | '.join(names)} | D right on fakes | seeds | time |"]
    lines.append("| --- " * 10 + "|")
    for key in dict.fromkeys((r["set"], r["n"], r["arm"], r["images"]) for r in rows):
        mine = [r for r in rows if (r["set"], r["n"], r["arm"], r["images"]) == key]
        cells = []
        for name in names:
            values = [r["scores"][name] for r in mine]
            form = ".0f" if name == "domain-fid" else ".2f"
            low, high = f"{min(values):{form}}", f"{max(values):{form}}"
            mean = f"{statistics.mean(values):{form}}"
            cells.append(f"{mean} ({low} to {high})" if len(values) > 1 else mean)
        right = statistics.mean(r["d_right_fake"] for r in mine)
        seconds = statistics.mean(r["cpu_seconds"] for r in mine)
        head = f"| {key[0]} | {key[1]:,} | {key[2]} | "
        lines.append(head + " | ".join(cells) + f" | {right:.0%} | {len(mine)} | {seconds:.0f} s |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="+", default=SETS, choices=SETS)
    parser.add_argument("--n", type=int, nargs="+", default=[200])
    parser.add_argument("--arms", nargs="+", default=["fast", "from 0.5"], choices=ARMS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    results = Results("small_sets")
    if args.table:
        print(table(results.rows()))
        return
    for seed in args.seeds:
        for n in args.n:
            for name in args.sets:
                for arm in args.arms:
                    key = {"set": name, "n": n, "arm": arm, "seed": seed, "images": args.images}
                    if not results.done(**key):
                        measure(results, key)


if __name__ == "__main__":
    main()
