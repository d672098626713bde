"""Equal time on two cores: `fast` and its rivals on Fashion-MNIST.

    SPARRING_TEST_DATA=... python benchmarks/demo_quality.py speed [--rounds 3]
    SPARRING_TEST_DATA=... python benchmarks/demo_quality.py train --keep FOLDER [--seeds 0 1 2]
                                                                   [--precision fp32]
    SPARRING_TEST_DATA=... python benchmarks/demo_quality.py score --keep FOLDER

Data: the 60,000 training images of Fashion-MNIST (fashion_mnist.npz in the folder that
SPARRING_TEST_DATA names), less the held-out split.

speed: images per second of every arm, interleaved, on a machine that does nothing else, with all
its cores. An arm's budget is the median times 150 seconds. train: every arm and seed for that many
images; this may take longer by the clock, as on a busy machine or on one thread, and the budget
stays the same, in the precision that was timed unless --precision gives another for a CPU that is
slow in it. Keeps 10,000 samples a run. score: `domain-fid` of 10,000 samples, the class shares
of 2,000 by the same classifier; of some arms, in Inception's features, the FID, KID, precision and
recall (k = 3) of 2,000 against 2,000 training images.

- fast, gan, dcgan: the presets.
- lighter: fast as it was at first, with penalties that fall from 0.5 and not from 2. lighter-fp32:
  the same, in the precision of the later rows of fast (with --precision fp32).
- lower: fast with penalties that fall to 0.02 and not to 0.05.
- textbook: DCGAN networks, non-saturating loss, fp32, batch 256, AdamW 2e-4 betas (0.5, 0.999);
  detached fakes, fused optimiser, D frozen in G's step; the raw generator is scored.
- tuned: the same loop with the best settings found (see TUNED), its average is scored.
- slower: tuned with a rate of 1e-3, for as many images.
"""

from __future__ import annotations

import argparse
import copy
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from record import Results
from torch import Tensor
from torch.nn.functional import softplus

import sparring
from sparring.metrics import (
    Bilinear,
    DomainFid,
    Fake,
    Gaussian,
    Inception,
    Real,
    frechet_distance,
    offer,
)
from sparring.metrics import evaluate as evaluate_samples
from sparring.metrics.comparison import Sides
from sparring.metrics.kernel import cubic, discrepancy
from sparring.metrics.manifold import balls
from sparring.nets import DCGAN
from sparring.parts import map_parts
from sparring.sample import Model, grid, to_uint8
from sparring.schedules import Cosine, Schedule
from sparring.training.device import Device
from sparring.training.forecast import timed
from sparring.training.setup import Material, Setup, open_data

SECONDS = 150
SAMPLES, FEW = 10_000, 2_000
WEIGHTS = "fid_inception_2015_12_05_pool3_fp32.safetensors"
TEXTBOOK = {"width": 64, "batch": 256, "lr": 2e-4, "bf16": False, "average": False}
TUNED = {"width": 32, "batch": 32, "lr": 4e-3, "bf16": True, "average": True}
SLOWER = {**TUNED, "lr": 1e-3}
LOOPS = {"textbook": TEXTBOOK, "tuned": TUNED, "slower": SLOWER}
FALLS: dict[str, Schedule] = {  # `fast` with penalties that fall otherwise
    "lighter": Cosine(start=0.5, end=0.05),
    "lighter-fp32": Cosine(start=0.5, end=0.05),
    "lower": Cosine(start=2.0, end=0.02),
}
DEEP = ("fast", "textbook", "tuned", *FALLS)
ARMS = (
    *DEEP,
    "dcgan",
    "gan",
    "slower",
)  # scored in Inception's features as well, which take minutes

Until = Callable[[int], bool]  # images seen so far -> whether to stop


def source() -> sparring.Source:
    folder = os.environ.get("SPARRING_TEST_DATA")
    if not folder:
        raise SystemExit("error: SPARRING_TEST_DATA is not set. Fix: name the test data folder")
    return sparring.Npz(path=str(Path(folder) / "fashion_mnist.npz"))


def recipe_of(arm: str) -> sparring.Recipe:
    if arm not in FALLS:
        return sparring.PRESETS[arm]()
    recipe, gamma = sparring.PRESETS["fast"](), FALLS[arm]
    return replace(recipe, tricks=tuple(replace(t, gamma=gamma) for t in recipe.tricks))


def preset(arm: str, precision: Any, images: int, seed: int, until: Until) -> tuple[Model, int]:
    """A preset trained by sparring's own step; schedules span `images`."""
    recipe = recipe_of(arm)
    recipe = replace(recipe, data=source(), seed=seed, precision=precision)
    recipe, material = open_data(replace(recipe, images=images, metrics=()))
    recipe = map_parts(
        recipe, lambda part: replace(part, images=images) if isinstance(part, Schedule) else part
    )
    setup, number = Setup(recipe, material, Device("cpu", precision)), 0
    while not until(number * recipe.images_per_step):
        setup.advance(number)
        number += 1
    generator = setup.averages["G"].net
    return Model(generator, material.spec), number * recipe.images_per_step  # pyright: ignore


