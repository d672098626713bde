"""Clusters that samples leave out: by hand, by name, and by chance alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from metrics.conftest import stripes
from torch import Tensor

from sparring.data import take
from sparring.metrics import ClusterCoverage, DomainFeatures, Fake, Real, Score
from sparring.metrics.chance import same_share
from sparring.metrics.clusters import Table
from sparring.randomness import generator


def fake(pixels: Tensor) -> Fake:
    return Fake("a test", lambda n: iter(pixels[:n].split(100)))


def scores(real: Real, pixels: Tensor, metric: ClusterCoverage) -> dict[str, Score]:
    return {s.metric: s for s in metric.score(real, fake(pixels), len(pixels))}


def test_a_dropped_class_is_named_with_its_pictures(cache: Path, striped: Real) -> None:
    fresh = stripes(800, 21)
    kept = fresh.pixels[fresh.labels != 2]
    four = ClusterCoverage(clusters=4, features=DomainFeatures())
    found = scores(striped, kept, four)
    assert found["clusters[domain]"].value == 3
    assert found["clusters[domain]"].detail["of"] == 4
    first, *others = found["clusters[domain]"].detail["table"]
    assert "chequers (" in first["cluster"]
    assert first["missed"]
    assert not any(row["missed"] for row in others)
    assert first["data"] == pytest.approx(0.25, abs=0.02)
    assert found["cluster-tv[domain]"].value == pytest.approx(0.25, abs=0.03)
    assert found["ndb[domain]"].value == 1  # the other three have a third each and not a fourth
    shown = found["clusters[domain]"].detail["picture"]
    assert shown["columns"] == ["real"] * 4 + ["sample"] * 4
    assert (shown["width"], shown["height"]) == (8 * 16, 4 * 16)
    whole = scores(striped, fresh.pixels, four)
    assert whole["clusters[domain]"].value == 4
    assert whole["cluster-tv[domain]"].value < 4 * whole["cluster-tv[domain]"].detail["perfect"]


def test_without_labels_clusters_have_numbers(cache: Path, striped: Real) -> None:
    assert striped.train
    bare = Real("bare", train=replace(striped.train, labels=None, classes=()))
    one = stripes(1, 3).pixels.expand(300, -1, -1, -1)
    found = scores(bare, one, ClusterCoverage(clusters=6))
    # Its own, and one of a hundredth of the data, which 300 samples may well leave out by chance.
    assert found["clusters"].value == 2
    names = [row["cluster"] for row in found["clusters"].detail["table"]]
    assert sorted(names) == [f"cluster {i}" for i in range(1, 7)]
    assert [row["missed"] for row in found["clusters"].detail["table"]] == [True] * 4 + [False] * 2


def test_the_table_by_hand() -> None:
    table = Table(torch.tensor([10, 0, 90]), torch.tensor([40, 20, 40]), 0.1)
    assert table.missed.tolist() == [False, True, False]
    pooled = torch.tensor([0.25, 0.1, 0.65])
    wanted = torch.tensor([-0.3, -0.2, 0.5]) / (pooled * (1 - pooled) * 0.02).sqrt()
    torch.testing.assert_close(table.z.float(), wanted)
    assert table.order.tolist() == [0, 1, 2]
    clusters, tv, ndb = table.scores({}, {})
    assert (clusters.value, tv.value, ndb.value) == (2, 0.5, 1)
    assert tv.se == pytest.approx(0.5 * ((1 - 0.8**2) / 100) ** 0.5)


def test_chance_alone_gives_ndb_its_level_and_tv_its_expectation() -> None:
    p = torch.arange(1, 21, dtype=torch.float64)
    rng = torch.Generator().manual_seed(0)
    found = []
    for _ in range(100):
        sides = [
            torch.multinomial(p, n, True, generator=rng).bincount(minlength=20)
            for n in (2000, 5000)
        ]
        table = Table(*sides, 0.1)
        assert not table.missed.any()
        found.append([0.5 * (table.q - table.p).abs().sum(), table.differ.double().mean()])
    tv, ndb = torch.tensor(found, dtype=torch.float64).mean(0).tolist()
    by_chance = Table(*sides, 0.1).scores({}, {})[2].detail["perfect"]
    assert 0.03 < by_chance <= 0.05
    assert ndb == pytest.approx(by_chance, abs=0.014)
    _, expected, _ = Table((p * 2000 / 210).long(), (p * 5000 / 210).long(), 0.1).scores({}, {})
    assert tv == pytest.approx(expected.detail["perfect"], rel=0.05)


def test_two_samples_suffice_and_everything_repeats(striped: Real) -> None:
    assert striped.train
    tiny = Real("tiny", train=take(striped.train, torch.tensor([3, 800])))
    first = ClusterCoverage().score(tiny, fake(stripes(2, 3).pixels), 2)
    assert ClusterCoverage().score(tiny, fake(stripes(2, 3).pixels), 2) == first
    for score in first:
        json.dumps([score.value, score.se, score.protocol, score.detail], allow_nan=False)
        assert score.protocol["clusters"] == 1
        assert (score.protocol["n_clustered"], score.protocol["n_real"]) == (1, 1)


def test_nothing_is_missed_or_different_by_chance(cache: Path) -> None:
    """Small clusters, fitted and counted on few images, and samples of the data's own law."""
    metric, named, shares, due = ClusterCoverage(clusters=40), 0, [], []
    for seed in range(30):
        labels = torch.randint(4, (360,), generator=generator("chance", seed)).split([240, 120])
        train, fresh = (stripes(len(c), 100 * i + seed, c) for i, c in enumerate(labels, 1))
        found = scores(Real("few", train=train), fresh.pixels, metric)  # pyright: ignore
        named += found["clusters"].value < found["clusters"].detail["of"]
        shares.append(found["ndb"].value)
        due.append(found["ndb"].detail["perfect"])
    assert named <= 5  # 5 % of 30, and what chance adds to that
    error = torch.tensor(shares).std() / 30**0.5
    assert abs(torch.tensor(shares).mean() - torch.tensor(due).mean()) < 3 * error
    assert max(due) < 0.05


def test_the_exact_test_of_two_shares_is_scipys() -> None:
    fisher = pytest.importorskip("scipy.stats").fisher_exact
    for a, n, b, m in ((3, 50, 9, 40), (0, 30, 7, 100), (12, 40, 2, 35), (5, 5, 5, 5)):
        less, both, level = same_share(a, n, b, m)
        sides = [[a, n - a], [b, m - b]]
        assert less == pytest.approx(fisher(sides, alternative="less")[1], rel=1e-9)
        assert both == pytest.approx(fisher(sides)[1], rel=1e-9)
        assert 0 <= level <= 0.05
