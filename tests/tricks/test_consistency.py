"""Consistency by hand: D(x) = w.x with w = (1, 1.5, 2), so D(x + s) - D(x) = w.s."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch.testing import assert_close
from toys import Pictures, ToyNets, set_up, toy, walk

from sparring.data import Npz
from sparring.errors import RecipeError
from sparring.losses import Wasserstein
from sparring.nets import Fast
from sparring.optim import Adam
from sparring.tricks import (
    ADA,
    R1,
    Consistency,
    DiffAugment,
    InstanceNoise,
    LatentConsistency,
    LeCam,
    Trick,
)

LR = 0.1
W = torch.tensor([1.0, 1.5, 2.0], dtype=torch.float64)
SIMULTANEOUS = {"loss": Wasserstein(), "updates": "simultaneous"}


class ToyAddOne(Trick):
    """Adds one to all that D sees."""

    paper = "none"

    def see(self, view, state, images):
        return images + 1


def pair(*tricks: Trick, **changes):
    changes = SIMULTANEOUS | changes
    return walk(toy(tricks=tricks, **changes))[0], walk(toy(**changes))[0]


@pytest.mark.parametrize(("real", "fake"), [(3.0, 0.0), (0.0, 2.0), (3.0, 2.0)])
def test_the_change_of_a_linear_d(real, fake):
    """T x = x + 1 moves every logit by 4.5."""
    on, off = pair(Consistency(real=real, fake=fake, augment=ToyAddOne()))
    weight = real + fake
    assert on.stats["d_loss"] - off.stats["d_loss"] == pytest.approx(weight * 4.5**2, rel=1e-5)
    assert on.stats["g_loss"] == off.stats["g_loss"]
    slope = 2 * weight * 4.5 * torch.ones(3, dtype=torch.float64)
    assert_close(on.moved("D.w") - off.moved("D.w"), -LR * slope, rtol=1e-5, atol=1e-7)
    assert_close(on.moved("G.theta"), off.moved("G.theta"))


def test_the_copy_is_of_what_d_sees():
    """Behind another trick's view the logits compared are those of the seen images."""
    on, off = (
        walk(toy(tricks=t, **SIMULTANEOUS))[0]
        for t in (
            (ToyAddOne(), Consistency(real=1.0, fake=1.0, augment=ToyAddOne())),
            (ToyAddOne(),),
        )
    )
    assert on.stats["d_loss"] - off.stats["d_loss"] == pytest.approx(2 * 4.5**2, rel=1e-5)


@pytest.mark.parametrize("scales", [1, 2])
def test_patches_that_move_are_compared_as_a_whole(scales):
    """A mirror moves what each logit is of, and not their mean."""

    class Mirror(ToyAddOne):
        def see(self, view, state, images):
            return images.flip(-1) + 1

    x = torch.rand(4, 1, 5, 6)
    view = SimpleNamespace(
        images=torch.tensor(0), D=None, c=None, fake_c=None, real_seen=x, fake_seen=x
    )
    view.ask = lambda D, x, c: torch.cat([x.flatten(1)] * scales, 1)
    view.real_logits = view.fake_logits = view.ask(None, x, None)
    term = Consistency(real=2.0, fake=3.0, augment=Mirror()).d_term(view, {})  # pyright: ignore
    assert_close(term, torch.tensor(5.0))


def test_the_draws_are_the_tricks_own():
    on, off = pair(Consistency(real=1.0, fake=0.0, augment=InstanceNoise(sigma=0.5)))
    noise = on.setup.step.draws(0, "d", "Consistency0").normal(4, 3).double()
    term = (0.5 * noise @ W).square().mean().item()
    assert on.stats["d_loss"] - off.stats["d_loss"] == pytest.approx(term, rel=1e-4)


def test_latent_consistency_of_d():
    """G(z) = z + theta: D(G(z')) - D(G(z)) = sigma w.n."""
    nets = ToyNets(shift=True)
    on, off = pair(LatentConsistency(d=3.0, g=0.0, sigma=0.2), nets=nets)
    n = on.setup.step.draws(0, "d", "LatentConsistency0").normal(4, 3).double()
    moved = 0.2 * n @ W
    assert on.stats["d_loss"] - off.stats["d_loss"] == pytest.approx(
        3 * moved.square().mean().item(), rel=1e-4
    )
    slope = 3 * 2 * (moved[:, None] * 0.2 * n).mean(0)
    assert_close(on.moved("D.w") - off.moved("D.w"), -LR * slope, rtol=1e-4, atol=1e-6)
    assert_close(on.moved("G.theta"), off.moved("G.theta"))


