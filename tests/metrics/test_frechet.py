"""The Frechet distance against closed forms and an independent computation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from sparring.errors import DataError
from sparring.metrics.frechet import Gaussian, distance_error, frechet_distance
from sparring.randomness import generator


def normal(n: int, d: int, seed: int) -> Tensor:
    return torch.randn(n, d, dtype=torch.float64, generator=generator("test", seed))


def exactly(mean: Tensor, covariance: Tensor, n: int = 1000) -> Gaussian:
    """A Gaussian of exactly these moments."""
    root = torch.linalg.cholesky(covariance * (n - 1), upper=True)
    return Gaussian(n, mean, root)


def by_square_roots(x: Tensor, y: Tensor) -> float:
    """The textbook formula with numpy, the root of a symmetric matrix by its eigenvectors."""
    a, b = x.numpy(), y.numpy()
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    values, vectors = np.linalg.eigh(cov_a)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    inner = np.linalg.eigvalsh(root @ cov_b @ root)
    overlap = np.sqrt(np.maximum(inner, 0)).sum()
    apart = a.mean(0) - b.mean(0)
    return float(apart @ apart + np.trace(cov_a) + np.trace(cov_b) - 2 * overlap)


def test_the_moments_are_those_of_numpy() -> None:
    x = normal(3000, 7, 0) * torch.arange(1, 8) + 100
    found = Gaussian.of(x)
    assert found.n == 3000
    np.testing.assert_allclose(found.mean, x.numpy().mean(0), rtol=1e-13)
    np.testing.assert_allclose(found.covariance, np.cov(x.numpy(), rowvar=False), atol=1e-10)
    assert found.trace == pytest.approx(np.cov(x.numpy(), rowvar=False).trace(), rel=1e-12)


def test_commuting_covariances_have_a_closed_form() -> None:
    turn = torch.linalg.qr(normal(5, 5, 1)).Q
    s, t = torch.tensor([1.0, 2, 3, 4, 5]).double(), torch.tensor([9.0, 0.5, 3, 1, 7]).double()
    shift = torch.tensor([1.0, 0, -2, 0, 0.5]).double()
    a = exactly(shift, turn @ torch.diag(s) @ turn.T)
    b = exactly(torch.zeros(5).double(), turn @ torch.diag(t) @ turn.T, n=77)
    expected = shift.square().sum() + (s.sqrt() - t.sqrt()).square().sum()
    assert frechet_distance(a, b) == pytest.approx(expected.item(), abs=1e-12)
    assert frechet_distance(b, a) == pytest.approx(expected.item(), abs=1e-12)


@pytest.mark.parametrize("n", [5, 40, 2500])
def test_a_set_is_at_no_distance_from_itself_and_a_shift_is_its_square(n: int) -> None:
    x, shift = normal(n, 40, 2), normal(1, 40, 3)
    a, b = Gaussian.of(x), Gaussian.of(x + shift)
    assert 0 <= frechet_distance(a, a) < 1e-12
    assert frechet_distance(a, b) == pytest.approx(shift.square().sum().item(), abs=1e-11)


def test_it_agrees_with_square_roots_of_matrices() -> None:
    x = torch.relu(normal(900, 60, 4) @ normal(60, 60, 5))
    y = torch.relu(normal(800, 60, 6) @ normal(60, 60, 5) + 0.3)
    found = frechet_distance(Gaussian.of(x), Gaussian.of(y))
    assert found == pytest.approx(by_square_roots(x, y), rel=1e-10)


def test_rank_deficient_sets_are_exact() -> None:
    """Features on two planes that share a line: on it the distance is the one-dimensional one."""
    u, v, w = torch.eye(50, dtype=torch.float64)[:3]
    s, t = normal(20, 2, 7), normal(30, 2, 8)
    x, y = torch.outer(s[:, 0], u) + torch.outer(s[:, 1], v), torch.outer(t[:, 0], w)
    apart = (x.mean(0) - y.mean(0)).square().sum()
    expected = apart + s.var(0).sum() + t[:, 0].var()
    found = frechet_distance(Gaussian.of(x), Gaussian.of(y))
    assert found == pytest.approx(expected.item(), abs=1e-12)
    y = torch.outer(t[:, 0], u)
    line = (s[:, 0].mean() - t[:, 0].mean()) ** 2
    # The plane's covariance seen along u is s_uu only.
    expected = line + s[:, 1].mean() ** 2 + s.var(0).sum() + t[:, 0].var()
    expected -= 2 * (s[:, 0].std() * t[:, 0].std())
    found = frechet_distance(Gaussian.of(x), Gaussian.of(y))
    assert found == pytest.approx(expected.item(), abs=1e-12)


def test_a_dead_feature_among_many_samples_changes_nothing() -> None:
    x, y = normal(2000, 12, 9), normal(2000, 12, 10) * 2
    alive = frechet_distance(Gaussian.of(x), Gaussian.of(y))
    dead = [torch.cat([z, torch.zeros(2000, 3)], dim=1) for z in (x, y)]
    assert frechet_distance(*map(Gaussian.of, dead)) == pytest.approx(alive, rel=1e-12)


def test_batches_do_not_change_a_bit_and_order_hardly() -> None:
    x = normal(2500, 6, 11).float()
    whole = Gaussian.of(x)
    for cut in (1, 7, 64, 1024, 2500):
        part = Gaussian.of(x.split(cut))
        assert torch.equal(part.mean, whole.mean)
        assert torch.equal(part.root, whole.root)
    mixed = Gaussian.of(x[torch.randperm(2500, generator=torch.Generator().manual_seed(0))])
    torch.testing.assert_close(mixed.covariance, whole.covariance, rtol=1e-12, atol=1e-13)


def test_joining_is_pooling() -> None:
    x = normal(700, 9, 12) + 3
    pooled = Gaussian.of(x[:13]).join(Gaussian.of(x[13:]))
    torch.testing.assert_close(pooled.covariance, x.T.cov(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(pooled.mean, x.mean(0), rtol=1e-12, atol=1e-12)


def test_the_jackknife_error_is_the_spread_over_fresh_samples() -> None:
    reference = Gaussian.of(normal(5000, 4, 13))
    values, errors = [], []
    for seed in range(100):
        x = normal(400, 4, 100 + seed) * 1.5 + 0.5
        values.append(frechet_distance(Gaussian.of(x), reference))
        errors.append(distance_error([Gaussian.of(x[i::10]) for i in range(10)], reference))
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.25)


def test_too_few_and_not_finite_are_refused() -> None:
    with pytest.raises(DataError, match="too few"):
        Gaussian.of(normal(1, 3, 0))
    with pytest.raises(DataError, match="too few"):
        Gaussian.of([])
    x = normal(10, 3, 0)
    x[7, 1] = float("nan")
    with pytest.raises(DataError, match="sample 7 are not finite"):
        Gaussian.of(x.split(4))


def test_a_distance_far_below_zero_is_an_error() -> None:
    broken = exactly(torch.full((2,), torch.nan).double(), torch.eye(2).double())
    with pytest.raises(ArithmeticError):
        frechet_distance(broken, exactly(torch.zeros(2).double(), torch.eye(2).double()))
