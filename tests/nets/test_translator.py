"""Networks from image to image: sizes, and what reaches what."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close
from toys import TRANSLATORS

from sparring.errors import RecipeError
from sparring.nets import ResidualTranslator, Spec, SuperResolver, UNet
from sparring.nets.translator import doubling
from sparring.randomness import Draws, seeded

every = pytest.mark.parametrize("nets", TRANSLATORS.values(), ids=lambda n: type(n).__name__)


def spec_of(nets, channels=3, made=1, side=(32, 48)) -> Spec:
    if isinstance(nets, SuperResolver):
        return Spec((made, *side), inputs=(made, side[0] // 4, side[1] // 4))
    return Spec((made, *side), inputs=(channels, *side))


def build(nets, spec: Spec):
    with seeded(0, "weights"):
        return nets.generator(spec), nets.discriminator(spec)


def images(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


@every
@pytest.mark.parametrize("channels", [(3, 3), (1, 3), (4, 1), (3, 2)], ids=str)
def test_forward_and_backward(nets, channels):
    spec = spec_of(nets, *channels)
    G, D = build(nets, spec)
    x = G(images(2, *spec.inputs))
    assert x.shape == (2, *spec.shape)
    assert G.eval()(images(2, *spec.inputs)).abs().max() <= 1
    logits, features = D(x, None, features=True)
    assert logits.dim() == 4
    assert len(logits) == 2
    assert_close(D(x), logits)
    assert len(features) >= 2
    logits.mean().backward()
    for net in (G, D):
        for name, p in net.named_parameters():
            assert p.grad is not None, name
            assert torch.isfinite(p.grad).all(), name


@every
@pytest.mark.parametrize("side", [(1, 1), (5, 7), (32, 48), (33, 50), (100, 31)], ids=str)
def test_any_size_comes_out_as_it_went_in(nets, side):
    spec = spec_of(nets)
    G, _ = build(nets, spec)
    x = G.eval()(images(1, spec.inputs[0], *side))
    assert x.shape == (1, 1, G.factor * side[0], G.factor * side[1])
    assert torch.isfinite(x).all()


@every
def test_a_translation_does_not_hang_on_its_batch(nets):
    spec = spec_of(nets)
    G, D = build(nets, spec)
    G.eval(), D.eval()
    assert not D.mixes
    a = images(3, *spec.inputs)
    assert_close(G(a)[:1], G(a[:1]))
    assert_close(D(G(a))[:1], D(G(a[:1])))


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("kind", [UNet, ResidualTranslator])
def test_weights_start_as_published(kind, norm):
    """N(0, 0.02) of convolutions, N(1, 0.02) of BatchNorm, biases 0; other norms start at 1."""
    nets = kind(width=64, norm=norm, d_norm=norm)
    for net in build(nets, spec_of(nets)):
        layers = [m for m in net.modules() if getattr(m, "bias", None) is not None]
        norms = [m for m in layers if m.weight.dim() == 1]
        weights = torch.cat([m.weight.detach() for m in norms])
        others = torch.cat([m.weight.detach().flatten() for m in layers if m not in norms])
        assert not any(m.bias.any() for m in layers)
        # Six standard errors of n draws.
        near = 6 * 0.02 / len(weights) ** 0.5
        assert_close(weights.mean(), torch.tensor(1.0), atol=near, rtol=0)
        spread = 0.02 if norm == "batch" else 0.0
        assert_close(weights.std(), torch.tensor(spread), atol=near, rtol=0)
        assert_close(others.mean(), torch.tensor(0.0), atol=6 * 0.02 / len(others) ** 0.5, rtol=0)
        assert_close(others.std(), torch.tensor(0.02), atol=1e-4, rtol=0)


@pytest.mark.parametrize("norm", ["batch", "instance", "layer", "none"])
@pytest.mark.parametrize("kind", [UNet, ResidualTranslator])
def test_a_generator_says_whether_it_mixes(kind, norm):
    nets = kind(width=4, norm=norm, **({"dropout": 0.0} if kind is UNet else {"blocks": 1}))
    G, _ = build(nets, spec_of(nets))
    a = images(3, 3, 32, 48)
    alone = torch.allclose(G(a)[:1], G(a[:1]), atol=1e-5)
    assert G.mixes is not alone


@every
def test_noise_is_refused(nets):
    G, _ = build(nets, spec_of(nets))
    with pytest.raises(RecipeError, match="makes nothing from noise"):
        G.noise(2, Draws(0, "z"))
    with pytest.raises(RecipeError, match="translates images"):
        nets.generator(Spec((3, 32, 32)))


def test_inputs_of_another_size_are_refused():
    with pytest.raises(
        RecipeError, match=r"of the size of its input.*8x8, targets 32x32.*SuperResolver"
    ):
        UNet().generator(Spec((3, 32, 32), inputs=(3, 8, 8)))


def test_resizing_leaves_no_checkerboard():
    """Of a constant input a layer that doubles makes one value, away from the border."""
    x = torch.ones(1, 4, 8, 8)
    spread = []
    for up in ("transposed", "resize"):
        with seeded(0, up):
            y = doubling(4, 4, up)(x)[0, 0, 2:-2, 2:-2]
        spread.append((y.max() - y.min()).item())
    assert spread[1] < 1e-6 < 0.01 < spread[0]
