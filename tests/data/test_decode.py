"""Every kind of image file: what its pixels become, and which broken ones are refused."""

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from sparring.data.decode import Form, UnreadableError, decode, header

RGB = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
GREY = np.arange(0, 240, 10, dtype=np.uint8).reshape(4, 6)


def packed(image, form="PNG", **options):
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def decoded(content, ending="png", grey=False):
    return decode(io.BytesIO(content), ending, Form("L" if grey else "RGB"))


def refused(content, ending="png"):
    with pytest.raises(UnreadableError) as error:
        decoded(content, ending)
    return str(error.value)


@pytest.mark.parametrize(
    ("form", "ending", "options"),
    [
        ("PNG", "png", {}),
        ("BMP", "bmp", {}),
        ("TIFF", "tif", {}),
        ("TIFF", "tiff", {"compression": "tiff_lzw"}),
        ("PPM", "ppm", {}),
        ("WEBP", "webp", {"lossless": True}),
    ],
)
def test_plain_colour(form, ending, options):
    pixels, facts = decoded(packed(RGB, form, **options), ending)
    np.testing.assert_array_equal(pixels, RGB)
    assert (facts.format, facts.mode, facts.height, facts.width) == (form, "RGB", 4, 6)
    assert facts.conversions == ()


@pytest.mark.parametrize("ending", ["jpg", "jpeg"])
def test_jpeg(ending):
    flat = np.full((8, 8, 3), (200, 100, 50), np.uint8)
    pixels, facts = decoded(packed(flat, "JPEG", quality=95), ending)
    np.testing.assert_allclose(pixels.astype(int), flat, atol=3)
    assert facts.format == "JPEG"
    assert facts.conversions == ()


@pytest.mark.parametrize(
    ("form", "ending"), [("PNG", "png"), ("BMP", "bmp"), ("GIF", "gif"), ("PPM", "pgm")]
)
def test_grey(form, ending):
    content = packed(GREY, form)
    assert header(io.BytesIO(content)).grey
    assert header(io.BytesIO(content)).side == 4
    pixels, _ = decoded(content, ending, grey=True)
    np.testing.assert_array_equal(pixels, GREY[:, :, None])
    pixels, facts = decoded(content, ending, grey=False)
    np.testing.assert_array_equal(pixels, np.stack([GREY] * 3, 2))
    # A GIF always has a palette.
    assert facts.conversions == ("palette" if form == "GIF" else "grey-to-rgb",)


def test_palette_is_looked_up():
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 250, 0, 5])
    image.putpixel((1, 0), 1)
    for form in ("PNG", "GIF", "BMP", "TIFF"):
        content = packed(image, form)
        assert not header(io.BytesIO(content)).grey
        pixels, facts = decoded(content, form.lower())
        assert pixels.tolist() == [[[10, 20, 30], [250, 0, 5]]]
        assert facts.conversions == ("palette",)


def test_a_palette_of_greys_is_grey():
    image = Image.new("P", (2, 1))
    image.putpalette([10, 10, 10, 200, 200, 200, 255, 0, 0])  # red is never used
    image.putpixel((1, 0), 1)
    content = packed(image)
    assert header(io.BytesIO(content)).grey
    assert decoded(content, grey=True)[0].tolist() == [[[10], [200]]]


def test_alpha_is_laid_on_white():
    rgba = np.array([[[100, 0, 200, 0], [100, 0, 200, 255], [100, 0, 200, 51]]], np.uint8)
    pixels, facts = decoded(packed(rgba))
    # 51 / 255 is a fifth: 0.2 * colour + 0.8 * 255.
    assert pixels.tolist() == [[[255, 255, 255], [100, 0, 200], [224, 204, 244]]]
    assert facts.conversions == ("alpha",)


def test_grey_with_alpha_stays_grey():
    content = packed(np.array([[[100, 0], [100, 255]]], np.uint8))
    assert header(io.BytesIO(content)).grey
    pixels, facts = decoded(content, grey=True)
    assert pixels.tolist() == [[[255], [100]]]
    assert (facts.mode, facts.conversions) == ("LA", ("alpha",))


