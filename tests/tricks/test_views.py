"""Changes to what D sees, measured at D's door."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close
from toys import ToyOrigin, set_up, toy

from sparring.errors import RecipeError
from sparring.losses import Wasserstein
from sparring.schedules import Exponential, Linear
from sparring.tricks import InstanceNoise

N = 4096


def seen(trick: InstanceNoise, steps: int = 1, **changes) -> list[torch.Tensor]:
    """What D was asked about, in order: D's steps (reals at 2, then fakes), G's (fakes)."""
    recipe = toy(data=ToyOrigin(at=(2.0,)), tricks=(trick,), batch=N, images=10 * N, **changes)
    setup, asked = set_up(recipe), []
    setup.players["D"].register_forward_pre_hook(
        lambda D, args: asked.append(args[0].detach().clone())
    )
    for number in range(steps):
        with torch.no_grad():
            setup.players["G"].theta.zero_()
        setup.advance(number)
    return asked


def test_the_noise_has_the_variance_and_hits_real_and_fake_apart():
    d, g = seen(InstanceNoise(sigma=0.3))
    real, fake, again = (d[:N] - 2) / 0.3, d[N:] / 0.3, g / 0.3
    for noise in (real, fake, again):
        assert noise.shape == (N, 1)
        assert_close(noise.mean().item(), 0.0, atol=4 / N**0.5, rtol=0)
        assert_close(noise.var().item(), 1.0, atol=4 * (2 / N) ** 0.5, rtol=0)
    for a, b in ((real, fake), (fake, again), (real, again)):
        assert abs((a * b).mean()) < 4 / N**0.5


def test_the_raw_images_stay_clean():
    setup = set_up(toy(data=ToyOrigin(at=(2.0,)), tricks=(InstanceNoise(sigma=1.0),)))
    (view,) = setup.step.views("d", setup.step.deal(setup.feed(0), 0, "d", grad=False), 0)
    setup.step.d_loss(view.D, view, 0)
    assert_close(view.real, torch.full((4, 1), 2.0, dtype=torch.float64))
    assert_close(view.fake, torch.full((4, 1), 0.5, dtype=torch.float64))
    assert not torch.equal(view.real_seen, view.real)


@pytest.mark.parametrize(
    ("sigma", "expected"),
    [
        (Linear(start=0.4, end=0.0, images=2 * N), [0.4, 0.2, 0.0, 0.0]),
        (Exponential(start=0.4, end=0.1, images=2 * N), [0.4, 0.2, 0.1, 0.1]),
        (0.4, [0.4] * 4),
    ],
    ids=str,
)
def test_it_decays(sigma, expected):
    asked = seen(InstanceNoise(sigma=sigma), steps=4)
    for d, g, s in zip(asked[::2], asked[1::2], expected, strict=True):
        for noise in (d[:N] - 2, g):
            assert_close(noise.std().item(), s, atol=4 * s * (0.5 / N) ** 0.5 + 1e-7, rtol=0)


def test_no_noise_at_zero():
    (d, g) = seen(InstanceNoise(sigma=0.0))
    assert (d[:N] == 2).all()
    assert (g == 0).all()


def test_g_learns_through_the_noise():
    """The noise is added, so the slope of the loss in G's samples stays w."""
    moved = []
    for tricks in ((InstanceNoise(sigma=0.1),), ()):
        setup = set_up(toy(tricks=tricks, loss=Wasserstein(), updates="simultaneous"))
        setup.advance(0)
        moved.append(setup.players["G"].theta.detach())
    assert_close(*moved)


def test_the_default_spans_the_run():
    assert InstanceNoise().sigma == Linear(start=0.1, end=0.0)
    with pytest.raises(RecipeError):
        InstanceNoise(sigma=-0.1)
