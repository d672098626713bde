"""What a perfect sampler has in the test of stacked MNIST: digits that nothing was trained on.

The 10,000 test digits, stacked at random, in the place of a generator's samples: 26,000 of them, as
published. One line for each seed.

    python benchmarks/stacked.py mnist.npz [--seeds 3]
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from record import Results

from sparring.data import Images, StackedMnist, split, take
from sparring.metrics import Fake, Real, StackedModes
from sparring.randomness import generator


def measure(path: str, seed: int) -> dict[str, object]:
    stacked = StackedMnist(path=path).open()
    assert isinstance(stacked, Images)
    real = Real("stacked MNIST", train=take(stacked, split(len(stacked))[0]))
    with np.load(path, allow_pickle=False) as arrays:
        digits = torch.from_numpy(arrays["x_test"])
    chosen = torch.randint(len(digits), (26_000, 3), generator=generator("perfect", seed))
    fake = Fake(f"test digits, seed {seed}", lambda n: (digits[i] for i in chosen[:n].split(500)))
    scores = StackedModes().score(real, fake)
    kept = ("features_accuracy", "features_tested", "features_digest")
    return {
        "scores": {s.metric: s.value for s in scores},
        "se": {s.metric: s.se for s in scores if s.se is not None},
        "expected": scores[2].detail["perfect"],
        **{name: scores[0].protocol[name] for name in kept},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path")
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    results = Results("stacked")
    for seed in range(args.seeds):
        if not results.done(seed=seed):
            results.add(seed=seed, **measure(args.path, seed))
    for row in results.rows():
        print(row["seed"], row["scores"], "expected", row["expected"])


if __name__ == "__main__":
    main()