def test_grey_with_alpha_may_keep_it():
    """Of a grey or coloured file, of 8 bits, of 16, of any range; what has no alpha is opaque."""
    grey, colour = [[[100, 0], [100, 255]]], [[[9, 9, 9, 0], [255, 0, 0, 51]]]
    deep = np.array([[257, 65535]], np.uint16)
    for pixels, form, wanted in (
        (np.array(grey, np.uint8), Form("LA"), grey),
        (np.array(colour, np.uint8), Form("LA"), [[[9, 0], [76, 51]]]),
        (np.array([[100, 7]], np.uint8), Form("LA"), [[[100, 255], [7, 255]]]),
        (deep, Form("LA"), [[[1, 255], [255, 255]]]),
        (deep, Form("LA", (257, 65535)), [[[-1, 1], [1, 1]]]),
        (np.array(grey, np.uint8), Form("LA", (0, 255)), [[[-11 / 51, -1], [-11 / 51, 1]]]),
    ):
        found, facts = decode(io.BytesIO(packed(pixels)), "png", form)
        np.testing.assert_allclose(found, wanted, atol=1e-6)
        assert found.dtype == form.dtype
        assert "alpha" not in facts.conversions
        assert "grey-to-rgb" not in facts.conversions
        assert ("rgb-to-grey" in facts.conversions) == (pixels.shape[-1] == 4)


def test_transparent_colour_of_a_palette_becomes_white():
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 250, 0, 5])
    image.putpixel((1, 0), 1)
    pixels, facts = decoded(packed(image, "PNG", transparency=0))
    assert pixels.tolist() == [[[255, 255, 255], [250, 0, 5]]]
    assert facts.conversions == ("palette", "alpha")


def test_cmyk():
    ink = np.full((8, 8, 4), (0, 255, 255, 0), np.uint8)  # magenta and yellow: red
    image = Image.frombytes("CMYK", (8, 8), ink.tobytes())
    for form, ending in (("TIFF", "tif"), ("JPEG", "jpg")):
        pixels, facts = decoded(packed(image, form), ending)
        np.testing.assert_allclose(pixels[0, 0].astype(int), (255, 0, 0), atol=3)
        assert facts.conversions == ("cmyk",)


@pytest.mark.parametrize(("form", "ending"), [("PNG", "png"), ("TIFF", "tif"), ("PPM", "pgm")])
def test_sixteen_bit_grey(form, ending):
    values = np.array([[0, 128, 129, 257 * 100, 65534, 65535]], np.uint16)
    content = packed(values, form)
    assert header(io.BytesIO(content)).grey
    pixels, facts = decoded(content, ending, grey=True)
    assert pixels[0, :, 0].tolist() == [0, 0, 1, 100, 255, 255]
    assert facts.conversions == ("16-bit",)


def test_sixteen_bit_colour():
    pixels, facts = decoded(png_16_bit(np.array([[[0, 257 * 100, 65535]]], ">u2")))
    assert pixels.tolist() == [[[0, 100, 255]]]
    assert facts.conversions == ("16-bit",)


