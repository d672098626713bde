"""Kernel densities and the distance of a discriminator from the optimal one."""

from __future__ import annotations

import math

import pytest
import torch

from sparring.data.points import Mixture1D, Ring, mixture
from sparring.errors import DataError
from sparring.metrics.optimal import (
    bandwidth,
    discriminator_error,
    kde,
    optimal_discriminator,
    optimum,
)


def normal(x: torch.Tensor, mean: float = 0.0) -> torch.Tensor:
    return torch.exp(-((x - mean) ** 2) / 2) / math.sqrt(2 * math.pi)


def test_a_kernel_density_by_hand() -> None:
    samples = torch.tensor([0.0, 2.0]).double()
    found = kde(samples, torch.tensor([0.0, 1.0]), 1.0)
    phi = [math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi) for z in (0, 1, 2)]
    expected = torch.tensor([(phi[0] + phi[2]) / 2, phi[1]], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


def test_a_kernel_density_is_one_in_all_and_near_the_truth() -> None:
    points = Mixture1D(modes=3).open()
    samples = points.sample(20_000, torch.Generator().manual_seed(0))
    x = torch.linspace(-5, 5, 301, dtype=torch.float64)
    found = kde(samples, x)
    assert torch.trapezoid(found, x).item() == pytest.approx(1, abs=1e-6)
    truth = points.log_density(x[:, None]).exp()
    assert torch.trapezoid((found - truth).abs(), x).item() < 0.045


def test_the_bandwidth_of_one_normal_is_the_optimal_one() -> None:
    """(4 / 3n)^(1/5) sigma is the least squares optimum for a normal density."""
    samples = 3 * torch.randn(20_000, generator=torch.Generator().manual_seed(1)).double()
    assert bandwidth(samples) == pytest.approx(3 * (4 / 60_000) ** 0.2, rel=0.2)


def test_the_bandwidth_does_not_see_how_far_modes_are_apart() -> None:
    samples = torch.randn(20_000, generator=torch.Generator().manual_seed(1)).double()
    one = bandwidth(samples)
    samples[::2] += 30
    assert bandwidth(samples) == pytest.approx(one * 2**0.2, rel=0.25)


def test_degenerate_samples_have_a_width() -> None:
    assert bandwidth(torch.full((100,), 5.0)) == pytest.approx(5e-3)
    assert bandwidth(torch.zeros(1)) > 0
    assert bandwidth(torch.tensor([0.0] * 99 + [1.0])) > 0
    assert bandwidth(torch.tensor([0.0, 1.0])) > 0


def test_the_optimal_discriminator() -> None:
    p, q = torch.tensor([1.0, 0.0, 3.0, 0.0]), torch.tensor([1.0, 2.0, 1.0, 0.0])
    assert optimal_discriminator(p, q).tolist() == [0.5, 0.0, 0.75, 0.5]


def test_the_error_of_a_blind_discriminator_is_half_the_total_variation() -> None:
    """The mean of |1/2 - D*| under (p + q) / 2 is the integral of |p - q| / 4."""
    x = torch.linspace(-12, 14, 20_001, dtype=torch.float64)
    p, q = normal(x), normal(x, 2.0)
    variation = math.erf(1 / math.sqrt(2))  # of two normals two apart
    assert discriminator_error(torch.full_like(x, 0.5), p, q, x) == pytest.approx(
        variation / 2, rel=1e-6
    )
    assert discriminator_error(p / (p + q), p, q, x) == 0


def test_the_optimum_of_a_shifted_generator() -> None:
    """Of N(0, 1) against N(1, 1), D* is the logistic function of 1/2 - x."""
    points = mixture(torch.zeros(1, 1), 1.0)
    samples = 1 + torch.randn(50_000, generator=torch.Generator().manual_seed(2))
    best = optimum(lambda x: torch.sigmoid(0.5 - x[:, 0]), points, samples)
    assert best.error < 0.006
    inside = (best.x > -1.5) & (best.x < 2.5)
    torch.testing.assert_close(best.optimal[inside], best.d[inside], atol=0.02, rtol=0)
    wrong = optimum(lambda x: torch.sigmoid(x[:, 0] - 0.5), points, samples)
    assert wrong.error == pytest.approx(math.erf(0.5 / math.sqrt(2)), abs=0.02)


def test_a_collapsed_generator_still_has_its_mass_on_the_grid() -> None:
    points = Mixture1D().open()
    best = optimum(lambda x: torch.full((len(x),), 0.5), points, torch.full((500,), 0.3))
    assert torch.trapezoid(best.q, best.x).item() == pytest.approx(1, abs=0.05)
    given = torch.tensor([-3.0, -2, 0, 2, 3])
    assert optimum(lambda x: x[:, 0] * 0, points, torch.randn(500), given).p.shape == (5,)


def test_other_dimensions_and_broken_samples_are_refused() -> None:
    with pytest.raises(DataError, match="2 axes"):
        optimum(lambda x: x[:, 0], Ring().open(), torch.zeros(5, 2))
    with pytest.raises(DataError, match="not finite"):
        kde(torch.tensor([1.0, math.nan]), torch.zeros(1))
