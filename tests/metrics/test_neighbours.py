"""Nearest neighbours and k-means against brute force and closed forms."""

from __future__ import annotations

import pytest
import torch
from metrics.conftest import stripes
from torch import Tensor
from torch.testing import assert_close

from sparring.metrics import neighbours
from sparring.metrics.neighbours import Clusters, nearest
from sparring.randomness import generator


def normal(n: int, d: int, seed: int) -> Tensor:
    return torch.randn(n, d, dtype=torch.float64, generator=generator("test", seed))


@pytest.mark.parametrize("k", [1, 3])
def test_neighbours_are_those_of_all_differences(k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = normal(37, 5, 0) + 100, normal(50, 5, 1) + 100
    monkeypatch.setattr(neighbours, "_BLOCK", 7 * 50)  # several blocks, the last one shorter
    wanted = (x[:, None] - y).norm(dim=2).sort(dim=1)
    away, index = nearest(x, y, k)
    assert_close(away, wanted.values[:, :k], rtol=1e-12, atol=0)
    assert (index == wanted.indices[:, :k]).all()
    among = (x[:, None] - x).norm(dim=2).fill_diagonal_(torch.inf).sort(dim=1)
    away, index = nearest(x, k=k)
    assert_close(away, among.values[:, :k], rtol=1e-12, atol=0)
    assert (index == among.indices[:, :k]).all()


def test_equal_rows_are_at_exactly_zero_however_far_from_the_origin() -> None:
    x = normal(20, 64, 0) + 1e6
    away, index = nearest(x[:5], x)
    assert (away == 0).all()
    assert (index[:, 0] == torch.arange(5)).all()
    twice = torch.cat([x, x[:3]])
    assert (nearest(twice)[0][:3] == 0).all()
    assert nearest(x[:2], k=5)[0].shape == (2, 1)


def test_k_means_finds_clusters_that_are_apart() -> None:
    centres = 50 * normal(6, 4, 0)
    x = torch.cat([c + normal(40, 4, 10 + i) for i, c in enumerate(centres)])
    clusters = Clusters.of(x, 6)
    at = clusters.assign(x).view(6, 40)
    assert (at == at[:, :1]).all()
    assert len(at[:, 0].unique()) == 6
    assert_close(clusters.centres[at[:, 0]], x.view(6, 40, 4).mean(1))
    assert (Clusters.of(x, 6).centres == clusters.centres).all()


def test_k_means_never_gets_worse_than_its_seeds() -> None:
    x = normal(300, 3, 2)

    def cost(clusters: Clusters) -> float:
        return float(nearest(x, clusters.centres)[0].square().sum())

    costs = [cost(Clusters.of(x, 8, rounds)) for rounds in (0, 1, 3, 50)]
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] < 0.9 * costs[0]
    found = Clusters.of(x, 8)
    at = found.assign(x)
    means = torch.stack([x[at == i].mean(0) for i in range(8)])
    assert_close(found.centres, means)  # a fixed point of Lloyd's rounds


def test_there_are_no_more_clusters_than_different_rows() -> None:
    x = torch.tensor([[0.0, 0.0], [1.0, 0.0]]).repeat(5, 1)
    assert len(Clusters.of(x, 4).centres) == 2
    assert len(Clusters.of(x[:1].repeat(4, 1), 4).centres) == 1


def test_no_cluster_is_empty() -> None:
    """Four patterns under noise, five seeds: the rounds leave one of these without an image."""
    x = stripes(1200, 0).uint8(slice(None)).flatten(1).double() / 255
    clusters = Clusters.of(x, 5)
    assert clusters.assign(x).bincount().tolist() == [300, 300, 300, 300]
