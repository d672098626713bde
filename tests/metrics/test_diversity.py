"""MS-SSIM, LPIPS, certainty and slices: closed forms and limits."""

from __future__ import annotations

import io
import math
import struct
import tarfile

import numpy as np
import pytest
import torch
from torch import Tensor

from sparring.data.digest import digest
from sparring.data.source import Images
from sparring.errors import DataError
from sparring.metrics import (
    LPIPS,
    MSSSIM,
    DomainScore,
    Fake,
    Inception,
    InceptionScore,
    Pixels,
    Real,
    SlicedFeatures,
    evaluate,
    lpips,
    offer,
    perceptual,
)
from sparring.metrics.confidence import certainty
from sparring.metrics.diversity import ms_ssim, scales, ssim
from sparring.metrics.perceptual import LpipsAlex
from sparring.metrics.slices import unit_vectors, wasserstein
from sparring.randomness import generator

pytestmark = pytest.mark.usefixtures("cache")


def images(n: int, seed: int = 0, channels: int = 1, side: int = 24) -> Tensor:
    x = 128 + 40 * torch.randn(n, channels, side, side, generator=generator("diversity", seed))
    return x.clamp(0, 255).to(torch.uint8)


def real(pixels: Tensor) -> Real:
    return Real("test", Images(pixels, digest=digest(pixels, None)))


def fake(pixels: Tensor) -> Fake:
    return Fake("made", lambda n: iter(pixels[:n].split(13)), count=len(pixels))


# --------------------------------------------------------------------------------------- MS-SSIM


def test_ssim_of_an_image_and_itself_is_one() -> None:
    x = images(3).double()
    for found in (*ssim(x, x), ms_ssim(x, x)):
        torch.testing.assert_close(found, torch.ones(3, dtype=torch.float64))


def test_ssim_of_two_greys_has_a_closed_form() -> None:
    a, b = (torch.full((1, 1, 16, 16), v, dtype=torch.float64) for v in (100.0, 150.0))
    c1 = 2.55**2
    light = (2 * 100 * 150 + c1) / (100**2 + 150**2 + c1)
    similar, contrast = ssim(a, b)
    assert float(contrast) == pytest.approx(1)
    assert float(similar) == pytest.approx(light)


def test_the_number_of_scales_follows_the_room() -> None:
    counts = [scales((side, 500)) for side in (11, 21, 22, 28, 44, 88, 175, 176, 512)]
    assert counts == [1, 1, 2, 2, 3, 4, 4, 5, 5]
    with pytest.raises(DataError, match="needs 11 pixels"):
        scales((10, 64))


def test_one_image_again_and_again_has_similarity_one() -> None:
    x = images(40)
    same = MSSSIM().score(real(x), fake(x[:1].expand(40, -1, -1, -1)))[0]
    assert same.value == pytest.approx(1)
    assert same.detail["real"] < 0.5
    assert same.protocol["scales"] == "2 of 5"  # 28 pixels
    own = MSSSIM().score(real(x), fake(images(40, 1)))[0]
    assert own.value == pytest.approx(own.detail["real"], abs=4 * own.se)


# ----------------------------------------------------------------------------------------- LPIPS


@pytest.mark.realdata
def test_lpips_of_samples(test_data) -> None:
    offer(test_data / "lpips_alex_fp32.safetensors")
    network, _ = lpips()
    x = images(16, channels=3, side=40)
    z = x / 127.5 - 1
    assert network(z, z).abs().max() == 0
    torch.testing.assert_close(network(z, z.flip(0)), network(z.flip(0), z))
    same = LPIPS().score(real(x), fake(x[:1].expand(16, -1, -1, -1)))[0]
    assert same.value == 0
    assert same.better == "data"
    assert same.detail["real"] > 0.01
    grey = images(8, side=40)
    one = LPIPS().score(real(grey), fake(grey))[0].value
    three = (
        LPIPS().score(real(grey.expand(-1, 3, -1, -1)), fake(grey.expand(-1, 3, -1, -1)))[0].value
    )
    assert one == pytest.approx(three, rel=1e-6)
    # Gradients reach the images, for whoever trains with it.
    moved = z.clone().requires_grad_()
    network(moved, z.flip(0)).sum().backward()
    assert moved.grad is not None
    assert moved.grad.abs().max() > 0


@pytest.mark.realdata
def test_lpips_takes_noise_for_uniform_and_flat_colours_for_diverse(test_data) -> None:
    """One noise looks like another, so that it scores lower than photos, which have 0.2."""
    offer(test_data / "lpips_alex_fp32.safetensors")
    noise = torch.randint(0, 256, (40, 3, 32, 32), dtype=torch.uint8)
    flat = noise[:, :, :1, :1].expand(-1, -1, 32, 32)
    found = [LPIPS().score(real(noise), fake(x))[0].value for x in (noise, flat)]
    assert found[0] < 0.1 < 0.25 < found[1]


def test_lpips_says_what_it_cannot_read() -> None:
    for x, why in ((images(8), "needs 31 pixels"), (images(8, channels=2), "1 or 3 channels")):
        scores, skipped = evaluate([LPIPS()], real(x), fake(x))
        assert scores == []
        assert why in skipped[0][1]


# ------------------------------------------------------------------------------------- certainty


def test_certainty_between_its_limits() -> None:
    sure = torch.eye(8, dtype=torch.float64).repeat(10, 1) * 1000
    assert certainty(sure, 10)[0] == pytest.approx(8)  # every class in turn, without doubt
    assert certainty(torch.zeros(80, 8), 10)[0] == pytest.approx(1)  # no idea
    assert certainty(sure[:1].expand(80, -1), 10)[0] == pytest.approx(1)  # always the same class
    logits = torch.randn(90, 5, dtype=torch.float64, generator=generator("logits"))
    value, spread, error = certainty(logits, 9)
    assert 1 < value < 5
    assert error == pytest.approx(spread / math.sqrt(8))
    with pytest.raises(DataError, match="too few samples for 10 splits"):
        certainty(logits[:9], 10)


