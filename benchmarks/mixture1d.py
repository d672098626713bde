"""The preset `mixture1d` over five seeds: modes, Wasserstein distance, D beside D*.

    python benchmarks/mixture1d.py [--seeds 5] [--modes 2]

D* = p / (p + q) with the exact p and q by kernel density of 100,000 samples.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from record import Results

import sparring
from sparring.metrics import optimum
from sparring.runs import Run
from sparring.sample import load

PLACES = (-3.0, -2.0, 0.0, 2.0, 3.0)


def measure(seed: int, modes: int) -> dict[str, object]:
    """Trains one seed and returns what it gave."""
    recipe = sparring.PRESETS["mixture1d"]()
    recipe = replace(recipe, seed=seed, data=sparring.Mixture1D(modes=modes))
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder) / "run")
        sparring.train(recipe, run.path)
        points = recipe.data.open()
        assert isinstance(points, sparring.Points)
        samples = load(run).sample(100_000, seed=1)
        discriminator = run.load_discriminator()

        def judge(x: torch.Tensor) -> torch.Tensor:
            return torch.sigmoid(discriminator(x))

        whole = optimum(judge, points, samples)
        table = optimum(judge, points, samples, torch.tensor(PLACES, dtype=torch.float64))
        scores = {row["metric"]: row["value"] for row in run.scores()}
        return {
            "seconds": run.stats()[-1]["seconds"],
            "scores": scores,
            "places": PLACES,
            "d": [round(float(v), 4) for v in table.d],
            "d_star": [round(float(v), 4) for v in table.optimal],
            "d_error": round(whole.error, 4),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--modes", type=int, default=2)
    args = parser.parse_args()
    results = Results("mixture1d")
    for seed in range(args.seeds):
        if not results.done(seed=seed, modes=args.modes):
            results.add(seed=seed, modes=args.modes, **measure(seed, args.modes))
    rows = [r for r in results.rows() if r["modes"] == args.modes]
    for row in rows:
        print(row["seed"], row["scores"], "D", row["d"], "D*", row["d_star"], row["d_error"])
    for name in rows[0]["scores"]:
        values = [row["scores"][name] for row in rows]
        print(f"{name}: mean {statistics.mean(values):.4g}, {min(values):.4g}..{max(values):.4g}")


if __name__ == "__main__":
    main()
