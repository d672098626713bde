"""What a metric sees of an image: features, numbers that some network or rule makes of it.

A `Features` part is opened on the real data (a domain classifier has to be trained on them) and
gives an `Extractor`, which turns uint8 images into float32 features and knows what a protocol says
of them. The features of one set are computed once, however many metrics ask for them.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import safetensors
import torch
import torch.distributed as dist
from safetensors.torch import load_file
from torch import Tensor

from sparring.data.source import Images
from sparring.errors import DataError, DiskError
from sparring.metrics.classifier import VERSION as CLASSIFIER
from sparring.metrics.classifier import WIDTH, DomainClassifier
from sparring.metrics.metric import Fake, Real
from sparring.parts import Part, require
from sparring.storage import cache_folder, replace_file, tensors_to_bytes

# Raise it with any change to how features are computed of images: it is part of the caches' keys.
VERSION = 2
HELD = 2**28  # bytes of features kept in memory and in the cache: 32,768 of Inception's
_log = logging.getLogger("sparring")


class Features(Part, kind="features"):
    """What turns images into the numbers that a metric compares."""

    def open(self, real: Real) -> Extractor:
        """What computes them; DataError when these data or this machine do not allow it."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class Extractor:
    """Computes features, and says what they are.

    key: a word for the names of scores; name, digest (16 hexadecimal digits of the SHA-256 of the
    weights) and resize: what a protocol says; dimension: numbers per image; compute: uint8
    (B, C, H, W) -> (B, dimension) on the CPU or a device; batch: images it takes at once;
    channels: how many an image may have, () for any; more: what else a protocol says.
    """

    key: str
    name: str
    digest: str
    dimension: int
    resize: str
    compute: Callable[[Tensor], Tensor]
    batch: int = 256
    channels: tuple[int, ...] = ()
    more: tuple[tuple[str, Any], ...] = ()

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """float32 (B, dimension) on the CPU, of images uint8 (B, C, H, W), any B.

        Raises TypeError for other numbers than uint8, DataError for a count of channels that the
        network does not read.
        """
        if images.dtype != torch.uint8:
            raise TypeError(f"features are taken of uint8 images, not of {images.dtype}")
        if self.channels and images.shape[1] not in self.channels:
            allowed = " or ".join(map(str, self.channels))
            raise DataError(
                f"{self.name} reads images of {allowed} channels",
                why=f"these have {images.shape[1]}",
            )
        parts = []
        for part in images.split(self.batch):
            with torch.autocast(part.device.type, enabled=False), _float32():
                parts.append(self.compute(part).float().cpu())
        return torch.cat(parts) if parts else torch.empty(0, self.dimension)

    def stream(
        self, batches: Iterable[Tensor], total: int = 0, name: Callable[[int], str] = str
    ) -> Iterator[Tensor]:
        """Features of all batches, `batch` images at a time, in memory that does not grow.

        name: what the i-th image is called in the DataError that a feature which is not finite
        raises. total: how many images will come, for whoever watches.
        """
        seen = 0
        for features in self._each(blocks(batches, self.batch)):
            bad = (~features.isfinite().all(dim=1)).nonzero()
            if len(bad):
                raise DataError(
                    f"the features of image {name(seen + int(bad[0]))} are not finite",
                    why=f"{self.name} gives NaN or infinity",
                )
            seen += len(features)
            if _watchers:
                _watchers[-1](self.key, seen, total)
            yield features

    def _each(self, images: Iterator[Tensor]) -> Iterator[Tensor]:
        """The features of each block, in order; inside `shared`, every process computes its own."""
        world, rank = (dist.get_world_size(), dist.get_rank()) if _sharing else (1, 0)
        while group := list(islice(images, world)):
            own = self(group[rank]) if rank < len(group) else torch.empty(0, self.dimension)
            yield from _exchange(own, [len(block) for block in group]) if world > 1 else [own]

    def of(self, images: Images) -> Iterator[Tensor]:
        """Features of a set of images, as `stream` gives them."""
        rows = torch.arange(len(images)).split(self.batch)
        return self.stream((images.uint8(part) for part in rows), len(images))

    @property
    def protocol(self) -> dict[str, Any]:
        """What every protocol says of the features."""
        return {
            "features": self.name,
            "features_digest": self.digest or "none",
            **dict(self.more),
            "resize": self.resize,
            "features_dtype": "float32",
        }

    @property
    def identity(self) -> str:
        """Equal for two extractors whose features are."""
        return f"{VERSION}|{self.name}|{self.digest}|{self.resize}"


@contextmanager
def _float32() -> Iterator[None]:
    """Inside, a GPU multiplies float32 numbers as such and not rounded to TF32, which it does in
    convolutions by default: features would be 1e-3 off."""
    places = (torch.backends.cudnn.conv, torch.backends.cuda.matmul)  # pyright: ignore
    before = [place.fp32_precision for place in places]
    try:
        for place in places:
            place.fp32_precision = "ieee"
        yield
    finally:
        for place, precision in zip(places, before):
            place.fp32_precision = precision


def blocks(batches: Iterable[Tensor], size: int) -> Iterator[Tensor]:
    """The rows of the batches in blocks of `size`, the last one shorter."""
    held: list[Tensor] = []
    rows = 0
    for batch in batches:
        held.append(batch)
        rows += len(batch)
        while rows >= size:
            together = torch.cat(held)
            yield together[:size]
            held, rows = [together[size:]], rows - size
    if rows:
        yield torch.cat(held)


