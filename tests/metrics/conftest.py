"""A small labelled data set, and a cache of its own for each test session."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sparring.data.digest import digest
from sparring.data.source import Images
from sparring.metrics import Real
from sparring.randomness import generator

NAMES = ("rows", "columns", "chequers", "plain")


def stripes(n: int, seed: int, labels: torch.Tensor | None = None) -> Images:
    """n grey 12 x 12 images of four patterns under noise, in equal shares, sorted by class."""
    rng = generator("stripes", seed)
    y, x = torch.meshgrid(torch.arange(12), torch.arange(12), indexing="ij")
    patterns = torch.stack([y // 2 % 2, x // 2 % 2, (y // 2 + x // 2) % 2, 0 * x]).float()
    if labels is None:
        labels = torch.arange(n) * 4 // n
    noise = 35 * torch.randn(n, 1, 12, 12, generator=rng)
    pixels = (80 + 80 * patterns[labels][:, None] + noise).clamp(0, 255).to(torch.uint8)
    return Images(pixels, labels, NAMES, digest(pixels, labels))


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def cache(shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder that tests share, so that a classifier is trained once."""
    monkeypatch.setenv("SPARRING_CACHE", str(shared_cache))
    return shared_cache


@pytest.fixture(scope="session")
def striped() -> Real:
    """1,200 images to train on, 300 held out."""
    return Real("stripes", train=stripes(1200, 0), held_out=stripes(300, 1))


@pytest.fixture(scope="session")
def more_stripes() -> Images:
    """Fresh images of the same distribution, in random order: a perfect generator's samples."""
    labels = torch.randint(4, (2000,), generator=generator("more labels"))
    return stripes(2000, 2, labels)
