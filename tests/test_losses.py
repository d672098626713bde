"""Losses against numbers worked by hand, in float64.

With sp(t) = log(1 + exp t): sp(log 3) = log 4, sp(-log 3) = log(4/3), sp(0) = log 2.
"""

from __future__ import annotations

from math import exp, log

import pytest
import torch
from torch.testing import assert_close

from sparring.errors import RecipeError
from sparring.losses import (
    Hinge,
    LeastSquares,
    Loss,
    Minimax,
    NonSaturating,
    RelativisticAverage,
    RelativisticPaired,
    Wasserstein,
)
from sparring.parts import catalogue
from sparring.randomness import Draws

LOG3 = log(3)


def f64(*numbers: float) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


# D says of two real samples sigma = 3/4 and 1/2, of two fakes 1/4 and 1/2.
X, Y = (LOG3, 0.0), (-LOG3, 0.0)

GOLDEN = [
    # -log 3/4 and -log 1/2, for real and fake alike
    (NonSaturating(), X, Y, log(4 / 3) + log(2), (log(4) + log(2)) / 2),
    (Minimax(), X, Y, log(4 / 3) + log(2), -(log(4 / 3) + log(2)) / 2),
    # one-sided 0.9: sp(l) - 0.9 l = log 4 - 0.9 log 3 and log 2 for the reals
    (
        NonSaturating(real=0.9),
        X,
        Y,
        (log(4) - 0.9 * LOG3 + log(2)) / 2 + (log(4 / 3) + log(2)) / 2,
        (log(4) + log(2)) / 2,
    ),
    # two-sided 0.9 / 0.1: the fakes give sp(-log 3) + 0.1 log 3 and log 2
    (
        NonSaturating(real=0.9, fake=0.1),
        X,
        Y,
        (log(4) - 0.9 * LOG3 + log(2)) / 2 + (log(4 / 3) + 0.1 * LOG3 + log(2)) / 2,
        (log(4) + log(2)) / 2,
    ),
    (
        Minimax(real=0.9, fake=0.1),
        X,
        Y,
        (log(4) - 0.9 * LOG3 + log(2)) / 2 + (log(4 / 3) + 0.1 * LOG3 + log(2)) / 2,
        -(log(4 / 3) + log(2)) / 2,
    ),
    # (2 - 1)^2, (0 - 1)^2 | 3^2, (-1)^2, each half of a mean | (3 - 1)^2, (-1 - 1)^2
    (LeastSquares(), (2.0, 0.0), (3.0, -1.0), 0.5 * 1.0 + 0.5 * 5.0, 0.5 * 4.0),
    # labels 1, -1, target 0: 1, 1 | 16, 0 | 9, 1
    (
        LeastSquares(real=1, fake=-1, target=0),
        (2.0, 0.0),
        (3.0, -1.0),
        0.5 * 1.0 + 0.5 * 8.0,
        0.5 * 5.0,
    ),
    (Wasserstein(), (2.0, 0.0), (3.0, -2.0), 0.5 - 1.0, -0.5),
    # max(0, 1 - x) = 0, 1.5 | max(0, 1 + y) = 4, 0
    (Hinge(), (2.0, -0.5), (3.0, -2.0), 0.75 + 2.0, -0.5),
    # pairs differ by log 3 and 0
    (
        RelativisticPaired(),
        (LOG3 + 5, 5.0),
        (5.0, 5.0),
        (log(4 / 3) + log(2)) / 2,
        (log(4) + log(2)) / 2,
    ),
    # E x = 5, E y = 5 - log 3: x' = log 3 twice, y' = -log 3 twice
    (
        RelativisticAverage(),
        (5.0, 5.0),
        (5 - LOG3, 5 - LOG3),
        2 * log(4 / 3),
        2 * log(4),
    ),
    # E x = 1, E y = -1: x' = 3, 1 and y' = 0, -4; to 1 and -1: 4, 0 | 1, 9; swapped: 1, 25 | 16, 4
    (
        RelativisticAverage(base=LeastSquares(real=1, fake=-1)),
        (2.0, 0.0),
        (1.0, -3.0),
        (4 + 0) / 4 + (1 + 9) / 4,
        (1 + 25) / 4 + (16 + 4) / 4,
    ),
    # the same: max(0, 1 - x') = 0, 0, max(0, 1 + y') = 1, 0; swapped 1, 5 | 4, 2
    (RelativisticAverage(base=Hinge()), (2.0, 0.0), (1.0, -3.0), 0.5, 3.0 + 3.0),
]


