"""Unrolling by hand: D(x) = w.x or x.A x / 2, gradient descent at rate h.

Wasserstein: d = w.(theta - m) with m = E real, so k inner steps make w_k = w - k h (theta - m), and
G minimises -w_k.theta, whose gradient is -w_k + k h theta when it goes through the inner steps, and
-w_k when the fakes inside them are held still.
"""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close
from toys import ToyNets, set_up, toy, walk

from sparring.errors import RecipeError
from sparring.losses import NonSaturating, RelativisticAverage, RelativisticPaired, Wasserstein
from sparring.nets import DCGAN, MLP
from sparring.optim import SGD, Adam, AdamW, RMSprop
from sparring.tricks import (
    R1,
    FeatureMatching,
    GradientPenalty,
    HistoricalAveraging,
    InstanceNoise,
    Unrolled,
)

H = 0.1
SIMULTANEOUS = {"loss": Wasserstein(), "updates": "simultaneous"}


@pytest.mark.parametrize("steps", [1, 3])
def test_g_learns_through_the_inner_steps(steps):
    (on,) = walk(toy(tricks=(Unrolled(steps=steps),), **SIMULTANEOUS))
    w, theta, m = on.before["D.w"], on.before["G.theta"], on.real.mean(0)
    later = w - steps * H * (theta - m)
    through = -later + steps * H * theta
    assert on.stats["g_loss"] == pytest.approx(-(later @ theta).item())
    assert_close(on.moved("G.theta"), -H * through)
    # With the inner fakes detached G would follow -w_k: the difference is not small.
    assert_close(on.moved("G.theta") - H * later, -steps * H * H * theta)
    assert (steps * H * theta).norm() > 0.01 * later.norm()
    # D itself takes its one step, as without the trick.
    (off,) = walk(toy(**SIMULTANEOUS))
    assert_close(on.after["D.w"], off.after["D.w"])
    assert on.stats["d_loss"] == off.stats["d_loss"]


def test_a_quadratic_d_by_hand():
    """A_k = A - k h (E theta theta' - E x x') / 2, g = -theta.A_k theta / 2.

    Through the inner steps the gradient is -A_k theta + k h |theta|^2 theta / 2.
    """
    k = 2
    (on,) = walk(toy(nets=ToyNets(quadratic=True), tricks=(Unrolled(steps=k),), **SIMULTANEOUS))
    a, theta, x = on.before["D.a"], on.before["G.theta"], on.real
    later = a - k * H * (torch.outer(theta, theta) - x.T @ x / 4) / 2
    assert on.stats["g_loss"] == pytest.approx(-(theta @ later @ theta / 2).item())
    through = -later @ theta + k * H * theta.square().sum() * theta / 2
    assert_close(on.moved("G.theta"), -H * through)


def test_the_alternating_opponent_starts_from_the_new_d():
    (on,) = walk(toy(tricks=(Unrolled(steps=2),), loss=Wasserstein()))
    w, theta, m = on.after["D.w"], on.before["G.theta"], on.real.mean(0)
    later = w - 2 * H * (theta - m)
    assert_close(on.moved("G.theta"), H * (later - 2 * H * theta))


def test_the_inner_objective_holds_the_other_tricks():
    """R1 adds gamma w to D's gradient: w_1 = w - h (theta - m + gamma w)."""
    (on,) = walk(toy(tricks=(R1(gamma=3.0), Unrolled(steps=1)), **SIMULTANEOUS))
    w, theta, m = on.before["D.w"], on.before["G.theta"], on.real.mean(0)
    later = w - H * (theta - m + 3 * w)
    assert_close(on.moved("G.theta"), H * (later - H * theta))


@pytest.mark.parametrize("loss", [RelativisticPaired(), RelativisticAverage()], ids=str)
@pytest.mark.parametrize("more", [(), (FeatureMatching(weight=2.0),)], ids=["alone", "matching"])
def test_what_the_unrolled_d_says_of_reals_depends_on_g(loss, more):
    """G's slope where its objective reads the reals, by finite differences; layers are float32."""
    tricks = (Unrolled(steps=3), *more)
    recipe = toy(nets=ToyNets(scale=True), loss=loss, tricks=tricks)
    setup = set_up(recipe)
    theta, step = setup.players["G"].theta, setup.step

    def objective():
        (view,) = step.views("g", step.deal(setup.feed(0), 0, "g", grad=True), 0)
        return step.g_loss(view, 0)

    (slope,) = torch.autograd.grad(objective(), theta)
    numeric, at, h = torch.zeros_like(theta), theta.detach().clone(), 1e-3
    for i in range(len(at)):
        for sign in (1, -1):
            with torch.no_grad():
                theta.copy_(at)[i] += sign * h
            numeric[i] += sign * objective().detach() / (2 * h)
    assert_close(slope, numeric.detach(), rtol=1e-3, atol=1e-3)


