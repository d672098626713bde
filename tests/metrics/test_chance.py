"""Permutation tests and areas under curves against closed forms and enumeration."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from sparring.metrics.chance import (
    auc,
    counted_error,
    p_value,
    random_sums,
    ranks,
    share_error,
)
from sparring.randomness import generator


def normal(n: int, seed: int) -> Tensor:
    return torch.randn(n, dtype=torch.float64, generator=generator("test", seed))


def test_ranks_share_ties() -> None:
    assert ranks(torch.tensor([3.0, 1.0, 3.0, 2.0])).tolist() == [3.5, 1, 3.5, 2]


@pytest.mark.parametrize("m", [2, 6])
def test_random_sums_are_those_of_all_subsets(m: int) -> None:
    values = torch.tensor([1.0, 2, 4, 8, 16, 32, 64, 128])
    every = torch.tensor([sum(c) for c in combinations(values.tolist(), m)])
    found = random_sums(values, m, "a test", draws=4000)
    assert set(found.tolist()) == set(every.tolist())  # powers of two: one sum for each subset
    assert_close(found.mean(), every.double().mean(), rtol=0.03, atol=0)
    shares = torch.stack([(found == s).double().mean() for s in every])
    assert float(shares.max()) < 2 / len(every)
    assert (random_sums(values, m, "a test", draws=4000) == found).all()
    assert (random_sums(values, m, "another", draws=4000) != found).any()


def test_p_values_count_the_observed_one() -> None:
    drawn = torch.arange(999).double()
    assert p_value(2000, drawn) == 1 / 1000
    assert p_value(998, drawn) == 2 / 1000
    assert p_value(-5, drawn) == 1


def test_p_values_of_equal_groups_are_uniform() -> None:
    """300 seeds; Kolmogorov's distance has its 0.1 % point at 1.95 / sqrt(300)."""
    found = []
    for seed in range(300):
        x = normal(50, seed)
        found.append(p_value(float(x[:20].sum()), random_sums(x, 20, "uniform", seed, draws=199)))
    p = torch.tensor(found, dtype=torch.float64).sort().values
    grid = torch.arange(1, 301) / 300
    assert float((p - grid).abs().max()) < 1.95 / 300**0.5
    assert float((p <= 0.05).double().mean()) == pytest.approx(0.05, abs=0.04)


def test_the_area_is_the_share_of_pairs() -> None:
    x, y = normal(40, 0).mul(2).round() + 1, normal(30, 1).mul(2).round()
    pairs = (x[:, None] > y).double() + 0.5 * (x[:, None] == y).double()
    area, error = auc(x, y)
    assert area == pytest.approx(float(pairs.mean()))
    delong = pairs.mean(1).var() / 40 + pairs.mean(0).var() / 30
    assert error == pytest.approx(float(delong.sqrt()))
    assert auc(y, x)[0] == pytest.approx(1 - area)
    assert auc(torch.ones(3), torch.ones(5)) == (0.5, 0.1)
    assert auc(torch.ones(1), torch.zeros(1)) == (1.0, 0.5)


def test_the_error_of_the_area_is_its_spread() -> None:
    areas, errors = zip(*(auc(normal(60, 2 * s) + 0.7, normal(40, 2 * s + 1)) for s in range(200)))
    spread = float(torch.tensor(areas).double().std())
    assert torch.tensor(errors).mean().item() == pytest.approx(spread, rel=0.15)
    assert torch.tensor(areas).mean().item() == pytest.approx(0.6897, abs=0.012)  # Phi(0.7/sqrt 2)


def test_the_error_of_a_count_is_its_spread_over_repetitions() -> None:
    """Modes met at least once, and five times, by samples of unequal chances."""
    p = torch.arange(1, 201, dtype=torch.float64).square()
    rng = generator("a count repeated")
    for least in (1, 5):
        met = lambda counts, least=least: (counts >= least).sum(-1)  # noqa: E731
        values, errors = [], []
        for i in range(60):
            counts = torch.multinomial(p, 600, True, generator=rng).bincount(minlength=200)
            values.append(float(met(counts)))
            errors.append(counted_error(counts, met, "test", i))
        said, spread = torch.tensor(errors).mean(), torch.tensor(values).std()
        assert 0.7 < said / spread < 1.4
    assert counted_error(torch.tensor([500, 0, 500]), lambda c: (c > 0).sum(-1), "sure") == 0.25


def test_the_error_of_a_share_is_never_nothing() -> None:
    assert share_error(300, 1000) == pytest.approx((0.3 * 0.7 / 1000) ** 0.5, rel=1e-3)
    for k in (0, 1000):
        assert share_error(k, 1000) == pytest.approx(0.0007, rel=0.02)