def test_latent_consistency_of_g():
    """G(z) = theta z: it is paid g times the mean of (sigma theta n)^2."""
    nets = ToyNets(scale=True)
    on, off = pair(LatentConsistency(d=0.0, g=3.0, sigma=0.2), nets=nets)
    n = on.setup.step.draws(0, "g", "LatentConsistency0").normal(4, 3).double()
    theta = on.before["G.theta"]
    paid = 3 * (0.2 * theta * n).square().mean()
    assert on.stats["g_loss"] - off.stats["g_loss"] == pytest.approx(-paid.item(), rel=1e-4)
    slope = -3 * 2 * theta * (0.2 * n).square().mean(0) / 3
    assert_close(on.moved("G.theta") - off.moved("G.theta"), -LR * slope, rtol=1e-4, atol=1e-6)
    assert_close(on.moved("D.w"), off.moved("D.w"))


def test_latent_consistency_is_untouched_by_what_d_sees():
    """With noise on all that D sees the two compared are both clean."""
    noise, trick = InstanceNoise(sigma=3.0), LatentConsistency(d=1.0, g=0.0, sigma=0.2)
    changes = SIMULTANEOUS | {"nets": ToyNets(shift=True)}
    on, off = (walk(toy(tricks=t, **changes))[0] for t in ((noise, trick), (noise,)))
    n = on.setup.step.draws(0, "d", "LatentConsistency0").normal(4, 3).double()
    term = (0.2 * n @ W).square().mean().item()
    assert on.stats["d_loss"] - off.stats["d_loss"] == pytest.approx(term, rel=1e-3)


def test_latent_consistency_is_not_rounded(tmp_path):
    """A step of a hundredth is smaller than what bfloat16 rounds off."""
    recipe = toy(
        data=Npz(path=Pictures.write(tmp_path / "data.npz").path),
        nets=Fast(g_width=8, d_width=8),
        batch=8,
        held_out=4,
        tricks=(LatentConsistency(sigma=0.01),),
    )
    found = []
    for precision in ("fp32", "bf16"):
        setup = set_up(recipe)
        setup.device.precision = precision
        terms = []
        for side in ("d", "g"):
            pairs = setup.step.deal(setup.feed(0), 0, side, grad=False)
            (view,) = setup.step.views(side, pairs, 0)
            setup.step.d_loss(view.D, view, 0)
            (trick,) = recipe.tricks
            view.caller = "LatentConsistency0"
            view._rngs.clear()
            terms.append(getattr(trick, f"{side}_term")(view, {}).detach())
        found.append(torch.stack(terms))
    assert_close(*found, rtol=1e-3, atol=0)


def test_images_in_bfloat16(tmp_path):
    recipe = toy(
        data=Npz(path=Pictures.write(tmp_path / "data.npz").path),
        nets=Fast(g_width=8, d_width=8),
        batch=8,
        held_out=4,
        tricks=(Consistency(), LatentConsistency(), R1()),
        g_optim=Adam(),
        d_optim=Adam(),
    )
    losses = []
    for precision in ("fp32", "bf16"):
        setup = set_up(recipe)
        setup.device.precision = precision
        losses.append([setup.advance(k)["d_loss"] for k in range(2)])
    assert_close(*map(torch.stack, losses), rtol=0.02, atol=0.02)


def test_bad_fields():
    for bad in (
        lambda: Consistency(real=-1.0),
        lambda: Consistency(augment=R1()),
        lambda: LatentConsistency(sigma=0.0),
        lambda: LatentConsistency(d=-1.0),
        lambda: LatentConsistency(d=0.0, g=0.0),
        lambda: Consistency(real=0.0, fake=0.0),
    ):
        with pytest.raises(RecipeError):
            bad()
    with pytest.raises(RecipeError, match="does not change what D sees"):
        Consistency(augment=LeCam())
    with pytest.raises(RecipeError, match="has a state of its own"):
        Consistency(augment=ADA())
    with pytest.raises(RecipeError, match=r"these are points. Fix: InstanceNoise\(\) in its place"):
        set_up(toy(tricks=(Consistency(augment=DiffAugment()),)))
