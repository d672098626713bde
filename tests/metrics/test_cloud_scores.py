"""Scores of points without modes: they say what closed forms say, and others are skipped."""

from __future__ import annotations

import math

import pytest
import torch

from sparring.data import Images, Mixture1D, Moons, Ring, SwissRoll
from sparring.errors import DataError
from sparring.metrics import (
    Fake,
    HighDensity,
    ModeCoverage,
    Real,
    SlicedWasserstein,
    Wasserstein1D,
    default_metrics,
    evaluate,
)
from sparring.randomness import generator


def real(part) -> Real:
    return Real(name="here", points=part.open())


def fake(samples) -> Fake:
    return Fake("a test", lambda n: iter(samples[:n].split(1000)))


def drawn(part, n, name="fake"):
    return part.open().sample(n, generator(name))


def one(metric, part, samples):
    [score] = metric.score(real(part), fake(samples), len(samples))
    return score


def test_scores_that_need_modes_are_skipped_and_others_are_not():
    r = real(Moons())
    assert default_metrics(r) == (HighDensity(), SlicedWasserstein())
    scores, skipped = evaluate(
        (ModeCoverage(), Wasserstein1D(), *default_metrics(r)), r, fake(drawn(Moons(), 2000)), 2000
    )
    assert [s.metric for s in scores] == ["high-density", "sliced-wasserstein"]
    assert [why for _, why in skipped] == [
        "mode coverage needs modes in here: these points have none",
        "the 1-D Wasserstein distance needs modes in here: these points have none",
    ]


@pytest.mark.parametrize("part", [Moons(), SwissRoll(), Ring()], ids=str)
def test_a_perfect_sampler(part):
    samples = drawn(part, 10_000)
    share = one(HighDensity(), part, samples)
    assert abs(share.value - 0.99) < 5 * math.sqrt(0.99 * 0.01 * (1 / 10_000 + 1 / 20_000))
    assert share.detail["perfect"] == 0.99
    sliced = one(SlicedWasserstein(), part, samples)
    assert 0 < sliced.value < 3 * sliced.detail["perfect"]
    assert sliced.detail["perfect"] < 4 * sliced.value


def test_a_shift_moves_it_by_its_mean_projection():
    """Projections of a shift v are v . theta, of mean 2 / pi |v| over directions in the plane."""
    part, shift = SwissRoll(), torch.tensor([3.0, -4.0])
    same = part.open().sample(4000, generator("sliced-wasserstein", 4000, 0))
    assert one(SlicedWasserstein(), part, same).value == 0
    moved = one(SlicedWasserstein(directions=512), part, same + shift)
    assert moved.value == pytest.approx(5 * 2 / math.pi, rel=1e-4)
    assert moved.se < 0.1
    assert one(HighDensity(), part, same + shift).value < 0.3


def test_on_a_line_it_is_the_distance_on_the_line():
    part = Mixture1D()
    samples = drawn(part, 10_000) + 0.5
    sliced = one(SlicedWasserstein(), part, samples)
    assert sliced.value == pytest.approx(one(Wasserstein1D(), part, samples).value, abs=0.05)
    assert sliced.value == pytest.approx(0.5, abs=0.05)


def test_a_missing_half_is_seen_by_the_distance_only():
    samples = drawn(Moons(), 40_000)
    upper = samples[samples[:, 1] > 0.25][:10_000]
    assert one(HighDensity(), Moons(), upper).value > 0.98
    sliced = one(SlicedWasserstein(), Moons(), upper)
    assert sliced.value > 10 * sliced.detail["perfect"]


def test_images_and_points_that_are_not_finite_are_refused():
    images = Real("x", train=Images(torch.zeros(4, 1, 2, 2, dtype=torch.uint8)))
    bad = drawn(Moons(), 10)
    bad[3] = math.nan
    for metric in (HighDensity(), SlicedWasserstein()):
        with pytest.raises(DataError, match="needs points"):
            metric.score(images, fake(bad), 10)
        with pytest.raises(DataError, match="sample 3 is not finite"):
            metric.score(real(Moons()), fake(bad), 10)
