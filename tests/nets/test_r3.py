"""R3: the fix-up residual branch is the identity at the start, no layer normalises."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from sparring.errors import RecipeError
from sparring.nets import R3, Projection, Spec
from sparring.nets.r3 import Residual
from sparring.randomness import Draws, seeded
from sparring.tricks.trick import slopes


def images(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 48)], ids=str)
def test_a_residual_block_is_the_identity_at_first(shape):
    nets = R3(width=8, blocks=2)
    for net in (nets.generator(Spec(shape)).double(), nets.discriminator(Spec(shape)).double()):
        blocks = [m for m in net.modules() if isinstance(m, Residual)]
        assert len(blocks) == 2 * (3 if shape[1] == 28 else 4)
        for block in blocks:
            x = images(2, block.first.in_channels, 5, 6)
            assert_close(block(x), x, rtol=0, atol=0)
            # The first convolution follows only once the second has moved.
            block(x).square().sum().backward()
            assert block.second.weight.grad.abs().max() > 0
            assert block.first.weight.grad.abs().max() == 0


def test_g_is_linear_before_tanh_at_first():
    """With all branches at zero: a weighted sum of bases, resampled and turned into colours."""
    G = R3(width=8, latent=4).generator(Spec((2, 16, 16))).double()
    a, b = images(2, 4)[:, None]
    total, zero = torch.atanh(G(a + b)), torch.atanh(G(torch.zeros_like(a)))
    assert_close(total, torch.atanh(G(a)) + torch.atanh(G(b)) - zero)


def test_the_first_convolutions_are_scaled_by_the_depth():
    """Standard deviation sqrt(2 / (1 + 0.2^2)) / sqrt(9 width) / sqrt(blocks in all)."""
    for blocks in (1, 4):
        with seeded(0):
            D = R3(width=64, blocks=blocks).discriminator(Spec((1, 32, 32)))
        first = torch.cat(
            [m.first.weight.flatten() for m in D.modules() if isinstance(m, Residual)]
        )
        wanted = (2 / 1.04 / (9 * 64) / (4 * blocks)) ** 0.5
        assert_close(first.std().item(), wanted, rtol=0.02, atol=0)


def test_no_layer_normalises():
    nets = R3(width=8)
    for net in (nets.generator(Spec((1, 28, 28))), nets.discriminator(Spec((1, 28, 28)))):
        assert not list(net.buffers())
        kinds = {type(m) for m in net.modules() if not list(m.children())}
        assert kinds <= {nn.Conv2d, nn.Linear, nn.Tanh, nn.Identity} | {
            k for k in kinds if k.__module__ == "sparring.nets.condition"
        }


@pytest.mark.parametrize(("size", "widths"), [(32, [8] * 4), (128, [2, 4, 8, 8, 8, 8])])
def test_widths_halve_beyond_32_pixels(size, widths):
    D = R3(width=8).discriminator(Spec((3, size, size)))
    assert [m.first.in_channels for m in D.modules() if isinstance(m, Residual)] == widths


def test_penalties_and_bfloat16():
    nets = R3(width=8, latent=4, condition=Projection())
    spec = Spec((1, 16, 24), ("a", "b"))
    with seeded(0):
        G, D = nets.generator(spec), nets.discriminator(spec)
    c = torch.tensor([0, 1, 1])
    with torch.autocast("cpu", torch.bfloat16):
        x = G(G.noise(3, Draws(0, "z")), c)
        slope, logits, _ = slopes(D, x.float(), c)
    (slope.square().sum() + logits.float().sum()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in G.parameters())
    with torch.no_grad():
        exact, _, _ = slopes(D, x.float(), c)
    assert_close(slope.detach().float(), exact, rtol=0.1, atol=0.02 * exact.abs().max().item())


@pytest.mark.parametrize("bad", [{"width": 0}, {"blocks": 0}, {"latent": 0}])
def test_bad_fields(bad):
    with pytest.raises(RecipeError):
        R3(**bad)
