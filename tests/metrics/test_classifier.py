"""The domain classifier: what it learns, and the file that keeps it."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sparring.data.rows import Rows
from sparring.data.source import Images
from sparring.errors import DataError
from sparring.metrics import KID, DomainClassifier, Real, default_metrics
from sparring.metrics.classifier import Net, weights_digest
from sparring.storage import cache_folder

STARTED = "training the domain classifier once for this data set"


def said(caplog: pytest.LogCaptureFixture) -> str:
    text = caplog.text
    caplog.clear()
    return text


@pytest.fixture(autouse=True)
def _listen(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "sparring")


def test_it_learns_the_classes(cache: Path, striped: Real, more_stripes: Images) -> None:
    classifier = DomainClassifier.of(striped)
    assert classifier.names == ("rows", "columns", "chequers", "plain")
    assert classifier.accuracy > 0.97
    assert classifier.tested == 300
    assert classifier.resize == "none"
    features = classifier.features(more_stripes.pixels)
    assert features.shape == (2000, 128)
    assert features.min() >= 0
    right = classifier.classes(features) == more_stripes.labels
    assert right.double().mean() > 0.97
    sums = classifier.probabilities(features).sum(1)
    torch.testing.assert_close(sums, torch.ones(2000))


def test_features_do_not_depend_on_the_batch(
    cache: Path, striped: Real, more_stripes: Images
) -> None:
    classifier = DomainClassifier.of(striped)
    images = more_stripes.pixels[:300]
    whole = classifier.features(images)
    parts = torch.cat([classifier.features(part) for part in images.split(7)])
    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-5)
    with pytest.raises(TypeError, match="uint8"):
        classifier.features(images.float())


def test_it_is_trained_once_and_read_afterwards(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    striped: Real,
) -> None:
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path))
    state = torch.get_rng_state()
    first = DomainClassifier.of(striped)
    assert STARTED in said(caplog)
    assert torch.equal(torch.get_rng_state(), state)
    again = DomainClassifier.of(striped)
    assert said(caplog) == ""
    assert (again.digest, again.accuracy, again.tested) == (
        first.digest,
        first.accuracy,
        first.tested,
    )
    (file,) = tmp_path.rglob("*.safetensors")
    assert [p.name for p in file.parent.iterdir()] == [file.name]  # no draft is left behind

    content = bytearray(file.read_bytes())
    content[-50] ^= 1
    for bad in (bytes(content), content[: len(content) // 2]):
        file.write_bytes(bad)
        renewed = DomainClassifier.of(striped)
        text = said(caplog)
        assert "does not verify" in text
        assert STARTED in text
        assert renewed.digest == first.digest  # training is deterministic
    DomainClassifier.of(striped)
    assert said(caplog) == ""


def test_other_data_get_another_classifier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, striped: Real
) -> None:
    """Colour, no image held out, a shape that halves badly, and names that nobody gave."""
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path))
    assert striped.train
    pixels = striped.train.pixels[:, :, :11, :7].repeat(1, 3, 1, 1)
    bare = Images(pixels, striped.train.labels)
    classifier = DomainClassifier.of(Real("bare", train=bare))
    assert classifier.names == ("0", "1", "2", "3")
    assert classifier.tested == 120
    assert classifier.accuracy > 0.9
    assert len(list(tmp_path.rglob("*.safetensors"))) == 1


def test_a_cache_that_cannot_be_written_is_no_failure(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    striped: Real,
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "file"))
    assert DomainClassifier.of(striped).accuracy > 0.97
    assert "is not kept" in said(caplog)


@pytest.mark.parametrize(
    ("shape", "shrink"),
    [((1, 28, 28), 1), ((3, 64, 64), 2), ((1, 8, 8), 1), ((3, 109, 89), 3), ((2, 5, 200), 1)],
)
def test_any_size_is_served(shape: tuple[int, int, int], shrink: int) -> None:
    net = Net(shape, 7).eval()
    images = torch.randint(256, (2, *shape), dtype=torch.uint8)
    assert net(images).shape == (2, 7)
    assert net(images, (0, 2)).shape == (2, 7)
    assert net.shrink == shrink


def test_the_digest_reads_names_and_values() -> None:
    net = Net((1, 8, 8), 3)
    before = weights_digest(net)
    assert len(before) == 16
    assert weights_digest(net) == before
    with torch.no_grad():
        net.head.bias[0] += 1
    assert weights_digest(net) != before


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARRING_CACHE", "/a/b")
    monkeypatch.setenv("XDG_CACHE_HOME", "/c")
    assert cache_folder() == Path("/a/b")
    monkeypatch.delenv("SPARRING_CACHE")
    assert cache_folder() == Path("/c/sparring")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "sparring"


def test_it_needs_labels_of_two_classes(striped: Real) -> None:
    assert striped.train
    assert striped.train.labels is not None
    without = replace(striped.train, labels=None)
    with pytest.raises(DataError, match="needs labelled images"):
        DomainClassifier.of(Real("bare", train=without))
    one = replace(striped.train, labels=torch.zeros_like(striped.train.labels))
    with pytest.raises(DataError, match="two classes"):
        DomainClassifier.of(Real("one", train=one))
    with pytest.raises(DataError, match="needs images"):
        DomainClassifier.of(Real("none"))


@pytest.mark.slow
@pytest.mark.realdata
def test_fashion_is_learnt(
    test_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 9,500 images, as the demo has: at least 86 % of 10,000 others."""
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path))
    with np.load(test_data / "fashion_mnist.npz") as arrays:
        pixels = torch.from_numpy(arrays["x_train"][:19_500])[:, None]
        labels = torch.from_numpy(arrays["y_train"][:19_500]).long()
    real = Real(
        "fashion",
        train=Images(pixels[:9500], labels[:9500]),
        held_out=Images(pixels[9500:], labels[9500:]),
    )
    classifier = DomainClassifier.of(real)
    assert 0.86 < classifier.accuracy < 0.95


def test_of_images_in_a_file_it_is_the_same(cache: Path, striped: Real, tmp_path, monkeypatch):
    train = striped.train
    assert train
    pixels = Rows(train.pixels.shape, torch.uint8, lambda i: train.pixels[i])
    one = DomainClassifier.of(striped)
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path))
    two = DomainClassifier.of(replace(striped, train=replace(train, pixels=pixels)))
    assert (one.digest, one.accuracy) == (two.digest, two.accuracy)


def test_several_labels_an_image_are_no_classes(cache: Path, striped: Real):
    assert striped.train
    several = replace(striped.train, labels=torch.rand(1200, 4))
    with pytest.raises(DataError, match="needs one class for each image"):
        DomainClassifier.of(replace(striped, train=several))
    assert isinstance(default_metrics(replace(striped, train=several))[0], KID)
    assert default_metrics(striped) != ()
