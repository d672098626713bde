"""Are the standard errors of FID and domain-fid the spread of repeated samples?

Features that are known: ReLUs of a Gaussian whose spreads fall as 1 / sqrt(i), 64 of them; samples
are those of the data times 1 + shift. The value's spread over 200 fresh sets of n samples against
one reference of 50,000, and the mean of the errors that 40 of these sets give themselves:
`influence` as in FID, `groups` as in domain-fid. One row in fid_error.jsonl for each n and shift.
"""

from __future__ import annotations

import torch
from record import Results
from torch import Tensor

from sparring.metrics.frechet import Gaussian, distance_error, frechet_distance, sampling_error

DIMENSION, REPEATS, ASKED, GROUPS = 64, 200, 40, 10


def main() -> None:
    results = Results("fid_error")
    for n in (100, 300, 1000, 5000):
        for shift in (0.0, 0.05, 0.3):
            if not results.done(n=n, shift=shift):
                results.add(n=n, shift=shift, seed=1, **measure(n, shift))
    for row in results.rows():
        print({k: v for k, v in row.items() if k != "machine"})


def measure(n: int, shift: float) -> dict[str, float]:
    rng = torch.Generator().manual_seed(1)
    spread = torch.arange(1, DIMENSION + 1, dtype=torch.float64) ** -0.5

    def draw(m: int) -> Tensor:
        return (torch.randn(m, DIMENSION, generator=rng, dtype=torch.float64) * spread).relu()

    reference = Gaussian.of(draw(50_000))
    values, influence, groups = [], [], []
    for i in range(REPEATS):
        x = draw(n) * (1 + shift)
        moments = Gaussian.of(x)
        values.append(frechet_distance(moments, reference))
        if i < ASKED:
            influence.append(sampling_error(x, moments, reference))
            dealt = [Gaussian.of(x[g::GROUPS]) for g in range(GROUPS)]
            groups.append(distance_error(dealt, reference))
    found = torch.tensor(values, dtype=torch.float64)
    return {
        "value": float(found.mean()),
        "spread": float(found.std()),
        "influence_over_spread": sum(influence) / ASKED / float(found.std()),
        "groups_over_spread": sum(groups) / ASKED / float(found.std()),
    }


if __name__ == "__main__":
    main()
