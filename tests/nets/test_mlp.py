"""The fully connected pair is the textbook's, layer by layer."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sparring.errors import RecipeError
from sparring.nets import MLP, Spec
from sparring.nets.condition import Given

FASHION, POINTS = Spec((1, 28, 28)), Spec((1,))


def structure(net: nn.Module) -> list[str]:
    """The leaf layers, in order."""
    return [str(m) for m in net.modules() if not list(m.children()) and not isinstance(m, Given)]


def linear(i: int, o: int) -> str:
    return f"Linear(in_features={i}, out_features={o}, bias=True)"


LEAKY = "LeakyReLU(negative_slope=0.2)"
DROPOUT = "Dropout(p=0.3, inplace=False)"


def test_the_generator_of_images():
    assert structure(MLP().generator(FASHION)) == [
        *(linear(100, 256), LEAKY),
        *(linear(256, 512), LEAKY),
        *(linear(512, 1024), LEAKY),
        *(linear(1024, 784), "Tanh()"),
    ]


def test_the_discriminator_of_images():
    assert structure(MLP().discriminator(FASHION)) == [
        *(linear(784, 1024), LEAKY, DROPOUT),
        *(linear(1024, 512), LEAKY, DROPOUT),
        *(linear(512, 256), LEAKY, DROPOUT),
        linear(256, 1),
    ]


def test_the_pair_for_points():
    G, D = MLP().generator(POINTS), MLP().discriminator(POINTS)
    assert G.latent == 6
    assert structure(G) == [linear(6, 64), "ReLU()", linear(64, 64), "ReLU()", linear(64, 1)]
    still = "Dropout(p=0.0, inplace=False)"
    assert structure(D) == [
        *(linear(1, 64), LEAKY, still),
        *(linear(64, 64), LEAKY, still),
        linear(64, 1),
    ]


def test_points_are_not_bounded():
    G = MLP().generator(Spec((2,)))
    with torch.no_grad():
        G.layers[-1].bias.fill_(7.0)
    x = G(torch.zeros(3, 6))
    assert x.shape == (3, 2)
    assert x.max() > 1


def test_colour_and_size_follow_the_data():
    assert structure(MLP().generator(Spec((3, 8, 16))))[-2] == linear(1024, 3 * 8 * 16)
    assert structure(MLP().discriminator(Spec((3, 8, 16))))[0] == linear(3 * 8 * 16, 1024)


def test_the_fields():
    nets = MLP(
        latent=5,
        g_widths=(7,),
        d_widths=(9, 8),
        batchnorm=True,
        dropout=0.5,
        g_activation="gelu",
        d_activation="tanh",
    )
    assert structure(nets.generator(POINTS)) == [
        linear(5, 7),
        str(nn.BatchNorm1d(7)),
        "GELU(approximate='none')",
        linear(7, 1),
    ]
    drop = "Dropout(p=0.5, inplace=False)"
    assert structure(nets.discriminator(POINTS)) == [
        *(linear(1, 9), "Tanh()", drop),
        *(linear(9, 8), "Tanh()", drop),
        linear(8, 1),
    ]


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "tanh", "gelu", "silu"])
def test_every_activation(activation):
    G = MLP(g_activation=activation, d_activation=activation).generator(POINTS)
    assert G(torch.zeros(2, 6)).shape == (2, 1)


@pytest.mark.parametrize("virtual", [0, 4])
def test_omega_is_the_deviation_of_the_noise(virtual):
    torch.manual_seed(0)
    steep = MLP(omega=3.0, virtual=virtual).generator(POINTS)
    plain = MLP(virtual=virtual).generator(POINTS)
    plain.load_state_dict(steep.state_dict())
    if virtual:
        plain.references.z.mul_(3)
    z = torch.randn(5, 6)
    torch.testing.assert_close(steep(z), plain(3 * z))
    assert not torch.allclose(steep(z), plain(z), atol=1e-3)


def test_omega_is_positive():
    with pytest.raises(RecipeError, match="omega must be a positive number"):
        MLP(omega=0.0)
