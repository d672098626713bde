"""StyleGAN2: demodulation, equalised rates, noise as part of z, style mixing, truncation."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import conv2d, conv_transpose2d
from torch.testing import assert_close

from sparring.errors import RecipeError
from sparring.nets import Concat, Projection, Spec, StyleGAN2
from sparring.nets.equal import EqualConv, EqualLinear, act
from sparring.nets.stylegan2 import Modulated, double
from sparring.randomness import Draws, seeded
from sparring.tricks.trick import slopes

SMALL = StyleGAN2(width=8, latent=6, mapping=2)
SPEC = Spec((2, 16, 24), ("a", "b"))


def images(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def generator(nets=SMALL, spec=SPEC):
    with seeded(0):
        G = nets.generator(spec).double()
    with torch.no_grad():
        for name, p in G.named_parameters():
            if name.endswith("strength"):
                p.fill_(0.3)  # which starts at zero
    return G


# ------------------------------------------------------------------------------- modulation, rates


def test_the_demodulated_variance_is_one():
    """Of white noise, whatever the style and whatever the weights' scale."""
    with seeded(0):
        layer = Modulated(32, 16, style=8).double()
    with torch.no_grad():
        layer.weight.mul_(torch.linspace(0.1, 5.0, 16)[:, None, None, None])
    y = layer(images(64, 32, 12, 12), 3 * images(64, 8, seed=1))
    inside = y[:, :, 1:-1, 1:-1]  # the border has zeros beside it
    variance = inside.square().mean((2, 3)).mean(0)
    assert_close(variance, torch.ones_like(variance), rtol=0.06, atol=0)
    assert_close(inside.square().mean(), torch.ones((), dtype=torch.float64), rtol=0.02, atol=0)


def test_scaling_in_and_out_is_the_papers_modulated_weight():
    with seeded(0):
        layer = Modulated(5, 4, style=3).double()
    x, w = images(6, 5, 7, 8), images(6, 3, seed=1)
    s = layer.affine(w)
    for i in range(6):
        weight = s[i][None, :, None, None] * layer.weight / math.sqrt(5 * 9)
        weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        assert_close(layer(x, w)[i], conv2d(x[i : i + 1], weight, padding=1)[0])


def test_equalised_rates():
    """Weights from N(0, 1), scaled by gain / sqrt(inputs) when used; a slow layer starts alike."""
    with seeded(0):
        conv, slow = EqualConv(16, 64), EqualLinear(256, 256, bias=0.5, rate=0.01)
    assert_close(conv.weight.std().item(), 1.0, rtol=0.02, atol=0)
    assert_close(slow.weight.std().item(), 100.0, rtol=0.02, atol=0)
    assert_close(slow.bias, torch.full((256,), 50.0))
    x = torch.randn(8, 16, 9, 9, generator=torch.Generator().manual_seed(0))
    assert_close(conv(x), conv2d(x, conv.weight / 12, padding=1))
    assert_close(conv(x)[:, :, 1:-1, 1:-1].var().item(), 1.0, rtol=0.05, atol=0)
    x = torch.randn(64, 256, generator=torch.Generator().manual_seed(0))
    assert_close(slow(x), x @ (slow.weight.T * 0.01 / 16) + 0.5)
    (grad,) = torch.autograd.grad(slow(x).sum(), slow.weight)
    assert_close(grad[0], x.sum(0) * 0.01 / 16)


def test_the_activation_keeps_the_size():
    x = images(100_000)
    assert_close(act(x).square().mean().item(), 1.04, rtol=0.02, atol=0)


def test_doubling_is_the_filter_of_the_paper():
    """[1, 3, 3, 1] / 4 along each side, but for the border, where bilinear repeats the edge."""
    x = images(1, 1, 5, 6)
    line = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64) / 4
    wanted = conv_transpose2d(x, (line[:, None] * line)[None, None], stride=2, padding=1)
    assert_close(double(x)[:, :, 1:-1, 1:-1], wanted[:, :, 1:-1, 1:-1])


# ------------------------------------------------------------------------------ noise, z, mixing


def test_g_is_a_function_of_z():
    """All noise is in z: the same z gives the same image, in both modes, other noise another."""
    G = generator()
    maps = 4 * 6 + 2 * 8 * 12 + 2 * 16 * 24
    assert G.latent == 6 + 6 + 2 + maps
    z = G.noise(3, Draws(0, "z")).double()
    for mode in (True, False):
        G.train(mode)
        assert_close(G(z), G(z), rtol=0, atol=0)
    other = torch.cat([z[:, :-maps], -z[:, -maps:]], 1)
    assert (G(other) - G(z)).abs().max() > 1e-3
    still = replace(SMALL, noise=False, mixing=0.0).generator(SPEC)
    assert still.latent == 6


