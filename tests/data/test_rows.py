"""Images in a file: read when they are asked for, subsets by index, the same batches."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from sparring.data import Images, split, take
from sparring.data.digest import digest
from sparring.data.rows import Rows
from sparring.training.feed import Feed


def held(n: int = 20) -> Tensor:
    """Image i has the value i."""
    return torch.arange(n, dtype=torch.uint8)[:, None, None, None].expand(n, 3, 4, 5).clone()


class Counting:
    """Reads from a tensor and keeps count."""

    def __init__(self, pixels: Tensor) -> None:
        self.pixels, self.read = pixels, 0

    def __call__(self, index: Tensor) -> Tensor:
        self.read += len(index)
        return self.pixels[index]


def test_a_subset_of_a_subset_is_an_index_and_reads_nothing():
    source = Counting(held())
    rows = Rows(source.pixels.shape, torch.uint8, source)
    part = rows.take(torch.tensor([3, 9, 1, 7])).take(torch.tensor([2, 0]))
    assert source.read == 0
    assert (len(part), part.shape) == (2, (2, 3, 4, 5))
    assert part[torch.tensor([1, 0])][:, 0, 0, 0].tolist() == [3, 1]
    assert part[:1][:, 0, 0, 0].tolist() == [1]
    assert part[torch.tensor([False, True])][:, 0, 0, 0].tolist() == [3]
    assert source.read == 4
    with pytest.raises(IndexError):
        part[torch.tensor([2])]


def test_taking_keeps_labels_and_gives_each_subset_a_digest_of_its_own():
    source = Counting(held())
    images = Images(Rows(source.pixels.shape, torch.uint8, source), torch.arange(20), digest="ab")
    inside, outside = split(20)
    train, rest = take(images, inside), take(images, outside)
    assert source.read == 0
    assert train.labels is not None
    assert train.labels.tolist() == inside.tolist()
    assert train.uint8(slice(None))[:, 0, 0, 0].tolist() == inside.tolist()
    assert len({train.digest, rest.digest, "ab"}) == 3
    assert train.digest == take(images, inside).digest
    assert train.digest != take(replace(images, digest="cd"), inside).digest


def test_the_digest_of_rows_is_that_of_the_tensor():
    pixels, labels = torch.randint(256, (5000, 1, 3, 2)).to(torch.uint8), torch.arange(5000)
    rows = Rows(pixels.shape, torch.uint8, lambda i: pixels[i])
    assert digest(rows, labels) == digest(pixels, labels)
    vectors = torch.rand(5000, 2)
    known = {digest(pixels, v) for v in (None, labels, vectors, vectors.flip(0))}
    assert len(known | {digest(pixels.float(), None)}) == 5


def test_batches_from_rows_are_those_from_memory():
    pixels = held(30)
    rows = Rows(pixels.shape, torch.uint8, lambda i: pixels[i])
    vectors = torch.rand(30, 2)
    memory = Feed(Images(pixels, vectors, ("a", "b")), batch=8, seed=3, flip=True)
    file = Feed(Images(rows, vectors, ("a", "b")), batch=8, seed=3, flip=True)
    for turn in (0, 5, 2):
        a, b = memory(turn), file(turn)
        assert_close(a.x, b.x, rtol=0, atol=0)
        assert a.c is not None
        assert_close(a.c, b.c)
        assert a.c.shape == (8, 2)


def test_float_pixels_pass_as_they_are_and_become_bytes_for_scores():
    x = torch.linspace(-1, 1, 65536).reshape(16, 1, 64, 64)
    images = Images(x)
    assert torch.equal(images.float(slice(0, 16)), x)
    assert len(images.float(slice(0, 16)).unique()) == 65536
    seen = images.uint8(slice(0, 16))
    assert seen.dtype == torch.uint8
    assert (seen.min(), seen.max()) == (0, 255)
    assert_close(seen.float() / 127.5 - 1, x, rtol=0, atol=0.5001 / 127.5)
    assert torch.equal(Feed(images, batch=16, seed=0)(0).x.flatten().sort().values, x.flatten())
