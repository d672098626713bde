"""Sources of one's own are held to their contract, in words that say what to write."""

from collections.abc import Callable
from typing import Any, cast

import pytest
import torch

from sparring.data import Images, Points, Rows, opened
from sparring.data.digest import digest
from sparring.data.source import Source
from sparring.errors import DataError


class ToyMade(Source):
    """Whatever `made` gives."""

    of: str = ""

    def open(self, size: tuple[int, int] | None = None) -> Any:
        return made[self.of]()


U8 = torch.randint(0, 256, (20, 3, 8, 6), dtype=torch.uint8)
FLOAT = torch.rand(20, 3, 8, 6) * 2 - 1
THREE = torch.arange(20) % 3


def images(pixels: Any = U8, labels: Any = None, classes: Any = (), **more: Any) -> Any:
    return lambda: Images(pixels, labels, classes, **more)


def points(sample: Any, density: Any) -> Any:
    return lambda: Points(torch.zeros(2, 2), 0.1, lambda n, generator: sample(n), density)


def fail() -> None:
    raise ValueError("no\nsuch file")


WRONG: dict[str, tuple[Any, str]] = {
    "nothing": (lambda: None, "open gives nothing, neither .* Fix: return sparring.Images"),
    "bare": (lambda: U8, r"open gives a tensor \(20, 3, 8, 6\), neither images nor points"),
    "fails": (fail, "opening fails in ToyMade.*: ValueError: no such file. Fix: --debug shows"),
    "array": (images(U8.numpy()), "pixels are a numpy.ndarray, not .* Fix: torch.from_numpy"),
    "list": (images(list(U8)), "pixels are a builtins.list, not a tensor.* Fix: torch.stack"),
    "channels last": (images(U8.permute(0, 2, 3, 1)), r"Fix: pixels.permute\(0, 3, 1, 2\)"),
    "no channels": (images(U8[:, 0]), r"\(20, 8, 6\).*Fix: pixels\[:, None\]"),
    "empty sides": (images(U8[:, :, :0]), r"shape \(20, 3, 0, 6\)"),
    "one": (images(U8[:1]), "only one image in .* Fix: give at least 2 images"),
    "none": (images(U8[:0]), "no image in"),
    "double": (images(FLOAT.double()), r"pixels are float64 .*: images are uint8.*pixels.float"),
    "int": (images(U8.int()), r"pixels are int32 .* Fix: pixels.to\(torch.uint8\)"),
    "to 255": (images(FLOAT.abs() * 200), "pixels are from .* Fix: pixels / 127.5 - 1"),
    "beyond": (images(FLOAT * 1.1), "those of float32 are from -1 to 1$"),
    "nan": (images(torch.full_like(FLOAT, torch.nan)), "pixels are from nan to nan"),
    "few labels": (images(labels=THREE[:7]), r"labels have the shape \(7,\) .*: there are 20"),
    "deep labels": (images(labels=THREE[:, None, None]), r"shape \(20, 1, 1\)"),
    "int32 labels": (images(labels=THREE.int()), "int32, not int64 .* Fix: labels.long()"),
    "int columns": (images(labels=THREE[:, None]), "int64, not float32 .* Fix: labels.float()"),
    "list labels": (images(labels=THREE.tolist()), "labels are a builtins.list, not a tensor"),
    "negative": (images(labels=THREE - 1), "a label is -1 .*: classes are counted from 0"),
    "unnamed": (images(labels=THREE, classes=("a", "b")), "2 classes are named, .* up to 2"),
    "columns": (images(labels=FLOAT[:, 0, 0], classes=tuple("abcde")), "labels have 6 columns"),
    "nan label": (images(labels=FLOAT[:, 0, 0] / 0 * 0), "a label is not finite"),
    "inputs": (images(inputs=Images(U8[:5])), "5 inputs to 20 images .* Fix: paired=False"),
    "wrong inputs": (
        images(inputs=Images(FLOAT.abs() * 200)),
        "pixels are from .* in the inputs of ToyMade",
    ),
    "flat modes": (
        lambda: Points(torch.zeros(2), 0.1, lambda n, generator: torch.zeros(n), torch.sum),
        r"modes are a tensor \(2,\)",
    ),
    "shape": (points(lambda n: torch.zeros(n), torch.sum), r"sample gives a tensor \(4,\)"),
    "density": (points(lambda n: torch.zeros(n, 2), torch.exp), r"log_density gives a tensor \(4"),
    "infinite": (
        points(lambda n: torch.zeros(n, 2), lambda x: x.sum(1).log()),
        "log_density gives numbers that are not finite",
    ),
}
made: dict[str, Callable[[], Any]] = {name: make for name, (make, _) in WRONG.items()}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_not_the_contract_is_said(name):
    with pytest.raises(DataError, match=WRONG[name][1]) as error:
        opened(ToyMade(of=name))
    assert f"ToyMade(of='{name}')" in str(error.value)


def test_another_size_than_asked_for():
    made["right"] = images()
    with pytest.raises(DataError, match=r"8x6, not 8x8 .* Fix: scale them in open, or --size 8x6"):
        opened(ToyMade(of="right"), (8, 8))
    assert cast(Images, opened(ToyMade(of="right"), (8, 6))).shape == (3, 8, 6)


def test_a_source_without_open():
    class ToyUnwritten(Source):
        """Nothing."""

    with pytest.raises(DataError, match=r"cannot be opened in ToyUnwritten\(\). Fix: write its"):
        opened(ToyUnwritten())


def test_what_is_left_out_is_filled_in():
    made["plain"] = images(labels=THREE)
    found = cast(Images, opened(ToyMade(of="plain")))
    assert found.classes == ("0", "1", "2")
    assert found.digest == digest(U8, THREE)
    made["numbers"] = images(FLOAT, labels=FLOAT[:, 0, 0])
    assert cast(Images, opened(ToyMade(of="numbers"))).classes == ("0", "1", "2", "3", "4", "5")
    made["named"] = images(labels=THREE, classes=list("abcd"), digest="kept")
    found = cast(Images, opened(ToyMade(of="named")))
    assert found.classes == ("a", "b", "c", "d")
    assert found.digest == "kept"


def test_points_without_a_digest_have_that_of_their_source():
    made["a"] = made["b"] = points(lambda n: torch.zeros(n, 2), lambda x: x.sum(1))
    a, again, b = (opened(ToyMade(of=name)).digest for name in "aab")
    assert a == again != b
    assert len(a) == 16


def test_rows_of_a_file_are_not_read():
    def read(index):
        raise AssertionError("read")

    made["rows"] = images(Rows((20, 3, 8, 6), torch.float32, read), digest="whole")
    assert len(cast(Images, opened(ToyMade(of="rows")))) == 20
    made["rows"] = images(Rows((20, 8, 6, 3), torch.uint8, read))
    with pytest.raises(DataError, match="permute"):
        opened(ToyMade(of="rows"))


def test_rows_without_a_digest_are_read_for_it():
    made["rows"] = images(Rows(tuple(U8.shape), torch.uint8, lambda index: U8[index]))
    assert opened(ToyMade(of="rows")).digest == digest(U8, None)
