"""NumPy files: which arrays are taken, and which are refused with the reason."""

import numpy as np
import pytest
import torch

from sparring.data import Npz
from sparring.errors import DataError

X = np.random.default_rng(0).integers(0, 256, (6, 8, 10, 3), dtype=np.uint8)
Y = np.array([2, 0, 1, 1, 0, 2])


@pytest.fixture
def saved(tmp_path):
    def one(compressed=False, **arrays):
        path = tmp_path / "x.npz"
        (np.savez_compressed if compressed else np.savez)(path, **arrays)
        return Npz(path=str(path))

    return one


def refusal(source, size=None):
    with pytest.raises(DataError) as error:
        source.open(size)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    ("name", "label"),
    [("arr_0", "arr_1"), ("images", "labels"), ("x", "y"), ("x_train", "y_train")],
)
def test_pairs_of_names(saved, name, label, compressed):
    images = saved(compressed, **{name: X, label: Y}).open()
    np.testing.assert_array_equal(images.pixels.permute(0, 2, 3, 1).numpy(), X)
    assert images.shape == (3, 8, 10)
    assert images.pixels.is_contiguous(memory_format=torch.channels_last)
    assert images.labels is not None
    assert images.labels.tolist() == Y.tolist()
    assert images.labels.dtype == torch.int64
    assert images.classes == ("0", "1", "2")


def test_training_arrays_are_taken_and_test_arrays_are_not(saved):
    images = saved(x_test=X[:2], y_test=Y[:2], x_train=X[2:], y_train=Y[2:]).open()
    np.testing.assert_array_equal(images.pixels.permute(0, 2, 3, 1).numpy(), X[2:])


def test_the_only_array_that_fits_is_taken_whatever_its_name(saved):
    assert len(saved(faces=X, notes=np.arange(3)).open()) == 6
    assert "several arrays could be the images" in refusal(saved(faces=X, other=X))
    message = refusal(saved(notes=np.arange(3)))
    assert "no arrays could be the images" in message
    assert "notes: int64 (3,)" in message


@pytest.mark.parametrize("channels", [1, 2, 4, 7])
def test_any_number_of_channels(saved, channels):
    x = np.random.default_rng(1).integers(0, 256, (3, 9, 9, channels), dtype=np.uint8)
    images = saved(x=x).open()
    assert images.shape == (channels, 9, 9)
    assert saved(x=x).open((3, 3)).shape == (channels, 3, 3)


def test_grey_without_a_channel_axis(saved):
    images = saved(x=X[..., 0]).open()
    assert images.shape == (1, 8, 10)
    np.testing.assert_array_equal(images.pixels[:, 0].numpy(), X[..., 0])
    fortran = saved(x=np.asfortranarray(X[..., 0])).open()
    assert fortran.digest == images.digest


def test_explicit_size_is_the_area_mean(saved):
    images = saved(x=X).open((4, 5))
    mean = X.reshape(6, 4, 2, 5, 2, 3).astype(float).mean((2, 4))
    expected = np.floor(mean + 0.5).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(images.pixels.numpy(), expected)
    assert images.digest != saved(x=X).open().digest
    assert saved(x=X).open((8, 10)).digest == saved(x=X).open().digest
    assert saved(x=X).open((16, 20)).shape == (3, 16, 20)


def test_the_one_array_of_a_npy(tmp_path, saved):
    path = tmp_path / "x.npy"
    np.save(path, X)
    assert Npz(path=str(path)).open().digest == saved(x=X).open().digest
    np.save(path, np.zeros((2, 3, 32, 32), np.uint8))
    assert "channels come last" in refusal(Npz(path=str(path)))
    np.save(path, np.array([{}], dtype=object))
    assert "'arr_0' is object, not uint8" in refusal(Npz(path=str(path)))
    path.write_bytes(b"nothing")
    assert "not a .npy file that can be read" in refusal(Npz(path=str(path)))


def test_nan_is_named(saved):
    x = X / 255
    x[3, 2, 1] = np.nan
    assert "there is NaN among its values" in refusal(saved(x=x))


