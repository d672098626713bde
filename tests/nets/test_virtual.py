"""Virtual batch normalisation by hand."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from sparring.errors import RecipeError
from sparring.nets import DCGAN, MLP, Concat, Projection, Spec
from sparring.nets.virtual import VirtualBatchNorm
from sparring.randomness import Draws, seeded


def test_by_hand():
    """References -1 and 1, then a sample of 5: mean 5/3, E x^2 = (1 + 1 + 25) / 3 = 9."""
    x = torch.tensor([[-1.0], [1.0], [5.0]], dtype=torch.float64)
    y = VirtualBatchNorm(1, 2, eps=0.0).double()(x)
    assert y[2].item() == pytest.approx((5 - 5 / 3) / (9 - 25 / 9) ** 0.5)
    # The references are normalised by their own statistics alone: mean 0, E x^2 = 1.
    assert y[:2].flatten().tolist() == pytest.approx([-1.0, 1.0])


def test_images_are_normalised_by_channel():
    layer = VirtualBatchNorm(3, 4, eps=0.0).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([1.0, 2.0, 3.0]))
        layer.bias.copy_(torch.tensor([0.0, 1.0, -1.0]))
    x = torch.randn(6, 3, 5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = layer(x)
    for k in (4, 5):
        batch = torch.cat([x[:4], x[k : k + 1]])
        mean = batch.mean((0, 2, 3), keepdim=True)
        deviation = batch.var((0, 2, 3), unbiased=False, keepdim=True).sqrt()
        by_hand = (batch - mean) / deviation * layer.weight.view(1, 3, 1, 1)
        assert_close(y[k], (by_hand + layer.bias.view(1, 3, 1, 1))[4])


@pytest.mark.parametrize("mean", [0.0, 3.0, 20.0])
def test_statistics_are_precise_in_bfloat16(mean):
    """E x^2 - (E x)^2 of bfloat16 has no digit left where the mean is some deviations from 0."""
    x = torch.randn(40, 4, 6, 6, generator=torch.Generator().manual_seed(0)) / 2 + mean
    x, layer = x.bfloat16(), VirtualBatchNorm(4, 32)
    y = layer(x)
    assert y.dtype == torch.bfloat16
    assert_close(y.float(), layer(x.float()), rtol=0.01, atol=0.01)


def test_a_sample_of_g_does_not_depend_on_the_others():
    with seeded(0, "weights"):
        G = MLP(g_widths=(8, 8), latent=3, virtual=5).generator(Spec((2,)))
    z = G.noise(6, Draws(0, "z"))
    x = G(z)
    assert x.shape == (6, 2)
    assert_close(G(z[:2]), x[:2])
    assert_close(G.eval()(z), x)
    assert G.state_dict()["references.z"].shape == (5, 3)


@pytest.mark.parametrize("condition", [None, Projection(), Concat()], ids=str)
def test_a_convolutional_g_normalises_by_its_references(condition):
    """In place of BatchNorm: samples do not depend on each other, nor on the mode."""
    spec, c = Spec((1, 16, 16), ("a", "b")), torch.tensor([0, 1, 1, 0, 1])
    with seeded(0, "weights"):
        G = DCGAN(width=3, latent=4, virtual=6, condition=condition).generator(spec)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in G.modules())
    assert sum(isinstance(m, VirtualBatchNorm) for m in G.modules()) == 2
    z = G.noise(5, Draws(0, "z"))
    x = G(z, c)
    assert x.shape == (5, 1, 16, 16)
    assert_close(G(z[:2], c[:2]), x[:2])
    assert_close(G.eval()(z, c), x)
    with torch.no_grad():
        G.references.z.mul_(3)
    assert (G(z, c) - x).abs().max() > 1e-6
    if condition is not None:
        assert G.references.c.tolist() == [0, 1, 0, 1, 0, 1]
        assert (G(z, 1 - c) - G(z, c)).abs().max() > 1e-6


def test_one_normalisation_at_a_time():
    with pytest.raises(RecipeError, match="one of batchnorm and virtual"):
        MLP(virtual=4, batchnorm=True)
    with pytest.raises(RecipeError, match="virtual"):
        MLP(virtual=1)
