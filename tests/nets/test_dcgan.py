"""DCGAN is the paper's: initialisation, where BatchNorm is, what doubles."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from sparring.nets import DCGAN, Spec
from sparring.nets.condition import Given
from sparring.randomness import seeded


def layers(net: nn.Module) -> list[nn.Module]:
    return [m for m in net.modules() if not list(m.children()) and not isinstance(m, Given)]


def names(net: nn.Module) -> list[str]:
    return [type(m).__name__ for m in layers(net)]


@pytest.fixture(scope="module")
def pair():
    with seeded(0, "weights"):
        return (
            DCGAN(width=32).generator(Spec((3, 64, 64))),
            DCGAN(width=32).discriminator(Spec((3, 64, 64))),
        )


def test_weights_come_from_a_normal_of_0_02(pair):
    for net in pair:
        for m in layers(net):
            if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d)):
                n = m.weight.numel()
                assert abs(m.weight.mean().item()) < 5 * 0.02 / n**0.5
                assert_close(m.weight.std().item(), 0.02, atol=5 * 0.02 / (2 * n) ** 0.5, rtol=0)
            if isinstance(m, nn.BatchNorm2d):
                assert_close(m.weight.mean().item(), 1.0, atol=0.02, rtol=0)
                assert 0.005 < m.weight.std().item() < 0.035
                assert_close(m.bias.detach(), torch.zeros_like(m.bias))


def test_batchnorm_is_everywhere_but_at_ds_input_and_gs_output(pair):
    G, D = pair
    up = ["ConvTranspose2d", "BatchNorm2d", "ReLU"]
    assert names(G) == [*(up * 4), "ConvTranspose2d", "Tanh"]
    down = ["Conv2d", "BatchNorm2d", "LeakyReLU"]
    assert names(D) == ["Conv2d", "LeakyReLU", *(down * 3), "Conv2d"]
    assert {m.negative_slope for m in layers(D) if isinstance(m, nn.LeakyReLU)} == {0.2}
    for net in pair:  # no bias where BatchNorm would take it away
        found = layers(net)
        for m, after in itertools.pairwise(found):
            if isinstance(after, nn.BatchNorm2d):
                assert m.bias is None


def test_channels_double_and_images_halve(pair):
    G, D = pair
    convs = [m for m in layers(D) if isinstance(m, nn.Conv2d)]
    assert [m.in_channels for m in convs] == [3, 32, 64, 128, 256]
    assert [tuple(m.kernel_size) for m in convs] == [(4, 4)] * 5
    assert [tuple(m.stride) for m in convs] == [(2, 2)] * 4 + [(1, 1)]
    convs = [m for m in layers(G) if isinstance(m, nn.ConvTranspose2d)]
    assert [m.in_channels for m in convs] == [100, 256, 128, 64, 32]


def test_28_pixels_start_at_a_projection_of_7():
    G = DCGAN().generator(Spec((1, 28, 28)))
    first = layers(G)[0]
    assert isinstance(first, nn.ConvTranspose2d)
    assert tuple(first.kernel_size) == (7, 7)
    assert first.out_channels == 128


def test_a_non_square_image_halves_both_sides():
    G = DCGAN(width=4).generator(Spec((1, 48, 96)))
    assert tuple(layers(G)[0].kernel_size) == (6, 12)
