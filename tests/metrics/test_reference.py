"""The values of torch-fidelity, pytorch-fid, torchmetrics and clean-fid, each in its own mode.

reference.json holds what the tools themselves gave (`make reference`), with their versions and the
hashes of the pictures; all tools had the same trunk.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from pictures import numbers, pair, sha256
from torch.nn import functional

from sparring.metrics import (
    FID,
    KID,
    AntialiasedBilinear,
    Bilinear,
    Gaussian,
    Inception,
    PILBicubic,
    Real,
    TFBilinear,
    frechet_distance,
    lpips,
    offer,
)
from sparring.metrics.comparison import Sides
from sparring.metrics.confidence import certainty
from sparring.metrics.diversity import SCALES, ms_ssim, ssim
from sparring.metrics.features import Extractor
from sparring.metrics.kernel import cubic, discrepancy
from sparring.metrics.manifold import balls
from sparring.sample.sides import array, reference, samples

KNOWN: dict[str, Any] = json.loads((Path(__file__).parent / "reference.json").read_text())
SIDES = [*KNOWN["pictures"]]
RESIZES = {
    "torch-fidelity": TFBilinear(),
    "pytorch-fid": Bilinear(),
    "torchmetrics": AntialiasedBilinear(),
    "clean-fid": PILBicubic(),
    "fid-helper-pytorch": TFBilinear(),
}


@pytest.fixture
def inception(test_data, cache) -> None:
    offer(test_data / "fid_inception_2015_12_05_pool3_fp32.safetensors")


def tensor(array: Any) -> torch.Tensor:
    return torch.from_numpy(array).permute(0, 3, 1, 2)


def test_the_pictures_are_those_that_the_tools_saw() -> None:
    for side in SIDES:
        assert [sha256(p) for p in pair(8, int(side))] == KNOWN["pictures"][side]["sha256"]
    seen = [numbers(300, 16, 1), numbers(300, 16, 2), numbers(200, 50, 3)]
    assert [sha256(a) for a in seen] == KNOWN["numbers"]["sha256"]


@pytest.mark.realdata
@pytest.mark.parametrize("tool", RESIZES)
def test_features(tool: str, inception) -> None:
    extractor = Inception(resize=RESIZES[tool]).open(Real("none"))
    for side in SIDES:
        wanted = torch.tensor(KNOWN["pictures"][side][tool]["features"])
        found = extractor(tensor(pair(8, int(side))[0][:1]))[0, :: KNOWN["every"]]
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)


@pytest.mark.realdata
@pytest.mark.parametrize("tool", ["torch-fidelity", "pytorch-fid", "torchmetrics", "clean-fid"])
@pytest.mark.parametrize("side", ["32"])
def test_fid_and_kid(tool: str, side: str, inception) -> None:
    x, y = pair(8, int(side))
    real, fake = reference(array(x, "x"), "x"), samples(array(y, "y"), "y")
    known = KNOWN["pictures"][side][tool]
    fid = FID(resize=RESIZES[tool]).score(real, fake)[0].value
    # torchmetrics hands its result back in float32.
    assert fid == pytest.approx(known["fid"], abs=1e-3)
    if known["kid"] is not None:
        kid = KID(resize=RESIZES[tool]).score(real, fake)[0].value
        assert kid == pytest.approx(known["kid"], abs=1e-6)


def test_the_tools_differ_more_from_each_other_than_sparring_from_any() -> None:
    """What the protocol's resize is for: at 32 px the shift alone is worth more than 10."""
    fids = [KNOWN["pictures"]["32"][tool]["fid"] for tool in [*RESIZES][:4]]
    assert max(fids) - min(fids) > 10


def test_all_sizes_agreed_when_the_file_was_made() -> None:
    values, largest = KNOWN["sparring"]["values"], KNOWN["sparring"]["largest"]
    assert {*SIDES, "bundled"} <= {*values}
    assert all(values["bundled"][tool]["fid"] for tool in [*RESIZES][:4])
    assert largest["fid"] < 1e-3
    assert largest["kid"] < 1e-6
    for name, found in values.items():
        tools = KNOWN["bundled"] if name == "bundled" else KNOWN["pictures"][name]
        if "neighbours" in tools:
            assert found["precision-recall"] == tools["neighbours"]["torch-fidelity"], name


# ----------------------------------------------------------------- numbers that no network made


def sides() -> Sides:
    real, fake = (torch.from_numpy(numbers(300, 16, seed)) for seed in (1, 2))
    return Sides(real, fake, Extractor("n", "n", "", 16, "", lambda x: x), {})


@pytest.mark.parametrize(("tool", "k", "edge"), [("torch-fidelity", 3, True), ("prdc", 5, False)])
def test_precision_and_recall_are_exact_counts(tool: str, k: int, edge: bool) -> None:
    found = balls(sides(), k, edge)
    for name, value in KNOWN["numbers"]["neighbours"][tool].items():
        # torch-fidelity counts in float32.
        assert float(found.values(name).mean()) == pytest.approx(value, abs=1e-7), name


def test_kernel_and_frechet_distances_of_numbers() -> None:
    both = sides()
    kid = discrepancy(both.fake, both.real, cubic).value
    for tool, value in KNOWN["numbers"]["kid"].items():
        assert kid == pytest.approx(value, rel=1e-9), tool
    fid = frechet_distance(Gaussian.of(both.fake), Gaussian.of(both.real))
    for tool, value in KNOWN["numbers"]["fid"].items():
        assert fid == pytest.approx(value, rel=1e-5), tool


def test_the_inception_score_of_logits() -> None:
    value, spread, _ = certainty(torch.from_numpy(numbers(200, 50, 3)), 10)
    assert value == pytest.approx(KNOWN["numbers"]["inception-score"]["mean"], rel=1e-9)
    assert spread == pytest.approx(KNOWN["numbers"]["inception-score"]["std"], rel=1e-9)


def test_ms_ssim_is_that_of_torchmetrics_but_for_the_border() -> None:
    """torchmetrics mirrors the border of the coarsest scale, where Wang et al. leave it out."""
    x, y = map(tensor, pair(4, 192))
    a, b = x.double(), (0.7 * x.float() + 0.3 * y.float()).round().double()
    value, exact = torch.ones(4, dtype=torch.float64), ms_ssim(a, b)
    for weight in SCALES[:4]:
        value *= ssim(a, b)[1] ** weight
        a, b = (functional.avg_pool2d(z, 2) for z in (a, b))
    last = ssim(a, b)[0]
    torch.testing.assert_close(value * last ** SCALES[4], exact, atol=1e-12, rtol=0)
    mirrored = ssim(*(functional.pad(z, (5, 5, 5, 5), mode="reflect") for z in (a, b)))[0]
    wanted = torch.tensor(KNOWN["perception"]["ms-ssim"], dtype=torch.float64)
    torch.testing.assert_close(value * mirrored ** SCALES[4], wanted, atol=1e-6, rtol=0)


@pytest.mark.realdata
def test_lpips_is_that_of_torchmetrics(test_data, cache) -> None:
    offer(test_data / "lpips_alex_fp32.safetensors")
    network, _ = lpips()
    x, y = map(tensor, pair(4, 64))
    found = network(x / 127.5 - 1, y / 127.5 - 1)
    wanted = torch.tensor(KNOWN["perception"]["lpips-alex"])
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)
