"""Sets known by a name: fetched once and verified, or taken from files that are there already."""

from __future__ import annotations

import gzip
import struct
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from sparring.data.archive import Zip
from sparring.data.arrays import headers, images, read
from sparring.data.fashion import CLASSES
from sparring.data.fetch import fetch
from sparring.data.files import Files
from sparring.data.folder import Folder
from sparring.data.labels import Labels, Table, assign
from sparring.data.listing import Listing
from sparring.data.paths import existing, printable
from sparring.data.source import Images, Source
from sparring.errors import DataError, RecipeError

Split = Literal["train", "test", "all"]


class _Idx(Source, abstract=True):
    """Images and labels in the four files of MNIST's format.

    path: a folder of the four idx files, gzipped or not, or a .npz with x_train, y_train, x_test,
    y_test; None fetches them once. split: which part; sparring holds its own images out of it.
    """

    base: ClassVar[str] = ""
    hashes: ClassVar[tuple[str, ...]] = ()  # MD5 of the files of _idx_names, in that order
    names: ClassVar[tuple[str, ...]] = ()
    path: str | None = None
    split: Split = "train"

    def open(self, size: tuple[int, int] | None = None) -> Images:
        """Images (N, 1, 28, 28) with labels, or resized. Raises DataError, DiskError."""
        parts = [part for part in ("train", "test") if self.split in (part, "all")]
        found = [self._part(part) for part in parts]
        pixels, labels = (np.concatenate(arrays) for arrays in zip(*found))
        if len(labels) and labels.max() >= len(self.names):
            why = f"a label is {labels.max()}, and there are {len(self.names)} classes"
            raise DataError(f"this is no {type(self).__name__}", where=self.path, why=why)
        return images(pixels, (labels.astype(np.int64), self.names), type(self).__name__, size)

    def _part(self, part: str) -> tuple[np.ndarray, np.ndarray]:
        if self.path is not None:
            path = existing(self.path)
            if path.is_file():
                return _npz(path, part)
            return _pair(*(_beside(path, name) for name in _idx_names(part)))
        instead = f"\"{type(self).__name__}(path='FOLDER')\""
        offset = 0 if part == "train" else 2
        files = (
            fetch(f"{self.base}{name}.gz", f"md5:{self.hashes[offset + i]}", instead)
            for i, name in enumerate(_idx_names(part))
        )
        return _pair(*files)


class MNIST(_Idx):
    """MNIST: 60,000 grey 28 x 28 images of digits to train on, 10,000 to test."""

    paper: ClassVar[str] = "LeCun et al. 1998, Gradient-based learning, Proc. IEEE 86"
    base = "https://ossci-datasets.s3.amazonaws.com/mnist/"
    hashes = (
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3",
        "ec29112dd5afa0611ce80d1b7f02629c",
    )
    names = tuple("0123456789")


class FashionMNIST(_Idx):
    """Fashion-MNIST: 60,000 grey 28 x 28 images of clothes to train on, 10,000 to test.

    `fashion` is the test part, bundled.
    """

    paper: ClassVar[str] = "Xiao, Rasul, Vollgraf 2017, Fashion-MNIST, arXiv:1708.07747"
    base = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
    hashes = (
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    )
    names = CLASSES