def test_the_inner_objective_pulls_to_past_weights():
    """D's past is where it stands: one inner step is free of the pull, the second is not."""
    pull = HistoricalAveraging(weight=2.0)
    (on,) = walk(toy(tricks=(pull, Unrolled(steps=2)), **SIMULTANEOUS))
    w, theta, m = on.before["D.w"], on.before["G.theta"], on.real.mean(0)
    first = w - H * (theta - m)
    later = first - H * (theta - m + 4 * (first - w))
    assert on.stats["g_loss"] == pytest.approx(-(later @ theta).item())


OPTIMISERS = [
    SGD(lr=0.05, momentum=0.7),
    Adam(lr=0.05),
    AdamW(lr=0.05, weight_decay=0.3),
    RMSprop(lr=0.05),
]


@pytest.mark.parametrize("optim", OPTIMISERS, ids=str)
def test_the_inner_steps_are_those_of_ds_optimiser(optim):
    """With G still and the same batch for ever, the unrolled D is the D of that many steps later.

    The batch is the whole of a point mass, so a later step sees what an inner one sees.
    """
    from toys import ToyOrigin

    recipe = toy(
        data=ToyOrigin(at=(1.0, -2.0)),
        loss=NonSaturating(),
        tricks=(R1(gamma=0.2), Unrolled(steps=3)),
        d_optim=optim,
        g_optim=SGD(lr=1e-30),
        nets=ToyNets(quadratic=True),
    )
    setup = set_up(recipe)
    for number in range(2):
        stats = setup.advance(number)
    for number in range(2, 5):
        setup.step.update("d", setup.step.gradients("d", d_loss(setup, number)), [])
    theta, a = setup.players["G"].theta, setup.players["D"].a
    later = torch.nn.functional.softplus(-(theta @ a @ theta) / 2)
    assert_close(stats["g_loss"], later.detach())


def d_loss(setup, number):
    step = setup.step
    return step.d_total(
        step.views("d", step.deal(setup.feed(number), number, "d", grad=False), number), number
    )


@pytest.mark.parametrize("nets", [DCGAN(width=4, latent=5), MLP(g_widths=(8,), d_widths=(8,))])
def test_networks_with_batchnorm_dropout_and_penalties(nets, tmp_path):
    from toys import Pictures

    from sparring.data import Npz

    recipe = toy(
        data=Npz(path=Pictures.write(tmp_path / "data.npz").path),
        nets=nets,
        loss=RelativisticPaired(),
        held_out=4,
        tricks=(
            R1(gamma=0.1),
            GradientPenalty(weight=0.1),
            InstanceNoise(sigma=0.1),
            Unrolled(steps=2),
        ),
        g_optim=Adam(),
        d_optim=Adam(),
    )
    for precision in ("fp32", "bf16"):
        setup = set_up(recipe)
        setup.device.precision = precision
        before = {k: b.clone() for k, b in setup.players["D"].named_buffers()}
        for number in range(2):
            stats = setup.advance(number)
        assert all(torch.isfinite(v) for v in stats.values())
        for name, p in setup.players["G"].named_parameters():
            assert torch.isfinite(p).all(), name
        # D's statistics follow its own step alone.
        counts = [int(b) for k, b in setup.players["D"].named_buffers() if "num_batches" in k]
        assert all(c in (4, 8) for c in counts), (counts, before.keys())


def test_ds_optimiser_is_not_touched():
    moments = []
    for tricks in ((Unrolled(steps=2),), ()):
        setup = set_up(toy(tricks=tricks, d_optim=Adam(lr=0.1)))
        setup.advance(0)
        state = setup.d_optim.state[setup.players["D"].w]
        moments.append({k: v.clone() for k, v in state.items()})
    assert_close(*moments, rtol=0, atol=0)


def test_bad_fields():
    with pytest.raises(RecipeError, match="steps"):
        Unrolled(steps=0)
