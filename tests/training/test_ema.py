"""The moving average against its closed form."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.testing import assert_close
from toys import set_up, toy

from sparring.training.ema import Ema


class Number(nn.Module):
    def __init__(self, x: float) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.tensor([x], dtype=torch.float64))
        self.register_buffer("statistic", torch.tensor([x], dtype=torch.float64))
        self.register_buffer("count", torch.tensor(0))

    @torch.no_grad()
    def set(self, x: float) -> None:
        self.p.fill_(x)
        self.statistic.fill_(x)


def test_closed_form():
    """From 0 towards a net at 1, n steps of b images with half-life h give 1 - 2^(-nb/h)."""
    net = Number(0.0)
    ema = Ema(net, half_life=300, ramp=0.0)
    net.set(1.0)
    for n in range(1, 11):
        net.count += 1
        ema.update(50, n * 50)
        exact = torch.tensor([1 - 0.5 ** (n * 50 / 300)], dtype=torch.float64)
        assert_close(ema.net.p.detach(), exact)
        assert_close(ema.net.statistic, exact)
        assert ema.net.count == n
    assert_close(Ema(net, 300, 0.0).decay(300, 10**9), 0.5)


def test_the_ramp_bounds_the_half_life_by_the_images_seen():
    ema = Ema(Number(0.0), half_life=1000, ramp=0.05)
    assert ema.decay(64, 1280) == 0.5  # the half-life is 0.05 * 1280 = 64
    assert ema.decay(64, 20_000) == ema.decay(64, 10**9) == pytest.approx(0.5 ** (64 / 1000))
    assert ema.decay(64, 64) < 1e-5


@pytest.mark.parametrize("ramp", [0.0, 0.05])
def test_no_half_life_is_no_average(ramp):
    net = Number(0.0)
    ema = Ema(net, half_life=0, ramp=ramp)
    net.set(1.0)
    ema.update(64, 64)
    assert_close(ema.net.p, net.p, rtol=0, atol=0)


def test_without_a_half_life_nothing_is_copied_until_somebody_looks():
    net = Number(0.0)
    ema = Ema(net, half_life=0, ramp=0.0)
    held = ema.net
    net.set(1.0)
    net.count += 3
    ema.update(64, 64)
    assert held.p == 0.0
    assert ema.net is held
    assert (held.p, held.statistic, held.count) == (1.0, 1.0, 3)


def test_the_average_is_apart_from_the_network():
    net = Number(1.0)
    ema = Ema(net, half_life=300, ramp=0.0)
    assert not ema.net.p.requires_grad
    assert not ema.net.training
    with torch.no_grad():
        net.p.fill_(5.0)
    assert ema.net.p == 1.0


def test_in_a_run_it_is_the_weighted_mean_of_gs_path():
    """d_steps * batch images a step, the ramp read after the step."""
    setup = set_up(toy(ema=100, ema_ramp=0.5, d_steps=2))
    average = setup.players["G"].theta.detach().clone()
    for n in range(6):
        setup.advance(n)
        decay = 0.5 ** (8 / min(100, 0.5 * 8 * (n + 1)))
        average = decay * average + (1 - decay) * setup.players["G"].theta.detach()
        assert_close(setup.averages["G"].net.theta.detach(), average)