def png_16_bit(values):
    height, width, _ = values.shape

    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    rows = b"".join(b"\0" + row.tobytes() for row in values)
    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    signature = b"\x89PNG\r\n\x1a\n"
    return (
        signature + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


def test_one_bit():
    image = Image.fromarray(GREY > 100)
    content = packed(image)
    assert header(io.BytesIO(content)).grey
    pixels, facts = decoded(content, grey=True)
    np.testing.assert_array_equal(pixels[:, :, 0], np.where(GREY > 100, 255, 0))
    assert facts.conversions == ("one-bit",)


UPRIGHT = {  # what must be done to the stored rows and columns, by the EXIF standard
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: x[::-1].swapaxes(0, 1),
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
    8: lambda x: x.swapaxes(0, 1)[::-1],
}


@pytest.mark.parametrize("turn", UPRIGHT)
@pytest.mark.parametrize(("form", "ending"), [("PNG", "png"), ("TIFF", "tif")])
def test_exif_orientation(turn, form, ending):
    exif = Image.Exif()
    exif[0x0112] = turn
    content = packed(RGB, form, exif=exif)
    seen = header(io.BytesIO(content))
    assert (seen.height, seen.width) == ((4, 6) if turn < 5 else (6, 4))
    pixels, facts = decoded(content, ending)
    np.testing.assert_array_equal(pixels, UPRIGHT[turn](RGB))
    assert (facts.height, facts.width) == ((4, 6) if turn < 5 else (6, 4))
    assert facts.conversions == (("exif-rotated",) if turn > 1 else ())


def test_exif_orientation_of_a_jpeg():
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying, to be turned clockwise
    stored = np.zeros((16, 32), np.uint8)
    stored[:, :16] = 255
    pixels, facts = decoded(packed(stored, "JPEG", exif=exif), "jpg", grey=True)
    assert pixels.shape == (32, 16, 1)
    assert pixels[:16].min() > 250
    assert pixels[16:].max() < 5
    assert facts.conversions == ("exif-rotated",)


@pytest.mark.parametrize(
    ("form", "options"), [("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {})]
)
def test_animated_gives_its_first_frame(form, options):
    frames = [Image.new("L", (4, 4), v).convert("RGB") for v in (10, 200, 90)]
    content = packed(frames[0], form, save_all=True, append_images=frames[1:], **options)
    pixels, facts = decoded(content, form.lower())
    np.testing.assert_array_equal(pixels, np.full((4, 4, 3), 10))
    assert "animated" in facts.conversions


def test_the_content_counts_not_the_ending():
    pixels, facts = decoded(packed(RGB, "PNG"), "jpg")
    np.testing.assert_array_equal(pixels, RGB)
    assert (facts.format, facts.conversions) == ("PNG", ("misnamed",))


BIG = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("form", "ending"),
    [
        ("PNG", "png"),
        ("JPEG", "jpg"),
        ("BMP", "bmp"),
        ("GIF", "gif"),
        ("WEBP", "webp"),
        ("PPM", "ppm"),
        ("TIFF", "tif"),
    ],
)
def test_truncated_files_are_refused(form, ending):
    content = packed(BIG, form)
    assert decoded(content, ending)[0].shape == (64, 64, 3)
    for share in (0.9, 0.5, 0.1):
        assert refused(content[: int(len(content) * share)], ending)


def test_damaged_png_is_refused():
    content = bytearray(packed(BIG, "PNG"))
    content[len(content) // 2] ^= 1
    assert "damaged" in refused(bytes(content))


def test_empty_and_foreign_files_are_refused():
    assert refused(b"") == "the file is empty"
    assert "no image of the formats" in refused(b"<html>not found</html>", "jpg")
    # A format that is not on the list, although Pillow reads it.
    assert "no image of the formats" in refused(packed(RGB, "TGA"))


def test_bomb_is_refused_by_its_header():
    content = bytearray(packed(GREY))
    head = content.index(b"IHDR")
    for side in (10_000, 50_000):
        content[head + 4 : head + 12] = struct.pack(">II", side, side)
        content[head + 17 : head + 21] = struct.pack(">I", zlib.crc32(content[head : head + 17]))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            assert "more than the 50,000,000" in refused(bytes(content))


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_values_of_unknown_range_are_refused(dtype):
    assert "no known range" in refused(packed(GREY.astype(dtype), "TIFF"), "tif")


def test_broken_exif_does_not_matter():
    pixels, facts = decoded(packed(RGB, "PNG", exif=b"Exif\0\0MM\0*\0\0\xff\xff\xff\xff"))
    np.testing.assert_array_equal(pixels, RGB)
    assert facts.conversions == ()