def textbook(
    material: Material, settings: dict[str, Any], seed: int, until: Until
) -> tuple[Model, int]:
    """The loop of the courses, as lean as it gets."""
    torch.manual_seed(seed)
    images = material.train
    assert isinstance(images, sparring.Images)
    pixels, n = images.pixels, settings["batch"]
    nets = DCGAN(width=settings["width"])
    G, D = nets.generator(material.spec), nets.discriminator(material.spec)
    if settings["bf16"]:
        G = G.to(memory_format=torch.channels_last)  # pyright: ignore
        D = D.to(memory_format=torch.channels_last)  # pyright: ignore
    average = copy.deepcopy(G).requires_grad_(False)
    adam = {"lr": settings["lr"], "betas": (0.5, 0.999), "fused": True}
    g_optim = torch.optim.AdamW(G.parameters(), **adam)
    d_optim = torch.optim.AdamW(D.parameters(), **adam)
    order, step = torch.randperm(len(pixels)), 0
    while not until(step * n):
        place = step * n % (len(pixels) - n)
        if step and place < n:
            order = torch.randperm(len(pixels))
        real = pixels[order[place : place + n]].float().div_(127.5).sub_(1)
        with torch.autocast("cpu", torch.bfloat16, enabled=settings["bf16"]):
            fake = G(torch.randn(n, G.latent))
            detached = fake.detach().float()
            d_loss = softplus(-D(real).float()).mean() + softplus(D(detached).float()).mean()
            d_optim.zero_grad()
            d_loss.backward()
            d_optim.step()
            D.requires_grad_(False)
            g_loss = softplus(-D(fake.float()).float()).mean()
            g_optim.zero_grad()
            g_loss.backward()
            g_optim.step()
            D.requires_grad_(True)
        step += 1
        if settings["average"]:
            with torch.no_grad():
                for a, b in zip(average.state_dict().values(), G.state_dict().values()):
                    a.lerp_(b, 0.002) if a.is_floating_point() else a.copy_(b)
    model = Model(average if settings["average"] else G.requires_grad_(False), material.spec)
    return model, step * n


def run(arm: str, precision: str, images: int, seed: int, until: Until) -> tuple[Model, int]:
    """One arm until `until` says so."""
    if arm not in LOOPS:
        return preset(arm, precision, images, seed, until)
    _, material = open_data(replace(sparring.PRESETS["fast"](), data=source()))
    return textbook(material, LOOPS[arm], seed, until)


def speed(arms: list[str], rounds: int, seconds: float = 12.0) -> None:
    """Images per second, the arms in turn; the first second of each run does not count."""
    results = Results("demo_quality")
    for number in range(rounds):
        for arm in arms:
            if results.done(kind="speed", arm=arm, round=number):
                continue
            if arm in LOOPS:
                precision = "bf16" if LOOPS[arm]["bf16"] else "fp32"
            else:
                recipe, material = open_data(replace(recipe_of(arm), data=source()))
                recipe, _, _ = timed(recipe, material, Device("cpu"), exact=True)
                precision = recipe.precision
            marks: list[tuple[float, int]] = []

            def until(images: int, marks: list[tuple[float, int]] = marks) -> bool:
                marks.append((time.perf_counter(), images))
                return marks[-1][0] - marks[0][0] > seconds

            run(arm, precision, 200_000, 0, until)
            first = next(m for m in marks if m[0] - marks[0][0] > 1)
            rate = (marks[-1][1] - first[1]) / (marks[-1][0] - first[0])
            results.add(kind="speed", arm=arm, round=number, precision=precision, img_per_s=rate)
            print(f"{arm}: {rate:.0f} img/s, {precision}", flush=True)


def budget(arm: str) -> tuple[int, str]:
    """What the arm trains in SECONDS by the median of its speeds, and its precision."""
    pace = {"slower": "tuned", **dict.fromkeys(FALLS, "fast")}.get(
        arm, arm
    )  # which does the same work
    rows = [r for r in Results("demo_quality").rows() if r["kind"] == "speed" and r["arm"] == pace]
    if not rows:
        raise SystemExit(f"error: {arm} has not been timed. Fix: demo_quality.py speed")
    rate = statistics.median(r["img_per_s"] for r in rows)
    precision = statistics.mode(r["precision"] for r in rows)
    return round(rate * SECONDS), precision


