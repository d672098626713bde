"""Swiss roll and moons: the density is what the samples have, and adds up to one."""

from __future__ import annotations

import math

import pytest
import torch

from sparring.data import Moons, SwissRoll, inspect, source, table
from sparring.errors import RecipeError
from sparring.randomness import generator

PARTS = [Moons(), SwissRoll(sigma=0.2), SwissRoll(radius=0.5, sigma=0.05)]


def grid(points, step):
    (a, b), (c, d) = points.ends
    reach = 7 * points.sigma
    x, y = (
        torch.arange(low - reach, high + reach, step, dtype=torch.float64)
        for low, high in ((a.item(), c.item()), (b.item(), d.item()))
    )
    return x, y, torch.cartesian_prod(x, y)


@pytest.mark.parametrize("part", PARTS, ids=str)
def test_the_density_adds_up_to_one(part):
    points = part.open()
    # The trapezoid rule on a smooth density that vanishes at the edges is exact to many digits
    # once its step is below half a sigma.
    step = points.sigma / 2
    _, _, at = grid(points, step)
    assert points.log_density(at).exp().sum().item() * step**2 == pytest.approx(1, abs=1e-9)


def reference(part, x, steps=20_001):
    """The density at x (2,) by Simpson's rule along the curve, from the definitions."""
    u = torch.linspace(0, 1, steps, dtype=torch.float64)
    if isinstance(part, Moons):
        a = math.pi * u
        lines = [
            torch.stack([a.cos(), a.sin()], 1),
            torch.stack([1 - a.cos(), 0.5 - a.sin()], 1),
        ]
    else:
        t = math.pi * (1.5 + 3 * u)
        lines = [torch.stack([t * t.cos(), t * t.sin()], 1) * (part.radius / (4.5 * math.pi))]
    norm = 2 * math.pi * part.sigma**2
    weight = torch.full((steps,), 2.0, dtype=torch.float64)
    weight[1::2], weight[0], weight[-1] = 4, 1, 1
    weight /= 3 * (steps - 1)
    density = sum(
        (weight * torch.exp(-(x - line).square().sum(1) / (2 * part.sigma**2))).sum()
        for line in lines
    )
    return density / norm / len(lines)


@pytest.mark.parametrize("part", PARTS, ids=str)
def test_the_density_is_the_integral_along_the_curve(part):
    points = part.open()
    at = points.sample(20, generator("here")).double()
    at = torch.cat([at, at + 3 * part.sigma])
    expected = torch.stack([reference(part, x) for x in at])
    torch.testing.assert_close(points.log_density(at).exp(), expected, rtol=1e-8, atol=1e-12)
    single = points.log_density(at.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), expected.log(), rtol=0, atol=2e-2)


@pytest.mark.parametrize("part", PARTS, ids=str)
def test_samples_have_the_density(part):
    """Pearson's chi-square of 50,000 samples in squares of the plane."""
    points, n = part.open(), 50_000
    fine, cells = points.sigma / 3, 6
    x, y, at = grid(points, fine)
    mass = points.log_density(at).exp().view(len(x), len(y)) * fine**2
    rows, columns = len(x) // cells, len(y) // cells
    mass = mass[: rows * cells, : columns * cells]
    expected = n * mass.view(rows, cells, columns, cells).sum((1, 3)).flatten()
    samples = points.sample(n, generator("samples")).double()
    place = [
        ((samples[:, k] - (start[0] - fine / 2)) / (fine * cells)).floor().long()
        for k, start in enumerate((x, y))
    ]
    counts = (place[0] * columns + place[1]).bincount(minlength=rows * columns).double()
    enough = expected >= 20
    assert expected[enough].sum() > 0.9 * n
    chi = ((counts - expected)[enough].square() / expected[enough]).sum().item()
    k = int(enough.sum())
    assert abs(chi - k) < 6 * math.sqrt(2 * k)


def test_means_are_those_of_the_definitions():
    points = Moons().open()
    mean = points.sample(400_000, generator("mean")).mean(0)
    assert mean.tolist() == pytest.approx([0.5, 0.25], abs=0.01)
    radius = SwissRoll(sigma=1e-3).open().sample(100_000, generator("r")).norm(dim=1)
    assert radius.min().item() == pytest.approx(2 / 3, abs=0.01)
    assert radius.max().item() == pytest.approx(2, abs=0.01)
    assert radius.mean().item() == pytest.approx(4 / 3, abs=0.01)


def test_they_are_named_and_described():
    part = source("swiss-roll")
    assert part == SwissRoll()
    assert source("moons(sigma=0.2)") == Moons(sigma=0.2)
    points = part.open()
    assert points.shape == (2,)
    assert points.digest != SwissRoll(sigma=0.1).open().digest
    info = inspect(Moons(sigma=0.5))
    # Far above the entropy of the noise alone, far below that of a uniform square.
    assert math.log(2 * math.pi * math.e * 0.25) < info["entropy"]["nats"] < math.log(6 * 5)
    assert "modes          none" in table(info)
    with pytest.raises(RecipeError, match="sigma must be a positive"):
        Moons(sigma=0)
    with pytest.raises(RecipeError, match="did you mean 'moons'"):
        source("moon")
