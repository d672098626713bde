"""The step: who learns from what and when, worked by hand with D(x) = w.x and constant fakes.

Wasserstein: d = w.(theta - E real) has the gradient theta - E real in w, g = -w.theta has -w.
"""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close
from toys import ToyNets, set_up, toy, walk

from sparring.losses import Hinge, LeastSquares, NonSaturating, RelativisticPaired, Wasserstein
from sparring.optim import SGD
from sparring.schedules import Linear
from sparring.tricks import Drift, InstanceNoise, Trick

LR = 0.1


def start(recipe):
    setup = set_up(recipe)
    w, theta = setup.players["D"].w.detach().clone(), setup.players["G"].theta.detach().clone()
    return setup, w, theta


def test_alternating_g_answers_the_new_d():
    (on,) = walk(toy(loss=Wasserstein()))
    w = on.before["D.w"] - LR * (on.before["G.theta"] - on.real.mean(0))
    assert_close(on.after["D.w"], w)
    assert_close(on.after["G.theta"], on.before["G.theta"] + LR * w)


def test_simultaneous_both_step_from_the_same_point():
    (on,) = walk(toy(loss=Wasserstein(), updates="simultaneous"))
    assert_close(on.after["D.w"], on.before["D.w"] - LR * (on.before["G.theta"] - on.real.mean(0)))
    assert_close(on.after["G.theta"], on.before["G.theta"] + LR * on.before["D.w"])


@pytest.mark.parametrize("updates", ["alternating", "simultaneous"])
def test_several_critic_steps_each_on_its_own_batch(updates):
    setup, w, theta = start(toy(loss=Wasserstein(), updates=updates, d_steps=3))
    before = []
    for turn in range(3):
        before.append(w)
        w = w - LR * (theta - setup.feed(turn).x.mean(0))
    stats = setup.advance(0)
    assert_close(setup.players["D"].w.detach(), w)
    seen_by_g = w if updates == "alternating" else before[-1]
    assert_close(setup.players["G"].theta.detach(), theta + LR * seen_by_g)
    assert_close(stats["g_loss"], -(seen_by_g @ theta))
    # The second step goes on with the next batches.
    for turn in range(3, 6):
        w = w - LR * (setup.players["G"].theta.detach() - setup.feed(turn).x.mean(0))
    setup.advance(1)
    assert_close(setup.players["D"].w.detach(), w)


def test_two_rates():
    (on,) = walk(
        toy(loss=Wasserstein(), updates="simultaneous", g_optim=SGD(lr=0.01), d_optim=SGD(lr=0.5))
    )
    assert_close(on.moved("G.theta"), 0.01 * on.before["D.w"])
    assert_close(on.moved("D.w"), -0.5 * (on.before["G.theta"] - on.real.mean(0)))


def test_the_rate_follows_its_schedule():
    """4 images a step: the rate falls from 0.1 to 0.01 over two steps, and stays."""
    optim = SGD(lr=0.1, schedule=Linear(start=1.0, end=0.1, images=8))
    path = walk(toy(loss=Wasserstein(), updates="simultaneous", g_optim=optim), steps=4)
    for on, rate in zip(path, (0.1, 0.055, 0.01, 0.01), strict=True):
        assert_close(on.moved("G.theta"), rate * on.before["D.w"])


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("updates", ["alternating", "simultaneous"])
def test_shared_fakes_are_the_very_same(share, updates):
    recipe = toy(nets=ToyNets(shift=True), share_fakes=share, updates=updates, d_steps=2)
    setup, asked = set_up(recipe), []
    setup.players["D"].register_forward_pre_hook(
        lambda D, args: asked.append(args[0].detach().clone())
    )
    before = setup.players["G"].theta.detach().clone()
    setup.advance(0)
    assert [len(x) for x in asked] == [8, 8, 4]
    assert torch.equal(asked[1][4:], asked[2]) == share
    assert not torch.equal(asked[0][4:], asked[2])
    assert not torch.equal(setup.players["G"].theta.detach(), before)


@pytest.mark.parametrize("updates", ["alternating", "simultaneous"])
def test_each_side_moves_its_own_weights_alone(updates):
    for frozen in ("g", "d"):
        setup, w, theta = start(toy(updates=updates))
        setup.step.optims[frozen].param_groups[0]["lr"] = 0.0
        setup.advance(0)
        assert torch.equal(setup.players["D"].w.detach(), w) == (frozen == "d")
        assert torch.equal(setup.players["G"].theta.detach(), theta) == (frozen == "g")


def test_the_accuracy_of_d():
    """Reals standard normal, fakes at 0.5: which side of the loss's boundary the logits are."""
    for loss in (NonSaturating(), Hinge(), LeastSquares(), Wasserstein(), RelativisticPaired()):
        setup, w, theta = start(toy(loss=loss, batch=64, images=6400))
        real, fake = setup.feed(0).x @ w, theta @ w
        half = {LeastSquares: 0.5}.get(type(loss), 0.0)
        if type(loss) in (Wasserstein, RelativisticPaired):
            half = (real.mean() + fake) / 2
        stats = setup.advance(0)
        assert_close(stats["d_acc_real"].item(), (real > half).float().mean().item())
        assert_close(stats["d_acc_fake"].item(), float(fake < half))