@pytest.mark.parametrize(("loss", "x", "y", "d", "g"), GOLDEN, ids=lambda v: str(v)[:40])
def test_golden_values(loss, x, y, d, g):
    assert_close(loss.d(f64(*x), f64(*y)), torch.tensor(d, dtype=torch.float64))
    assert_close(loss.g(f64(*x), f64(*y)), torch.tensor(g, dtype=torch.float64))


def test_the_table_has_every_loss():
    ours = {c for c in catalogue(Loss) if c.__module__ == "sparring.losses"}
    assert {type(row[0]) for row in GOLDEN} == ours


@pytest.mark.parametrize(
    ("loss", "d", "g"),
    [
        # Goodfellow et al. 2014: where D = 1/2 the value of the game is -log 4.
        (Minimax(), 2 * log(2), -log(2)),
        (NonSaturating(), 2 * log(2), log(2)),
        (NonSaturating(real=0.9, fake=0.1), 2 * log(2), log(2)),
        (RelativisticPaired(), log(2), log(2)),
        (RelativisticAverage(), 2 * log(2), 2 * log(2)),
        (RelativisticAverage(base=Hinge()), 2.0, 2.0),
        (Hinge(), 2.0, 0.0),
        (Wasserstein(), 0.0, 0.0),
        (LeastSquares(), 0.5, 0.5),
    ],
    ids=str,
)
def test_where_d_knows_nothing(loss, d, g):
    zero = torch.zeros(5, dtype=torch.float64)
    assert_close(loss.d(zero, zero), torch.tensor(d, dtype=torch.float64))
    assert_close(loss.g(zero, zero), torch.tensor(g, dtype=torch.float64))


def sigmoid(t: float) -> float:
    return 1 / (1 + exp(-t))


GRADIENTS = [
    # loss, d loss.d / dx, d loss.d / dy, d loss.g / dy as functions of one x and one y
    (
        NonSaturating(),
        lambda x, y: sigmoid(x) - 1,
        lambda x, y: sigmoid(y),
        lambda x, y: sigmoid(y) - 1,
    ),
    (
        Minimax(),
        lambda x, y: sigmoid(x) - 1,
        lambda x, y: sigmoid(y),
        lambda x, y: -sigmoid(y),
    ),
    (
        NonSaturating(real=0.9, fake=0.1),
        lambda x, y: sigmoid(x) - 0.9,
        lambda x, y: sigmoid(y) - 0.1,
        lambda x, y: sigmoid(y) - 1,
    ),
    (LeastSquares(), lambda x, y: x - 1, lambda x, y: y, lambda x, y: y - 1),
    (Wasserstein(), lambda x, y: -1.0, lambda x, y: 1.0, lambda x, y: -1.0),
    (
        Hinge(),
        lambda x, y: -1.0 if x < 1 else 0.0,
        lambda x, y: 1.0 if y > -1 else 0.0,
        lambda x, y: -1.0,
    ),
    (
        RelativisticPaired(),
        lambda x, y: -sigmoid(y - x),
        lambda x, y: sigmoid(y - x),
        lambda x, y: -sigmoid(x - y),
    ),
    # of one x and one y the average is the pair, twice
    (
        RelativisticAverage(),
        lambda x, y: -2 * sigmoid(y - x),
        lambda x, y: 2 * sigmoid(y - x),
        lambda x, y: -2 * sigmoid(x - y),
    ),
]


