"""Every architecture: shapes, ranges, gradients, sizes it cannot serve, and whether D mixes."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close
from toys import SMALL, TRANSLATORS

from sparring.errors import RecipeError
from sparring.layers import DECODED
from sparring.nets import DCGAN, MLP, Fast, FewShot, Nets, Spec
from sparring.parts import catalogue
from sparring.randomness import Draws, seeded

SHAPES = [(1, 28, 28), (3, 32, 32), (3, 64, 64), (1, 48, 96), (4, 40, 20), (2, 16, 16), (1, 8, 8)]
CONVOLUTIONS = [nets() for nets in SMALL if nets is not MLP]


def build(nets: Nets, spec: Spec):
    with seeded(0, "weights"):
        return nets.generator(spec), nets.discriminator(spec)


def test_every_architecture_is_tested():
    assert {*SMALL, *TRANSLATORS} == {
        c for c in catalogue(Nets) if c.__module__.startswith("sparring.")
    }


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("nets", SMALL.values(), ids=lambda n: type(n).__name__)
def test_forward_and_backward(nets, shape):
    G, D = build(nets, Spec(shape))
    z = G.noise(3, Draws(0, "z"))
    assert z.shape == (3, G.latent)
    x = G(z)
    assert x.shape == (3, *shape)
    assert x.dtype == torch.float32
    assert x.abs().max() <= 1
    logits, features = D(x, None, features=True)
    assert logits.shape == (3,)
    decoded = [f for name, f in features.items() if name.startswith(DECODED)]
    assert bool(decoded) == D.decodes
    torch.stack([logits.sum(), *(f.square().sum() for f in decoded)]).sum().backward()
    for net in (G, D):
        for name, p in net.named_parameters():
            if net.grows and p.grad is None:  # once grown it shows its last size alone
                assert name.startswith("images."), name
                continue
            assert p.grad is not None, name
            assert torch.isfinite(p.grad).all(), name
    assert any(p.grad.abs().max() > 0 for p in G.parameters())
    layers = len(features) - len(decoded)
    assert list(features)[:layers] == [f"layer{i}" for i in range(layers)]
    assert all(len(f) == 3 for f in features.values())


@pytest.mark.parametrize("nets", SMALL.values(), ids=lambda n: type(n).__name__)
def test_g_reaches_both_ends_and_never_leaves(nets):
    """tanh is the last thing: with large weights in the last layer G is -1 or 1."""
    G, _ = build(nets, Spec((1, 28, 28)))
    last = [m for m in G.modules() if getattr(m, "weight", None) is not None][-1]
    with torch.no_grad():
        last.weight.mul_(1e4)
    x = G(G.noise(4, Draws(0, "z")))
    assert x.min() == -1
    assert x.max() == 1


@pytest.mark.parametrize("nets", SMALL.values(), ids=lambda n: type(n).__name__)
def test_features_do_not_change_the_logits(nets):
    _, D = build(nets, Spec((1, 28, 28)))
    D.eval()
    x = torch.randn(4, 1, 28, 28).clamp(-1, 1)
    logits, features = D(x, features=True)
    assert_close(D(x), logits)
    assert len(features) >= 2
    assert all(f.requires_grad for f in features.values())


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("nets", SMALL.values(), ids=lambda n: type(n).__name__)
def test_mixes_is_measured(nets, shape):
    """D mixes when another sample of the batch changes a sample's logit (dropout held still)."""
    _, D = build(nets, Spec(shape))
    x = torch.randn(4, *shape, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    y = torch.cat([x[:3], -x[3:] / 2])
    logits = []
    for batch in (x, y):
        torch.manual_seed(1)
        logits.append(D(batch)[:3])
    assert D.mixes == (not torch.allclose(*logits, rtol=1e-6, atol=1e-7))


@pytest.mark.parametrize("nets", SMALL.values(), ids=lambda n: type(n).__name__)
def test_the_latents_are_standard_normal_and_keyed(nets):
    G, _ = build(nets, Spec((1, 28, 28)))
    z = G.noise(4000, Draws(0, "z"))
    assert_close(z.mean(0), torch.zeros(G.latent), atol=0.1, rtol=0)
    assert_close(z.var(0), torch.ones(G.latent), atol=0.14, rtol=0)
    assert_close(G.noise(4000, Draws(0, "z")), z)


@pytest.mark.parametrize("nets", SMALL.values(), ids=lambda n: type(n).__name__)
def test_a_seed_gives_the_weights(nets):
    spec = Spec((1, 28, 28))
    for first, second in zip(build(nets, spec), build(nets, spec), strict=True):
        assert_close(first.state_dict(), second.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("nets", CONVOLUTIONS, ids=lambda n: type(n).__name__)
@pytest.mark.parametrize(
    ("shape", "sizes"),
    [
        ((1, 30, 30), "--size 28 or --size 32"),
        ((3, 100, 100), "--size 96 or --size 112"),
        ((3, 7, 7), "--size 8 or --size 10"),
        ((1, 4, 4), "--size 8 or --size 10"),
        ((1, 33, 33), "--size 32 or --size 36"),
        ((1, 28, 30), "--size 28 or --size 28x32"),
        ((1, 33, 130), "--size 32x128 or --size 32x132"),
        ((3, 50, 37), "--size 48x36 or --size 52x36"),
        ((3, 1000, 1000), "--size 896 or --size 1024"),
    ],
)
def test_a_size_it_cannot_serve_names_the_nearest(nets, shape, sizes):
    for make in (nets.generator, nets.discriminator):
        with pytest.raises(RecipeError) as caught:
            make(Spec(shape))
        message = str(caught.value)
        assert f"{type(nets).__name__} cannot make {shape[1]}x{shape[2]} images" in message
        assert sizes in message


@pytest.mark.parametrize("nets", CONVOLUTIONS, ids=lambda n: type(n).__name__)
def test_convolutions_make_no_points(nets):
    with pytest.raises(RecipeError, match="MLP"):
        nets.generator(Spec((2,)))


@pytest.mark.parametrize(
    "bad",
    [
        lambda: DCGAN(width=0),
        lambda: DCGAN(latent=0),
        lambda: Fast(g_width=3),
        lambda: Fast(latent=0),
        lambda: FewShot(g_width=0),
        lambda: FewShot(d_width=0),
        lambda: FewShot(latent=0),
        lambda: MLP(latent=0),
        lambda: MLP(g_widths=(0,)),
        lambda: MLP(g_widths=()),
        lambda: MLP(d_widths=()),
        lambda: MLP(dropout=1.0),
        lambda: MLP(dropout=-0.1),
    ],
)
def test_bad_fields(bad):
    with pytest.raises(RecipeError):
        bad()
