"""The small pair: BatchNorm in G alone, sub-pixel upsampling, channels that halve with the size."""

from __future__ import annotations

import torch
from torch import nn
from torch.testing import assert_close

from sparring.nets import Fast, Spec
from sparring.nets.condition import Given


def names(net: nn.Module) -> list[str]:
    return [
        type(m).__name__
        for m in net.modules()
        if not list(m.children()) and not isinstance(m, Given)
    ]


def test_the_generator_of_28_pixels():
    G = Fast(g_width=64).generator(Spec((1, 28, 28)))
    block = ["Conv2d", "PixelShuffle", "BatchNorm2d", "ReLU"]
    assert names(G) == ["Linear", *(block * 2), "Conv2d", "Tanh"]
    convs = [m for m in G.modules() if isinstance(m, nn.Conv2d)]
    assert [(m.in_channels, m.out_channels) for m in convs] == [(64, 128), (32, 64), (16, 1)]


def test_the_discriminator_has_no_normalisation():
    D = Fast(d_width=64).discriminator(Spec((3, 64, 64)))
    assert set(names(D)) == {"Conv2d", "LeakyReLU", "Linear"}
    assert not list(D.buffers())
    assert D.mixes is False
    convs = [m for m in D.modules() if isinstance(m, nn.Conv2d)]
    channels = [(3, 32), (32, 32), (32, 32), (32, 32), (32, 64)]
    assert [(m.in_channels, m.out_channels) for m in convs] == channels


def test_the_discriminator_judges_each_sample_alone():
    D = Fast(g_width=8, d_width=8).discriminator(Spec((1, 28, 28)))
    x = torch.randn(5, 1, 28, 28)
    assert_close(D(x), torch.cat([D(row) for row in x.split(1)]), rtol=1e-5, atol=1e-6)
