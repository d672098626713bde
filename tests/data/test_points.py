"""Mixtures of Gaussians: where the modes are, the density, the samples."""

import math

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from sparring.data import Grid, Mixture1D, Ring
from sparring.errors import RecipeError
from sparring.randomness import generator

SOURCES = [Mixture1D(), Mixture1D(modes=1), Mixture1D(modes=5, sigma=0.1), Ring(), Grid()]


@pytest.mark.parametrize(
    ("source", "modes"),
    [
        (Mixture1D(), [-2, 2]),
        (Mixture1D(modes=1), [0]),
        (Mixture1D(modes=5), [-2, -1, 0, 1, 2]),
        (Mixture1D(modes=3, span=6), [-6, 0, 6]),
    ],
)
def test_modes_on_a_line(source, modes):
    points = source.open()
    torch.testing.assert_close(points.modes, torch.tensor(modes).float()[:, None])
    assert points.shape == (1,)
    assert points.sigma == 0.35


def test_modes_of_the_ring():
    r = math.sqrt(0.5)
    eight = [(1, 0), (r, r), (0, 1), (-r, r), (-1, 0), (-r, -r), (0, -1), (r, -r)]
    torch.testing.assert_close(Ring().open().modes, torch.tensor(eight))
    three = 2 * torch.tensor([(1, 0), (-0.5, math.sqrt(0.75)), (-0.5, -math.sqrt(0.75))])
    torch.testing.assert_close(Ring(modes=3, radius=2).open().modes, three)
    assert Ring().open().sigma == 0.01


def test_modes_of_the_grid():
    points = Grid().open()
    axis = [-4.0, -2.0, 0.0, 2.0, 4.0]
    assert sorted(map(tuple, points.modes.tolist())) == [(a, b) for a in axis for b in axis]
    assert points.sigma == 0.05
    even = Grid(side=2, spacing=3).open().modes.tolist()
    assert sorted(even) == [[-1.5, -1.5], [-1.5, 1.5], [1.5, -1.5], [1.5, 1.5]]


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_density_equals_torch_distributions(source):
    points = source.open()
    modes = points.modes.double()
    normal = Independent(Normal(modes, torch.full_like(modes, points.sigma)), 1)
    reference = MixtureSameFamily(Categorical(torch.ones(len(modes)).double()), normal)
    noise = torch.randn(200, *points.shape, generator=generator("test"), dtype=torch.float64)
    x = torch.cat([3 * noise, modes + points.sigma * noise[: len(modes)]])
    torch.testing.assert_close(points.log_density(x), reference.log_prob(x))
    assert points.log_density(x).dtype == torch.float64


@pytest.mark.parametrize("source", SOURCES[:3], ids=str)
def test_density_on_the_line_integrates_to_one(source):
    x = torch.linspace(-8, 8, 20_001, dtype=torch.float64)
    p = source.open().log_density(x[:, None]).exp()
    assert torch.trapezoid(p, x).item() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("source", [Ring(sigma=0.2), Grid(side=2, sigma=0.3)], ids=str)
def test_density_in_the_plane_integrates_to_one(source):
    x = torch.linspace(-4, 4, 401, dtype=torch.float64)
    p = source.open().log_density(torch.cartesian_prod(x, x)).exp()
    assert p.sum().item() * 0.02**2 == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_samples_have_the_moments_of_the_mixture(source):
    points, n = source.open(), 100_000
    x = points.sample(n, generator("moments"))
    assert x.shape == (n, *points.shape)
    assert x.dtype == torch.float32
    variance = points.modes.var(0, correction=0) + points.sigma**2
    error = 5 * (variance / n).sqrt()  # five standard errors
    assert ((x.mean(0) - points.modes.mean(0)).abs() < error).all()
    torch.testing.assert_close(x.var(0), variance, rtol=0.03, atol=0)
    # Around its own mode, every point deviates by sigma; every mode gets its share.
    distance, mode = torch.cdist(x, points.modes).min(1)
    if points.sigma < 0.2:
        d = points.shape[0]
        assert distance.square().mean().item() == pytest.approx(d * points.sigma**2, rel=0.05)
    share = mode.bincount(minlength=len(points.modes)) / n * len(points.modes)
    assert share.min() > 0.9
    assert share.max() < 1.1


def test_samples_depend_on_the_generator_alone():
    sample = Ring().open().sample
    torch.manual_seed(1)
    first = sample(10, generator("a"))
    torch.manual_seed(2)
    assert torch.equal(first, sample(10, generator("a")))
    assert not torch.equal(first, sample(10, generator("b")))


def test_digest_tells_mixtures_apart():
    digests = [s.open().digest for s in [*SOURCES, Ring(sigma=0.02), Grid(spacing=3)]]
    assert len(set(digests)) == len(digests)
    assert Ring().open().digest == Ring().open().digest
    assert all(len(d) == 16 for d in digests)


@pytest.mark.parametrize(
    ("part", "fields", "why"),
    [
        (Mixture1D, {"modes": 0}, "at least one mode"),
        (Mixture1D, {"sigma": 0}, "sigma must be"),
        (Mixture1D, {"span": -1}, "span must be"),
        (Ring, {"radius": 0}, "radius must be"),
        (Ring, {"sigma": -1}, "sigma must be"),
        (Grid, {"side": 0}, "at least one mode"),
        (Grid, {"spacing": 0}, "spacing must be"),
    ],
)
def test_bad_fields_are_refused(part, fields, why):
    with pytest.raises(RecipeError, match=why):
        part(**fields)
