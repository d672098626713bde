"""Named sets: read from files that are there, and fetched from a server of our own."""

from __future__ import annotations

import gzip
import hashlib
import io
import struct
import sys
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
from PIL import Image

from sparring.data import CIFAR10, MNIST, CelebA, Digits, FashionMNIST, source
from sparring.errors import DataError, DiskError, RecipeError

PUBLISHED = (  # MD5 of MNIST's four files, unpacked, as they are published
    "6bbc9ace898e44ae57da46a324031adb",
    "a25bea736e30d166cdddb491f175f624",
    "2646ac647ad5339dbf082846283269ea",
    "27ae3e4e09519cfbb04c329615203637",
)
NAMES = [
    f"{start}-{what}-idx{axes}-ubyte"
    for start in ("train", "t10k")
    for what, axes in (("images", 3), ("labels", 1))
]


def idx(array: np.ndarray) -> bytes:
    head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return head + np.ascontiguousarray(array).tobytes()


def small() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    parts = (("train", 12), ("test", 5))
    images = {f"x_{p}": rng.integers(0, 256, (n, 28, 28), np.uint8) for p, n in parts}
    return images | {f"y_{p}": (np.arange(n) % 10).astype(np.uint8) for p, n in parts}


def packed() -> dict[str, bytes]:
    a = small()
    arrays = (a["x_train"], a["y_train"], a["x_test"], a["y_test"])
    return {f"{n}.gz": gzip.compress(idx(v), mtime=0) for n, v in zip(NAMES, arrays)}


class Server:
    """Serves what `files` holds at 127.0.0.1; a file in `cut` stops half way."""

    def __init__(self) -> None:
        self.files, self.cut, self.asked = dict[str, bytes](), set[str](), list[str]()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.lstrip("/")
                outer.asked.append(name)
                if name not in outer.files:
                    self.send_error(404)
                    return
                content = outer.files[name]
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) // 2] if name in outer.cut else content)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A server with a small MNIST on it, of which the source knows the hashes."""
    serving = Server()
    serving.files = packed()
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(MNIST, "base", serving.url)
    hashes = tuple(hashlib.md5(c).hexdigest() for c in serving.files.values())
    monkeypatch.setattr(MNIST, "hashes", hashes)
    yield serving
    serving.close()


def refusal(part, error=DataError) -> str:
    with pytest.raises(error) as found:
        part.open()
    assert "\n" not in str(found.value)
    return str(found.value)


def check_mnist(images, split="train") -> None:
    a = small()
    names = [s for s in ("train", "test") if split in (s, "all")]
    x = np.concatenate([a[f"x_{s}"] for s in names])
    np.testing.assert_array_equal(images.pixels[:, 0].numpy(), x)
    y = np.concatenate([a[f"y_{s}"] for s in names])
    assert [images.classes[i] for i in images.labels] == list(map(str, y))


# ------------------------------------------------------------------------------------ the network


@pytest.mark.parametrize("split", ["train", "test", "all"])
def test_fetched_once(server, split):
    check_mnist(MNIST(split=split).open(), split)
    count = len(server.asked)
    assert count == (4 if split == "all" else 2)
    check_mnist(MNIST(split=split).open(), split)
    assert len(server.asked) == count


def test_a_wrong_file_is_named_and_not_kept(server, tmp_path):
    right = server.files["train-images-idx3-ubyte.gz"]
    server.files["train-images-idx3-ubyte.gz"] = b"<html>sign in</html>"
    assert refusal(MNIST()) == (
        f"cannot fetch train-images-idx3-ubyte.gz in {server.url}train-images-idx3-ubyte.gz: what"
        " came is not that file: its hash is another one. Fix: give the file:"
        " \"MNIST(path='FOLDER')\""
    )
    assert not list((tmp_path / "cache/downloads").glob("*images*"))
    server.files["train-images-idx3-ubyte.gz"] = right
    check_mnist(MNIST().open())


def test_a_file_that_is_damaged_in_the_cache_is_fetched_again(server, tmp_path):
    MNIST().open()
    [file] = (tmp_path / "cache/downloads").glob("*train-images*")
    file.write_bytes(b"damaged")
    check_mnist(MNIST().open())
    assert len(server.asked) == 3


def test_a_file_cut_off_on_the_way(server, tmp_path):
    server.cut.add("train-images-idx3-ubyte.gz")
    message = refusal(MNIST())
    assert "cannot fetch train-images-idx3-ubyte.gz" in message
    assert "it was cut off on the way. Fix: give the file" in message
    assert not list((tmp_path / "cache/downloads").glob("*images*"))
    server.cut.clear()
    check_mnist(MNIST().open())


