"""What is translated: made of the images by arithmetic that can be done by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from sparring.data import Images
from sparring.errors import DataError, RecipeError
from sparring.games import Downscale, Edges, Greyscale, Hole, Stored
from sparring.randomness import Draws

RNG = Draws(0, "test")


def photos(n: int = 3, channels: int = 3, height: int = 8, width: int = 12) -> torch.Tensor:
    return (
        torch.rand((n, channels, height, width), generator=torch.Generator().manual_seed(0)) * 2 - 1
    )


def a_set(channels: int = 3, height: int = 8, width: int = 12) -> Images:
    return Images(torch.zeros((4, channels, height, width), dtype=torch.uint8))


@pytest.mark.parametrize("inputs", [Downscale(factor=2), Greyscale(), Edges(), Hole()], ids=repr)
def test_the_shape_told_is_the_shape_made(inputs):
    x = photos()
    a = inputs.of(x, None, RNG)
    assert tuple(a.shape) == (3, *inputs.shape(a_set()))
    assert a.abs().max() <= 1
    assert inputs.look(a).shape[1] in (1, 3)


def test_a_pixel_of_the_smaller_image_is_the_mean_of_a_square():
    x = torch.arange(16.0).view(1, 1, 4, 4)
    a = Downscale(factor=2).of(x, None, RNG)
    assert_close(a, torch.tensor([[[[2.5, 4.5], [10.5, 12.5]]]]))


def test_a_factor_that_does_not_divide():
    with pytest.raises(RecipeError, match=r"factor of 3 does not divide 8x12. Fix: --size 6x12"):
        Downscale(factor=3).shape(a_set())


def test_the_size_that_is_proposed_is_no_larger_than_the_photos():
    """Patches of a larger one would be found in none."""
    with pytest.raises(RecipeError, match="Fix: --size 30x30"):
        Downscale(factor=3).shape(a_set(3, 32, 32))


def test_the_least_side_that_inputs_can_be_made_of():
    assert [Downscale(factor=f).least_side(32) for f in (2, 3, 4, 8)] == [32, 33, 32, 32]
    assert Greyscale().least_side(31) == 31


def test_greys_are_pillows():
    rgb = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    x = torch.from_numpy(rgb).permute(2, 0, 1)[None].float() / 127.5 - 1
    wanted = torch.from_numpy(np.asarray(Image.fromarray(rgb).convert("L")).copy())
    made = (Greyscale().of(x, None, RNG)[0, 0] + 1) * 127.5
    assert (made - wanted).abs().max() <= 0.51
    with pytest.raises(RecipeError, match="1 channels have no colours"):
        Greyscale().shape(a_set(1))


def test_an_edge_is_where_the_image_steps():
    """A step of height h has Sobel's answer h / 2 on both of its sides, and none elsewhere."""
    x = torch.full((1, 3, 6, 8), -0.2)
    x[..., 4:] = 0.2
    a = Edges(gain=1.0).of(x, None, RNG)[0, 0]
    wanted = torch.full((6, 8), -1.0)
    wanted[:, 3:5] = 0.2 * 2 - 1
    assert_close(a, wanted)
    assert Edges(gain=100.0).of(x, None, RNG).max() == 1


@pytest.mark.parametrize("channels", [1, 3])
def test_transparency_has_no_edges(channels):
    x = photos(2, channels)
    both = torch.cat([x, photos(2, 1).flip(3)], 1)
    assert torch.equal(Edges().of(both, None, RNG), Edges().of(x, None, RNG))


def test_a_hole_takes_the_place_of_transparency():
    """No file could say where it is, and a file of three channels would be taken for grey."""
    for channels in (2, 4):
        with pytest.raises(RecipeError, match=f"of {channels} channels.*channels='rgb'"):
            Hole().shape(a_set(channels))


def test_a_hole_is_a_rectangle_and_nothing_else_changes():
    x = photos(64, 3, 16, 24)
    a = Hole(side=0.5).of(x, None, Draws(0, "hole"))
    hole = a[:, 3:] > 0
    assert_close(a[:, :3], x.masked_fill(hole, 0.0), rtol=0, atol=0)
    for one in hole[:, 0]:
        rows, columns = one.any(1), one.any(0)
        assert torch.equal(one, rows[:, None] & columns[None])
        assert 1 <= rows.sum() <= 9
        assert 2 <= columns.sum() <= 13
        for line in (rows, columns):
            at = line.nonzero().squeeze(1)
            assert at[-1] - at[0] + 1 == len(at)
    assert len({one.numpy().tobytes() for one in hole}) > 50
    assert hole.any(0)[0].float().mean() > 0.8  # nearly every place at some time


def test_what_is_transparent_in_a_file_is_the_hole():
    x = torch.tensor([0.5, 0.5, 0.5, 1.0]).view(1, 4, 1, 1).repeat(1, 1, 2, 2)
    x[0, 3, 0, 0] = -1.0
    a = Hole().prepare(x)
    assert_close(a[0, :, 0, 0], torch.tensor([0.0, 0, 0, 1]))
    assert_close(a[0, :, 1, 1], torch.tensor([0.5, 0.5, 0.5, -1]))


def test_images_without_inputs():
    with pytest.raises(DataError, match=r"no inputs to be translated from.*--to B/"):
        Stored().shape(a_set())
