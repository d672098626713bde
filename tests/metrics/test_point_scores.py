"""Scores of points against closed forms and brute force."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from sparring.data.points import Grid, Mixture1D, Ring, mixture
from sparring.data.source import Points
from sparring.errors import DataError
from sparring.metrics import Fake, ModeCoverage, Real, Score, Wasserstein1D, evaluate
from sparring.metrics.points import Line, perfect_quality


def fake(samples: Tensor) -> Fake:
    return Fake("a test", lambda n: iter(samples[:n].split(999)))


def perfect(points: Points, n: int, seed: int = 0) -> Tensor:
    return points.sample(n, torch.Generator().manual_seed(seed))


def scores(points: Points, samples: Tensor, n: int | None = None) -> dict[str, Score]:
    found = ModeCoverage().score(Real("test", points=points), fake(samples), n or len(samples))
    return {score.metric: score for score in found}


# ------------------------------------------------------------------------------- mode coverage


def test_a_perfect_sampler_of_the_ring() -> None:
    ring = Ring().open()
    found = scores(ring, perfect(ring, 20_000))
    assert found["modes"].value == found["modes-half"].value == 8
    assert found["high-quality"].value == pytest.approx(1 - math.exp(-4.5), abs=0.004)
    assert found["high-quality"].detail["perfect"] == pytest.approx(1 - math.exp(-4.5), rel=1e-6)
    assert found["high-quality"].se == pytest.approx(math.sqrt(0.0111 * 0.9889 / 20_000), rel=0.1)
    assert 0 <= found["reverse-kl"].value < 0.001
    assert found["reverse-kl"].detail["perfect"] == pytest.approx(7 / 40_000)
    assert found["modes"].protocol["n_fake"] == 20_000
    assert found["modes"].protocol["generator"] == "a test"
    assert found["modes"].protocol["data_digest"] == ring.digest


def test_a_perfect_sampler_of_the_grid_covers_all_25() -> None:
    grid = Grid().open()
    found = scores(grid, perfect(grid, 2500))
    assert found["modes"].value == found["modes-half"].value == 25
    assert found["high-quality"].value == pytest.approx(0.9889, abs=0.008)


def test_a_collapsed_sampler_has_one_mode() -> None:
    ring = Ring().open()
    found = scores(ring, ring.modes[3].expand(1000, 2) + 0.001)
    assert found["modes"].value == found["modes-half"].value == 1
    assert found["high-quality"].value == 1
    assert found["reverse-kl"].value == pytest.approx(math.log(8), rel=1e-12)
    assert found["modes"].detail["counts"] == [0, 0, 0, 1000, 0, 0, 0, 0]


def test_counts_by_hand() -> None:
    """Of 8 samples: 5 on one mode, 1 on another, 2 near a third but 4 sigma off."""
    points = mixture(torch.tensor([[0.0, 0], [10, 0], [20, 0], [30, 0]]), 1.0)
    samples = torch.tensor([[0.0, 2.9]] * 5 + [[10.0, 0]] + [[20.0, 4.0]] * 2)
    found = scores(points, samples)
    assert found["modes"].value == 2
    assert found["modes-half"].value == 2  # one sample is half of the due 8 / 4
    assert found["high-quality"].value == 6 / 8
    shares = [5 / 8, 1 / 8, 2 / 8]
    expected = sum(q * math.log(4 * q) for q in shares)
    assert found["reverse-kl"].value == pytest.approx(expected, rel=1e-12)
    assert found["modes"].detail["high_quality_counts"] == [5, 1, 0, 0]
    strict = ModeCoverage(least=2).score(Real("test", points=points), fake(samples), 8)
    assert strict[0].value == 1


def test_the_error_of_the_reverse_kl_is_its_spread() -> None:
    points = mixture(torch.tensor([[0.0], [10], [20]]), 1.0)
    for shares in ([0.2, 0.3, 0.5], [1 / 3, 1 / 3, 1 / 3]):
        weights = torch.tensor(shares)
        values, errors = [], []
        for seed in range(300):
            rng = torch.Generator().manual_seed(seed)
            modes = torch.multinomial(weights, 500, replacement=True, generator=rng)
            kl = scores(points, points.modes[modes])["reverse-kl"]
            values.append(kl.value)
            errors.append(kl.se)
        spread = torch.tensor(values).std().item()
        assert torch.tensor(errors).mean().item() == pytest.approx(spread, rel=0.25)


def test_what_a_perfect_sampler_has() -> None:
    one = mixture(torch.zeros(1, 1), 2.0)
    assert perfect_quality(one, 3) == pytest.approx(math.erf(3 / math.sqrt(2)), rel=1e-12)
    assert perfect_quality(Ring().open(), 3) == pytest.approx(1 - math.exp(-4.5), rel=1e-12)
    assert perfect_quality(Ring(sigma=0.3).open(), 3) is None
    crowded = Mixture1D(modes=8).open()
    share = scores(crowded, perfect(crowded, 40_000))["high-quality"]
    assert share.value == pytest.approx(share.detail["perfect"], abs=4 * (share.se or 0))


# ------------------------------------------------------------------------------ one dimension


def distance(points: Points, samples: Tensor) -> Score:
    real = Real("test", points=points)
    return Wasserstein1D().score(real, fake(samples[:, None]), len(samples))[0]


@pytest.mark.parametrize("shift", [0.0, 0.3, -5.0])
def test_a_shifted_normal_is_as_far_as_its_shift(shift: float) -> None:
    normal = mixture(torch.zeros(1, 1), 1.0)
    middles = (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000
    samples = torch.special.ndtri(middles) + shift
    found = distance(normal, samples)
    # A step function through the quantiles is itself about sigma * log(n) / n away.
    assert found.value == pytest.approx(abs(shift), abs=6e-4)


def test_it_is_the_area_between_the_distribution_functions() -> None:
    points = Mixture1D(modes=3).open()
    samples = perfect(mixture(torch.tensor([[-1.0], [2.5]]), 0.6), 200).double().flatten()
    x = torch.linspace(-12, 12, 2_000_001, dtype=torch.float64)
    steps = torch.searchsorted(samples.sort().values, x, right=True) / 200
    area = torch.trapezoid((steps - Line(points).cdf(x)).abs(), x).item()
    assert distance(points, samples).value == pytest.approx(area, abs=2e-5)


def test_one_sample_has_the_mean_absolute_deviation() -> None:
    normal = mixture(torch.zeros(1, 1), 1.0)
    found = distance(normal, torch.zeros(1, dtype=torch.float64))
    assert found.value == pytest.approx(math.sqrt(2 / math.pi), rel=1e-12)
    assert found.se is None


def test_quantiles_invert_the_distribution_function() -> None:
    line = Line(Mixture1D(modes=5).open())
    levels = torch.tensor([1e-9, 0.1, 0.5, 0.77, 1 - 1e-9], dtype=torch.float64)
    torch.testing.assert_close(line.cdf(line.quantile(levels)), levels, rtol=1e-9, atol=1e-15)


def test_a_perfect_sampler_is_as_far_as_expected_and_the_error_is_its_spread() -> None:
    points = Mixture1D().open()
    found = [distance(points, perfect(points, 2000, seed).flatten()) for seed in range(40)]
    mean = sum(s.value for s in found) / 40
    assert mean == pytest.approx(found[0].detail["perfect"], rel=0.2)
    apart = [distance(points, perfect(points, 2000, seed).flatten() + 0.5) for seed in range(40)]
    spread = torch.tensor([s.value for s in apart]).std().item()
    errors = torch.tensor([s.se for s in apart]).mean().item()
    assert errors == pytest.approx(spread, rel=0.35)


def test_scores_repeat() -> None:
    points = Mixture1D().open()
    samples = perfect(points, 3000).flatten()
    assert distance(points, samples) == distance(points, samples)
    assert scores(points, samples[:, None]) == scores(points, samples[:, None])


# ----------------------------------------------------------------------------- what is refused


def test_what_cannot_be_computed_is_skipped_with_its_reason() -> None:
    ring = Ring().open()
    found, skipped = evaluate(
        [ModeCoverage(), Wasserstein1D()],
        Real("test", points=ring),
        fake(perfect(ring, 100)),
        100,
    )
    assert [s.metric for s in found] == ["modes", "modes-half", "high-quality", "reverse-kl"]
    assert skipped == [
        ("Wasserstein1D", "the 1-D Wasserstein distance needs one dimension: these have 2")
    ]


def test_bad_samples_are_refused() -> None:
    ring = Ring().open()
    with pytest.raises(DataError, match="a sample is 3, the data are 2"):
        scores(ring, torch.zeros(10, 3))
    with pytest.raises(DataError, match="too few samples: 10 of 11"):
        scores(ring, torch.zeros(10, 2), 11)
    broken = torch.zeros(10, 2)
    broken[4] = math.inf
    with pytest.raises(DataError, match="sample 4 is not finite"):
        scores(ring, broken)
    with pytest.raises(DataError, match="needs points"):
        ModeCoverage().score(Real("test"), fake(broken))
