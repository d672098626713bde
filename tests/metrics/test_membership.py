"""The attack on D: known logits, batches that mix, and a level that holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from sparring.errors import DataError
from sparring.metrics import Fake, Judge, Membership, Real
from sparring.metrics.membership import _curve
from sparring.randomness import generator


def scored(real: Real, judge: Judge | None, n: int | None = None) -> dict[str, float]:
    fake = Fake("a test", lambda n: iter(()), judge=judge)
    found = Membership().score(real, fake, n)
    for score in found:
        assert score.protocol["n_held_out"] == (300 if n is None else min(300, n))
        assert score.protocol["attack"] == "logits of D"
    return {s.metric: s.value for s in found} | found[0].detail


def knows(real: Real) -> set[bytes]:
    assert real.train
    return {row.tobytes() for row in real.train.pixels.numpy()}


def test_a_d_that_knows_every_training_image_is_found_out(striped: Real) -> None:
    known = knows(striped)

    def judge(x: Tensor, labels: Tensor | None) -> Tensor:
        return torch.tensor([float(row.tobytes() in known) for row in x.numpy()])

    found = scored(striped, judge)
    assert found["membership-auc"] == 1
    assert found["membership-p"] == 1 / 1000
    assert (found["tpr"], found["advantage"]) == (1, 1)
    found = scored(striped, lambda x, labels: -judge(x, labels), 100)
    assert found["membership-auc"] == 0
    assert found["membership-p"] == 1


def test_a_d_that_knows_nothing_is_not(striped: Real) -> None:
    found = scored(striped, lambda x, labels: x.float().mean((1, 2, 3)))
    low, high = found["interval"]
    assert low < 0.5 < high
    assert found["membership-p"] > 0.01
    assert scored(striped, lambda x, labels: torch.ones(len(x)))["membership-auc"] == 0.5


def test_a_d_that_answers_by_its_batch_gives_nothing_away(striped: Real) -> None:
    """Each batch holds both kinds, so what all of a batch share tells nothing."""
    known, shares = knows(striped), []

    def judge(x: Tensor, labels: Tensor | None) -> Tensor:
        share = sum(row.tobytes() in known for row in x.numpy()) / len(x)
        shares.append(share)
        return torch.full((len(x),), share)

    found = scored(striped, judge)
    assert all(0.5 < share < 1 for share in shares)
    assert found["membership-auc"] < 0.6


def test_labels_come_with_their_images(striped: Real) -> None:
    assert striped.train
    assert striped.held_out
    both = (striped.train, striped.held_out)
    truth = {
        row.tobytes(): int(label)
        for images in both
        for row, label in zip(images.pixels.numpy(), images.labels)  # pyright: ignore
    }

    def judge(x: Tensor, labels: Tensor | None) -> Tensor:
        assert labels is not None
        assert [truth[row.tobytes()] for row in x.numpy()] == labels.tolist()
        return torch.zeros(len(x))

    scored(striped, judge)
    unlabelled = replace(striped, held_out=replace(striped.held_out, labels=None))

    def blind(x: Tensor, labels: Tensor | None) -> Tensor:
        assert labels is None
        return torch.zeros(len(x), 1, 2, 2)  # a map of logits

    scored(unlabelled, blind)


def test_true_and_false_positives_by_hand() -> None:
    inside, outside = torch.arange(100).double() + 50, torch.arange(100).double()
    found = _curve(inside, outside)
    assert found["tpr"] == pytest.approx(0.50)  # above 99, of 50 .. 149
    assert found["advantage"] == pytest.approx(0.5)


def test_what_it_needs(striped: Real, cache: Path) -> None:
    with pytest.raises(DataError, match="needs a discriminator in a test"):
        scored(striped, None)
    with pytest.raises(DataError, match="not trained on"):
        scored(replace(striped, held_out=None), lambda x, labels: torch.zeros(len(x)))
    with pytest.raises(DataError, match="several images at once"):
        scored(striped, lambda x, labels: torch.zeros(len(x) // 2))
    with pytest.raises(DataError, match="not finite"):
        scored(striped, lambda x, labels: torch.full((len(x),), torch.nan))


def test_p_values_hold_their_level(striped: Real) -> None:
    assert striped.train
    p = []
    for seed in range(40):
        rng = generator("a blind D", seed)
        judge = lambda x, labels, rng=rng: torch.randn(len(x), generator=rng)  # noqa: E731
        p.append(scored(striped, judge, 100)["membership-p"])
    grid = torch.arange(1, 41) / 40
    assert float((torch.tensor(p).sort().values - grid).abs().max()) < 1.95 / 40**0.5
