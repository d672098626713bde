"""The birthday paradox against generators whose support is known."""

from __future__ import annotations

import json
import math

import pytest
import torch
from metrics.conftest import stripes
from torch import Tensor

from sparring.data import take
from sparring.metrics import Birthday, Fake, Real, Score
from sparring.metrics.birthday import _pairs, _support
from sparring.metrics.neighbours import within
from sparring.randomness import generator


def fake(pixels: Tensor) -> Fake:
    return Fake("a test", lambda n: iter(pixels[:n].split(100)))


def score(real: Real, pixels: Tensor, n: int | None = None) -> Score:
    (found,) = Birthday().score(real, fake(pixels), n or len(pixels))
    return found


def drawn(pixels: Tensor, n: int, seed: int) -> Tensor:
    rng = generator("birthday", seed)
    return pixels[torch.randint(len(pixels), (n,), generator=rng)]


@pytest.mark.parametrize("support", [1, 5, 50, 400])
def test_a_generator_of_k_images_has_a_support_of_k(striped: Real, support: int) -> None:
    made = drawn(stripes(400, 11).pixels[:: 400 // support], 600, support)
    found = score(striped, made)
    assert found.se is not None
    assert found.value == pytest.approx(support, rel=0.15)
    assert abs(found.value - support) <= 4 * found.se
    # With that many samples the chance of a pair is a half.
    batch, odds = found.detail["batch"], 1 / found.value
    assert -math.expm1(-batch * (batch - 1) / 2 * odds) == pytest.approx(0.5)


def test_the_error_is_the_spread(striped: Real) -> None:
    images = stripes(400, 11).pixels[::8]
    found = [score(striped, drawn(images, 150, seed)) for seed in range(60)]
    values = torch.tensor([f.value for f in found], dtype=torch.float64)
    errors = torch.tensor([f.se for f in found], dtype=torch.float64)
    assert float(values.std()) == pytest.approx(float(errors.mean()), rel=0.35)


def test_the_data_themselves_are_as_varied_as_the_data(striped: Real) -> None:
    assert striped.train
    found = score(striped, striped.some(800).pixels)
    assert found.value == found.detail["real"]["value"]
    assert found.detail["same"] == found.detail["real"]["same"]
    assert 4 <= found.detail["real"]["same"] <= 8  # 1 % of 800, two to a pair at most
    fresh = score(striped, stripes(800, 12).pixels)
    assert fresh.value > 800 * 799 / 2 / 40


def test_where_no_two_are_alike_the_number_of_pairs_is_said(striped: Real) -> None:
    noise = torch.randint(256, (40, 1, 12, 12), generator=generator("n")).to(torch.uint8)
    found = score(striped, noise)
    assert (found.value, found.se, found.detail["same"]) == (780, None, 0)


def test_two_samples_suffice_and_the_pairs_are_drawn(striped: Real) -> None:
    assert striped.train
    tiny = Real("tiny", train=take(striped.train, torch.tensor([3, 800])))
    twice = stripes(1, 3).pixels.expand(2, -1, -1, -1)
    found = score(tiny, twice)
    assert found.value == 1
    json.dumps([found.value, found.se, found.protocol, found.detail], allow_nan=False)
    assert found.detail["picture"]["columns"][0] == "sample"
    assert found.detail["picture"]["height"] == 16
    assert score(tiny, twice) == found
    assert found.protocol["closest"] == 0.01


def test_pairs_are_counted_and_listed_once() -> None:
    x = torch.tensor([[0.0], [1], [1.5], [9], [9]])
    assert within(x, 1).tolist() == [1, 2, 1, 1, 1]
    assert within(x, 0).tolist() == [0, 0, 0, 1, 1]
    assert _support(within(x, 1)) == (10 / 3, pytest.approx(_support(within(x, 1))[1]), 3)
    away, twin = torch.tensor([1.0, 0.5, 0.5, 0, 0]), torch.tensor([1, 2, 1, 4, 3])
    assert _pairs(away, twin) == [(3, 4), (1, 2), (0, 1)]
