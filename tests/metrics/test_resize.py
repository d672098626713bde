"""The four ways to resize, each against another way to compute it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from sparring.metrics import AntialiasedBilinear, Bilinear, PILBicubic, TFBilinear
from sparring.randomness import generator

SIZES = [(7, 9), (28, 28), (40, 31), (64, 48)]
WAYS = [TFBilinear(), Bilinear(), AntialiasedBilinear(), PILBicubic()]


def image(height: int, width: int) -> torch.Tensor:
    rng = generator("test resize", height, width)
    return torch.randint(256, (2, 3, height, width), dtype=torch.uint8, generator=rng)


def by_hand(image: torch.Tensor, side: int, half: float) -> torch.Tensor:
    """Bilinear interpolation pixel by pixel in float64; half: 0.5 for pixel centres, 0 corners."""
    x = image.double().numpy()
    for axis in (1, 2):
        size = x.shape[axis]
        at = (np.arange(side) + half) * size / side - half
        at = at.clip(0, size - 1)
        low = np.floor(at).astype(int)
        high = (low + 1).clip(max=size - 1)
        weight = np.expand_dims(at - low, [i for i in range(3) if i != axis])
        x = x.take(low, axis) * (1 - weight) + x.take(high, axis) * weight
    return torch.from_numpy(x)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(("way", "half"), [(TFBilinear(), 0.0), (Bilinear(), 0.5)])
def test_bilinear_without_antialiasing(way, half, size) -> None:
    images = image(*size)
    found = way(images, 37)
    expected = torch.stack([by_hand(i, 37, half) for i in images])
    torch.testing.assert_close(found.double(), expected, atol=2e-3, rtol=0)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(
    ("way", "kernel"),
    [
        (AntialiasedBilinear(), Image.Resampling.BILINEAR),
        (PILBicubic(), Image.Resampling.BICUBIC),
    ],
)
def test_antialiased_ways_are_those_of_pillow(way, kernel, size) -> None:
    images = image(*size)
    expected = [
        [
            np.asarray(Image.fromarray(channel.numpy().astype(np.float32)).resize((37, 37), kernel))
            for channel in one
        ]
        for one in images
    ]
    expected = torch.from_numpy(np.array(expected)).clamp(0, 255)
    torch.testing.assert_close(way(images, 37), expected, atol=5e-3, rtol=0)


@pytest.mark.parametrize("way", WAYS, ids=repr)
def test_the_four_ways_differ_but_for_the_same_size(way) -> None:
    images = image(40, 31)
    for other in WAYS:
        apart = (way(images, 37) - other(images, 37)).abs().mean()
        assert apart > 0.5 if other != way else apart == 0
    same = image(37, 37)
    torch.testing.assert_close(way(same, 37), same.float(), atol=1e-4, rtol=0)


def test_what_the_network_reads_is_scaled_and_grey_is_repeated() -> None:
    white = torch.full((1, 1, 5, 5), 255, dtype=torch.uint8)
    for way, value in ((TFBilinear(), 127 / 128), (Bilinear(), 1.0)):
        found = way.scaled(white, 8)
        assert found.shape == (1, 3, 8, 8)
        torch.testing.assert_close(found, torch.full_like(found, value), atol=1e-6, rtol=0)
