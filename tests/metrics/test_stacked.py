"""Modes of stacked images: a perfect sampler, collapsed ones, and the divergence by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from metrics.conftest import stripes
from torch import Tensor

from sparring.data import Images, StackedMnist, split, take
from sparring.errors import DataError
from sparring.metrics import Fake, Real, Score, StackedModes, default_metrics
from sparring.metrics.points import expected_divergence, kl_divergence
from sparring.randomness import generator


@pytest.fixture(scope="module")
def stacked(tmp_path_factory: pytest.TempPathFactory) -> Real:
    """Triples of the four patterns: 64 modes."""
    path = tmp_path_factory.mktemp("stacked") / "stripes.npz"
    grey = stripes(1200, 0)
    np.savez(path, images=grey.uint8(slice(None))[:, 0].numpy(), labels=grey.labels)  # pyright: ignore
    images = StackedMnist(path=str(path), n=3000).open()
    assert isinstance(images, Images)
    return Real("stacked stripes", train=take(images, split(3000)[0]))


def scores(real: Real, pixels: Tensor) -> dict[str, Score]:
    fake = Fake("a test", lambda n: iter(pixels[:n].split(300)))
    return {s.metric: s for s in StackedModes().score(real, fake, len(pixels))}


def drawn(n: int, most: int = 4) -> Tensor:
    """New triples (n, 3, 12, 12) of the first `most` patterns."""
    labels = torch.randint(most, (3 * n,), generator=generator("stacked test", n, most))
    return stripes(3 * n, 5, labels).uint8(slice(None)).view(n, 3, 12, 12)


def test_a_perfect_sampler_and_one_that_has_collapsed(cache: Path, stacked: Real) -> None:
    found = scores(stacked, drawn(2000))
    assert found["stacked-modes"].value == 64
    assert found["stacked-modes-5"].value == 64
    ways = {name: score.better for name, score in found.items()}
    assert ways == {
        "stacked-modes": "higher",
        "stacked-modes-5": "higher",
        "stacked-kl": "lower",
        "stacked-kl-data": "lower",
    }
    perfect = found["stacked-kl"].detail["perfect"]
    assert perfect == pytest.approx(63 / 4000, rel=0.02)
    kl = found["stacked-kl"]
    assert kl.se is not None
    assert abs(kl.value - perfect) < 5 * kl.se
    assert found["stacked-kl-data"].value == pytest.approx(kl.value, abs=0.01)
    assert found["stacked-modes"].detail["perfect"] == pytest.approx(64, abs=1e-6)
    assert found["stacked-modes"].se == 0.25
    assert "2,000 samples where papers take 26,000" in found["stacked-modes"].detail["biased"]
    few = scores(stacked, drawn(60))["stacked-modes"]
    assert few.detail["perfect"] == pytest.approx(64 * (1 - (63 / 64) ** 60))
    assert few.value == pytest.approx(few.detail["perfect"], abs=4 * few.se)  # pyright: ignore
    two = scores(stacked, drawn(1000, 2))
    assert two["stacked-modes-5"].value == 8
    assert two["stacked-kl"].value == pytest.approx(math.log(8), abs=0.03)
    assert "2/0/0" in two["stacked-modes"].detail["missed"]
    one = scores(stacked, drawn(1).expand(100, -1, -1, -1))
    assert one["stacked-modes"].value == 1
    assert one["stacked-kl"].value == pytest.approx(math.log(64))
    for score in (*found.values(), *one.values()):
        json.dumps([score.value, score.se, score.protocol, score.detail], allow_nan=False)
        assert score.protocol["features_accuracy"] > 0.98
    assert scores(stacked, drawn(2))["stacked-modes"].value in (1, 2)


def test_default_and_what_it_needs(cache: Path, stacked: Real, striped: Real) -> None:
    assert default_metrics(stacked) == (StackedModes(),)
    with pytest.raises(DataError, match="no stacked images"):
        StackedModes().score(striped, Fake("x", lambda n: iter(())))


def test_the_divergence_by_hand() -> None:
    counts, p = torch.tensor([2, 6, 0]), torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64)
    value, error = kl_divergence(counts, p)
    logs = [math.log(0.25 / 0.5), math.log(0.75 / 0.25)]
    assert value == pytest.approx(0.25 * logs[0] + 0.75 * logs[1])
    variance = 0.25 * logs[0] ** 2 + 0.75 * logs[1] ** 2 - value**2
    assert error == pytest.approx((variance / 8 - 2 / (2 * 64)) ** 0.5)
    uniform = torch.full((3,), 1 / 3, dtype=torch.float64)
    assert kl_divergence(counts) == pytest.approx(kl_divergence(counts, uniform))


def test_the_expected_divergence_of_a_perfect_sampler_at_26000() -> None:
    """About 999 / 52,000 = 0.0192; over 200 draws of the published number of samples."""
    rng = generator("perfect stacked sampler")
    values = [
        kl_divergence(torch.randint(1000, (26_000,), generator=rng).bincount(minlength=1000))[0]
        for _ in range(200)
    ]
    exact = expected_divergence(26_000, 1000)
    assert exact == pytest.approx(999 / 52_000, rel=0.01)
    assert sum(values) / 200 == pytest.approx(exact, abs=3 * (2 * 999) ** 0.5 / 52_000 / 200**0.5)
    # Two throws of a coin: alike half of the time, at ln 2, else 0. One mode, one sample.
    assert expected_divergence(2, 2) == pytest.approx(math.log(2) / 2)
    assert expected_divergence(1, 5) == pytest.approx(math.log(5))
    assert expected_divergence(9, 1) == 0


def test_fewer_samples_than_asked_are_all_taken(cache: Path, stacked: Real) -> None:
    pixels = drawn(60)
    few = Fake("few", lambda n: iter([pixels[:n]]), count=60)
    (modes, *_) = StackedModes().score(stacked, few)
    assert modes.protocol["n_fake"] == 60
