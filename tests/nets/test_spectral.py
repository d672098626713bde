"""Spectral norm: against singular values, one iteration a step, penalties, averages, resuming."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.testing import assert_close
from toys import Pictures, set_up, walk

import sparring
from sparring.nets import (
    DCGAN,
    MLP,
    Concat,
    Fast,
    Nets,
    Projection,
    ResNet,
    Spec,
    SuperResolver,
    UNet,
    settle,
)
from sparring.nets.spectral import Spectral, spectral
from sparring.randomness import Draws, seeded
from sparring.recipe import Recipe
from sparring.tricks import R1, GradientPenalty
from sparring.tricks.trick import slopes

SMALL: list[Nets] = [
    ResNet(g_width=4, d_width=4, latent=4, g_spectral=True, attention=8),
    DCGAN(width=4, latent=4, g_spectral=True, d_spectral=True, d_norm="none"),
    Fast(g_width=4, d_width=4, latent=4, g_spectral=True, d_spectral=True),
    MLP(latent=4, g_widths=(8, 6), d_widths=(8, 6), dropout=0, g_spectral=True, d_spectral=True),
]
every_net = pytest.mark.parametrize("nets", SMALL, ids=lambda n: type(n).__name__)


def largest(weight: torch.Tensor, transposed: bool = False) -> torch.Tensor:
    return torch.linalg.svdvals((weight.transpose(0, 1) if transposed else weight).flatten(1))[0]


def rules(net: nn.Module) -> list[tuple[nn.Module, Spectral]]:
    found = ((m, getattr(m, "parametrizations", None)) for m in net.modules())
    return [(m, p["weight"][0]) for m, p in found if p is not None]


@pytest.mark.parametrize(
    "layer",
    [
        nn.Linear(7, 5),
        nn.Conv2d(3, 6, 3),
        nn.ConvTranspose2d(6, 3, 4),
        nn.Conv1d(2, 4, 3),
        nn.Conv2d(4, 1, 1),
    ],
    ids=str,
)
def test_the_largest_singular_value_becomes_one(layer):
    transposed = isinstance(layer, nn.ConvTranspose2d)
    with seeded(0):  # how fast the iteration converges depends on the weights
        layer.reset_parameters()
    layer = layer.double()
    before = layer.weight.detach().clone()
    spectral(layer)
    for _ in range(1000):
        settle(layer)
    assert_close(layer.weight, before / largest(before, transposed), rtol=1e-9, atol=1e-12)
    assert_close(largest(layer.weight.detach(), transposed), torch.ones((), dtype=torch.float64))


def test_the_first_iterations_are_near_enough():
    """The u that a new network has: sigma is never too large, and at most a tenth too small."""
    with seeded(0):
        layer = nn.Conv2d(32, 64, 3)
        spectral(layer)
    assert 1.0 <= largest(layer.weight.detach()) < 1.1


def test_the_gradient_is_that_of_the_divided_weight():
    """d(W / sigma(W)) with sigma by svd, once u has converged."""
    with seeded(0):
        layer = nn.Linear(4, 3).double()
    spectral(layer)
    for _ in range(1000):
        settle(layer)
    w = layer.parametrizations.weight.original
    y = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    (ours,) = torch.autograd.grad((layer.weight * y).sum(), w)
    (theirs,) = torch.autograd.grad((w / torch.linalg.svdvals(w)[0] * y).sum(), w)
    assert_close(ours, theirs)


def test_asking_changes_nothing_and_settling_is_one_iteration():
    layer = nn.Linear(6, 6)
    spectral(layer)
    ((_, rule),) = rules(layer)
    u, weight = rule.u.clone(), layer.weight.detach().clone()
    layer.train()
    for _ in range(3):
        layer(torch.ones(2, 6))
    assert_close(rule.u, u, rtol=0, atol=0)
    assert_close(layer.weight, weight, rtol=0, atol=0)
    w = layer.parametrizations.weight.original.detach()
    with torch.no_grad():
        w.add_(torch.eye(6))
    settle(layer)
    v = w.T @ u
    wanted = w @ (v / v.norm())
    assert_close(rule.u, wanted / wanted.norm())


@every_net
def test_every_weight_of_a_network_is_normalised(nets):
    spec = Spec((3, 16, 16), ("a", "b"))
    nets = replace(nets, condition=Projection())
    for net in (nets.generator(spec), nets.discriminator(spec)):
        plain = [
            name
            for name, p in net.named_parameters()
            if p.dim() > 1 and "parametrizations" not in name and p.any()  # not what starts at zero
        ]
        assert plain == []
        assert len(rules(net)) >= 3
    D = nets.discriminator(spec)
    assert any(isinstance(m, type(D.verdict.embedding).__mro__[1]) for m, _ in rules(D))


@pytest.mark.parametrize("nets", [UNet(), SuperResolver()], ids=lambda n: type(n).__name__)
def test_a_discriminator_of_patches_is_normalised(nets):
    spec = Spec((6, 16, 16), inputs=(3, 16, 16))
    plain, divided = (
        replace(nets, d_width=4, d_norm="none", d_spectral=way, scales=2).discriminator(spec)
        for way in (False, True)
    )
    assert not rules(plain)
    layers = [m for m in divided.modules() if isinstance(m, nn.Conv2d)]
    assert len(rules(divided)) == len(layers) >= 6
    assert all(0.99 < largest(m.weight.detach()) < 1.1 for m in layers)


@every_net
def test_the_slope_of_d_can_be_penalised(nets):
    """Twice backward through the division: as torch.func.grad and then backward."""
    with seeded(0):
        D = nets.discriminator(Spec((1, 16, 16))).double()
    x = torch.randn(3, 1, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mine, _, _ = slopes(D, x)
    theirs = torch.func.grad(lambda t: D(t).sum())(x)
    assert_close(mine, theirs)
    params = list(D.parameters())
    ours = torch.autograd.grad(mine.square().sum(), params, allow_unused=True)
    wanted = torch.autograd.grad(theirs.square().sum(), params, allow_unused=True)
    for a, b in zip(ours, wanted, strict=True):
        if a is None or b is None:  # of a bias at the end both are nothing
            assert a is None or not a.any()
            assert b is None or not b.any()
        else:
            assert_close(a, b)


def recipe(tmp_path, nets: Nets, **changes) -> Recipe:
    source = sparring.Npz(path=Pictures.write(tmp_path / "x.npz").path)
    base = Recipe(data=source, nets=nets, batch=4, images=40, precision="fp32", metrics=())
    return replace(base, **changes)


@every_net
def test_a_step_settles_each_side_once(tmp_path, nets, monkeypatch):
    """With several asks of D in a step, penalties and critic steps, u moves once a step."""
    calls = []
    monkeypatch.setattr(Spectral, "iterate", lambda self, w, times=1: calls.append(id(self)))
    setup = set_up(recipe(tmp_path, nets, tricks=(R1(), GradientPenalty()), d_steps=2))
    calls.clear()
    setup.advance(0)
    for name, times in (("G", 1), ("D", 2)):
        mine = {id(rule) for _, rule in rules(setup.players[name])}
        assert sorted(c for c in calls if c in mine) == sorted(list(mine) * times)
    assert not {id(rule) for _, rule in rules(setup.averages["G"].net)} & set(calls)


@every_net
def test_a_step_follows_the_weights(tmp_path, nets):
    """After some steps sigma is that of the weights as they are, in G, in D and in the average."""
    setup = walk(recipe(tmp_path, nets, ema=20), steps=6)[-1].setup
    for net in (*setup.players.values(), setup.averages["G"].net):
        for layer, _ in rules(net):
            transposed = isinstance(layer, nn.ConvTranspose2d)
            assert 1 - 1e-5 <= largest(layer.weight.detach(), transposed) < 1.15


@every_net
def test_a_resumed_run_repeats(tmp_path, nets):
    whole = sparring.train(recipe(tmp_path, nets), tmp_path / "whole", quiet=True)
    half = replace(recipe(tmp_path, nets), images=20, sample_every=2, checkpoint_every=4)
    sparring.train(half, tmp_path / "half", quiet=True)
    sparring.resume(tmp_path / "half", images=40, quiet=True)
    ours, theirs = sparring.load(tmp_path / "half"), sparring.load(whole)
    assert_close(ours.generator.state_dict(), theirs.generator.state_dict(), rtol=0, atol=0)
    assert_close(ours.sample(4), theirs.sample(4), rtol=0, atol=0)


@every_net
def test_the_same_under_bfloat16(nets):
    spec = Spec((1, 16, 16))
    with seeded(0):
        G, D = nets.generator(spec).eval(), nets.discriminator(spec).eval()
    x = G(G.noise(4, Draws(0, "z")))
    with torch.autocast("cpu", torch.bfloat16):
        close = D(G(G.noise(4, Draws(0, "z"))))
        slope, _, _ = slopes(D, x.detach())
    assert torch.isfinite(slope).all()
    assert_close(close.float(), D(x), rtol=0.1, atol=0.05)


@pytest.mark.parametrize("nets", [ResNet(), DCGAN(d_spectral=True)], ids=str)
def test_the_plane_of_a_class_is_seen_as_strongly_as_without(nets):
    """As one matrix it would be divided by about the root of the pixels and hardly be seen."""
    D = replace(nets, condition=Concat()).discriminator(Spec((3, 32, 32), ("a", "b", "c")))
    x, c = torch.zeros(3, 3, 32, 32), torch.arange(3)
    plane = D.see(x, c)[:, 3]
    assert 0.8 < plane.std() < 1.2


def test_conditional_norms_that_start_at_zero_learn_as_they_are():
    """Divided by their own size they had a gradient of 1e12 at the first step, and none after."""
    with seeded(0):
        nets = ResNet(g_width=8, d_width=8, latent=5, condition=Projection(), g_spectral=True)
        G = nets.generator(Spec((1, 32, 32), ("a", "b", "c")))
    z = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    G(z, torch.tensor([0, 1, 2, 0])).square().sum().backward()
    norms = [p.grad.norm() for p in G.parameters() if p.grad is not None]
    assert 0 < max(norms) < 1e5
    assert not any("gain" in name for name, rule in G.named_modules() if isinstance(rule, Spectral))