@pytest.mark.parametrize("first", [1, 2, 3, 4])
def test_mixing_changes_its_layers_only(first):
    """Layers before the crossover keep the first style, the others have the second."""
    G = generator(replace(SMALL, mixing=0.5))
    z = G.noise(2, Draws(0, "z")).double()
    share = (first - 0.5) / 4  # of five layers one of the last four is the first that is mixed
    normal = torch.distributions.Normal(0.0, 1.0)
    z[:, 12] = normal.icdf(torch.tensor([0.4, 0.6]))  # the first sample is mixed, the second not
    z[:, 13] = normal.icdf(torch.tensor(share))
    ws = G.styles(z)
    assert ws.shape == (2, 5, 6)
    one, two = G.style(z), G.style(z[:, 6:])
    assert_close(ws[1], one[1].expand(5, -1))
    assert_close(ws[0, :first], one[0].expand(first, -1))
    assert_close(ws[0, first:], two[0].expand(5 - first, -1))
    G.eval()
    assert_close(G.styles(z), one[:, None].expand(-1, 5, -1))


def test_a_later_style_leaves_the_coarse_layers_alone():
    G, seen = generator(), []
    for level in G.levels:
        level.register_forward_hook(lambda m, args, out: seen.append(out))
    z = G.noise(1, Draws(0, "z")).double()
    ws = G.styles(z).detach()
    G(z, None, ws)
    moved = ws.clone()
    moved[:, 3:] += 1  # the layers of the last size
    G(z, None, moved)
    for level in (0, 1):
        assert_close(seen[level], seen[3 + level], rtol=0, atol=0)
    assert (seen[2] - seen[5]).abs().max() > 1e-3


def test_mixing_happens_as_often_as_said():
    G = generator(replace(SMALL, mixing=0.7))
    z = G.noise(4000, Draws(0, "z")).double()
    with torch.no_grad():
        ws = G.styles(z)
    mixed = (ws[:, 0] != ws[:, -1]).any(1).double()
    assert_close(mixed.mean().item(), 0.7, rtol=0, atol=0.03)
    first = (ws != ws[:, :1]).any(2).double().argmax(1)[mixed == 1]
    assert_close(
        first.bincount(minlength=5)[1:] / len(first), torch.full((4,), 0.25), atol=0.03, rtol=0
    )


def test_truncation():
    G = generator().eval()
    z = G.noise(8, Draws(0, "z")).double()
    w, x = G.style(z), G(z)
    G.truncate(0.5, z)
    assert_close(G.styles(z)[:, 0], w.mean(0) + 0.5 * (w - w.mean(0)))
    G.truncate(0.0, z)
    assert_close(G.styles(z)[:, 2], w.mean(0).expand(8, -1))
    G.truncate(1.0, z)
    assert_close(G(z), x, rtol=0, atol=0)


# ----------------------------------------------------------------------------------- the networks


@pytest.mark.parametrize("condition", [None, Concat(), Projection()], ids=str)
@pytest.mark.parametrize("g_form", ["skip", "residual"])
@pytest.mark.parametrize("d_form", ["skip", "residual"])
def test_every_form(g_form, d_form, condition):
    nets = replace(SMALL, g_form=g_form, d_form=d_form, stddev=0, condition=condition)
    with seeded(0):
        G, D = nets.generator(SPEC).double(), nets.discriminator(SPEC).double()
    c = torch.tensor([0, 1, 1])
    x = G(G.noise(3, Draws(0, "z")).double(), c)
    assert x.shape == (3, 2, 16, 24)
    slope, logits, _ = slopes(D, x, c)
    (slope.square().sum() + logits.sum()).backward()
    for net in (G, D):
        for name, p in net.named_parameters():
            assert p.grad is not None or "bias" in name, name
    assert all(p.grad.isfinite().all() for p in G.parameters())


def test_the_skip_generator_adds_up_images():
    """Without what the layers see, the image is the sum of doubled images of the biases."""
    G = generator().eval()
    with torch.no_grad():
        for n, show in enumerate(G.images):
            show.weight.zero_()
            show.bias.fill_(0.1 * (n + 1))
    x = G(G.noise(1, Draws(0, "z")).double())
    assert_close(x, torch.full_like(x, math.tanh(0.6)))


def test_bfloat16():
    with seeded(0):
        G, D = SMALL.generator(SPEC).eval(), SMALL.discriminator(SPEC)
    z = G.noise(4, Draws(0, "z"))
    with torch.autocast("cpu", torch.bfloat16):
        x = G(z)
        logits = D(x.float())
    assert_close(x.float(), G(z), rtol=0, atol=0.1)
    assert_close(logits.float(), D(G(z)), rtol=0.1, atol=0.1)


@pytest.mark.parametrize(
    "bad",
    [
        {"width": 0},
        {"latent": 0},
        {"mapping": 0},
        {"mixing": 1.5},
        {"stddev": 1},
        {"g_form": "skipp"},
    ],
)
def test_bad_fields(bad):
    with pytest.raises(RecipeError):
        StyleGAN2(**bad)
