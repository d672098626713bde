"""The residual pair: the networks as published, normalisation by name, attention takes part."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from sparring.errors import RecipeError
from sparring.nets import DCGAN, Auxiliary, Concat, Projection, ResNet, Spec
from sparring.nets.attention import SelfAttention
from sparring.nets.normalise import normalising
from sparring.randomness import Draws, seeded
from sparring.tricks.trick import slopes

NORMS = ["batch", "layer", "instance", "pixel", "none"]


def images(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_networks_of_32_pixels_are_those_of_the_paper():
    """Table 4 of Miyato et al.: three blocks of 256 up from 4, four of 128 down to 8."""
    spec = Spec((3, 32, 32))
    G, D = ResNet().generator(spec), ResNet(d_spectral=False).discriminator(spec)
    convs = [(m.in_channels, m.out_channels) for m in G.modules() if isinstance(m, nn.Conv2d)]
    assert convs == [(256, 256)] * 9 + [(256, 3)]
    assert sum(p.numel() for p in G.parameters()) == 4_276_739
    wide = [m for m in D.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
    assert [(m.in_channels, m.out_channels) for m in wide] == [(3, 128), *[(128, 128)] * 7]
    found = D(torch.zeros(1, 3, 32, 32), features=True)[1]
    assert [tuple(f.shape[1:]) for f in found.values()] == [
        (128, 16, 16),
        (128, 8, 8),
        (128, 8, 8),
        (128, 8, 8),
        (128,),
    ]


@pytest.mark.parametrize("norm", NORMS)
def test_norms_by_hand(norm):
    x = images(3, 4, 2, 5) * 3 + 1
    y = normalising(norm, 4).double()(x)
    axes = {"batch": (0, 2, 3), "layer": (1, 2, 3), "instance": (2, 3)}
    if norm in axes:
        mean = x.mean(axes[norm], keepdim=True)
        var = x.var(axes[norm], keepdim=True, unbiased=False)
        assert_close(y, (x - mean) / (var + 1e-5).sqrt())
    elif norm == "pixel":
        assert_close(y, x / (x.square().mean(1, keepdim=True) + 1e-8).sqrt())
        assert_close(y.square().mean(1), torch.ones(3, 2, 5, dtype=torch.float64))
    else:
        assert_close(y, x)


@pytest.mark.parametrize("condition", [None, Concat(), Projection(), Auxiliary()], ids=str)
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("part", [ResNet, DCGAN])
def test_every_norm_in_both_networks(part, norm, condition):
    """Forward, backward, the slope's own gradient, in float64; D mixes with BatchNorm alone."""
    sizes = {"width": 3} if part is DCGAN else {"g_width": 8, "d_width": 8, "attention": 8}
    nets = part(**sizes, latent=4, g_norm=norm, d_norm=norm, condition=condition)
    spec = Spec((2, 16, 24), ("a", "b"))
    with seeded(0):
        G, D = nets.generator(spec).double(), nets.discriminator(spec).double()
    assert D.mixes == (norm == "batch")
    c = torch.tensor([0, 1, 1])
    x = G(G.noise(3, Draws(0, "z")).double(), c)
    assert x.shape == (3, 2, 16, 24)
    slope, logits, _ = slopes(D, x, c)
    (slope.square().sum() + logits.sum()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in G.parameters())
    assert sum(float(p.grad.abs().sum()) for p in D.parameters() if p.grad is not None) > 0


# -------------------------------------------------------------------------------------- attention


def test_attention_is_the_identity_at_first():
    layer = SelfAttention(8).double()
    x = images(2, 8, 6, 4)
    assert_close(layer(x), x, rtol=0, atol=0)


def test_attention_by_hand():
    """gamma o(sum over positions of softmax(q k) v), position by position, of pooled k and v."""
    with seeded(0):
        layer = SelfAttention(16).double()
    with torch.no_grad():
        layer.gamma.fill_(0.7)
    x = images(1, 16, 4, 4)
    pooled = torch.nn.functional.max_pool2d(x, 2)

    def at(conv, y, i, j):
        return conv.weight[:, :, 0, 0] @ y[0, :, i, j]

    spots = [(i, j) for i in range(2) for j in range(2)]
    for i, j in [(0, 0), (3, 1)]:
        q = at(layer.query, x, i, j)
        logits = torch.stack([q @ at(layer.key, pooled, *s) for s in spots])
        read = sum(p * at(layer.value, pooled, *s) for p, s in zip(logits.softmax(0), spots))
        wanted = x[0, :, i, j] + 0.7 * layer.out.weight[:, :, 0, 0] @ read
        assert_close(layer(x)[0, :, i, j], wanted)


def test_attention_takes_part():
    """With gamma off zero a pixel answers to one that no convolution of its block reaches."""
    with seeded(0):
        D = ResNet(d_width=8, attention=16, d_spectral=False).discriminator(Spec((1, 32, 32)))
    D = D.double()
    reach = {}
    for gamma in (0.0, 1.0):
        (layer,) = (m for m in D.modules() if isinstance(m, SelfAttention))
        with torch.no_grad():
            layer.gamma.fill_(gamma)
        x = images(1, 1, 32, 32).requires_grad_()
        first = D(x, features=True)[1]["layer0"]  # the block at 16 pixels, attention behind it
        (slope,) = torch.autograd.grad(first[0, :, 0, 0].square().sum(), x)
        reach[gamma] = float(slope[..., 20:, 20:].abs().sum())
    assert reach[0.0] == 0
    assert reach[1.0] > 0


def test_attention_learns_and_its_double_backward_is_right():
    with seeded(0):
        layer = SelfAttention(8).double()
    with torch.no_grad():
        layer.gamma.fill_(0.5)
    x = images(2, 8, 4, 4).requires_grad_()
    assert torch.autograd.gradgradcheck(layer, (x,))
    layer(x).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in layer.parameters())


@pytest.mark.parametrize(
    ("size", "wanted", "place"), [(32, 32, 16), (128, 32, 32), (28, 16, 14), (64, 8, 8), (8, 64, 4)]
)
def test_attention_is_where_it_was_asked_for(size, wanted, place):
    nets = ResNet(g_width=16, d_width=16, latent=4, attention=wanted)
    spec, seen = Spec((1, size, size)), []
    for net in (nets.generator(spec).eval(), nets.discriminator(spec).eval()):
        for m in net.modules():
            if isinstance(m, SelfAttention):
                m.register_forward_pre_hook(lambda m, args: seen.append(args[0].shape[2]))
        net(net.noise(1, Draws(0, "z")) if hasattr(net, "noise") else torch.zeros(1, 1, size, size))
    assert seen == [place, place]


@pytest.mark.parametrize(
    "bad",
    [
        lambda: ResNet(g_width=0),
        lambda: ResNet(d_width=0),
        lambda: ResNet(latent=0),
        lambda: ResNet(attention=-1),
        lambda: ResNet(g_norm="bach"),
        lambda: DCGAN(d_norm="group"),
    ],
)
def test_bad_fields(bad):
    with pytest.raises(RecipeError):
        bad()