def train(arms: list[str], seeds: list[int], keep: Path, other: str | None) -> None:
    """Every arm and seed for its budget; samples into `keep`."""
    keep.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        for arm in arms:
            file = keep / f"{arm}-{seed}.npz"
            if file.exists():
                continue
            images, timed_in = budget(arm)
            precision = other or timed_in
            start = time.perf_counter()
            model, seen = run(arm, precision, images, seed, lambda done, m=images: done >= m)
            spent = time.perf_counter() - start
            samples = torch.cat([to_uint8(b) for b in model.batches(SAMPLES)])
            grid(samples[:64]).save(keep / f"{arm}-{seed}.png")
            np.savez_compressed(
                file,
                arr_0=samples.permute(0, 2, 3, 1).numpy(),
                images=seen,
                seconds=spent,
                threads=torch.get_num_threads(),
                precision=precision,
            )
            print(f"{arm} {seed}: {seen} images in {spent:.0f} s", flush=True)


def score(arms: list[str], keep: Path) -> None:
    """Scores of all samples in `keep`."""
    offer(Path(os.environ["SPARRING_TEST_DATA"]) / WEIGHTS)
    results = Results("demo_quality")
    _, material = open_data(replace(sparring.PRESETS["fast"](), data=source()))
    train = material.real.train
    assert train is not None
    reference = features(train.pixels[:FEW]) if {*arms} & {*DEEP} else None
    for file in sorted(keep.glob("*.npz")):
        arm, seed = file.stem.rsplit("-", 1)
        if arm not in arms or results.done(kind="score", arm=arm, seed=int(seed)):
            continue
        kept = np.load(file)
        samples = torch.from_numpy(kept["arr_0"]).permute(0, 3, 1, 2)
        fake = Fake(name=file.stem, take=lambda n, s=samples: iter([s[:n]]))
        far, _ = evaluate_samples((DomainFid(n=SAMPLES),), material.real, fake)
        classes, _ = evaluate_samples((DomainFid(n=FEW),), material.real, fake)
        shares = next(s.detail["shares"] for s in classes if s.metric == "class-coverage")
        results.add(
            kind="score",
            arm=arm,
            seed=int(seed),
            images=int(kept["images"]),
            trained_seconds=round(float(kept["seconds"])),
            trained_threads=int(kept["threads"]),
            precision_trained=str(kept["precision"]),
            domain_fid=round(far[0].value, 2),
            se=far[0].se,
            floors=far[0].detail.get("floors"),
            shares=[round(s, 4) for s in shares],
            **(inception(features(samples[:FEW]), reference) if reference is not None else {}),
            protocol={k: v for k, v in far[0].protocol.items() if k != "reference"},
        )


def features(images: Tensor) -> Tensor:
    """Inception's pool3 of uint8 (n, 1, H, W): float32 (n, 2048), by pytorch-fid's resize."""
    extractor = Inception(resize=Bilinear()).open(Real("none"))
    return torch.cat(list(extractor.stream([images], len(images))))


def inception(fake: Tensor, real: Tensor) -> dict[str, float]:
    """The scores in Inception's features, of as many samples as real images."""
    kernel = discrepancy(fake, real, cubic)
    inside = balls(Sides(real, fake, Inception().open(Real("none")), {}), k=3, edge=True)
    return {
        "fid_2000": round(frechet_distance(Gaussian.of(fake), Gaussian.of(real)), 2),
        "kid_2000": round(kernel.value, 5),
        "kid_se": round(kernel.error, 5),
        "precision": round(float(inside.values("precision").mean()), 4),
        "recall": round(float(inside.values("recall").mean()), 4),
    }


def show(arms: list[str]) -> None:
    for arm in arms:
        rows = [r for r in Results("demo_quality").rows() if r["kind"] == "score"]
        rows = [r for r in rows if r["arm"] == arm]
        if not rows:
            continue
        line = f"{arm:<10}{rows[0]['images']:>9,} images"
        for name in ("domain_fid", "fid_2000", "kid_2000", "precision", "recall"):
            values = [r[name] for r in rows if name in r]
            if not values:
                continue
            mean = statistics.mean(values)
            line += f"  {name} {mean:.3g} ({min(values):.3g}..{max(values):.3g})"
        low, high = min(min(r["shares"]) for r in rows), max(max(r["shares"]) for r in rows)
        print(f"{line}  classes {low:.1%}..{high:.1%}  seeds {len(rows)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["speed", "train", "score", "show"])
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--precision", choices=["fp32", "bf16"])
    parser.add_argument("--keep", type=Path, default=Path("demo-quality"))
    args = parser.parse_args()
    if args.what == "speed":
        speed(args.arms, args.rounds)
    elif args.what == "train":
        train(args.arms, args.seeds, args.keep, args.precision)
    elif args.what == "score":
        score(args.arms, args.keep)
    show(args.arms)


if __name__ == "__main__":
    main()
