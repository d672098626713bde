"""Real batches: each image once an epoch, whatever the batch, the order, the processes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from sparring.data import Images, Ring
from sparring.training.feed import Feed, cropped


def numbered(n: int, width: int = 2) -> Images:
    """Image i is filled with i in its left column and 255 in the right; its label is i."""
    pixels = torch.full((n, 1, 2, width), 255, dtype=torch.uint8)
    pixels[..., 0] = torch.arange(n, dtype=torch.uint8)[:, None, None]
    return Images(pixels=pixels, labels=torch.arange(n), classes=tuple(map(str, range(n))))


@pytest.mark.parametrize("batch", [1, 3, 7, 10, 25])
def test_none_twice_before_all_were_shown_once(batch):
    feed = Feed(numbered(10), batch=batch, seed=0)
    shown = torch.cat([feed(turn).c for turn in range(-(-30 // batch))])[:30]
    epochs = shown.view(3, 10)
    for epoch in epochs:
        assert sorted(epoch.tolist()) == list(range(10))
    assert not torch.equal(epochs[0], epochs[1])


def test_a_batch_depends_on_seed_and_number_alone():
    data = numbered(10)
    forward = [Feed(data, batch=4, seed=1)(turn).c for turn in range(6)]
    feed = Feed(data, batch=4, seed=1)
    backward = [feed(turn).c for turn in reversed(range(6))][::-1]
    assert_close(forward, backward)
    assert not torch.equal(
        torch.cat(forward), torch.cat([Feed(data, batch=4, seed=2)(t).c for t in range(6)])
    )


@pytest.mark.parametrize("data", [numbered(10), Ring().open()], ids=["images", "points"])
def test_processes_split_the_batch(data):
    one = Feed(data, batch=6, seed=0, flip=True)
    two = [Feed(data, batch=3, seed=0, flip=True, rank=r, world=2) for r in (0, 1)]
    for turn in range(5):
        assert_close(torch.cat([f(turn).x for f in two]), one(turn).x)


def test_pixels_are_minus_one_to_one_and_follow_their_label():
    data = numbered(10)
    batch = Feed(data, batch=10, seed=0)(0)
    assert batch.x.dtype == torch.float32
    assert_close(batch.x[:, 0, 0, 0], batch.c / 127.5 - 1)
    assert (batch.x[..., 1] == 1).all()
    assert batch.x.min() == -1


def test_flip_mirrors_about_half():
    feed = Feed(numbered(10), batch=1000, seed=0, flip=True)
    x, y = feed(0).x, feed(1).x
    mirrored = x[:, 0, 0, 0] == 1
    assert 0.42 < mirrored.float().mean() < 0.58
    assert not torch.equal(mirrored, y[:, 0, 0, 0] == 1)
    assert ((x[:, 0, 0, 0] == 1) ^ (x[:, 0, 0, 1] == 1)).all()
    assert (Feed(numbered(10), batch=1000, seed=0)(0).x[:, 0, 0, 1] == 1).all()


def test_points_never_end():
    feed = Feed(Ring().open(), batch=4, seed=0)
    assert feed(0).x.shape == (4, 2)
    assert feed(0).c is None
    assert not torch.equal(feed(0).x, feed(1).x)
    assert_close(feed(0).x, Feed(Ring().open(), batch=4, seed=0)(0).x)


# ------------------------------------------------------------------------------ balanced classes


def unequal() -> tuple[Images, torch.Tensor]:
    """Ten images, numbered by their label; six of class 0, three of class 2, one of class 5."""
    return numbered(10), torch.tensor([0, 2, 0, 0, 5, 0, 2, 0, 2, 0])


@pytest.mark.parametrize("batch", [1, 4, 7, 12])
def test_balanced_classes_take_turns(batch):
    data, classes = unequal()
    feed = Feed(data, batch=batch, seed=0, balance=classes)
    shown = torch.cat([feed(turn).c for turn in range(-(-180 // batch))])[:180]
    blocks = classes[shown].view(60, 3)
    assert (blocks.sort(1).values == torch.tensor([0, 2, 5])).all()
    assert len({tuple(block) for block in blocks.tolist()}) == 6  # in every order
    for k, size in ((0, 6), (2, 3), (5, 1)):  # each class has epochs of its own
        own = shown[classes[shown] == k].view(-1, size)
        assert (own.sort(1).values == (classes == k).nonzero().T).all()


def test_a_balanced_batch_depends_on_seed_and_number_alone():
    data, classes = unequal()
    whole = [Feed(data, batch=8, seed=1, balance=classes)(turn).c for turn in range(6)]
    feed = Feed(data, batch=8, seed=1, balance=classes)
    assert_close([feed(turn).c for turn in reversed(range(6))][::-1], whole)
    ranks = [Feed(data, batch=4, seed=1, balance=classes, rank=r, world=2) for r in (0, 1)]
    for turn, batch in enumerate(whole):
        assert_close(torch.cat([feed(turn).c for feed in ranks]), batch)
    other = Feed(data, batch=8, seed=2, balance=classes)
    assert not torch.equal(torch.cat([other(t).c for t in range(6)]), torch.cat(whole))


# ------------------------------------------------------------------------------------------ inputs


def with_places(n: int, paired: bool = True) -> Images:
    """Image i and its input have the number of each pixel; inputs have their own number besides."""
    places = torch.arange(48, dtype=torch.uint8).view(1, 1, 6, 8)
    inputs = Images(torch.cat([places.expand(n, 1, 6, 8), _own(n)], 1))
    return replace(Images(places.expand(n, 1, 6, 8).clone()), inputs=inputs, paired=paired)


def _own(n: int) -> torch.Tensor:
    return torch.arange(n, dtype=torch.uint8)[:, None, None, None].expand(n, 1, 6, 8)


def test_a_pair_is_turned_and_cropped_alike():
    feed = Feed(with_places(10), batch=5, seed=0, flip=True, jitter=0.5)
    seen = set()
    for turn in range(4):
        batch = feed(turn)
        assert batch.a is not None
        assert batch.x.shape == (5, 1, 6, 8)
        assert batch.a.shape == (5, 2, 6, 8)
        assert_close(batch.a[:, :1], batch.x)
        seen |= {x.numpy().tobytes() for x in batch.x}
    assert len(seen) > 10  # not all alike


def test_the_i_th_input_belongs_to_the_i_th_image():
    data = replace(numbered(10), inputs=Images(_own(10)))
    batch = Feed(data, batch=7, seed=0)(1)
    assert batch.a is not None
    assert_close((batch.a[:, 0, 0, 0] + 1) * 127.5, batch.c.float(), atol=1e-4, rtol=0)


def test_a_crop_is_a_window_of_the_enlarged_image():
    """Every window of an image enlarged by 1 + 4/8 has the columns of one of the 5 places."""
    x = torch.rand((4, 2, 8, 8), generator=torch.Generator().manual_seed(0))
    large = torch.nn.functional.interpolate(x, (12, 12), mode="bilinear", align_corners=False)
    place = torch.tensor([[0.0, 0.0], [0.999, 0.999], [0.5, 0.0], [0.0, 0.3]])
    made = cropped(x, 0.5, place)
    for k, (top, left) in enumerate([(0, 0), (4, 4), (2, 0), (0, 1)]):
        assert_close(made[k], large[k, :, top : top + 8, left : left + 8])


def test_no_jitter_and_no_flip_change_nothing():
    feed = Feed(with_places(4), batch=4, seed=0)
    assert_close(feed(0).x, with_places(4).float(slice(None)))


def test_inputs_without_pairs_have_an_order_of_their_own():
    """Both are shown once in an epoch of their own, whatever the other's number."""
    data = replace(numbered(10), inputs=Images(_own(6)), paired=False)
    feed = Feed(data, batch=2, seed=0)
    shown = [feed(turn) for turn in range(30)]
    a = torch.cat([b.a[:, 0, 0, 0] for b in shown])  # pyright: ignore
    numbers = ((a + 1) * 127.5).round().long()
    for epoch in numbers.view(10, 6):
        assert sorted(epoch.tolist()) == list(range(6))
    images = torch.cat([b.c for b in shown])
    assert [sorted(e.tolist()) for e in images.view(6, 10)] == [list(range(10))] * 6
    assert_close(feed(7).a, shown[7].a)


@pytest.mark.parametrize("paired", [True, False])
def test_two_processes_share_the_inputs_of_one_batch(paired):
    data = with_places(12, paired)
    whole = Feed(data, batch=4, seed=3, flip=True, jitter=0.3)(2)
    halves = [
        Feed(data, batch=2, seed=3, flip=True, jitter=0.3, rank=rank, world=2)(2) for rank in (0, 1)
    ]
    assert_close(torch.cat([h.a for h in halves]), whole.a)
    assert_close(torch.cat([h.x for h in halves]), whole.x)
