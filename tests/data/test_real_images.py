"""Sets of real images, whole."""

import io
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from sparring.data import inspect, source

pytestmark = pytest.mark.realdata


@pytest.mark.slow
def test_ten_thousand_faces(test_data):
    path = test_data / "celeba_10k_89x109.zip"
    images = source(str(path)).open()
    assert images.pixels.shape == (10_000, 3, 64, 64)  # pyright: ignore
    assert images.left_out == ()  # pyright: ignore
    assert images.labels is None  # pyright: ignore
    # The usual preparation: the middle 89 x 89, resized. Filters differ, by little on average.
    with zipfile.ZipFile(path) as archive:
        for i in (0, 4567, 9999):
            face = Image.open(io.BytesIO(archive.read(f"{i + 1:06}.jpg")))
            usual = face.crop((0, 10, 89, 99)).resize((64, 64), Image.Resampling.BILINEAR)
            ours = images.pixels[i].permute(1, 2, 0).numpy().astype(float)  # pyright: ignore
            assert np.abs(ours - np.asarray(usual)).mean() < 4


def test_portrait_paintings(test_data):
    info = inspect(source(str(test_data / "portrait_paintings_1178_96px.zip")))
    assert (info["count"], info["channels"], info["size"]) == (1178, 3, [64, 64])
    assert info["formats"] == {"WEBP": 1178}
    assert info["sizes"]["different"] == 1
    assert info["left_out"] == []
    assert info["duplicates"] == 113  # as their checksums in the archive say
    with zipfile.ZipFile(test_data / "portrait_paintings_1178_96px.zip") as archive:
        assert len({m.CRC for m in archive.infolist()}) == 1178 - 113


def test_pairs_of_facades_keep_their_shape(test_data):
    images = source(str(test_data / "facades_pairs_500.zip")).open((64, 128))
    assert images.shape == (3, 64, 128)
    assert images.classes == ("test", "train")  # pyright: ignore


def test_cifar(test_data):
    images = source(str(test_data / "cifar10_small.npz")).open()
    with np.load(test_data / "cifar10_small.npz") as arrays:
        expected = torch.from_numpy(arrays["x_train"]).permute(0, 3, 1, 2)
        assert torch.equal(images.pixels, expected)  # pyright: ignore
        assert images.labels.tolist() == arrays["y_train"].tolist()  # pyright: ignore
    assert images.classes == tuple("0123456789")  # pyright: ignore