def test_the_score_of_the_datas_own_classifier(striped, more_stripes) -> None:
    good = DomainScore(n=400).score(striped, fake(more_stripes.uint8(slice(None))))[0]
    assert good.metric == "domain-score"
    assert 3 < good.value <= 4
    assert good.value == pytest.approx(good.detail["real"], abs=0.2)
    one = striped.train.uint8(slice(0, 1)).expand(400, -1, -1, -1)
    assert DomainScore(n=400).score(striped, fake(one))[0].value == pytest.approx(1, abs=1e-6)


def test_the_inception_score_needs_the_class_head(monkeypatch) -> None:
    """The trunk alone has no classes, and no other score takes the name."""
    from sparring.metrics import confidence, inception

    monkeypatch.setattr(inception, "pretrained", lambda: (lambda x: x.mean((2, 3)), "d" * 16))
    monkeypatch.setattr(confidence, "load_weights", lambda _: {})
    x = images(40, channels=3)
    _, skipped = evaluate([InceptionScore()], real(x), fake(x))
    assert "needs the class head" in skipped[0][1]
    assert "6726825d" in skipped[0][1]
    head = torch.randn(7, 3, generator=generator("head"))
    monkeypatch.setattr(confidence, "load_weights", lambda _: {"fc.weight": head})
    score = InceptionScore(splits=4).score(real(x), fake(x))[0]
    features = Inception().open(real(x))(x)
    assert score.value == pytest.approx(certainty((features @ head.T).double(), 4)[0], rel=1e-6)
    assert score.metric == "inception-score"
    assert score.protocol["n_fake"] == 40


# ---------------------------------------------------------------------------------------- slices


def test_a_shift_has_a_closed_form() -> None:
    """Along every direction the distance is the shift's part in it: |c| / sqrt(d) in the mean."""
    x = torch.randn(500, 6, dtype=torch.float64, generator=generator("slices"))
    shift = torch.tensor([3.0, -1, 0, 2, 0.5, 1], dtype=torch.float64)
    theta = unit_vectors(20_000, 6)
    found = wasserstein(x @ theta.T, (x + shift) @ theta.T)
    assert found == pytest.approx(float(shift.norm()) / math.sqrt(6), rel=0.02)
    torch.testing.assert_close(theta.norm(dim=1), torch.ones(20_000, dtype=torch.float64))


def test_a_wider_gaussian_has_a_closed_form() -> None:
    """W2 of N(0, s^2) and N(0, t^2) is |s - t|."""
    q = torch.special.ndtri((torch.arange(4000, dtype=torch.float64) + 0.5) / 4000)
    assert wasserstein(q[:, None], 3 * q[:, None]) == pytest.approx(2, rel=2e-3)


def test_slices_of_images_with_error_and_floor() -> None:
    x = images(400, side=4)
    metric = SlicedFeatures(features=Pixels(), directions=50)
    own = metric.score(real(x), fake(images(400, 1, side=4)))[0]
    assert own.metric == "sliced-features[pixels]"
    assert own.value < own.detail["floor"]  # of half as many images
    far = metric.score(real(x), fake(255 - images(400, 1, side=4) // 2))[0]
    assert far.value > 10 * own.value
    assert 0 < far.se < 0.1 * far.value
    same = metric.score(real(x), fake(x.flip(0)))[0]
    assert same.value == pytest.approx(0, abs=1e-12)


def test_the_error_of_the_slices_is_their_spread() -> None:
    values, errors = [], []
    reference = images(300, 99, side=4)
    for seed in range(25):
        score = SlicedFeatures(features=Pixels(), directions=30).score(
            real(reference), fake((images(300, seed, side=4) * 0.8).to(torch.uint8))
        )[0]
        values.append(score.value)
        errors.append(score.se)
    assert 0.5 < np.mean(errors) / np.std(values) < 2.5


def test_the_packages_file_is_read_by_its_places(tmp_path) -> None:
    """Each tensor begins where it is said to, and a kernel (h, w, in, out) becomes (out, in, h, w).

    That the real package gives the known digest was seen once: it is 64 MB."""
    _, start, shape = perceptual._PLACES[-1]
    size = start + 4 * math.prod(shape)
    data = np.random.default_rng(0).standard_normal(size // 4 + 1).astype("<f4").tobytes()[:size]
    path = tmp_path / "package.tar.gz"
    with tarfile.open(path, "w:gz", compresslevel=0) as archive:
        row = tarfile.TarInfo(perceptual._ARCHIVED)
        row.size = size
        archive.addfile(row, io.BytesIO(data))
    tensors = perceptual._from_package(path)
    assert {k: tuple(t.shape) for k, t in tensors.items() if "features" in k} == {
        k: tuple(t.shape) for k, t in LpipsAlex().state_dict().items() if "features" in k
    }
    w = 4 * (((2 * 5 + 3) * 64 + 7) * 192 + 11)  # of row 2, column 3, from channel 7 to 11
    (wanted,) = struct.unpack_from("<f", data, 93510 + w)
    assert tensors["features.3.weight"][11, 7, 2, 3] == pytest.approx(wanted, nan_ok=True)
    (wanted,) = struct.unpack_from("<f", data, 9882354 + 4 * 100)
    assert tensors["lin3.weight"][0, 100, 0, 0] == pytest.approx(wanted, nan_ok=True)
