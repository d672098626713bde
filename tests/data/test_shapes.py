"""Images of 1, 2, 3, 4 and 8 channels, of 16 bits, wide and odd: trained, sampled and reported."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import sparring
from sparring.cli import main
from sparring.data import Folder, Npz, inspect
from sparring.nets import MLP, Fast
from sparring.sample import grid, picture
from sparring.sample.picture import shown

SMALL = Fast(g_width=4, d_width=4, latent=4)


@pytest.fixture
def data(tmp_path):
    """data(channels, height, width, dtype): a .npz of 16 images of noise."""

    def one(channels=1, height=16, width=16, dtype=np.uint8, **more):
        rng = np.random.default_rng(0)
        high = np.iinfo(dtype).max + 1
        x = rng.integers(0, high, (16, height, width, channels), dtype)
        np.savez(tmp_path / "x.npz", x=x)
        return Npz(path=str(tmp_path / "x.npz"), **more)

    return one


def trained(part, tmp_path, nets=SMALL, **fields):
    recipe = sparring.Recipe(
        data=part,
        nets=nets,
        batch=4,
        images=8,
        held_out=2,
        precision="fp32",
        metrics=(),
        **fields,
    )
    return sparring.train(recipe, tmp_path / "run")


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 8])
def test_channels(data, tmp_path, channels):
    run = trained(data(channels), tmp_path)
    assert main(["sample", str(run.path), "--n", "5", "--out", str(tmp_path / "x.npz")]) == 0
    with np.load(tmp_path / "x.npz") as made:
        assert made["arr_0"].shape == (5, 16, 16, channels)
        assert made["arr_0"].dtype == np.uint8
    with Image.open(max((run.path / "samples").glob("*.png"))) as seen:
        assert seen.mode == {3: "RGB", 4: "RGBA"}.get(channels, "L")
        assert seen.size == grid(torch.zeros(64, channels, 16, 16, dtype=torch.uint8)).size
    page = (run.path / "report.html").read_text()
    assert page.count('class="frame"') >= 2
    assert "cannot be shown" not in page


@pytest.mark.parametrize(
    ("height", "width", "nets"), [(64, 256, SMALL), (48, 36, SMALL), (48, 36, MLP(latent=4))]
)
def test_wide_and_odd(data, tmp_path, height, width, nets):
    run = trained(data(3, height, width), tmp_path, nets)
    assert main(["sample", str(run.path), "--n", "3", "--out", str(tmp_path / "o")]) == 0
    with Image.open(tmp_path / "o/000002.png") as one:
        assert one.size == (width, height)
    assert (run.path / "report.html").exists()


def test_sixteen_bits_from_file_to_sample(data, tmp_path):
    part = data(1, dtype=np.uint16, range=(0, 65535))
    images = part.open()
    with np.load(part.path) as saved:
        back = ((images.pixels.double() + 1) / 2 * 65535).round()
        np.testing.assert_array_equal(back.permute(0, 2, 3, 1).numpy(), saved["x"])
    run = trained(part, tmp_path)
    assert main(["sample", str(run.path), "--n", "4", "--out", str(tmp_path / "s.npz")]) == 0
    with np.load(tmp_path / "s.npz") as made:
        x = made["arr_0"]
        samples = sparring.load(run).sample(4).permute(0, 2, 3, 1).double().numpy()
        assert x.dtype == np.float32
        np.testing.assert_allclose(x, (samples + 1) / 2 * 65535, rtol=0, atol=0.01)
        assert len(np.unique(x)) > 256  # more levels than bytes have
    assert inspect(part)["values"] == "float32, -1 to 1"


def test_a_size_no_network_serves_names_those_that_do(data, tmp_path, capsys):
    part = data(3, 50, 37)
    code = main(["train", part.path, "--preset", "fast", "--out", str(tmp_path / "run")])
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert code == 2
    assert error == (
        "error: Fast cannot make 50x37 images: both sides must halve, equally often, until the"
        " smaller one is 4..9. Fix: use --size 48x36 or --size 52x36"
    )
    assert not (tmp_path / "run").exists()


# ------------------------------------------------------------------------------ what a file keeps


def rgba(tmp_path, alpha=True):
    (tmp_path / "in").mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    arrays = rng.integers(0, 256, (4, 16, 16, 4), np.uint8)
    for i, array in enumerate(arrays):
        Image.fromarray(array).save(tmp_path / f"in/{i}.png")
    return arrays


def test_transparency_is_kept_when_asked(tmp_path):
    arrays = rgba(tmp_path)
    images = Folder(path=str(tmp_path / "in"), channels="rgba").open()
    np.testing.assert_array_equal(images.pixels.permute(0, 2, 3, 1).numpy(), arrays)
    assert Folder(path=str(tmp_path / "in")).open().shape == (3, 16, 16)
    assert Folder(path=str(tmp_path / "in"), channels="grey").open().shape == (1, 16, 16)


def test_mixed_channels_are_counted_and_said(tmp_path):
    rgba(tmp_path)
    Image.new("L", (16, 16), 7).save(tmp_path / "in/grey.png")
    kept = inspect(Folder(path=str(tmp_path / "in"), channels="rgba"))
    assert kept["channels"] == 4
    assert kept["conversions"] == {"grey-to-rgb": 1, "opaque": 1}
    said = " ".join(kept["problems"])
    assert "1 of 5 images are grey, the others coloured: they are taken as coloured" in said
    assert "1 of 5 images have no transparency, the others do: they are taken as opaque" in said
    grey = inspect(Folder(path=str(tmp_path / "in"), channels="grey"))
    assert grey["conversions"] == {"alpha": 4, "rgb-to-grey": 4}


def test_sixteen_bit_and_float_files(tmp_path):
    (tmp_path / "in").mkdir()
    values = np.linspace(0, 65535, 64 * 64).reshape(64, 64)
    Image.fromarray(values.astype(np.uint16)).save(tmp_path / "in/a.png")
    Image.fromarray(values.astype(np.float32)).save(tmp_path / "in/b.tif")
    Image.fromarray(values.astype(np.uint16)).save(tmp_path / "in/c.tif")
    folder = Folder(path=str(tmp_path / "in"), range=(0, 65535))
    images = folder.open()
    assert images.shape == (1, 64, 64)
    back = (images.pixels[:, 0].double().numpy() + 1) / 2 * 65535
    np.testing.assert_allclose(back[1], values, atol=0.01)
    np.testing.assert_array_equal(back[0].round(), values.astype(np.uint16))
    np.testing.assert_array_equal(back[0], back[2])
    half = folder.open((32, 32)).pixels[0, 0].double().numpy()
    mean = values.astype(np.uint16).reshape(32, 2, 32, 2).mean((1, 3))
    np.testing.assert_allclose((half + 1) / 2 * 65535, mean, atol=0.01)
    left = dict(Folder(path=str(tmp_path / "in")).open().left_out)
    assert left == {"b.tif": "its mode F has no known range: give one, range=(0, 1)"}
    left = dict(Folder(path=str(tmp_path / "in"), range=(0, 70000)).open().left_out)
    assert left == {}
    with pytest.raises(sparring.SparringError, match="outside the range 0 to 100"):
        Folder(path=str(tmp_path / "in"), range=(0, 100)).open()


def test_float_arrays_need_a_range_and_are_refused_outside_of_it(tmp_path):
    x = np.linspace(0, 1, 2 * 8 * 8).reshape(2, 8, 8)
    np.savez(tmp_path / "x.npz", x=x)
    path = str(tmp_path / "x.npz")
    with pytest.raises(sparring.SparringError, match=r"give the range, as in .*range=\(0, 1\)"):
        Npz(path=path).open()
    images = Npz(path=path, range=(0, 1)).open()
    torch.testing.assert_close(images.pixels[:, 0].double().numpy(), 2 * x - 1, rtol=0, atol=1e-7)
    with pytest.raises(sparring.SparringError, match=r"from 0 to 1, outside the range 0 to 0.5"):
        Npz(path=path, range=(0, 0.5)).open()


def test_pictures_of_many_channels_show_each_of_them():
    images = (torch.arange(8) * 30)[None, :, None, None].expand(3, 8, 5, 5).to(torch.uint8)
    block = shown(images)
    assert block.shape == (3, 1, 17, 17)
    assert [int(block[0, 0, 6 * r, 6 * c]) for r in range(3) for c in range(3)] == [
        *range(0, 240, 30),
        128,
    ]
    assert picture(images[0]).size == (17, 17)
    assert grid(images, columns=3).size == (3 * 17 + 4, 17)
    two = shown(images[:, :2])
    assert two.shape == (3, 1, 5, 11)
    for channels in (1, 3, 4):
        assert shown(images[:, :channels]) is not None
        assert shown(images[:, :channels]).shape == (3, channels, 5, 5)
