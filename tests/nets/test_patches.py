"""The discriminator of patches: what a logit sees."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from sparring.errors import RecipeError
from sparring.nets import Spec, UNet


def images(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


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
    said = r"3 scales needs images of at least 32 pixels.*--size 32"
    with pytest.raises(RecipeError, match=said):
        UNet(scales=3).discriminator(Spec((1, 16, 16)))