@pytest.mark.parametrize("x", [-7.0, 0.3, 2.0])
@pytest.mark.parametrize("y", [-9.0, -0.4, 3.0])
@pytest.mark.parametrize(
    ("loss", "dx", "dy", "gy"), GRADIENTS, ids=[str(row[0])[:30] for row in GRADIENTS]
)
def test_slopes_are_the_closed_forms(loss, dx, dy, gy, x, y):
    real, fake = f64(x).requires_grad_(), f64(y).requires_grad_()
    assert_close(
        torch.autograd.grad(loss.d(real, fake), (real, fake)), (f64(dx(x, y)), f64(dy(x, y)))
    )
    assert_close(torch.autograd.grad(loss.g(real.detach(), fake), fake)[0], f64(gy(x, y)))


def test_the_saturating_loss_vanishes_where_d_is_sure_and_the_other_does_not():
    y = f64(-20.0).requires_grad_()
    saturating = torch.autograd.grad(Minimax().g(None, y), y)[0]
    assert_close(saturating, f64(-exp(-20) / (1 + exp(-20))), rtol=1e-9, atol=0)
    assert abs(saturating.item()) < 1e-8
    assert_close(
        torch.autograd.grad(NonSaturating().g(None, y), y)[0], f64(-1.0), atol=1e-8, rtol=0
    )


@pytest.mark.parametrize("loss", [row[0] for row in GOLDEN], ids=str)
def test_huge_logits_stay_finite(loss):
    x = torch.tensor([1e4, -1e4], requires_grad=True)
    y = torch.tensor([-1e4, 1e4], requires_grad=True)
    total = loss.d(x, y) + loss.g(x.detach(), y)
    assert torch.isfinite(total)
    assert all(torch.isfinite(g).all() for g in torch.autograd.grad(total, (x, y)))


@pytest.mark.parametrize("shape", [(6,), (2, 3), (6, 1, 1, 1), (2, 1, 3, 1)], ids=str)
@pytest.mark.parametrize("loss", [row[0] for row in GOLDEN], ids=str)
def test_logits_of_any_shape(loss, shape):
    x = torch.linspace(-2, 3, 6, dtype=torch.float64)
    y = torch.linspace(1, -4, 6, dtype=torch.float64)
    assert_close(loss.d(x.view(shape), y.view(shape)), loss.d(x, y))
    assert_close(loss.g(x.view(shape), y.view(shape)), loss.g(x, y))
    assert loss.d(x.view(shape), y.view(shape)).shape == ()


@pytest.mark.parametrize("loss", [row[0] for row in GOLDEN], ids=str)
def test_needs_real_is_the_truth(loss):
    x, y = f64(1.0, 2.0), f64(0.0, 0.5)
    if loss.needs_real:
        assert not torch.isclose(loss.g(x, y), loss.g(x + 1, y))
        with pytest.raises(ValueError, match="real"):
            loss.g(None, y)
    else:
        assert_close(loss.g(None, y), loss.g(x, y))


def test_the_paired_loss_pairs_by_index():
    loss = RelativisticPaired()
    x, y = f64(1.0, 4.0), f64(0.0, 2.0)
    assert not torch.isclose(loss.d(x, y), loss.d(x, y.flip(0)))
    assert_close(loss.d(x, y), loss.d(x.flip(0), y.flip(0)))
    assert_close(loss.d(x + 3, y + 3), loss.d(x, y))


def test_the_average_loss_is_that_of_the_average_fake():
    loss = RelativisticAverage()
    x, y = f64(1.0, 4.0), f64(0.0, 2.0)
    assert_close(loss.d(x, y), loss.d(x, y.flip(0)))
    assert_close(loss.d(x + 3, y + 3), loss.d(x, y))
    assert not torch.isclose(loss.d(x, y), RelativisticPaired().d(x, y) * 2)
    with pytest.raises(RecipeError, match="not relativistic"):
        RelativisticAverage(base=RelativisticPaired())


