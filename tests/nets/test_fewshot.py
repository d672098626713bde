"""FewShot: skip-layer excitation takes part and reaches down, D's decoders see its maps alone."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import adaptive_avg_pool2d, conv2d, silu
from torch.testing import assert_close

from sparring.errors import RecipeError
from sparring.nets import FewShot, Spec
from sparring.nets.fewshot import SkipLayerExcitation
from sparring.randomness import Draws, seeded

SMALL = FewShot(g_width=2, d_width=2, latent=6)


def build(shape=(3, 64, 64), **fields):
    with seeded(0, "weights"):
        nets = FewShot(**{"g_width": 2, "d_width": 2, "latent": 6, **fields})
        return nets.generator(Spec(shape)), nets.discriminator(Spec(shape))


def maps_of(G, z):
    """What each level gives on, before excitation."""
    found = []
    hooks = [level.register_forward_hook(lambda m, i, o: found.append(o)) for level in G.levels]
    image = G(z)
    for hook in hooks:
        hook.remove()
    return image, found


def test_excitation_scales_channels_by_what_the_low_map_says():
    """y = high * sigmoid(W2 silu(W1 * pooled) + b), worked with plain functions."""
    with seeded(0):
        layer = SkipLayerExcitation(3, 5).double()
    rng = torch.Generator().manual_seed(0)
    low = torch.randn(2, 3, 8, 12, generator=rng, dtype=torch.float64)
    high = torch.randn(2, 5, 6, 7, generator=rng, dtype=torch.float64)
    first, _, second, _ = layer.layers
    h = silu(conv2d(adaptive_avg_pool2d(low, 4), first.weight))
    gate = torch.sigmoid(conv2d(h, second.weight, second.bias))
    assert gate.shape == (2, 5, 1, 1)
    assert_close(layer(low, high), high * gate)
    assert_close(layer(low, 2 * high), 2 * layer(low, high))


@pytest.mark.parametrize(
    ("size", "pairs"), [(28, [(0, 2)]), (64, [(0, 4)]), (128, [(0, 4), (1, 5)])]
)
def test_a_map_excites_the_one_four_doublings_above(size, pairs):
    """Or the highest, where there are fewer: 28 pixels double twice."""
    G, _ = build((3, size, size))
    asked = []
    for layer in G.excite:
        layer.register_forward_pre_hook(lambda m, args: asked.append(args))
    _, maps = maps_of(G, G.noise(2, Draws(0, "z")))
    assert len(asked) == len(pairs)
    for (low, high), (i, j) in zip(asked, pairs, strict=True):
        assert torch.equal(low, maps[i])
        assert torch.equal(high, maps[j])


def test_the_highest_map_reaches_the_lowest_in_one_step():
    """With the path from level to level cut, the image still follows the lowest map."""
    G, _ = build(g_spectral=False)
    z = G.noise(2, Draws(0, "z"))
    G.levels[1].register_forward_hook(lambda m, i, o: o.detach())
    (slope,) = torch.autograd.grad(G(z).square().sum(), [G.levels[0][0].weight])
    assert slope.abs().max() > 0


def test_an_open_gate_is_a_generator_without_excitation():
    G, _ = build(g_spectral=False)
    z = G.noise(2, Draws(0, "z"))
    closed = G(z)
    with torch.no_grad():
        for layer in G.excite:
            layer.layers[2].weight.zero_()
            layer.layers[2].bias.fill_(50.0)
    image, maps = maps_of(G, z)
    assert_close(image, G.image(maps[-1]))
    assert (image - closed).abs().max() > 1e-4


def test_decoded_images_are_made_of_ds_lowest_maps_alone():
    _, D = build(d_spectral=False)
    x = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    _, found = D(x, None, features=True)
    layers = [f for name, f in found.items() if name.startswith("layer")]
    assert found["decoded0"].shape == (3, 3, 32, 32)
    assert found["decoded1"].shape == (3, 3, 32, 32)
    assert [f.shape[2] for f in layers] == [64, 32, 16, 8, 4]
    assert_close(found["decoded0"], D.decoders[0](layers[-1]))
    assert_close(found["decoded1"], D.decoders[1](layers[-2]))
    assert found["decoded0"].abs().max() <= 1


@pytest.mark.parametrize(
    ("shape", "sizes"),
    [
        ((1, 28, 28), [(14, 14), (14, 14)]),
        ((1, 8, 8), [(4, 4)]),
        ((1, 16, 32), [(8, 16), (8, 16)]),
        ((1, 256, 256), [(64, 64), (128, 128)]),
    ],
)
def test_decoded_images_have_at_most_half_the_size(shape, sizes):
    _, D = build(shape, g_width=1, d_width=1)
    found = D(torch.zeros(2, *shape), None, features=True)[1]
    assert [tuple(f.shape[2:]) for n, f in found.items() if n.startswith("decoded")] == sizes


def test_without_features_nothing_is_decoded():
    _, D = build((1, 28, 28))
    for decoder in D.decoders:
        decoder.register_forward_hook(lambda *_: pytest.fail("decoded"))
    assert D(torch.zeros(2, 1, 28, 28)).shape == (2,)


def test_batchnorm_is_where_the_fields_say():
    assert build()[1].mixes
    D = build(d_norm="none")[1]
    assert not D.mixes
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in D.modules())


def test_widths_double_with_each_halving_sixteen_times_at_most():
    G, _ = build((3, 256, 256), g_width=1)
    widths = [m.shape[1] for m in maps_of(G, G.noise(2, Draws(0, "z")))[1]]
    assert widths == [16, 16, 16, 8, 4, 2, 1]


def test_spectral_norm_is_one_everywhere():
    for net in build((1, 28, 28)):
        weights = [m.weight for m in net.modules() if hasattr(m, "parametrizations")]
        assert len(weights) > 5
        for w in weights:
            assert_close(torch.linalg.svdvals(_matrix(net, w))[0].item(), 1.0, atol=0.1, rtol=0)


def _matrix(net, weight):
    transposed = [m.weight for m in net.modules() if isinstance(m, torch.nn.ConvTranspose2d)]
    swap = any(weight.shape == t.shape for t in transposed)
    return (weight.transpose(0, 1) if swap else weight).flatten(1)


def test_points_have_no_few_shot_networks():
    with pytest.raises(RecipeError, match="--nets MLP"):
        SMALL.discriminator(Spec((2,)))
