"""What the metrics share that compare the features of samples with those of real images."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file
from torch import Tensor

from sparring.errors import DataError, DiskError
from sparring.metrics.features import (
    HELD,
    Extractor,
    Features,
    fake_features,
    real_features,
    sharing,
)
from sparring.metrics.frechet import Gaussian
from sparring.metrics.inception import Inception
from sparring.metrics.metric import Fake, Metric, Real, protocol
from sparring.metrics.resize import Resize
from sparring.parts import require
from sparring.storage import cache_folder, replace_file, tensors_to_bytes

_log = logging.getLogger("sparring")


class Comparison(Metric, abstract=True):
    """Scores `n` samples against `n` real images by their features.

    Where there are fewer samples or real images, all of them are taken; the protocol says how many
    on each side. `resize` replaces that of the features, for those that have one.
    """

    n: int = 10_000
    features: Features = Inception()
    resize: Resize | None = None

    def check(self) -> None:
        require(self.n >= 2, "n must be at least 2")
        has = any(f.name == "resize" for f in fields(self.features))  # pyright: ignore
        require(self.resize is None or has, f"{self.features!r} have no resize to replace")

    def open(self, real: Real) -> Extractor:
        """The features' extractor. Raises DataError when these data do not allow it."""
        resize = {} if self.resize is None else {"resize": self.resize}
        return replace(self.features, **resize).open(real)

    def sides(self, real: Real, fake: Fake, n: int | None, equal: bool = False) -> Sides:
        """Both sides' features, and their protocol. Raises DataError.

        equal: as many of each, so no more samples than there are real images.
        """
        n = fake.enough(n or self.n)
        n = min(n, len(real.train)) if equal and real.train else n
        extractor = self.open(real)
        x, y = real_features(extractor, real, n), fake_features(extractor, real, fake, n)
        for side, name in ((x, real.name), (y, fake.name)):
            if len(side) < 2:
                raise DataError("too few images", where=name, why="it takes at least two")
        return Sides(x, y, extractor, self.protocol(real, fake, extractor, len(x), len(y)))

    def protocol(
        self, real: Real, fake: Fake, extractor: Extractor, n_real: int, n_fake: int
    ) -> dict[str, Any]:
        """What the score depends on."""
        sizes = {"split": "train", "n_real": n_real, "n_fake": n_fake}
        return protocol(self, real, fake, **sizes, **extractor.protocol, dtype="float64")

    def named(self, name: str, extractor: Extractor) -> str:
        """The score's name, with what is not the usual Inception in brackets."""
        if extractor.key != "inception":
            return f"{name}[{extractor.key}]"
        usual = Inception().resize
        used = getattr(self.features, "resize", usual) if self.resize is None else self.resize
        return name if used == usual else f"{name}[{type(used).__name__}]"


@dataclass(frozen=True, eq=False)
class Sides:
    """Features float32 (N, d) of the real images and (n, d) of the samples."""

    real: Tensor
    fake: Tensor
    extractor: Extractor
    protocol: dict[str, Any]


# ------------------------------------------------------------ moments, for any number of images


def real_moments(extractor: Extractor, real: Real, n: int) -> Gaussian:
    """Mean and covariance of the features of `real.some(n)`, computed once for these images."""
    images = real.some(n)
    key = hashlib.sha256(f"{extractor.identity}|{images.digest}".encode()).hexdigest()[:24]
    path = cache_folder() / "moments" / f"{key}.safetensors"
    if images.digest and key in _moments:
        return _moments[key]
    found = _read(path, extractor.dimension) if images.digest else None
    if found is None:
        if len(images) * extractor.dimension * 4 <= HELD:
            found = Gaussian.of(real_features(extractor, real, n))
        else:
            found = Gaussian.of(extractor.of(images))
        if images.digest:
            _write(path, found)
    if images.digest:
        if len(_moments) >= 4:  # 32 MB each
            _moments.clear()
        _moments[key] = found
    return found


_moments: dict[str, Gaussian] = {}


def fake_moments(extractor: Extractor, real: Real, fake: Fake, n: int) -> tuple[Gaussian, Tensor]:
    """Mean and covariance of the features of the first n samples, and some of the features.

    In memory that does not grow with n: beyond `HELD` bytes the features are not kept.
    """
    if n * extractor.dimension * 4 <= HELD:
        features = fake_features(extractor, real, fake, n)
        return Gaussian.of(features), features
    some: list[Tensor] = []

    def tapped() -> Iterator[Tensor]:
        for part in extractor.stream(fake.batches(n, real.shape), n, fake.label):
            if sum(map(len, some)) < 8192:
                some.append(part)
            yield part

    moments = Gaussian.of(tapped())
    return moments, torch.cat(some)


def _read(path: Any, dimension: int) -> Gaussian | None:
    if sharing():
        return None
    try:
        tensors = load_file(path)
        found = Gaussian(int(tensors["n"]), tensors["mean"], tensors["root"])
    except (OSError, KeyError, ValueError, safetensors.SafetensorError):
        return None
    return found if found.mean.shape == (dimension,) else None


def _write(path: Any, moments: Gaussian) -> None:
    tensors = {"n": torch.tensor(moments.n), "mean": moments.mean, "root": moments.root}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, tensors_to_bytes(tensors))
    except (OSError, DiskError) as e:
        _log.warning("the moments are not kept in the cache: %s", e)
