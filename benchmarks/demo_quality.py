"""Equal time on two cores: `fast`, the textbook loop, and the textbook loop tuned.

    SPARRING_TEST_DATA=... python benchmarks/demo_quality.py [--seeds 3] [--arms ...]

Data: the 60,000 training images of Fashion-MNIST (fashion_mnist.npz in the folder that
SPARRING_TEST_DATA names). Every arm trains for the same time, measured while it trains; the clock
leaves out imports, opening the data and the scores. Scores: `domain-fid` of 10,000 samples, and
the class shares of 2,000 samples by the same classifier.

- fast, gan, dcgan: the presets, their budget set by --minutes as a user would.
- textbook: DCGAN networks, non-saturating loss, fp32, batch 256, AdamW 2e-4 betas (0.5, 0.999);
  detached fakes, fused optimiser, D frozen in G's step; the raw generator is scored.
- tuned: the same loop with the best settings found (see TUNED), its average is scored.
"""

from __future__ import annotations

import argparse
import copy
import os
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from record import Results
from torch.nn.functional import softplus

import sparring
from sparring.metrics import DomainFid
from sparring.nets import DCGAN
from sparring.sample import Model, grid, load, to_uint8
from sparring.sample.evaluate import evaluate
from sparring.training.setup import Material, open_data

TEXTBOOK = {"width": 64, "batch": 256, "lr": 2e-4, "bf16": False, "average": False}
TUNED = {"width": 32, "batch": 32, "lr": 1e-3, "bf16": True, "average": True}


def preset(
    name: str, source: sparring.Source, seconds: float, seed: int
) -> tuple[Model, int, float]:
    """A preset as `sparring train --minutes` runs it."""
    from sparring.training import train

    recipe = replace(sparring.PRESETS[name](), data=source, seed=seed, metrics=())
    with tempfile.TemporaryDirectory() as folder:
        run = train(recipe, Path(folder) / "run", minutes=seconds / 60, quiet=True)
        last = run.stats()[-1]
        return load(run), last["images"], last["seconds"]


def textbook(
    material: Material, seconds: float, seed: int, settings: dict[str, Any]
) -> tuple[Model, int, float]:
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
    order, step, start = torch.randperm(len(pixels)), 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
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
    return model, step * n, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=150)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--arms", nargs="+", default=["fast", "textbook", "tuned"])
    parser.add_argument("--pictures", type=Path, help="a folder for a grid of each run")
    args = parser.parse_args()
    folder = os.environ.get("SPARRING_TEST_DATA")
    if not folder:
        raise SystemExit("error: SPARRING_TEST_DATA is not set. Fix: name the test data folder")
    source = sparring.Npz(path=str(Path(folder) / "fashion_mnist.npz"))
    _, material = open_data(replace(sparring.PRESETS["fast"](), data=source))
    results = Results("demo_quality")
    for seed in range(args.seeds):
        for arm in args.arms:
            if results.done(arm=arm, seed=seed, budget=args.seconds):
                continue
            if arm in sparring.PRESETS:
                model, images, spent = preset(arm, source, args.seconds, seed)
            else:
                settings = TEXTBOOK if arm == "textbook" else TUNED
                model, images, spent = textbook(material, args.seconds, seed, settings)
            scores, _ = evaluate(model, (DomainFid(),), material.real)
            classes, _ = evaluate(model, (DomainFid(n=2000),), material.real, seed=1)
            shares = next(s["detail"]["shares"] for s in classes if s["metric"] == "class-coverage")
            results.add(
                arm=arm,
                seed=seed,
                budget=args.seconds,
                seconds=round(spent, 1),
                images=images,
                img_per_s=round(images / spent),
                domain_fid=round(scores[0]["value"], 2),
                se=scores[0]["se"],
                floors=scores[0]["detail"].get("floors"),
                shares=[round(s, 4) for s in shares],
                protocol=scores[0]["protocol"],
            )
            if args.pictures:
                args.pictures.mkdir(exist_ok=True, parents=True)
                picture = grid(to_uint8(model.sample(64)))
                picture.save(args.pictures / f"{arm}-{seed}.png")
    for arm in args.arms:
        rows = [r for r in results.rows() if r["arm"] == arm and r["budget"] == args.seconds]
        values = [r["domain_fid"] for r in rows]
        low, high = min(min(r["shares"]) for r in rows), max(max(r["shares"]) for r in rows)
        speed = statistics.mean(r["img_per_s"] for r in rows)
        print(
            f"{arm:<10}domain-fid mean {statistics.mean(values):.1f} "
            f"({min(values):.1f}..{max(values):.1f}), {speed:.0f} img/s, "
            f"class shares {low:.1%}..{high:.1%}"
        )


if __name__ == "__main__":
    main()