def test_class_names(saved):
    classes = np.array(["ant", "bee", "cat"])
    images = saved(x=X, y=Y, classes=classes).open()
    assert images.classes == ("ant", "bee", "cat")
    assert saved(x=X, y=Y[:, None].astype(np.uint8)).open().labels is not None
    images = saved(x=X, y=classes[Y]).open()
    assert images.classes == ("ant", "bee", "cat")
    assert images.labels is not None
    assert images.labels.tolist() == Y.tolist()
    images = saved(x=X, y=np.array([3, 3, 5, 5, 3, 5])).open()
    assert images.classes == ("3", "5")
    message = refusal(saved(x=X, y=Y, classes=classes[:2]))
    assert "the labels 'y' run from 0 to 2" in message
    assert "'classes' has 2 names" in message


def test_bad_labels(saved):
    assert "'y' are int64 (5,)" in refusal(saved(x=X, y=Y[:5]))
    assert "'y' are float64 (6,)" in refusal(saved(x=X, y=Y.astype(float)))
    assert "'y' are int64 (6, 3, 1)" in refusal(saved(x=X, y=np.zeros((6, 3, 1), int)))
    assert "not all finite" in refusal(saved(x=X, y=np.full((6, 2), np.nan)))
    named = saved(x=X, y=np.zeros((6, 2)), classes=np.array(["a"]))
    assert "'classes' has 1 names for 2 columns" in refusal(named)


@pytest.mark.parametrize(
    ("array", "why"),
    [
        (X / 255, r"is float64, not uint8.*Fix: save \(x \* 255\)"),
        (X / 127.5 - 1, r"is float64, not uint8.*\(x \* 127.5 \+ 127.5\).*range=\(-1, 1\)"),
        (X.astype(np.float32), r"is float32, not uint8.*save x.round\(\).*range=\(0, 255\)"),
        (X * np.uint16(257), r"is uint16, not uint8.*x / 257.*range=\(0, 65535\)"),
        (X.astype(np.int64), r"from 0 to 25\d. Fix: save x.astype\('uint8'\).*range=\(0, 255\)"),
        (X.astype(np.int64) * 9 - 7, r"once its values are.*range=\(-7, 2\d\d\d\)"),
        (X > 5, r"is bool, not uint8"),
        (X.reshape(6, -1), r"has the shape \(6, 240\).*\(N, H, W\) or \(N, H, W, C\)"),
        (X[:, :8, :8].transpose(0, 3, 1, 2), r"channels come last. Fix: save it as x.transpose"),
        (np.zeros((3, 4, 64, 64), np.uint8), r"channels come last"),
        (np.zeros((3, 8, 48, 36), np.uint8), r"channels come last"),
        (np.zeros((3, 1, 64, 256), np.uint8), r"channels come last"),
        (X[:0], r"no usable image"),
        (X[:1], r"only one usable image"),
    ],
)
def test_refused_with_the_reason(saved, array, why):
    source = saved(x=array)
    with pytest.raises(DataError, match=why):
        source.open()


def test_pickles_are_never_loaded(saved, tmp_path):
    canary = tmp_path / "canary"

    class Evil:
        def __reduce__(self):
            return (canary.touch, ())

    evil = np.array([Evil(), Evil()], dtype=object)
    assert "is object, not uint8" in refusal(saved(x=evil))
    refusal(saved(x=X, y=evil))
    assert "Object arrays cannot be loaded" in refusal(saved(x=X, y=Y, classes=evil))
    assert not canary.exists()


def test_broken_files(saved, tmp_path):
    source = saved(x=X, y=Y)
    path = tmp_path / "x.npz"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "not a .npz file" in refusal(source)
    path.write_bytes(b"")
    assert "not a .npz file" in refusal(source)
    saved(x=X.repeat(20, 0))
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    path.write_bytes(damaged)
    assert "cannot read the array 'x'" in refusal(source)
    np.save(tmp_path / "plain.npy", X)
    (tmp_path / "plain.npy").rename(path)
    assert "not a .npz file" in refusal(source)
    assert f"Fix: use {path}" in refusal(Npz(path=str(tmp_path / "xx.npz")))
