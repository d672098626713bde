"""Features: the same of any batches, computed once, kept by content, and never silently wrong."""

from __future__ import annotations

from dataclasses import replace
from weakref import WeakKeyDictionary

import pytest
import torch

from sparring.data.digest import digest
from sparring.data.source import Images
from sparring.errors import DataError
from sparring.metrics import DomainFeatures, Fake, Pixels, Real, features
from sparring.metrics.features import Extractor, blocks, fake_features, real_features, watching
from sparring.randomness import generator


def pixels(n: int, *shape: int, seed: int = 0) -> torch.Tensor:
    rng = generator("test images", seed)
    return torch.randint(256, (n, *shape), dtype=torch.uint8, generator=rng)


def real(images: torch.Tensor) -> Real:
    return Real("test", train=Images(images, digest=digest(images, None)))


def fake(images: torch.Tensor, size: int = 7) -> Fake:
    return Fake("test", lambda n: iter(images[:n].split(size)))


class Counted:
    """An extractor of the mean colour, and how many images it has seen."""

    def __init__(self) -> None:
        self.seen = 0
        self.extractor = Extractor("mean", "mean colour", "d" * 16, 3, "none", self.compute, 4)

    def compute(self, images: torch.Tensor) -> torch.Tensor:
        assert len(images) <= 4
        self.seen += len(images)
        return images.double().mean(dim=(2, 3))


def test_blocks_keep_the_rows_and_their_order() -> None:
    rows = torch.arange(50)
    for sizes in ([50], [1] * 50, [3, 20, 27], [16, 16, 18]):
        cut = list(blocks(rows.split(sizes), 16))
        assert [len(b) for b in cut] == [16, 16, 16, 2]
        assert torch.equal(torch.cat(cut), rows)


def test_features_do_not_depend_on_the_batches_and_are_float32() -> None:
    images, counted = pixels(11, 3, 4, 5), Counted()
    expected = images.double().mean(dim=(2, 3)).float()
    for size in (1, 4, 11):
        found = torch.cat([*counted.extractor.stream(images.split(size))])
        assert found.dtype == torch.float32
        assert torch.equal(found, expected)


def test_the_samples_are_looked_at_once_for_all_metrics() -> None:
    counted, images = Counted(), pixels(20, 3, 4, 4)
    samples, against = fake(images), real(images)
    first = fake_features(counted.extractor, against, samples, 15)
    assert counted.seen == 15
    assert torch.equal(fake_features(counted.extractor, against, samples, 8), first[:8])
    assert counted.seen == 15
    fake_features(counted.extractor, against, fake(images), 8)
    assert counted.seen == 23  # other samples are other samples


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "_seen", {})
    monkeypatch.setattr(features, "_made", WeakKeyDictionary())


def test_reference_features_are_cached_by_the_content_of_the_images(cache) -> None:
    counted, images = Counted(), pixels(9, 3, 4, 4, seed=1)
    first = real_features(counted.extractor, real(images), 100)
    features._seen.clear()  # as in another process
    again = real_features(counted.extractor, real(images.clone()), 100)
    assert counted.seen == 9
    assert torch.equal(first, again)
    images[0, 0, 0, 0] ^= 255  # the same place in memory, other data
    changed = real_features(counted.extractor, real(images), 100)
    assert counted.seen == 18
    assert not torch.equal(first, changed)
    other = replace(counted.extractor, digest="e" * 16)
    real_features(other, real(images), 100)
    assert counted.seen == 27


def test_a_damaged_cache_is_made_anew(cache) -> None:
    counted, images = Counted(), pixels(9, 3, 4, 4, seed=2)
    first = real_features(counted.extractor, real(images), 100)
    features._seen.clear()
    for path in (cache / "features").glob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:50])
    assert torch.equal(real_features(counted.extractor, real(images), 100), first)
    assert counted.seen == 18


def test_a_feature_that_is_not_finite_names_its_image() -> None:
    def compute(images: torch.Tensor) -> torch.Tensor:
        x = images.float().mean(dim=(2, 3))
        return torch.where(x == 255, torch.nan, x)

    extractor = Extractor("mean", "mean colour", "", 1, "none", compute, 4)
    images = torch.zeros(11, 1, 2, 2, dtype=torch.uint8)
    images[6] = 255
    with pytest.raises(DataError, match="features of image 6 are not finite"):
        list(extractor.stream(images.split(3)))
    with pytest.raises(DataError, match=r"image b6\.png are not"):
        list(extractor.stream(images.split(5), name=lambda i: f"b{i}.png"))


