"""domain-fid and the balance of classes."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from sparring.data import take
from sparring.data.points import Mixture1D, Ring
from sparring.data.source import Images
from sparring.errors import DataError
from sparring.metrics import (
    KID,
    DomainClassifier,
    DomainFid,
    Fake,
    Metric,
    ModeCoverage,
    OfInputs,
    Real,
    Score,
    Wasserstein1D,
    default_metrics,
    evaluate,
)
from sparring.metrics.domain import _balance
from sparring.parts import catalogue, parse, show


def fake(pixels: Tensor, batch: int = 300) -> Fake:
    return Fake("a test", lambda n: iter(pixels[:n].split(batch)))


def scores(real: Real, pixels: Tensor, n: int | None = None) -> dict[str, Score]:
    found = DomainFid().score(real, fake(pixels), n or len(pixels))
    return {score.metric: score for score in found}


def test_the_training_images_themselves_are_at_no_distance(cache: Path, striped: Real) -> None:
    assert striped.train
    found = scores(striped, striped.train.pixels)
    assert 0 <= found["domain-fid"].value < 1e-4  # other batches round otherwise
    assert found["class-coverage"].value == 4
    assert found["class-tv"].value == 0
    assert found["class-tv"].detail["shares"] == found["class-tv"].detail["data_shares"]


def test_a_perfect_generator_is_at_the_floor_and_noise_far_off(
    cache: Path, striped: Real, more_stripes: Images
) -> None:
    good = scores(striped, more_stripes.pixels, 600)
    fid = good["domain-fid"]
    assert fid.se is not None
    floors = fid.detail["floors"]
    assert set(floors) == {"training", "held_out"}
    assert floors["training"]["n"] == 600
    assert floors["held_out"]["n"] == 300
    assert 0 < floors["training"]["value"] < 5 * fid.value
    assert 0 < fid.value < 5 * floors["training"]["value"]
    assert good["class-coverage"].value == 4
    tv = good["class-tv"]
    assert tv.value < 4 * tv.detail["perfect"]
    blurred = more_stripes.pixels // 2 + 60
    worse = scores(striped, blurred, 600)["domain-fid"]
    noise = torch.randint(256, (600, 1, 12, 12), dtype=torch.uint8)
    worst = scores(striped, noise)["domain-fid"]
    assert fid.value < worse.value / 5
    assert worse.value > fid.value + 10 * fid.se
    assert worst.value > 20 * fid.value


def test_a_collapsed_generator_has_one_class(
    cache: Path, striped: Real, more_stripes: Images
) -> None:
    only = more_stripes.pixels[more_stripes.labels == 2][:400]
    found = scores(striped, only)
    assert found["class-coverage"].value == 1
    detail = found["class-tv"].detail
    assert detail["names"][2] == "chequers"
    assert detail["counts"][2] >= 395
    assert sum(detail["counts"]) == 400
    assert found["class-tv"].value == pytest.approx(0.75, abs=0.02)


def test_the_protocol_says_what_was_compared(
    cache: Path, striped: Real, more_stripes: Images
) -> None:
    found = scores(striped, more_stripes.pixels, 1500)
    seen = found["domain-fid"].protocol
    classifier = DomainClassifier.of(striped)
    assert striped.train
    assert seen["n_real"] == 1200
    assert seen["n_fake"] == 1500
    assert seen["reference"] == "stripes"
    assert seen["split"] == "train"
    assert seen["generator"] == "a test"
    assert seen["resize"] == "none"
    assert seen["data_digest"] == striped.train.digest
    assert seen["features_digest"] == classifier.digest
    assert seen["features_accuracy"] == classifier.accuracy
    assert seen["library"].startswith("sparring ")
    for score in found.values():
        assert score.protocol == seen
        json.dumps([score.value, score.se, score.protocol, score.detail], allow_nan=False)


def test_scores_repeat_and_batches_hardly_matter(
    cache: Path, striped: Real, more_stripes: Images
) -> None:
    first = DomainFid().score(striped, fake(more_stripes.pixels), 500)
    assert DomainFid().score(striped, fake(more_stripes.pixels), 500) == first
    odd = DomainFid().score(striped, fake(more_stripes.pixels, 17), 500)
    assert odd[0].value == pytest.approx(first[0].value, rel=1e-4)
    assert odd[2].detail["counts"] == first[2].detail["counts"]


def test_fewer_samples_than_features_still_have_a_distance(
    cache: Path, striped: Real, more_stripes: Images
) -> None:
    few = scores(striped, more_stripes.pixels, 12)["domain-fid"]
    assert few.value > 0
    assert few.se is None
    assert [floor["n"] for floor in few.detail["floors"].values()] == [12, 12]


def test_the_balance_of_classes_by_hand() -> None:
    counts, real = torch.tensor([50, 30, 20, 0, 0]), torch.tensor([25, 25, 25, 25, 0])
    coverage, tv, entropy = _balance(counts, real, tuple("abcde"), 0.1, {})
    assert coverage.detail["missed"] == ["d"]
    by_hand = [-c * math.log(c) for c in (0.5, 0.3, 0.2)]
    assert entropy.value == pytest.approx(sum(by_hand))
    squares = sum(c * math.log(c) ** 2 for c in (0.5, 0.3, 0.2))
    assert entropy.se == pytest.approx(math.sqrt((squares - sum(by_hand) ** 2) / 100))
    assert entropy.detail["real"]["value"] == pytest.approx(math.log(4))
    assert coverage.value == 3
    assert coverage.detail["classes"] == 4
    assert tv.value == pytest.approx(0.5 * (0.25 + 0.05 + 0.05 + 0.25))
    # The signs are + + - - 0: twice the distance is a sum of signs, of variance (1 - 0.6^2) / n.
    assert tv.se == pytest.approx(math.sqrt((1 - 0.6**2) / 400))
    rare = _balance(torch.tensor([2, 98]), torch.tensor([50, 50]), ("a", "b"), 0.1, {})
    assert rare[0].value == 1
    rare = _balance(torch.tensor([5, 95]), torch.tensor([50, 50]), ("a", "b"), 0.1, {})
    assert rare[0].value == 2


def test_what_cannot_be_scored(cache: Path, striped: Real, more_stripes: Images) -> None:
    with pytest.raises(DataError, match="a sample is 1x6x12, the data are 1x12x12"):
        scores(striped, more_stripes.pixels[:, :, ::2])
    assert striped.train
    bare = Real("bare", train=replace(striped.train, labels=None, classes=()))
    found, skipped = evaluate([DomainFid()], bare, fake(more_stripes.pixels), 100)
    assert found == []
    assert skipped[0][0] == "DomainFid"
    assert "needs labelled images in bare: these have no classes" in skipped[0][1]
    found, skipped = evaluate([ModeCoverage()], striped, fake(more_stripes.pixels))
    assert (found, skipped[0][0]) == ([], "ModeCoverage")


def test_the_default_metrics(striped: Real) -> None:
    assert striped.train
    line, ring = Mixture1D().open(), Ring().open()
    assert default_metrics(Real("a", points=line)) == (ModeCoverage(), Wasserstein1D())
    assert default_metrics(Real("b", points=ring)) == (ModeCoverage(),)
    assert default_metrics(striped) == (DomainFid(),)
    (kid,) = default_metrics(Real("c", train=replace(striped.train, labels=None)))
    assert isinstance(kid, KID)
    colour = replace(striped.train, pixels=striped.train.uint8(slice(None)).expand(-1, 3, -1, -1))
    for n, wanted in ((5000, 2048), (1000, 1000), (100, 256)):
        some = take(colour, torch.arange(n) % len(colour))
        assert default_metrics(Real("d", train=some)) == (KID(n=wanted),)


def test_every_metric_is_a_part() -> None:
    for cls in catalogue(Metric):
        assert parse(show(cls(), full=True), Metric) == cls()
        if cls is not OfInputs:  # whose paper is that of the metric in it
            assert cls.paper or not cls.__module__.startswith("sparring.")
    assert parse("domain-fid", Metric) == DomainFid()
