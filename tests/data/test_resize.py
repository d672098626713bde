"""Exact area means, centre crops, enlargement."""

from fractions import Fraction

import numpy as np
import pytest

from sparring.data.resize import fit


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def by_hand(pixels, size):
    """The definition in fractions: scale to cover, crop whole pixels, average areas exactly."""
    (h, w, channels), (rows, cols) = pixels.shape, size
    ratio = min(Fraction(h, rows), Fraction(w, cols))
    top, left = int((h - rows * ratio) / 2), int((w - cols * ratio) / 2)
    out = np.zeros((rows, cols, channels), np.uint8)
    for r, c, k in np.ndindex(*out.shape):
        y, x = top + r * ratio, left + c * ratio
        total = Fraction(0)
        for i in range(int(y), min(h, int(y + ratio) + 1)):
            for j in range(int(x), min(w, int(x + ratio) + 1)):
                high = min(y + ratio, i + 1) - max(y, i)
                wide = min(x + ratio, j + 1) - max(x, j)
                total += high * wide * int(pixels[i, j, k])
        out[r, c, k] = int(total / ratio**2 + Fraction(1, 2))
    return out


def test_integer_ratio_is_the_mean_of_each_block():
    pixels = noise(12, 12, 3)
    mean = pixels.reshape(4, 3, 4, 3, 3).astype(float).mean((1, 3))
    np.testing.assert_array_equal(fit(pixels, (4, 4)), np.floor(mean + 0.5))


def test_halves_round_up():
    pixels = np.array([[[0], [1]], [[1], [0]]], np.uint8)
    assert fit(pixels, (1, 1)).item() == 1


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((7, 7, 1), (5, 5)),
        ((11, 9, 3), (8, 8)),
        ((9, 11, 2), (4, 6)),
        ((20, 9, 3), (7, 3)),
        ((13, 30, 4), (5, 9)),
        ((22, 31, 3), (3, 4)),
        ((40, 17, 1), (2, 2)),
    ],
)
def test_any_ratio_equals_exact_fractions(shape, size):
    pixels = noise(*shape)
    np.testing.assert_array_equal(fit(pixels, size), by_hand(pixels, size))


def test_the_mean_is_kept():
    pixels = noise(90, 90, 1)
    assert fit(pixels, (64, 64)).mean() == pytest.approx(pixels.mean(), abs=0.1)


def test_same_scale_is_a_centre_crop():
    pixels = noise(10, 7, 3)
    np.testing.assert_array_equal(fit(pixels, (7, 7)), pixels[1:8])
    np.testing.assert_array_equal(
        fit(pixels.transpose(1, 0, 2), (7, 7)), pixels[1:8].swapaxes(0, 1)
    )
    np.testing.assert_array_equal(fit(pixels, (10, 7)), pixels)


def test_crop_of_a_wide_image_is_its_middle():
    pixels = np.zeros((4, 12, 1), np.uint8)
    pixels[:, 4:8] = 200
    np.testing.assert_array_equal(fit(pixels, (2, 2)), np.full((2, 2, 1), 200))


def test_enlarging_keeps_flat_colours_and_crops_the_middle():
    pixels = np.zeros((4, 12, 2), np.uint8)
    pixels[:, 4:8] = (200, 50)
    large = fit(pixels, (16, 16))
    assert large.shape == (16, 16, 2)
    assert large.dtype == np.uint8
    np.testing.assert_array_equal(large[8, 6:10], np.tile(np.uint8([200, 50]), (4, 1)))
    assert fit(np.full((3, 5, 1), 77, np.uint8), (9, 9)).tolist() == [[[77]] * 9] * 9
    # A ramp stays a ramp.
    ramp = np.arange(0, 160, 10, dtype=np.uint8)[None, :, None].repeat(16, 0)
    assert (np.diff(fit(ramp, (32, 32))[5, :, 0].astype(int)) >= 0).all()


def by_opacity(pixels, size):
    """The colours of whole blocks, each the mean of what is opaque in its block, exactly."""
    (h, w, _), (rows, cols) = pixels.shape, size
    out = np.zeros((rows, cols, 3))
    for r, c in np.ndindex(rows, cols):
        block = pixels[r * h // rows : (r + 1) * h // rows, c * w // cols : (c + 1) * w // cols]
        block = block.reshape(-1, 4).astype(float)
        out[r, c] = (block[:, :3] * block[:, 3:]).sum(0) / block[:, 3].sum()
    return out


def test_colours_weigh_by_their_opacity():
    pixels = noise(12, 12, 4)
    pixels[:3, :3, 3] = 0  # one block nobody sees
    found, plain = fit(pixels, (4, 4), clear=True), fit(pixels, (4, 4))
    np.testing.assert_array_equal(found[..., 3], plain[..., 3])
    np.testing.assert_array_equal(found[0, 0], plain[0, 0])
    with np.errstate(invalid="ignore"):
        expected = np.floor(by_opacity(pixels, (4, 4)) + 0.5)
    np.testing.assert_array_equal(found[1:, :, :3], expected[1:])
    assert (found[..., :3] != plain[..., :3]).any()


@pytest.mark.parametrize("size", [(5, 5), (24, 24), (24, 20)])
def test_white_on_transparent_black_stays_white(size):
    pixels = np.zeros((16, 16, 4), np.uint8)
    pixels[5:11, 4:9] = 255
    found = fit(pixels, size, clear=True)
    assert (found[found[..., 3] > 0][:, :3] == 255).all()
    exact = fit(pixels.astype(np.float32) / 127.5 - 1, size, clear=True)
    assert (exact[exact[..., 3] > -0.99][:, :3] > 0.999).all()


@pytest.mark.parametrize("size", [(7, 7), (4, 4), (9, 3)])
def test_opaque_images_shrink_as_without_opacity(size):
    pixels = noise(12, 12, 4)
    pixels[..., 3] = 255
    np.testing.assert_array_equal(fit(pixels, size, clear=True), fit(pixels, size))
