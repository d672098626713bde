"""Ablation of every stabiliser: one small base, each loss, trick and field on or off.

    SPARRING_TEST_DATA=... python benchmarks/ablation.py [--seeds 0 1 2] [--rows NAME ...]
                                                         [--fid NAME ...] [--table]

Data: the 60,000 training images of Fashion-MNIST (fashion_mnist.npz in the folder that
SPARRING_TEST_DATA names) less the held-out split, 28 pixels. Base: DCGAN networks of width 16, no
normalisation in D, non-saturating loss, no trick, Adam 1e-3 with beta1 0.5 for both, batch 32,
moving average of half-life 2,000 images. A row is the base with the one change that ROWS names,
40,000 images (1,250 steps of G; 250 with five steps of D), one thread, bf16. Weights of tricks are
their defaults, for a penalty those usual at 28 pixels; none was tuned for this.

Score: `domain-fid` of 5,000 samples of the moving average and, of 2,000 with domain features,
precision and recall (k = 3). A run has failed if a loss is not finite or its score is above half
an untrained generator's. A seed decides first weights, batches and noise; what is held out and the
classifier are the same for all. Seeds are the outer loop, so that a part of them is of use. --fid
scores the named rows again by the FID Inception, 2,000 samples. --table prints what is there.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from record import Results

import sparring
from sparring.losses import (
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    RelativisticAverage,
    RelativisticPaired,
    Wasserstein,
)
from sparring.metrics import FID, DomainFeatures, DomainFid, Metric, PrecisionRecall
from sparring.nets import DCGAN, Auxiliary, Concat, Projection
from sparring.optim import Adam
from sparring.recipe import Recipe, fill_schedules
from sparring.sample import Model
from sparring.sample.evaluate import evaluate
from sparring.training.device import Device
from sparring.training.setup import Material, Setup, open_data
from sparring.tricks import (
    ADA,
    DRAGAN,
    R1,
    R2,
    AuxiliaryClassifier,
    Consistency,
    DiffAugment,
    FeatureMatching,
    GradientPenalty,
    HistoricalAveraging,
    InstanceNoise,
    LatentConsistency,
    LeCam,
    ModeSeeking,
    PathLength,
    Replay,
    Trick,
    Unrolled,
    WeightClipping,
)

ADAM = Adam(lr=1e-3, betas=(0.5, 0.999))
BASE = Recipe(
    nets=DCGAN(width=16, d_norm="none"),
    loss=NonSaturating(),
    g_optim=ADAM,
    d_optim=ADAM,
    batch=32,
    images=40_000,
    ema=2_000,
    precision="bf16",
    metrics=(),
)
UNTRAINED = "untrained"


def with_tricks(*tricks: Trick) -> dict[str, Any]:
    return {"tricks": tricks}


def with_nets(**fields: Any) -> dict[str, Any]:
    return {"nets": replace(BASE.nets, **fields)}


PENALISED: dict[str, Any] = {"tricks": (R1(gamma=0.1), R2(gamma=0.1))}
ROWS: dict[str, dict[str, Any]] = {
    "base": {},
    # losses
    "Minimax": {"loss": Minimax()},
    "LeastSquares": {"loss": LeastSquares()},
    "Hinge": {"loss": Hinge()},
    "RelativisticAverage": {"loss": RelativisticAverage()},
    "RelativisticPaired": {"loss": RelativisticPaired()},
    "labels 0.9 and 0": {"loss": NonSaturating(real=0.9)},
    "labels 0.9 and 0.1": {"loss": NonSaturating(real=0.9, fake=0.1)},
    # slopes of D
    "R1": with_tricks(R1(gamma=0.1)),
    "R2": with_tricks(R2(gamma=0.1)),
    "R1 + R2": PENALISED,
    "RelativisticPaired, R1 + R2": {"loss": RelativisticPaired(), **PENALISED},
    "R1, every 8th step": with_tricks(R1(gamma=0.1, every=8)),
    "GradientPenalty": with_tricks(GradientPenalty()),
    "Wasserstein, GradientPenalty": {"loss": Wasserstein(), **with_tricks(GradientPenalty())},
    "Wasserstein, GradientPenalty, 5 steps of D": {
        "loss": Wasserstein(),
        **with_tricks(GradientPenalty()),
        "d_steps": 5,
    },
    "DRAGAN": with_tricks(DRAGAN()),
    "Wasserstein, WeightClipping": {"loss": Wasserstein(), **with_tricks(WeightClipping())},
    "spectral norm in D": with_nets(d_spectral=True),
    "spectral norm in D, Hinge": {"loss": Hinge(), **with_nets(d_spectral=True)},
    "spectral norm in both": with_nets(g_spectral=True, d_spectral=True),
    # what D sees, meets and answers
    "InstanceNoise": with_tricks(InstanceNoise()),
    "DiffAugment": with_tricks(DiffAugment(colour=False)),
    "ADA": with_tricks(ADA()),
    "Replay": with_tricks(Replay()),
    "LeCam": with_tricks(LeCam()),
    "Consistency (bCR)": with_tricks(Consistency()),
    "LatentConsistency (zCR)": with_tricks(LatentConsistency()),
    # variety
    "FeatureMatching": with_tricks(FeatureMatching()),
    "ModeSeeking": with_tricks(ModeSeeking()),
    "PathLength, every 4th step": with_tricks(PathLength(every=4)),
    "pack 2": with_nets(pack=2),
    "minibatch discrimination": with_nets(kernels=16),
    "minibatch stddev": with_nets(stddev=4),
    "Unrolled, 3 steps": with_tricks(Unrolled(steps=3)),
    # norms
    "BatchNorm in D": with_nets(d_norm="batch"),
    "layer norm in D": with_nets(d_norm="layer"),
    "instance norm in D": with_nets(d_norm="instance"),
    "no norm in G": with_nets(g_norm="none"),
    "layer norm in G": with_nets(g_norm="layer"),
    "pixel norm in G": with_nets(g_norm="pixel"),
    "virtual BatchNorm in G": with_nets(virtual=32),
    # classes
    "Concat": with_nets(condition=Concat()),
    "Projection": with_nets(condition=Projection()),
    "Auxiliary": {**with_nets(condition=Auxiliary()), **with_tricks(AuxiliaryClassifier())},
    # weights and their steps
    "HistoricalAveraging": with_tricks(HistoricalAveraging()),
    "no moving average": {"ema": 0},
    "2 steps of D": {"d_steps": 2},
    "D twice as fast as G": {"g_optim": replace(ADAM, lr=5e-4)},
    "simultaneous updates": {"updates": "simultaneous"},
    "shared fakes": {"share_fakes": True},
    "beta1 0": {s: replace(ADAM, betas=(0.0, 0.99)) for s in ("g_optim", "d_optim")},
}


def opened(changes: dict[str, Any], seed: int) -> tuple[Recipe, Material]:
    source = sparring.Npz(path=str(Path(os.environ["SPARRING_TEST_DATA"]) / "fashion_mnist.npz"))
    return open_data(replace(BASE, data=source, seed=seed, **changes))


def scores(setup: Setup, material: Material, metrics: Sequence[Metric]) -> dict[str, float | None]:
    """Each score by its name, None where the samples allow none."""
    model = Model(setup.averages["G"].net, material.spec)  # pyright: ignore
    found, _ = evaluate(model, metrics, material.real)
    return {s["metric"]: s["value"] and round(s["value"], 4) for s in found}


def train(changes: dict[str, Any], seed: int) -> tuple[Setup, Material, float, bool]:
    """The trained setup, its data, seconds of processor time, whether all losses were finite."""
    recipe, material = opened(changes, seed)
    setup = Setup(fill_schedules(recipe), material, Device("cpu", "bf16"))
    start, finite = time.process_time(), True
    for number in range(recipe.steps):
        stats = setup.advance(number)
        if number % 50 == 0 or number == recipe.steps - 1:
            finite = bool(stats["d_loss"].isfinite() and stats["g_loss"].isfinite())
        if not finite:
            break
    return setup, material, time.process_time() - start, finite


def measure(results: Results, name: str, seed: int, fid: bool) -> None:
    """One row and its line."""
    if name == UNTRAINED:
        recipe, material = opened({}, seed)
        setup, seconds, finite = Setup(recipe, material, Device("cpu", "bf16")), 0.0, True
    else:
        setup, material, seconds, finite = train(ROWS[name], seed)
    recall = PrecisionRecall(features=DomainFeatures(), n=2_000)
    metrics = (FID(n=2_000),) if fid else (DomainFid(n=5_000), recall)
    found = scores(setup, material, metrics) if finite else {}
    kind = "fid" if fid else "domain"
    results.add(
        row=name, seed=seed, kind=kind, finite=finite, cpu_seconds=round(seconds), scores=found
    )
    print(name, seed, found, f"{seconds:.0f} s", flush=True)


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: means and ranges over seeds, the best first."""
    domain = [r for r in rows if r["kind"] == "domain"]
    limit = min(r["scores"]["domain-fid"] for r in domain if r["row"] == UNTRAINED) / 2
    lines = []
    for name in dict.fromkeys(r["row"] for r in domain):
        mine = [r for r in domain if r["row"] == name]
        good = [r for r in mine if r["finite"] and r["scores"].get("domain-fid")]
        fids = [r["scores"]["domain-fid"] for r in good]
        failed = len(mine) - sum(f <= limit for f in fids)
        cells = [spread(fids)]
        for k in ("precision[domain]", "recall[domain]"):
            cells.append(spread([r["scores"][k] for r in good], ".2f", ranged=False))
        inception = [r["scores"]["fid"] for r in rows if r["row"] == name and r["kind"] == "fid"]
        cells.append(spread(inception))
        cells.append("" if name == UNTRAINED else f"{failed} of {len(mine)}")
        cells.append(f"{statistics.mean(r['cpu_seconds'] for r in mine):.0f} s")
        order = statistics.mean(fids) if fids else float("inf")
        lines.append((order, f"| {name} | " + " | ".join(cells) + " |"))
    head = "| change | domain-fid | precision | recall | FID | failed | time |"
    return "\n".join([head, "| --- " * 7 + "|", *(line for _, line in sorted(lines))])


def spread(values: list[float], form: str = ".0f", ranged: bool = True) -> str:
    """The mean and, of several, the range."""
    if not values:
        return ""
    mean, low, high = (f"{f(values):{form}}" for f in (statistics.mean, min, max))
    return f"{mean} ({low} to {high})" if ranged and len(values) > 1 else mean


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rows", nargs="+", default=[UNTRAINED, *ROWS])
    parser.add_argument("--fid", nargs="+", default=[])
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    results = Results("ablation")
    if args.table:
        print(table(results.rows()))
        return
    for seed in args.seeds:
        for name in args.fid or args.rows:
            kind = "fid" if args.fid else "domain"
            if not results.done(row=name, seed=seed, kind=kind):
                measure(results, name, seed, bool(args.fid))


if __name__ == "__main__":
    main()
