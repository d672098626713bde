"""Scores of translations against their targets, by closed forms; and of the inputs beside them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from sparring.data import Images
from sparring.errors import DataError
from sparring.metrics import (
    PSNR,
    SSIM,
    Fake,
    OfInputs,
    PairedLPIPS,
    Pixels,
    Real,
    lpips,
    offer,
    translation_metrics,
)
from sparring.metrics.fid import FID
from sparring.metrics.kernel import KID
from sparring.sample.evaluate import alike


def a_fake(x: Tensor, y: Tensor | None, before: Tensor | None = None) -> Fake:
    def take(n: int) -> Iterator[Tensor]:
        return iter(x[:n].split(3))

    targets = None if y is None else lambda n: y[:n]
    inputs = None if before is None else a_fake(before, y)
    return Fake("made", take, count=len(x), targets=targets, inputs=inputs)


def noise(n: int = 8, channels: int = 3, side: int = 16, seed: int = 0) -> Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(0, 256, (n, channels, side, side), dtype=np.uint8))


def real(like: Tensor) -> Real:
    return Real("train", train=Images(noise(12, *like.shape[1:3], seed=9), digest="d"))


def test_psnr_of_a_known_error():
    """Half of the pixels off by d: 10 log10(255^2 / (d^2 / 2)); the mean is that of images."""
    y = torch.full((2, 1, 8, 8), 100, dtype=torch.uint8)
    x = y.clone()
    x[0, :, ::2] += 10
    x[1, :, ::2] += 20
    (score,) = PSNR().score(real(x), a_fake(x, y))
    each = [10 * math.log10(255**2 / (d**2 / 2)) for d in (10, 20)]
    assert score.value == pytest.approx(sum(each) / 2)
    assert score.se == pytest.approx((each[0] - each[1]) / 2)
    assert score.better == "higher"
    assert score.protocol["pairs"] == 2


def test_equal_images_are_as_near_as_it_gets():
    x = noise()
    (psnr,) = PSNR().score(real(x), a_fake(x, x))
    (ssim,) = SSIM().score(real(x), a_fake(x, x))
    assert psnr.value == pytest.approx(10 * math.log10(255**2 * 3 * 16 * 16))
    assert ssim.value == pytest.approx(1.0)


def test_psnr_is_not_capped_where_images_differ():
    """As in skimage, torchmetrics and BasicSR, to the least difference there is: one value by 1, of
    which the mean square is 1 / N. Equal images, infinite there, come right behind it."""
    y = torch.full((2, 3, 64, 64), 100, dtype=torch.uint8)
    x, size = y.clone(), 3 * 64 * 64
    x[:, 0, 5, 7] += 1
    (least,) = PSNR().score(real(x), a_fake(x, y))
    assert least.value == pytest.approx(10 * math.log10(255**2 * size))
    x[:, 0, 5, 7] += 2
    (more,) = PSNR().score(real(x), a_fake(x, y))
    assert more.value == pytest.approx(10 * math.log10(255**2 * size / 9))
    (equal,) = PSNR().score(real(x), a_fake(y, y))
    assert equal.value == pytest.approx(least.value)
    assert equal.protocol["equal"] == "as one value off by one"


def test_ssim_of_two_flat_images():
    """Without contrast only the means count: (2ab + C1) / (a^2 + b^2 + C1)."""
    x, y = torch.full((2, 3, 16, 16), 80, dtype=torch.uint8), torch.full((2, 3, 16, 16), 120)
    c = (0.01 * 255) ** 2
    (score,) = SSIM().score(real(x), a_fake(x, y.to(torch.uint8)))
    assert score.value == pytest.approx((2 * 80 * 120 + c) / (80**2 + 120**2 + c))


def test_pairs_are_compared_in_their_order():
    x = noise()
    (right,) = PSNR().score(real(x), a_fake(x, x))
    (wrong,) = PSNR().score(real(x), a_fake(x, x.flip(0)))
    assert right.value > 60 > 15 > wrong.value


def test_n_takes_the_first():
    x, y = noise(seed=1), noise(seed=2)
    (score,) = PSNR(n=3).score(real(x), a_fake(x, y))
    (same,) = PSNR().score(real(x), a_fake(x[:3], y[:3]))
    assert score.value == pytest.approx(same.value)


def test_of_inputs_is_the_score_of_the_inputs():
    y, x, before = noise(seed=1), noise(seed=2), noise(seed=3)
    (score,) = OfInputs(metric=PSNR()).score(real(x), a_fake(x, y, before))
    (same,) = PSNR().score(real(x), a_fake(before, y))
    assert (score.metric, score.value) == ("psnr-of-inputs", same.value)
    few = FID(features=Pixels(side=2), n=8)
    (fid,) = OfInputs(metric=few).score(real(x), a_fake(x, None, before))
    (other,) = few.score(real(x), a_fake(before, None))
    assert fid.value == other.value
    assert fid.metric.endswith("-of-inputs")


def test_what_cannot_be_scored():
    x = noise(side=8)
    for metric in (PSNR(), SSIM(), PairedLPIPS()):
        with pytest.raises(DataError, match=r"no targets|needs 11 pixels|needs 31 pixels"):
            metric.score(real(x), a_fake(x, None))
    with pytest.raises(DataError, match="made of no images"):
        OfInputs().score(real(x), a_fake(x, x))


def test_the_defaults_are_each_beside_the_inputs():
    for paired, wanted in (
        (True, (PSNR(), SSIM(), PairedLPIPS(), FID())),
        (False, (FID(), KID())),
    ):
        found = translation_metrics(paired)
        assert found[::2] == wanted
        assert found[1::2] == tuple(OfInputs(metric=m) for m in wanted)


def test_inputs_are_made_comparable():
    a = torch.tensor([-1.0, 0, 1]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    assert_close(alike(a, (1, 2, 2)), torch.zeros(1, 1, 2, 2))
    assert_close(alike(a[:, 2:], (3, 2, 2)), torch.ones(1, 3, 2, 2))
    assert alike(a, (3, 8, 8)).shape == (1, 3, 8, 8)
    assert_close(alike(a, (3, 8, 8))[:, 1], torch.zeros(1, 8, 8))
    with pytest.raises(DataError, match="2 channels do not compare with 3"):
        alike(a[:, :2], (3, 2, 2))
    opaque = torch.ones(1, 1, 2, 2)  # is no colour, so it brightens nothing
    assert_close(alike(torch.cat([a, opaque], 1), (1, 2, 2)), torch.zeros(1, 1, 2, 2))
    assert_close(alike(torch.cat([a[:, :1], opaque], 1), (1, 2, 2)), -torch.ones(1, 1, 2, 2))


@pytest.mark.realdata
def test_lpips_is_the_networks(test_data: Path):
    offer(test_data / "lpips_alex_fp32.safetensors")
    x, y = noise(4, 1, 32, seed=1), noise(4, 1, 32, seed=2)
    (score,) = PairedLPIPS().score(real(x), a_fake(x, y))
    a, b = (z.float().expand(-1, 3, -1, -1) / 127.5 - 1 for z in (x, y))
    with torch.no_grad():
        assert score.value == pytest.approx(lpips()[0](a, b).mean().item(), rel=1e-5)
    assert score.better == "lower"
    assert replace(score, protocol={}).metric == "lpips"
