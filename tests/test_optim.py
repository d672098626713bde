"""Optimisers: the first steps by hand, and the rate."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from sparring.errors import RecipeError
from sparring.optim import SGD, Adam, AdamW, Optimiser, RMSprop
from sparring.parts import catalogue
from sparring.schedules import Cosine, Linear

OURS = [c for c in catalogue(Optimiser) if c.__module__ == "sparring.optim"]


def steps(part: Optimiser, gradients: list[float], start: float = 1.0) -> list[float]:
    """Where one weight goes."""
    p = torch.tensor([start], dtype=torch.float64, requires_grad=True)
    optim, path = part.build([p]), []
    for g in gradients:
        p.grad = torch.tensor([g], dtype=torch.float64)
        optim.step()
        path.append(p.item())
    return path


def test_sgd_by_hand():
    assert steps(SGD(lr=0.1), [2.0, -1.0]) == pytest.approx([0.8, 0.9])
    # velocity 2, then 0.5 * 2 - 1 = 0
    assert steps(SGD(lr=0.1, momentum=0.5), [2.0, -1.0]) == pytest.approx([0.8, 0.8])


def test_adam_by_hand():
    # The first step is lr * sign(g) whatever the size of g (eps aside).
    assert steps(Adam(lr=0.1), [5.0]) == pytest.approx([0.9])
    assert steps(Adam(lr=0.1), [-0.01], start=0.0) == pytest.approx([0.1], rel=1e-5)
    # m = 0.5 m + 0.5 g, v = 0.9 v + 0.1 g^2, both divided by 1 - beta^t:
    # m = 0.5 * 0.5 * 1 + 0.5 * 3 = 1.75 of 0.75; v = 0.9 * 0.1 * 1 + 0.1 * 9 = 0.99 of 0.19
    second = 0.9 - 0.1 * (1.75 / 0.75) / math.sqrt(0.99 / 0.19)
    assert steps(Adam(lr=0.1, betas=(0.5, 0.9)), [1.0, 3.0]) == pytest.approx([0.9, second])


def test_adamw_decays_the_weight_apart():
    # 2 * (1 - 0.1 * 0.5) - 0.1 * sign(g)
    assert steps(AdamW(lr=0.1, weight_decay=0.5), [7.0], start=2.0) == pytest.approx([1.8])
    assert steps(AdamW(lr=0.1, weight_decay=0.0), [7.0]) == steps(Adam(lr=0.1), [7.0])


def test_rmsprop_by_hand():
    # v = 0.01 g^2: the first step is lr / sqrt(0.01)
    assert steps(RMSprop(lr=0.01), [3.0]) == pytest.approx([0.9])


@pytest.mark.parametrize("cls", OURS, ids=lambda c: c.__name__)
def test_the_fields_reach_torch(cls):
    p = torch.zeros(1, requires_grad=True)
    group = cls(lr=0.125).build([p]).param_groups[0]
    assert group["lr"] == 0.125
    part = cls()
    for name in ("betas", "eps", "weight_decay", "alpha", "momentum"):
        if hasattr(part, name):
            assert group[name] == getattr(part, name)


def test_the_gan_defaults():
    assert (Adam().lr, Adam().betas) == (2e-4, (0.5, 0.999))
    assert RMSprop().lr == 5e-5


@pytest.mark.parametrize("cls", OURS, ids=lambda c: c.__name__)
def test_the_rate_is_lr_times_the_schedule(cls):
    assert cls(lr=0.5).rate(10**9) == 0.5
    part = cls(lr=0.5, schedule=Linear(start=1.0, end=0.0, images=100))
    assert_close([part.rate(n) for n in (0, 25, 100, 500)], [0.5, 0.375, 0.0, 0.0])
    assert cls(lr=0.5, schedule=Cosine(images=100)).rate(50) == pytest.approx(0.5 * 0.55)


@pytest.mark.parametrize("cls", OURS, ids=lambda c: c.__name__)
@pytest.mark.parametrize("lr", [0.0, -1e-4, math.inf, math.nan])
def test_a_rate_is_positive(cls, lr):
    with pytest.raises(RecipeError):
        cls(lr=lr)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Adam(betas=(1.5, 0.9)),
        lambda: AdamW(weight_decay=-1.0),
        lambda: SGD(momentum=-3.0),
        lambda: RMSprop(alpha=1.0),
        lambda: Adam(schedule=Linear(start=-1.0)),
    ],
)
def test_values_that_torch_would_refuse_later(make):
    with pytest.raises(RecipeError, match="bad value"):
        make()


@pytest.mark.parametrize(
    "part",
    [
        Adam(lr=0.1, betas=(0.5, 0.9)),
        Adam(lr=0.1, betas=(0.0, 0.99), eps=1e-3),
        AdamW(lr=0.1, weight_decay=0.2),
        RMSprop(lr=0.1),
        SGD(lr=0.1),
        SGD(lr=0.1, momentum=0.9),
    ],
    ids=str,
)
def test_a_step_as_a_function_is_the_step_of_torch(part):
    """Gradients of many sizes, and one that is always zero."""
    p = torch.nn.Parameter(torch.tensor([1.0, -2.0, 3.0, 0.5], dtype=torch.float64))
    weight, memory, optim = p.detach().clone(), {}, part.build([p])
    rng = torch.Generator().manual_seed(0)
    for number in range(6):
        g = torch.randn(4, generator=rng, dtype=torch.float64) * torch.tensor([1, 1e-3, 1e3, 0])
        if number == 3:  # goes on from what torch remembers
            memory = dict(optim.state[p])
        weight, memory = part.follow(weight, g, memory, 0.1)
        p.grad = g
        optim.step()
        assert_close(weight, p.detach(), rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("part", [Adam(), AdamW(), RMSprop(), SGD(momentum=0.5)], ids=str)
def test_a_step_as_a_function_has_finite_slopes_where_nothing_moves(part):
    weight = torch.ones(2, dtype=torch.float64)
    g = torch.tensor([0.0, 1.0], dtype=torch.float64, requires_grad=True)
    new, memory = part.follow(weight, g, {}, 0.1)
    new, _ = part.follow(new, g, memory, 0.1)
    assert torch.isfinite(torch.autograd.grad(new.sum(), g)[0]).all()
