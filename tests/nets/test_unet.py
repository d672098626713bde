"""The U-Net: its weights and its skips."""

from __future__ import annotations

import pytest
import torch

from sparring.errors import RecipeError
from sparring.nets import Spec, UNet
from sparring.randomness import seeded


def images(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_the_published_unet_has_the_papers_number_of_weights():
    """54.4 million in G and 2.77 million in D for 256 pixels, counted by hand from the paper."""
    spec = Spec((3, 256, 256), inputs=(3, 256, 256))
    G = UNet().generator(spec)
    widths = [64, 128, 256, 512, 512, 512, 512, 512]
    down = sum(16 * i * o + o for i, o in zip([3, *widths], widths))
    up = sum(
        16 * (i if k == 0 else 2 * i) * o + o
        for k, (i, o) in enumerate(zip(widths[::-1], [*widths[::-1][1:], 3]))
    )
    norms = 2 * sum(widths[1:-1]) + 2 * sum(widths[:-1])
    assert sum(p.numel() for p in G.parameters()) == down + up + norms
    assert 54e6 < down + up < 55e6
    D = UNet().discriminator(Spec((6, 256, 256)))
    assert D(images(1, 6, 256, 256)).shape == (1, 1, 30, 30)
    assert 2.7e6 < sum(p.numel() for p in D.parameters()) < 2.8e6


def test_skips_carry_what_the_bottom_cannot():
    """Without its innermost layers a U-Net still answers to a single pixel, right there."""
    spec = Spec((1, 32, 32), inputs=(1, 32, 32))
    with seeded(0, "weights"):
        G = UNet(width=4, depth=3, norm="none", dropout=0.0).generator(spec)
    a = images(1, 1, 32, 32).requires_grad_()
    (slope,) = torch.autograd.grad(G(a)[0, 0, 16, 16], a)
    assert slope[0, 0, 14:19, 14:19].abs().max() > 0
    assert slope[0, 0, 16, 16].abs() > 0


@pytest.mark.parametrize("up", ["transposed", "resize"])
def test_residual_begins_at_the_identity_and_leaves_it(up):
    torch.manual_seed(0)
    G = UNet(width=4, up=up, residual=True).generator(Spec((3, 16, 16), inputs=(3, 16, 16)))
    a = torch.rand(2, 3, 16, 16) * 2 - 1
    torch.testing.assert_close(G(a), 0.99 * a, rtol=0, atol=1e-6)
    optim = torch.optim.SGD(G.parameters(), lr=1.0)
    for _ in range(2):
        optim.zero_grad()
        G(a).mean().backward()
        optim.step()
    assert (G(a) - 0.99 * a).abs().max() > 1e-3
    assert G(a).abs().max() < 1
    moved = [bool(p.grad.abs().max() > 0) for p in G.parameters()]
    assert sum(moved) > len(moved) / 2  # not the last layer alone


@pytest.mark.parametrize(("inputs", "made"), [(1, 3), (3, 1), (3, 4)])
def test_residual_between_channels_begins_at_their_mean(inputs, made):
    spec = Spec((made, 9, 14), inputs=(inputs, 9, 14))
    G = UNet(width=4, residual=True).generator(spec)
    a = images(2, inputs, 9, 14)
    start = 0.99 * a.mean(1, keepdim=True).expand(-1, made, -1, -1)
    torch.testing.assert_close(G(a), start, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("inputs", "made"), [(4, 3), (2, 1), (4, 1), (2, 3)])
def test_residual_leaves_the_mask_beside_the_image_alone(inputs, made):
    spec = Spec((made, 8, 8), inputs=(inputs, 8, 8))
    G = UNet(width=4, residual=True).generator(spec)
    a = images(2, inputs, 8, 8)
    seen = a[:, :-1] if (inputs, made) == (4, 3) else a[:, :-1].mean(1, keepdim=True)
    torch.testing.assert_close(G(a), (0.99 * seen).expand(-1, made, -1, -1), rtol=0, atol=1e-6)


def test_no_more_halvings_than_the_image_bears():
    """Others would pad it to a multiple of 2 to the depth, of which memory has no room."""
    for depth, side in ((5, 32), (6, 33)):
        UNet(width=1, depth=depth).generator(Spec((3, side, 64), inputs=(3, side, 64)))
    with pytest.raises(
        RecipeError, match=r"UNet\(depth=20\).*32 pixels too often.*depth=5 or less"
    ):
        UNet(width=1, depth=20).generator(Spec((3, 32, 64), inputs=(3, 32, 64)))