def test_the_gradient_norms():
    (on,) = walk(toy(loss=Wasserstein(), updates="simultaneous"))
    d, g = (on.moved(n).norm().item() / LR for n in ("D.w", "G.theta"))
    assert on.stats["d_grad_norm"] == pytest.approx(d)
    assert on.stats["g_grad_norm"] == pytest.approx(g)


CALLS: list[str] = []


class ToyRecorder(Trick):
    """Writes down each call of a hook, with the images seen; triples the opponent's logits."""

    name: str = "a"

    def note(self, hook, view):
        CALLS.append(f"{self.name}.{view.side}.{hook}@{int(view.images)}")

    def init(self, view, state):
        self.note("init", view)
        return {"count": torch.zeros(())}

    def see(self, view, state, images):
        self.note("see", view)
        return images

    def fakes(self, view, state, batch):
        self.note("fakes", view)
        state["count"] += 1
        return batch

    def d_term(self, view, state):
        self.note("d_term", view)
        return 1.0

    def g_term(self, view, state):
        self.note("g_term", view)
        return 2.0

    def opponent(self, view, state, D):
        self.note("opponent", view)
        return D

    def after_step(self, view, state):
        self.note("after_step", view)


def test_the_hooks_are_called_in_the_order_of_the_recipe():
    CALLS.clear()
    recipe = toy(tricks=(ToyRecorder(name="b"), ToyRecorder(name="a")), d_steps=2)
    setup = set_up(recipe)
    assert CALLS == ["b.d.init@0", "a.d.init@0"]
    for step, (first, second, third) in enumerate(((0, 4, 0), (8, 12, 8))):
        CALLS.clear()
        setup.advance(step)
        wanted = []
        for images in (first, second):
            for hook in ("fakes", "see", "see", "d_term", "after_step"):
                wanted += [f"{name}.d.{hook}@{images}" for name in "ba"]
        for hook in ("opponent", "see", "g_term", "after_step"):
            wanted += [f"{name}.g.{hook}@{third}" for name in "ba"]
        assert wanted == CALLS
    assert list(setup.step.states["D"]) == ["ToyRecorder0", "ToyRecorder1"]
    assert setup.step.states["D"]["ToyRecorder1"]["count"] == 4


def test_a_tricks_draws_are_its_own_whatever_stands_before_it():
    """As its state is, which a checkpoint finds by the same name."""
    noise = InstanceNoise(sigma=1.0)
    weights = [
        walk(toy(tricks=tricks))[0].after["G.theta"]
        for tricks in ((noise,), (Drift(weight=0.0), noise), (noise, Drift(weight=0.0)))
    ]
    assert torch.equal(weights[0], weights[1])
    assert torch.equal(weights[0], weights[2])
    twice = set_up(toy(tricks=(noise, Drift(), InstanceNoise(sigma=0.5)))).step.states["D"]
    assert list(twice) == ["InstanceNoise0", "Drift0", "InstanceNoise1"]


def test_terms_add_up_and_multiply_by_every():
    plain = walk(toy(updates="simultaneous"))[0].stats
    tricks = (ToyRecorder(), ToyRecorder(name="b", every=5))
    stats = walk(toy(updates="simultaneous", tricks=tricks))[0].stats
    assert stats["d_loss"] - plain["d_loss"] == pytest.approx(6.0)
    assert stats["g_loss"] - plain["g_loss"] == pytest.approx(12.0)


class ToyOpponent(Trick):
    """G plays against three times D."""

    def opponent(self, view, state, D):
        class Thrice(torch.nn.Module):
            def forward(self, x, c=None, features=False):
                return 3 * D(x, c)

        return Thrice()


def test_the_opponent_is_what_g_plays_against():
    on, off = (
        walk(toy(tricks=t, loss=Wasserstein(), updates="simultaneous"))[0]
        for t in ((ToyOpponent(),), ())
    )
    assert on.stats["g_loss"] == pytest.approx(3 * off.stats["g_loss"])
    assert on.stats["d_loss"] == off.stats["d_loss"]
    assert_close(on.moved("G.theta"), 3 * off.moved("G.theta"))


def test_ds_objective_as_a_function_of_d():
    """view.d_loss, for unrolling: of another D, without a trace in the view."""
    setup, w, theta = start(toy(loss=Wasserstein()))
    (view,) = setup.step.views("d", setup.step.deal(setup.feed(0), 0, "d", grad=False), 0)
    other = ToyNets().discriminator(setup.spec)
    with torch.no_grad():
        other.w.mul_(2)
    assert_close(view.d_loss(other, view), 2 * w @ (theta - setup.feed(0).x.mean(0)))
    assert view.D is setup.players["D"]
    assert not hasattr(view, "real_logits")