def test_what_it_cannot_read_is_said() -> None:
    extractor = replace(Counted().extractor, channels=(1, 3))
    with pytest.raises(DataError, match=r"1 or 3 channels: these have 4"):
        extractor(pixels(2, 4, 3, 3))
    with pytest.raises(TypeError, match="float32"):
        extractor(torch.rand(2, 3, 4, 4))


def test_whoever_watches_is_told() -> None:
    told: list[tuple[str, int, int]] = []
    with watching(lambda *row: told.append(row)):
        list(Counted().extractor.stream([pixels(6, 3, 2, 2)], 6))
    list(Counted().extractor.stream([pixels(6, 3, 2, 2)], 6))
    assert told == [("mean", 4, 6), ("mean", 6, 6)]


def test_pixels_are_pixels_and_large_images_are_averaged() -> None:
    small, large = pixels(3, 1, 8, 6), pixels(3, 3, 64, 48)
    extractor = Pixels().open(real(small))
    assert extractor.dimension == 48
    assert extractor.resize == "none"
    torch.testing.assert_close(extractor(small), small.flatten(1) / 255)
    extractor = Pixels().open(real(large))
    expected = large.double().unflatten(3, (24, 2)).unflatten(2, (32, 2)).mean(dim=(3, 5)) / 255
    assert extractor.dimension == 3 * 32 * 24
    assert extractor.resize == "mean of 2x2 pixels"
    torch.testing.assert_close(extractor(large).double(), expected.flatten(1), atol=1e-6, rtol=0)


def test_domain_features_are_those_of_the_classifier(cache, striped) -> None:
    from sparring.metrics import DomainClassifier

    extractor = DomainFeatures().open(striped)
    classifier = DomainClassifier.of(striped)
    images = striped.train.pixels[:5]
    assert torch.equal(extractor(images), classifier.features(images))
    assert extractor.protocol["features_digest"] == classifier.digest
    assert extractor.protocol["features_accuracy"] == classifier.accuracy
    with pytest.raises(DataError, match="needs labelled images"):
        DomainFeatures().open(real(pixels(4, 1, 12, 12)))


def test_a_reference_is_a_fixed_choice_of_the_training_images() -> None:
    images = pixels(40, 1, 3, 3)
    some = real(images).some(10)
    assert len(some) == 10
    assert torch.equal(some.pixels, real(images).some(10).pixels)
    assert not torch.equal(some.pixels, images[:10])
    assert torch.equal(real(images).some(20).pixels[:10], some.pixels)
    assert torch.equal(real(images).some(40).pixels, images)


def test_networks_compute_in_float32_and_settings_are_restored() -> None:
    """Not in TF32, whatever the user's settings are, which come back as they were."""
    places = (torch.backends.cudnn.conv, torch.backends.cuda.matmul)  # pyright: ignore
    seen = []

    def compute(images: torch.Tensor) -> torch.Tensor:
        seen.append([place.fp32_precision for place in places])
        if len(seen) == 2:
            raise ZeroDivisionError
        return images.float().flatten(1)

    extractor = Extractor("x", "x", "", 4, "none", compute)
    before = [place.fp32_precision for place in places]
    try:
        for place in places:
            place.fp32_precision = "tf32"
        extractor(torch.zeros(1, 1, 2, 2, dtype=torch.uint8))
        with pytest.raises(ZeroDivisionError):
            extractor(torch.zeros(1, 1, 2, 2, dtype=torch.uint8))
        assert seen == [["ieee", "ieee"]] * 2
        assert [place.fp32_precision for place in places] == ["tf32", "tf32"]
    finally:
        for place, precision in zip(places, before):
            place.fp32_precision = precision


def test_what_computes_features_is_part_of_their_key(tmp_path, monkeypatch) -> None:
    """Features of an older version of the code are never taken from the cache."""
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path))
    calls = []

    def compute(images: torch.Tensor) -> torch.Tensor:
        calls.append(len(images))
        return images.float().flatten(1)

    data = real(pixels(9, 1, 2, 2, seed=77))
    extractor = Extractor("x", "x", "", 4, "none", compute)
    for version in (1, 1, 2):
        monkeypatch.setattr(features, "VERSION", version)
        monkeypatch.setattr(features, "_seen", {})
        real_features(extractor, data, 9)
    assert calls == [9, 9]