def named(score: str, extractor: Extractor, usual: str = "pixels") -> str:
    """A score's name, with features that are not the usual ones in brackets."""
    return score if extractor.key == usual else f"{score}[{extractor.key}]"


_sharing: list[bool] = []


def sharing() -> bool:
    """Whether processes share the work. Caches are not read then: one process might find what
    another does not, and they would wait for each other."""
    return bool(_sharing)


@contextmanager
def shared() -> Iterator[None]:
    """Inside, the processes of torch.distributed share the images of every set between them.

    Each block of images is looked at by one process, and all get the features of all blocks in
    their order: so every process comes to the scores that one alone would, and nothing is counted
    twice or padded. All of them must score the same sets with the same metrics.
    """
    _sharing.append(True)
    try:
        yield
    finally:
        _sharing.pop()


def _exchange(own: Tensor, sizes: list[int]) -> list[Tensor]:
    """The features that each process has computed, of blocks of these sizes."""
    place = device() if dist.get_backend() == "nccl" else torch.device("cpu")
    padded = torch.zeros(sizes[0], own.shape[1], device=place)
    padded[: len(own)] = own.to(place)
    found = [torch.empty_like(padded) for _ in range(dist.get_world_size())]
    dist.all_gather(found, padded)
    return [part[:size].cpu() for part, size in zip(found, sizes)]


# -------------------------------------------------------------------- features of the two sides


def real_features(extractor: Extractor, real: Real, n: int) -> Tensor:
    """float32 (min(n, N), d): those of `real.some(n)`, from the cache if they were ever computed.

    The cache's key is the content of the images, so changed data are never taken for the old.
    """
    images = real.some(n)
    key = hashlib.sha256(f"{extractor.identity}|{images.digest}".encode()).hexdigest()[:24]
    path = cache_folder() / "features" / f"{key}.safetensors"
    shape = (len(images), extractor.dimension)
    known = _seen.get(key) if images.digest else None
    if known is None and images.digest:
        known = _load(path, shape)
    if known is not None:
        return known
    features = torch.cat([*extractor.of(images)])
    if images.digest and features.nbytes <= HELD:
        if len(_seen) >= 4:
            _seen.clear()
        _seen[key] = features
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, tensors_to_bytes({"features": features}))
        except (OSError, DiskError) as e:
            _log.warning("the features are not kept in the cache: %s", e)
    return features


def fake_features(extractor: Extractor, real: Real, fake: Fake, n: int) -> Tensor:
    """float32 (n, d): those of the first n samples, computed once for all metrics.

    Raises DataError as `Fake.batches` does.
    """
    held = _made.setdefault(fake, {})
    known = held.get(extractor.identity)
    if known is None or len(known) < n:
        batches = fake.batches(n, real.shape)
        known = torch.cat([*extractor.stream(batches, n, fake.label)])
        if known.nbytes <= HELD:
            held[extractor.identity] = known
    return known[:n]


_seen: dict[str, Tensor] = {}
_made: WeakKeyDictionary[Fake, dict[str, Tensor]] = WeakKeyDictionary()


def _load(path: Path, shape: tuple[int, int]) -> Tensor | None:
    if sharing():
        return None
    try:
        features = load_file(path)["features"]
    except (OSError, KeyError, ValueError, safetensors.SafetensorError):
        return None
    return features if tuple(features.shape) == shape else None


_watchers: list[Callable[[str, int, int], None]] = []


@contextmanager
def watching(watcher: Callable[[str, int, int], None]) -> Iterator[None]:
    """Calls watcher(key of the features, images done, images in all) while features are made."""
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.pop()


def device() -> torch.device:
    """Where feature networks run."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


# --------------------------------------------------------------------- features without ImageNet


class DomainFeatures(Features):
    """The penultimate layer of a classifier of the data themselves, 128 numbers >= 0.

    For labelled images of any size and channels; the classifier is trained once per data set.
    """

    paper = "Salimans et al. 2016, arXiv:1606.03498"

    def open(self, real: Real) -> Extractor:
        classifier = DomainClassifier.of(real)
        return Extractor(
            key="domain",
            name=f"domain classifier {CLASSIFIER}, penultimate layer",
            digest=classifier.digest,
            dimension=WIDTH,
            resize=classifier.resize,
            compute=classifier.features,
            more=(
                ("features_accuracy", classifier.accuracy),
                ("features_tested", classifier.tested),
            ),
        )


class Pixels(Features):
    """The pixels themselves, in [0, 1], averaged until the longer side has at most `side` pixels.

    They need no weights and no network; distances of them see little of what people see.
    """

    paper = "Borji 2019, arXiv:1802.03446"

    side: int = 32

    def check(self) -> None:
        require(self.side >= 1, "side must be at least 1")

    def open(self, real: Real) -> Extractor:
        channels, height, width = real.shape
        shrink = -(-max(height, width) // self.side)
        rows, columns = -(-height // shrink), -(-width // shrink)

        def compute(images: Tensor) -> Tensor:
            x = images.float() / 255
            if shrink > 1:
                x = torch.nn.functional.avg_pool2d(
                    x, shrink, ceil_mode=True, count_include_pad=False
                )
            return x.flatten(1)

        return Extractor(
            key="pixels",
            name="pixels",
            digest="",
            dimension=channels * rows * columns,
            resize="none" if shrink == 1 else f"mean of {shrink}x{shrink} pixels",
            compute=compute,
        )
