"""Stacked images: three grey ones as channels, with a mode for each triple of classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sparring.data import Images, StackedMnist, split, take
from sparring.data.stacked import is_stacked, unstacked
from sparring.errors import DataError, RecipeError


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """30 images of one grey level each, ten times the class plus a number; classes 0, 1, 2."""
    labels = np.arange(30) % 3
    levels = (10 * labels + np.arange(30) // 3).astype(np.uint8)
    pixels = np.broadcast_to(levels[:, None, None], (30, 6, 5)).copy()
    np.savez(tmp_path / "digits.npz", images=pixels, labels=labels)
    return tmp_path / "digits.npz"


def opened(path: Path, n: int = 500, size: tuple[int, int] | None = None) -> Images:
    found = StackedMnist(path=str(path), n=n).open(size)
    assert isinstance(found, Images)
    return found


def test_each_channel_is_of_the_class_that_its_mode_says(digits: Path) -> None:
    images = opened(digits)
    assert images.shape == (3, 6, 5)
    assert len(images) == 500
    assert images.classes[:4] == ("0/0/0", "0/0/1", "0/0/2", "0/1/0")
    assert len(images.classes) == 27
    pixels = images.uint8(torch.arange(500))
    assert pixels.is_contiguous(memory_format=torch.channels_last)
    assert images.labels is not None
    for stack, label in zip(pixels, images.labels.tolist()):
        shown = "/".join(str(int(level) // 10) for level in stack[:, 0, 0])
        assert shown == images.classes[label]
    classes, names = unstacked(images)
    assert names == ("0", "1", "2")
    assert (classes == pixels[:, :, 0, 0] // 10).all()


def test_triples_are_independent_and_drawn_by_a_fixed_seed(digits: Path) -> None:
    images, again = opened(digits, 4000), opened(digits, 4000)
    assert (images.uint8(torch.arange(9)) == again.uint8(torch.arange(9))).all()
    assert images.digest == again.digest
    assert images.digest != opened(digits, 3999).digest
    assert images.labels is not None
    counts = images.labels.bincount(minlength=27).double()
    chi_square = float(((counts - 4000 / 27) ** 2 / (4000 / 27)).sum())
    assert 8 < chi_square < 55  # of 26 degrees of freedom, 0.1 % on either side
    part = take(images, split(4000)[0])
    assert is_stacked(part)
    assert opened(digits, 9, (12, 10)).shape == (3, 12, 10)


def test_what_cannot_be_stacked(digits: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing is there"):
        opened(tmp_path / "digit.npz")
    colour = np.zeros((9, 4, 4, 3), dtype=np.uint8)
    np.savez(tmp_path / "colour.npz", images=colour, labels=np.arange(9) % 2)
    np.savez(tmp_path / "bare.npz", images=colour[..., 0])
    for name in ("colour.npz", "bare.npz"):
        with pytest.raises(DataError, match="it takes grey images with classes"):
            opened(tmp_path / name)
    with pytest.raises(RecipeError, match="n must be at least 2"):
        StackedMnist(n=1)
    with pytest.raises(DataError, match="no stacked images"):
        unstacked(Images(torch.zeros(2, 3, 4, 4).byte(), torch.tensor([0, 1]), ("a", "b")))


@pytest.mark.realdata
def test_mnist_has_a_thousand_modes(test_data: Path) -> None:
    images = opened(test_data / "mnist.npz", 128_000)
    assert images.labels is not None
    assert len(images.classes) == len(images.labels.unique()) == 1000
    assert images.classes[314] == "3/1/4"