# ----------------------------------------------------------------------------------- random labels


class Fixed:
    """A source of random numbers that gives the ones it was given."""

    def __init__(self, *numbers: float) -> None:
        self.numbers = list(numbers)

    def uniform(self, n: int, *shape: int) -> torch.Tensor:
        taken, self.numbers = self.numbers[:n], self.numbers[n:]
        return torch.tensor(taken).view(n, *shape)


def test_random_labels_by_hand():
    loss = NonSaturating(real=(0.8, 1.0), fake=(0.0, 0.2))
    # Labels 0.9 and 0.8 for the reals, 0.1 and 0.2 (u = 1 is never drawn) for the fakes.
    value = loss.d(f64(LOG3, 0.0), f64(-LOG3, 0.0), Fixed(0.5, 0.0, 0.5, 1.0))
    by_hand = (log(4) - 0.9 * LOG3 + log(2)) / 2 + (log(4 / 3) + 0.1 * LOG3 + log(2)) / 2
    assert_close(value, torch.tensor(by_hand, dtype=torch.float64))
    squares = LeastSquares(real=(0.8, 1.0)).d(f64(1.0, 1.0), f64(0.0, 0.0), Fixed(0.5, 0.0))
    assert_close(squares, torch.tensor((0.01 + 0.04) / 4, dtype=torch.float64))


@pytest.mark.parametrize(
    "loss", [NonSaturating(real=(0.9, 1.0)), Minimax(real=(0.9, 1.0))], ids=str
)
def test_random_labels_lie_in_their_range_and_fill_it(loss):
    # At fakes of -60 the second term is nothing, and the slope in each x is (sigmoid(x) - t) / n.
    n = 4096
    x = torch.zeros(n, dtype=torch.float64, requires_grad=True)
    value = loss.d(x, torch.full((n,), -60.0, dtype=torch.float64), Draws(0, "loss"))
    labels = 0.5 - n * torch.autograd.grad(value, x)[0]
    assert labels.min() >= 0.9
    assert labels.max() < 1.0
    assert labels.max() - labels.min() > 0.099
    assert_close(labels.mean().item(), 0.95, atol=0.002, rtol=0)
    with pytest.raises(ValueError, match="random"):
        loss.d(x, x)


@pytest.mark.parametrize("label", [(0.9, 1.1), (1.0, 0.9), -0.1, 1.1])
def test_labels_are_probabilities(label):
    with pytest.raises(RecipeError, match="label"):
        NonSaturating(real=label)
    with pytest.raises(RecipeError, match="label"):
        Minimax(fake=label)


# ---------------------------------------------------------------------------------- D's accuracy


@pytest.mark.parametrize(
    ("loss", "boundary"),
    [
        (NonSaturating(), 0.0),
        (Minimax(), 0.0),
        (Hinge(), 0.0),
        (LeastSquares(), 0.5),
        (LeastSquares(real=1, fake=-1), 0.0),
        (LeastSquares(real=(0.8, 1.0), fake=0.1), 0.5),
        (Wasserstein(), 6.0),
        (RelativisticPaired(), 6.0),
        (RelativisticAverage(), 6.0),
    ],
    ids=str,
)
def test_the_boundary_between_real_and_fake(loss, boundary):
    x, y = f64(8.0, 12.0), f64(1.0, 3.0)
    assert float(loss.boundary(x, y)) == pytest.approx(boundary)


def test_smoothed_labels_move_the_optimum():
    """With labels other than 1 and 0 the best sigmoid(D) is no longer p / (p + q)."""
    assert NonSaturating().logistic
    assert not NonSaturating(real=0.9).logistic
    assert not LeastSquares().logistic


def test_a_range_of_labels_goes_upwards():
    for loss in (LeastSquares, NonSaturating, Minimax):
        with pytest.raises(RecipeError, match=r"goes upwards, not from 1.0 to 0.9"):
            loss(real=(1.0, 0.9))