class CIFAR10(Source):
    """CIFAR-10: 50,000 colour 32 x 32 images in ten classes to train on, 10,000 to test.

    path: the archive cifar-10-binary.tar.gz, the folder of its .bin files, or a .npz; None fetches
    the archive once. The pickled version is never read.
    """

    paper: ClassVar[str] = "Krizhevsky 2009, Learning multiple layers of features"
    flips: ClassVar[bool] = True
    url: ClassVar[str] = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
    md5: ClassVar[str] = "c32a1d4ab5d03f1284b67883e8d87530"
    names: ClassVar[tuple[str, ...]] = (
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    )
    path: str | None = None
    split: Split = "train"

    def open(self, size: tuple[int, int] | None = None) -> Images:
        """Images (N, 3, 32, 32) with labels, or resized. Raises DataError, DiskError."""
        if self.path is None:
            instead = "\"CIFAR10(path='cifar-10-binary.tar.gz')\""
            path = fetch(self.url, f"md5:{self.md5}", instead)
        else:
            path = existing(self.path)
        if path.suffix == ".npz":
            parts = [part for part in ("train", "test") if self.split in (part, "all")]
            pixels, labels = (np.concatenate(a) for a in zip(*(_npz(path, p) for p in parts)))
        else:
            records = np.concatenate([_records(c, path) for c in self._batches(path)])
            labels = records[:, 0]
            pixels = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        if labels.max() >= len(self.names):
            raise DataError("this is no CIFAR-10", where=path, why=f"a label is {labels.max()}")
        return images(pixels, (labels.astype(np.int64), self.names), str(path), size)

    def _batches(self, path: Path) -> Iterator[bytes]:
        """The content of the .bin files of this split."""
        train = [f"data_batch_{i}.bin" for i in range(1, 6)]
        wanted = {"train": train, "test": ["test_batch.bin"], "all": [*train, "test_batch.bin"]}
        if path.is_dir():
            for name in wanted[self.split]:
                yield _beside(path, name).read_bytes()
            return
        try:
            with tarfile.open(path, "r:*") as archive:
                inside = {m.name.rpartition("/")[2]: m for m in archive if m.isreg()}
                for name in wanted[self.split]:
                    file = archive.extractfile(inside[name])
                    assert file is not None
                    yield file.read()
        except (tarfile.TarError, OSError, EOFError, zlib.error, KeyError) as e:
            fix = "give the binary version, cifar-10-binary.tar.gz"
            why = " ".join(str(e).split())
            raise DataError("cannot read the archive", where=path, why=why, fix=fix) from None