def test_a_file_that_is_missing(server):
    del server.files["train-labels-idx1-ubyte.gz"]
    assert "cannot fetch train-labels-idx1-ubyte.gz" in refusal(MNIST())
    assert "the server answers 404 Not Found" in refusal(MNIST())


def test_no_network(server):
    server.close()
    message = refusal(MNIST())
    assert "cannot fetch train-images-idx3-ubyte.gz" in message
    assert message.endswith("no answer. Fix: give the file: \"MNIST(path='FOLDER')\"")


def test_a_cache_that_cannot_be_written(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "file"))
    message = refusal(MNIST(), DiskError)
    assert "cannot write train-images-idx3-ubyte.gz" in message
    assert "set SPARRING_CACHE to another folder, or give the file" in message
    assert server.asked == []


def test_the_command_line_says_it_in_one_line(server, capsys):
    from sparring.cli import main

    server.close()
    assert main(["inspect", "mnist"]) == 3
    error = capsys.readouterr().err
    assert error.startswith("error: cannot fetch train-images-idx3-ubyte.gz")
    assert error.count("\n") == 1


# --------------------------------------------------------------------------- files already there


@pytest.mark.parametrize("kind", ["gz", "plain", "below", "npz"])
def test_mnist_of_files(tmp_path, kind):
    folder = tmp_path / "here" / ("MNIST" if kind == "below" else "")
    folder.mkdir(parents=True)
    for name, content in packed().items():
        if kind == "plain":
            (folder / name.removesuffix(".gz")).write_bytes(gzip.decompress(content))
        elif kind != "npz":
            (folder / name).write_bytes(content)
    path = tmp_path / "here"
    if kind == "npz":
        path = tmp_path / "x.npz"
        np.savez(path, **small())  # pyright: ignore
    for split in ("train", "test", "all"):
        check_mnist(source(f"mnist(path='{path}', split='{split}')").open(), split)
    assert source(f"fashion-mnist(path='{path}')").open((14, 14)).shape == (1, 14, 14)


def test_bad_idx_files(tmp_path):
    for name, content in packed().items():
        (tmp_path / name).write_bytes(content)
    labels = tmp_path / "train-labels-idx1-ubyte.gz"
    good = labels.read_bytes()
    for bad, said in [
        (b"", "train-labels-idx1-ubyte.gz is no idx file"),
        (good[:-9], "is no idx file"),
        (gzip.compress(idx(small()["x_train"])), "not 1-dimensional bytes, or cut short"),
        (gzip.compress(idx(small()["y_train"])[:-1]), "or cut short"),
        (gzip.compress(idx(small()["y_train"][:-1])), "does not fit in"),
        (gzip.compress(idx(small()["y_train"] + 7)), "this is no MNIST"),
    ]:
        labels.write_bytes(bad)
        assert said in refusal(MNIST(path=str(tmp_path)))
    labels.unlink()
    assert "there is no train-labels-idx1-ubyte in" in refusal(MNIST(path=str(tmp_path)))
    np.savez(tmp_path / "x.npz", x=small()["x_train"])
    assert "there is no x_train" in refusal(MNIST(path=str(tmp_path / "x.npz")))
    assert "nothing is there" in refusal(MNIST(path=str(tmp_path / "gone")))


def batches() -> dict[str, bytes]:
    rng = np.random.default_rng(1)
    names = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
    made = {}
    for name in names:
        records = rng.integers(0, 256, (3, 3073), np.uint8)
        records[:, 0] %= 10
        made[name] = records.tobytes()
    return made


def cifar(path, contents) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in contents.items():
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


@pytest.mark.parametrize("kind", ["archive", "folder", "fetched"])
def test_cifar10_of_its_binary_version(server, tmp_path, monkeypatch, kind):
    contents, path = batches(), tmp_path / "cifar-10-binary.tar.gz"
    cifar(path, contents)
    given: str | None = str(path)
    if kind == "folder":
        (tmp_path / "bins/cifar-10-batches-bin").mkdir(parents=True)
        for name, content in contents.items():
            (tmp_path / "bins/cifar-10-batches-bin" / name).write_bytes(content)
        given = str(tmp_path / "bins")
    if kind == "fetched":
        server.files["cifar-10-binary.tar.gz"] = path.read_bytes()
        monkeypatch.setattr(CIFAR10, "url", server.url + "cifar-10-binary.tar.gz")
        monkeypatch.setattr(CIFAR10, "md5", hashlib.md5(path.read_bytes()).hexdigest())
        given = None
    for split, names in (("train", list(contents)[:5]), ("test", ["test_batch.bin"])):
        images = CIFAR10(path=given, split=split).open()  # pyright: ignore
        records = np.frombuffer(b"".join(contents[n] for n in names), np.uint8).reshape(-1, 3073)
        expected = torch.tensor(records[:, 1:].copy()).view(-1, 3, 32, 32)
        assert torch.equal(images.pixels, expected)
        assert [CIFAR10.names[v] for v in records[:, 0]] == [
            images.classes[i] for i in images.labels
        ]
    assert len(CIFAR10(path=given, split="all").open()) == 18


