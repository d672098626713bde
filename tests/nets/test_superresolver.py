"""Super-resolution: how it starts, its blocks and its factors."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from sparring.errors import RecipeError
from sparring.nets import Spec, SuperResolver
from sparring.randomness import seeded


def images(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_super_resolution_starts_without_a_checkerboard(factor):
    """What it adds to a constant image is constant, away from the border."""
    spec = Spec((1, 8 * factor, 8 * factor), inputs=(1, 8, 8))
    with seeded(0, "weights"):
        G = SuperResolver(width=4, blocks=1).generator(spec)
    y = G(torch.full((1, 1, 20, 20), 0.3))[..., 8 * factor : -8 * factor, 8 * factor : -8 * factor]
    assert (y - 0.3).abs().min() > 1e-3
    assert_close(y, y[..., :1, :1].expand_as(y))


def test_super_resolution_starts_near_bicubic_interpolation():
    with seeded(0, "weights"):
        G = SuperResolver(width=16, blocks=4).generator(Spec((3, 32, 32), inputs=(3, 8, 8))).eval()
    a = torch.nn.functional.avg_pool2d(images(4, 3, 64, 64), 8)
    bicubic = torch.nn.functional.interpolate(a, scale_factor=4.0, mode="bicubic")
    error, size = (G(a) - bicubic).square().mean(), bicubic.square().mean()
    assert error < size / 2


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_a_residual_dense_block_is_that_of_the_paper(factor):
    """ESRGAN's equations by hand, with its scaling of 0.2; 16.7 million weights as published."""
    spec = Spec((3, 8 * factor, 8 * factor), inputs=(3, 8, 8))
    with seeded(0, "weights"):
        G = SuperResolver(width=6, blocks=1, dense=4).generator(spec)
    assert G(images(2, 3, 8, 8)).shape == (2, 3, 8 * factor, 8 * factor)
    (block,) = G.blocks
    x = images(2, 6, 8, 8)
    y = x
    for dense in block.blocks:
        seen = y
        for conv in dense.layers:
            new = torch.nn.functional.leaky_relu(conv(seen), 0.2)
            seen = torch.cat([seen, new], 1)
        y = y + 0.2 * dense.last(seen)
    assert_close(block(x), 0.2 * y)
    if factor == 4:
        spec = Spec((3, 32, 32), inputs=(3, 8, 8))
        whole = SuperResolver(blocks=23, dense=32).generator(spec)
        dense = sum((64 + 32 * k) * 9 * o + o for k, o in enumerate([32] * 4 + [64]))
        assert sum(p.numel() for p in whole.blocks.parameters()) == 23 * 3 * dense
        assert 16e6 < 23 * 3 * dense < 17e6


def test_factors_that_super_resolution_cannot():
    for small in (16, 32, 5):
        with pytest.raises(RecipeError, match="2, 3, 4 or 8 times as large"):
            SuperResolver().generator(Spec((3, 80, 80), inputs=(3, small, small)))
