"""Networks from image to image: sizes, what reaches what, and the shares of a discriminator."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close
from toys import TRANSLATORS

from sparring.errors import RecipeError
from sparring.nets import ResidualTranslator, Spec, SuperResolver, UNet
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


@pytest.mark.parametrize(("layers", "span"), [(0, 1), (1, 16), (2, 34), (3, 70)])
def test_a_logit_sees_its_patch_and_no_more(layers, span):
    D = UNet(d_width=4, d_layers=layers, d_norm="none").discriminator(Spec((1, 128, 128)))
    x = images(1, 1, 128, 128).requires_grad_()
    logits = D(x)
    middle = logits.shape[2] // 2
    (slope,) = torch.autograd.grad(logits[0, 0, middle, middle], x)
    touched = slope[0, 0].abs().sum(0).nonzero().squeeze(1)
    assert touched[-1] - touched[0] + 1 == span


@pytest.mark.parametrize("side", [8, 16, 24, 32, 64])
@pytest.mark.parametrize("layers", [1, 3, 5])
def test_a_discriminator_has_no_more_layers_than_the_image_bears(side, layers):
    D = UNet(d_width=4, d_layers=layers).discriminator(Spec((3, side, side)))
    assert min(D(images(2, 3, side, side)).shape) >= 1


@pytest.mark.parametrize("side", [(8, 8), (31, 48), (64, 64)], ids=str)
@pytest.mark.parametrize("scales", [1, 2])
def test_a_whole_image_is_judged_as_one(side, scales):
    if min(side) < 8 * scales:
        return
    nets = UNet(d_width=4, d_whole=True, d_layers=0, d_norm="none", scales=scales)
    D = nets.discriminator(Spec((2, *side)))
    x = images(3, 2, *side).requires_grad_()
    logits = D(x)
    assert logits.shape == (3, scales, 1, 1)
    (slope,) = torch.autograd.grad(logits[1].sum(), x)
    assert (slope[1].abs().sum(0) > 0).float().mean() > 0.9  # an odd last line may be left out
    assert not slope[[0, 2]].any()


def test_scales_are_judged_apart_and_count_alike():
    D = UNet(d_width=4, d_layers=1, scales=2, d_norm="none").discriminator(Spec((1, 32, 32)))
    x = images(1, 1, 32, 32)
    logits = D(x)
    assert logits.shape[1] == 2
    coarse = D.scales[1](torch.nn.functional.avg_pool2d(x, 2))[-1]
    assert_close(logits[:, 1].unique(), coarse.unique())
    assert {"scale0.layer0", "scale1.layer0"} <= set(D(x, features=True)[1])
    with pytest.raises(RecipeError, match="3 scales needs images of at least 32 pixels"):
        UNet(scales=3).discriminator(Spec((1, 16, 16)))


def test_resizing_leaves_no_checkerboard():
    """Of a constant input a layer that doubles makes one value, away from the border."""
    from sparring.nets.translate import doubling

    x = torch.ones(1, 4, 8, 8)
    spread = []
    for up in ("transposed", "resize"):
        with seeded(0, up):
            y = doubling(4, 4, up)(x)[0, 0, 2:-2, 2:-2]
        spread.append((y.max() - y.min()).item())
    assert spread[1] < 1e-6 < 0.01 < spread[0]


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_super_resolution_starts_without_a_checkerboard(factor):
    """What it adds to a constant image is constant, away from the border."""
    nets = SuperResolver(width=4, blocks=1)
    G, _ = build(nets, Spec((1, 8 * factor, 8 * factor), inputs=(1, 8, 8)))
    y = G(torch.full((1, 1, 20, 20), 0.3))[..., 8 * factor : -8 * factor, 8 * factor : -8 * factor]
    assert (y - 0.3).abs().min() > 1e-3
    assert_close(y, y[..., :1, :1].expand_as(y))


def test_skips_carry_what_the_bottom_cannot():
    """Without its innermost layers a U-Net still answers to a single pixel, right there."""
    spec = Spec((1, 32, 32), inputs=(1, 32, 32))
    G, _ = build(UNet(width=4, depth=3, norm="none", dropout=0.0), spec)
    a = images(1, 1, 32, 32).requires_grad_()
    (slope,) = torch.autograd.grad(G(a)[0, 0, 16, 16], a)
    assert slope[0, 0, 14:19, 14:19].abs().max() > 0
    assert slope[0, 0, 16, 16].abs() > 0


def test_inputs_of_another_size_are_refused():
    with pytest.raises(RecipeError, match=r"of the size of its input.*8x8, targets 32x32"):
        UNet().generator(Spec((3, 32, 32), inputs=(3, 8, 8)))


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
    G, _ = build(SuperResolver(width=6, blocks=1, dense=4), spec)
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