class CelebA(Files):
    """CelebA, aligned: 202,599 photos of faces, 178 x 218, for research that is not commercial.

    path: img_align_celeba.zip, or a folder of its images; None fetches the zip once (1.4 GB).
    Without `size` 64 x 64: the middle 178 x 178 pixels shrunk, as usual. attributes: the file
    list_attr_celeba.txt, whose 40 properties become labels, 0 or 1 each.
    """

    paper: ClassVar[str] = "Liu et al. 2015, Deep learning face attributes, arXiv:1411.7766"
    flips: ClassVar[bool] = True
    url: ClassVar[str] = (
        "https://drive.usercontent.google.com/download/img_align_celeba.zip"
        "?id=0B7EVK8r0v71pZjFTYXZWM3FlRnM&export=download&confirm=t"
    )
    md5: ClassVar[str] = "00d2c5bc6d35e252742224ab0c1e8fcb"
    attributes: str | None = None

    def listing(self) -> AbstractContextManager[Listing]:
        path = existing(self.path) if self.path else self._fetched()
        kind = Folder if path.is_dir() else Zip
        return kind(path=str(path), labels=self.labels).listing()

    def _fetched(self) -> Path:
        return fetch(self.url, f"md5:{self.md5}", "\"CelebA(path='img_align_celeba.zip')\"")

    def given(self, names: tuple[str, ...]) -> Labels | None:
        if self.attributes is None:
            return None
        file = existing(self.attributes)
        lines = file.read_text().splitlines()
        try:
            columns, width = tuple(lines[1].split()), len(lines[1].split())
            cells = [line.split() for line in lines[2:] if line.strip()]
            rows = {c[0]: tuple((int(v) + 1) // 2 for v in c[1:]) for c in cells}
            if not columns or any(len(v) != width for v in rows.values()):
                raise ValueError("a line has another number of columns than the second")
        except (IndexError, ValueError) as e:
            raise DataError("this is no list of attributes", where=file, why=str(e)) from None
        # The list may know more images than are here.
        found = [(n, name, rows.get(name.rpartition("/")[2])) for n, name in enumerate(names)]
        kept = tuple((n, name, row) for n, name, row in found if row is not None)
        return assign(Table(str(file), columns, kept), names)


class Digits(Source):
    """The 1,797 grey 8 x 8 digits that come with scikit-learn (the extra `digits`)."""

    paper: ClassVar[str] = "Alpaydin and Kaynak 1998, UCI optical recognition of digits"

    def open(self, size: tuple[int, int] | None = None) -> Images:
        """Images (1797, 1, 8, 8) with labels, or resized. RecipeError without scikit-learn."""
        try:
            from sklearn.datasets import load_digits
        except ImportError:
            raise RecipeError(
                "the digits come with scikit-learn",
                why="it is not installed",
                fix="pip install 'sparring[digits]'",
            ) from None
        values, labels = load_digits(return_X_y=True)  # 0 to 16
        pixels = np.rint(np.reshape(values, (-1, 8, 8)) * (255 / 16)).astype(np.uint8)
        return images(pixels, (np.asarray(labels, np.int64), tuple("0123456789")), "Digits", size)


# ---------------------------------------------------------------------------------------- files


def _idx_names(part: str) -> tuple[str, str]:
    start = "train" if part == "train" else "t10k"
    return f"{start}-images-idx3-ubyte", f"{start}-labels-idx1-ubyte"


def _beside(folder: Path, name: str) -> Path:
    """The file of this name, or gzipped, in the folder or one below."""
    for place in (folder, *sorted(p for p in folder.iterdir() if p.is_dir())):
        for file in (place / name, place / f"{name}.gz"):
            if file.is_file():
                return file
    raise DataError(f"there is no {name}", where=folder, fix=f"ls {folder}")


def _pair(image_file: Path, label_file: Path) -> tuple[np.ndarray, np.ndarray]:
    pixels, labels = _idx(image_file, 3), _idx(label_file, 1)
    if len(pixels) != len(labels):
        why = f"{len(pixels)} images, {len(labels)} labels"
        raise DataError(f"{label_file.name} does not fit", where=label_file.parent, why=why)
    return pixels, labels


def _idx(file: Path, dimensions: int) -> np.ndarray:
    """A uint8 array of the idx format: 0, 0, 8, the number of axes, their lengths, the values."""
    try:
        content = file.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        head = 4 + 4 * dimensions
        zero, kind, axes, *shape = struct.unpack_from(f">HBB{dimensions}I", content)
        size = int(np.prod(shape, dtype=np.int64))
        if (zero, kind, axes, len(content)) != (0, 8, dimensions, head + size):
            raise ValueError(f"not {dimensions}-dimensional bytes, or cut short")
    except (OSError, EOFError, zlib.error, struct.error, ValueError) as e:
        raise DataError(f"{file.name} is no idx file", where=file.parent, why=str(e)) from None
    return np.frombuffer(content, np.uint8, size, head).reshape(shape)


def _npz(path: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """x and y of a part, of a file with x_train, y_train, x_test, y_test."""
    known = headers(str(path))
    missing = {f"x_{part}", f"y_{part}"} - set(known)
    if missing:
        why = f"it has {', '.join(map(printable, known)) or 'nothing'}"
        raise DataError(f"there is no {min(missing)}", where=path, why=why)
    x, y = read(str(path), f"x_{part}"), read(str(path), f"y_{part}").reshape(-1)
    if x.dtype != np.uint8 or x.ndim not in (3, 4) or len(x) != len(y) or y.dtype.kind not in "iu":
        raise DataError(f"x_{part} and y_{part} are no images with labels", where=path)
    return x, y


def _records(content: bytes, path: Path) -> np.ndarray:
    """uint8 (n, 3073): a label and three planes of 32 x 32."""
    if not content or len(content) % 3073:
        raise DataError("a batch is cut short", where=path, why=f"it has {len(content)} bytes")
    return np.frombuffer(content, np.uint8).reshape(-1, 3073)
