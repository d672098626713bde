"""What is held out, and subsets of images."""

import pytest
import torch

from sparring.data import Images, split, take
from sparring.data.digest import digest
from sparring.errors import RecipeError


@pytest.mark.parametrize(
    ("n", "expected"),
    [(2, 0), (10, 2), (100, 20), (320, 64), (1000, 64), (1280, 64), (2000, 100), (10_000, 500)],
)
def test_default_is_five_percent_at_least_64_at_most_a_fifth(n, expected):
    train, held_out = split(n)
    assert len(held_out) == expected
    assert len(train) == n - expected


def test_the_parts_are_ascending_disjoint_and_complete():
    train, held_out = split(1000, 300)
    assert len(held_out) == 300
    assert torch.equal(torch.cat([train, held_out]).sort().values, torch.arange(1000))
    assert (train.diff() > 0).all()
    assert (held_out.diff() > 0).all()
    assert train.dtype == torch.int64


def test_held_out_images_are_scattered_and_always_the_same():
    held_out = split(1000, 100)[1]
    assert torch.equal(held_out, split(1000, 100)[1])
    assert held_out.float().mean().item() == pytest.approx(500, abs=120)
    assert set(held_out.tolist()) < set(split(1000, 200)[1].tolist())


def test_none_held_out():
    train, held_out = split(5, 0)
    assert train.tolist() == [0, 1, 2, 3, 4]
    assert held_out.tolist() == []


def test_a_number_that_leaves_too_little_is_refused():
    assert len(split(10, 8)[0]) == 2
    with pytest.raises(RecipeError, match="cannot hold out 9 of 10 images: at least 2"):
        split(10, 9)
    with pytest.raises(RecipeError, match="negative"):
        split(10, -1)


def test_take_keeps_labels_classes_and_a_right_digest():
    pixels = torch.randint(0, 256, (6, 3, 4, 5), dtype=torch.uint8)
    pixels = pixels.contiguous(memory_format=torch.channels_last)
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    images = Images(pixels=pixels, labels=labels, classes=("a", "b", "c"), digest="whole")
    part = take(images, torch.tensor([4, 1]))
    assert torch.equal(part.pixels, pixels[[4, 1]])
    assert part.pixels.is_contiguous(memory_format=torch.channels_last)
    assert part.labels is not None
    assert part.labels.tolist() == [1, 1]
    assert part.classes == ("a", "b", "c")
    assert part.digest == digest(pixels[[4, 1]], labels[[4, 1]])


def test_digest_depends_on_pixels_order_labels_and_shape_only():
    pixels = torch.arange(24, dtype=torch.uint8).reshape(2, 3, 2, 2)
    labels = torch.tensor([0, 1])
    known = digest(pixels, labels)
    assert known == digest(pixels.contiguous(memory_format=torch.channels_last), labels)
    assert len(known) == 16
    int(known, 16)
    others = [
        digest(pixels + 1, labels),
        digest(pixels.flip(0), labels),
        digest(pixels, labels.flip(0)),
        digest(pixels, None),
        digest(pixels.reshape(2, 3, 4, 1), labels),
    ]
    assert len({known, *others}) == 6