def test_bad_cifar10(tmp_path):
    contents, path = batches(), tmp_path / "x.tar.gz"
    cifar(path, contents | {"data_batch_3.bin": b"\0" * 3072})
    assert "a batch is cut short" in refusal(CIFAR10(path=str(path)))
    del contents["data_batch_2.bin"]
    cifar(path, contents)
    assert "cannot read the archive" in refusal(CIFAR10(path=str(path)))
    path.write_bytes(path.read_bytes()[:100])
    assert "give the binary version" in refusal(CIFAR10(path=str(path)))
    cifar(path, batches() | {"data_batch_1.bin": b"\xff" * 3073})
    assert "this is no CIFAR-10" in refusal(CIFAR10(path=str(path)))


ATTRIBUTES = "3\nBald Smiling\n000001.jpg -1  1\n000002.jpg  1  1\n000009.jpg -1 -1\n"


def test_celeba_of_a_zip_and_a_folder(tmp_path):
    (tmp_path / "faces").mkdir()
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for i in (1, 2):
            pixels = np.zeros((218, 178, 3), np.uint8)
            pixels[20:198] = 100 * i  # the middle square
            file = tmp_path / f"faces/{i:06}.jpg"
            Image.fromarray(pixels).save(file, quality=95)
            archive.write(file, f"img_align_celeba/{i:06}.jpg")
    (tmp_path / "list.txt").write_text(ATTRIBUTES)
    for path in ("x.zip", "faces"):
        part = source(f"CelebA(path='{tmp_path / path}', attributes='{tmp_path}/list.txt')")
        images = part.open()
        assert images.shape == (3, 64, 64)
        assert abs(images.pixels[0].float() - 100).max() < 3
        assert (images.classes, images.labels.tolist()) == (("Bald", "Smiling"), [[0, 1], [1, 1]])
        assert type(part).flips
    assert CelebA(path=str(tmp_path / "x.zip")).open().labels is None
    (tmp_path / "list.txt").write_text("1\nBald\n000001.jpg 1 1\n")
    assert "this is no list of attributes" in refusal(part)
    (tmp_path / "list.txt").write_text("1\nBald\n000001.jpg 1\n")
    assert "1 of 2 images have no label" in refusal(part)


def test_celeba_without_network_names_the_file(server, monkeypatch):
    monkeypatch.setattr(CelebA, "url", server.url + "img_align_celeba.zip?id=1")
    message = refusal(source("celeba"))
    assert "cannot fetch img_align_celeba.zip" in message
    assert "Fix: give the file: \"CelebA(path='img_align_celeba.zip')\"" in message


def test_digits():
    images = Digits().open()
    assert images.pixels.shape == (1797, 1, 8, 8)
    assert images.pixels.max() == 255
    assert images.labels[:10].tolist() == list(range(10))
    assert images.labels.bincount().min() > 170


def test_digits_without_scikit_learn_name_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    assert "Fix: pip install 'sparring[digits]'" in refusal(source("digits"), RecipeError)


@pytest.mark.realdata
def test_the_published_mnist_passes_through_its_own_format(test_data, tmp_path):
    """The arrays written as idx files have the published hashes, and come back equal."""
    with np.load(test_data / "mnist.npz") as a:
        arrays = [a[k] for k in ("x_train", "y_train", "x_test", "y_test")]
    for name, array, md5 in zip(NAMES, arrays, PUBLISHED):
        content = idx(array)
        assert hashlib.md5(content).hexdigest() == md5
        (tmp_path / name).write_bytes(content)
    images = MNIST(path=str(tmp_path), split="all").open()
    assert len(images) == 70_000
    other = MNIST(path=str(test_data / "mnist.npz"), split="all").open()
    assert torch.equal(images.pixels, other.pixels)
    fashion = FashionMNIST(path=str(test_data / "fashion_mnist.npz"), split="test").open()
    assert torch.equal(fashion.pixels, source("fashion").open().pixels)
    assert fashion.classes == source("fashion").open().classes
