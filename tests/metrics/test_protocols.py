"""Every field of every metric changes its protocol, so that different scores never look alike."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from metrics.conftest import stripes

from sparring.data import Images, Mixture1D, Ring, StackedMnist
from sparring.data.digest import digest
from sparring.metrics import (
    LPIPS,
    PSNR,
    SSIM,
    ClassFID,
    DomainFeatures,
    Fake,
    Inception,
    Metric,
    ModeCoverage,
    OfInputs,
    PairedLPIPS,
    PILBicubic,
    Pixels,
    Real,
    StackedModes,
    Wasserstein1D,
    confidence,
    diversity,
    in_words,
    inception,
    paired,
)
from sparring.metrics.points import HighDensity, SlicedWasserstein
from sparring.parts import catalogue

METRICS = [cls for cls in catalogue(Metric) if cls.__module__.startswith("sparring.")]
HOLD_OUT = ("Membership", "Memorisation")


@dataclass(frozen=True)
class Case:
    """A metric on data that it takes."""

    metric: Metric
    real: Real
    fake: Fake

    def said(self, **changes: Any) -> str:
        metric = replace(self.metric, **changes)
        return in_words(metric.score(self.real, self.fake)[0].protocol)


def a_fake(samples: torch.Tensor, **more: Any) -> Fake:
    return Fake("a test", lambda n: iter(samples[:n].split(64)), count=len(samples), **more)


@pytest.fixture
def case(request: pytest.FixtureRequest, striped: Real, tmp_path: Path, monkeypatch: Any) -> Case:
    """A metric with 100 samples, and networks that need no weights."""
    tiny = lambda x: x.mean((2, 3))  # noqa: E731
    monkeypatch.setattr(inception, "pretrained", lambda: (tiny, "d" * 16))
    monkeypatch.setattr(inception, "SIDE", 24)
    monkeypatch.setattr(inception, "DIMENSION", 3)
    head = {"fc.weight": torch.linspace(-1, 1, 30).view(10, 3)}
    monkeypatch.setattr(confidence, "load_weights", lambda known: head)
    apart = lambda x, y: (x - y).abs().mean((1, 2, 3))  # noqa: E731
    for module in (diversity, paired):
        monkeypatch.setattr(module, "lpips", lambda: (apart, "d" * 16))
    kind: type[Metric] = request.param
    made = stripes(100, 5)
    judge = lambda x, labels: x.float().mean((1, 2, 3))  # noqa: E731
    real, fake = striped, a_fake(made.uint8(slice(None)), judge=judge)
    if kind in (ModeCoverage, SlicedWasserstein, HighDensity, Wasserstein1D):
        points = (Mixture1D() if kind is Wasserstein1D else Ring()).open()
        real = Real("points", points=points)
        fake = a_fake(points.sample(100, torch.Generator().manual_seed(0)))
    elif kind is StackedModes:
        pixels, labels = striped.train.uint8(slice(None)), striped.train.labels  # pyright: ignore
        np.savez(tmp_path / "grey.npz", images=pixels[:, 0].numpy(), labels=labels)  # pyright: ignore
        real = Real("stacked", train=StackedMnist(path=str(tmp_path / "grey.npz"), n=600).open())  # pyright: ignore
        fake = a_fake(real.train.uint8(torch.arange(100)))  # pyright: ignore
    elif kind in (LPIPS, PSNR, SSIM, PairedLPIPS, OfInputs):
        large = [s.repeat(1, 1, 3, 3) for s in (stripes(120, 0).pixels, made.pixels)]  # pyright: ignore
        real = Real("large", train=Images(large[0], digest=digest(large[0], None)))
        wanted = large[0][:100].flip(0)
        inputs = a_fake(large[1].flip(0), targets=lambda n: wanted[:n])
        fake = a_fake(large[1], targets=inputs.targets, inputs=inputs)
    elif kind is ClassFID:
        labels = made.labels
        fake = replace(fake, labels=lambda n: labels[:n], classes=made.classes)  # pyright: ignore
    known = {f.name for f in fields(kind)}  # pyright: ignore[reportArgumentType]
    small = {
        "n": 100,
        "metric": PSNR(n=100),
        "features": Inception(),
        "clusters": 5,
        "directions": 8,
        "subsets": 2,
    }
    if "resize" not in known:
        small.pop("features")
    small = {name: value for name, value in small.items() if name in known}
    return Case(kind(**small), real, fake)


def other(name: str, value: Any) -> Any:
    """Another value of a field, whatever it is."""
    if name == "n":
        return 90
    if name == "metric":
        return SSIM(n=100)
    if name == "n_train":
        return 300
    if name == "resize":
        return PILBicubic()
    if name == "features":
        return DomainFeatures() if isinstance(value, Pixels) else Inception(resize=PILBicubic())
    return value + 1 if isinstance(value, int) else 0.9 * value


@pytest.mark.parametrize("case", METRICS, indirect=True, ids=lambda cls: cls.__name__)
def test_everything_that_makes_the_number_is_in_the_protocol(cache: Path, case: Case) -> None:
    plain = case.said()
    assert case.said() == plain
    for field in fields(case.metric):  # pyright: ignore[reportArgumentType]
        value = getattr(case.metric, field.name)
        assert case.said(**{field.name: other(field.name, value)}) != plain, field.name
    inputs = case.fake.inputs and replace(case.fake.inputs, name="other inputs")
    assert replace(case, fake=replace(case.fake, name="another", inputs=inputs)).said() != plain
    if case.real.train is None:
        moved = replace(case.real.points, digest="another")  # pyright: ignore[reportArgumentType]
        assert replace(case, real=replace(case.real, points=moved)).said() != plain
        return
    moved = replace(case.real.train, digest="another")
    assert replace(case, real=replace(case.real, train=moved)).said() != plain
    if type(case.metric).__name__ in HOLD_OUT:
        held = replace(case.real, held_out=stripes(300, 8))
        assert replace(case, real=held).said() != plain
