"""What a metric is: two sets in, scores with their protocol out. It never sees a trainer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from hashlib import blake2b
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from sparring.data.source import Images, Points
from sparring.data.split import take
from sparring.errors import DataError
from sparring.parts import Part, show
from sparring.randomness import generator


@dataclass(frozen=True)
class Real:
    """The reference: the training split and what was held out of it.

    train, held_out: the images of each (held_out None where nothing was); for points, `points`.
    name: what the protocol calls the reference, such as "fashion, train split".
    """

    name: str
    train: Images | None = None
    held_out: Images | None = None
    points: Points | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample: (C, H, W), or (d,) for points."""
        data = self.points or self.train
        if data is None:
            raise DataError("no data to compare with", where=self.name)
        return data.shape

    def against(self, images: Images, name: str) -> Real:
        """The same reference with other images in the place of those held out: a control.

        Images that are also in the training split are left out of it, and so are its labels where
        its classes are others. Raises DataError for another shape, or when none is left.
        """
        if self.train is None:
            raise DataError("only images have a control", where=self.name)
        if images.shape != self.train.shape:
            given, wanted = ("x".join(map(str, s)) for s in (images.shape, self.train.shape))
            raise DataError(
                "the control does not compare", where=name, why=f"it is {given}, the data {wanted}"
            )
        known = set(contents(self.train))
        fresh = [i for i, content in enumerate(contents(images)) if content not in known]
        if not fresh:
            raise DataError("nothing is left of the control", where=name, why="it was trained on")
        kept = take(images, torch.tensor(fresh))
        if images.classes != self.train.classes:
            kept = replace(kept, labels=None, classes=())
        return replace(self, name=f"{self.name}, control {name}", held_out=kept)

    def some(self, n: int) -> Images:
        """n images of the training split, at random but always the same; all where it is smaller.

        Raises DataError when the data are points.
        """
        if self.train is None:
            raise DataError("the metric needs images", where=self.name)
        if n >= len(self.train):
            return self.train
        # Folders come sorted by class, so their first images would not do.
        return take(self.train, shuffled(len(self.train))[:n])


def contents(images: Images) -> Iterator[bytes]:
    """The pixels of each image, as a fingerprint."""
    for index in torch.arange(len(images)).split(1024):
        for row in images.uint8(index).cpu().contiguous().numpy():
            yield blake2b(row.tobytes(), digest_size=16).digest()


def shuffled(n: int) -> Tensor:
    """int64 (n,): the order in which n images are taken for a reference."""
    return torch.randperm(n, generator=generator("domain-fid reference", n))


def finite(samples: Tensor, first: int = 0) -> Tensor:
    """The samples (n, ...), the number of the first being `first`; DataError where one is not."""
    bad = (~samples.flatten(1).isfinite().all(dim=1)).nonzero()
    if len(bad):
        raise DataError(f"sample {first + int(bad[0])} is not finite", why=f"{len(bad)} are not")
    return samples


Better = Literal["lower", "higher", "data"]

# Asks D: its logits (B,), or (B, 1, h, w), of images uint8 (B, C, H, W) with their labels, if any.
Judge = Callable[[Tensor, Tensor | None], Tensor]


@dataclass(frozen=True)
class Fake:
    """Generated samples: `take(n)` yields batches, uint8 (B, C, H, W) or float points (B, d).

    The first n samples are the same whatever n is. name: what the protocol calls them, such as
    "EMA generator at 120000 images, seed 0"; about: facts for it as (name, value), such as the
    seed; count: how many there are, None for as many as one asks for; label(i): what the i-th is
    called; labels(n): int64 (n,), the classes of the first n as indices into `classes`, their names
    (numbers where there are none); judge: asks the discriminator that the generator was trained
    against, where that is at hand. Of images translated also: targets(n), what the first n should
    be, uint8 (n, C, H, W), where that is known; inputs, what they were made of, as samples.
    """

    name: str
    take: Callable[[int], Iterator[Tensor]]
    about: tuple[tuple[str, Any], ...] = ()
    count: int | None = None
    label: Callable[[int], str] = str
    labels: Callable[[int], Tensor] | None = None
    classes: tuple[str, ...] = ()
    judge: Judge | None = None
    targets: Callable[[int], Tensor] | None = None
    inputs: Fake | None = None

    def enough(self, n: int) -> int:
        """n, or all there are where these are fewer."""
        return n if self.count is None else min(n, self.count)

    def batches(self, n: int, shape: tuple[int, ...]) -> Iterator[Tensor]:
        """The first n samples, batch by batch on the CPU, never more than n in all.

        Raises DataError when a sample has not the shape `shape` of the real ones, or when there
        are fewer than n.
        """
        left = n
        for batch in self.take(n):
            if tuple(batch.shape[1:]) != shape:
                given, wanted = ("x".join(map(str, s)) for s in (batch.shape[1:], shape))
                raise DataError(
                    "samples and data do not compare",
                    why=f"a sample is {given}, the data are {wanted}",
                )
            yield batch[:left].detach().cpu()
            left -= len(batch)
            if left <= 0:
                return
        if left > 0:
            raise DataError(f"too few samples: {n - left} of {n}", where=self.name)

    def draw(self, n: int, shape: tuple[int, ...]) -> Tensor:
        """The first n samples as one tensor (n, \\*shape) on the CPU; errors as in `batches`."""
        return torch.cat(list(self.batches(n, shape)))


@dataclass(frozen=True)
class Score:
    """One number, its standard error where one is known, and everything needed to repeat it.

    value and se may be tensors of one number. detail: material for the report (a class histogram, a
    curve), JSON-able, as the protocol is. better: which way the value improves; "data" where
    neither does: best is what real data have, which is in the detail.
    """

    metric: str
    value: float
    se: float | None = None
    protocol: dict[str, Any] = field(default_factory=dict)
    detail: dict[str, Any] = field(default_factory=dict)
    better: Better = "lower"

    def __post_init__(self) -> None:
        if self.better not in get_args(Better):
            raise DataError(f"better is {self.better!r}", why=f"it is one of {get_args(Better)}")
        object.__setattr__(self, "value", float(self.value))  # of a tensor, of NumPy
        object.__setattr__(self, "se", None if self.se is None else float(self.se))


class Metric(Part, kind="metrics"):
    """A part that scores samples against real data.

    The same inputs give the same scores: what a metric draws at random (a subset, a bootstrap) is
    keyed by its own name and the data.
    """

    def score(self, real: Real, fake: Fake, n: int | None = None) -> list[Score]:
        """One or more scores of `n` samples; None takes the metric's own number.

        Raises DataError, with the reason a user reads, when it cannot be computed on these data.
        """
        raise NotImplementedError


# Fields that a protocol tells by what they came to: how many images, through which network.
_TOLD = ("n", "n_train", "features", "resize")


def protocol(metric: Metric, real: Real, fake: Fake, **more: Any) -> dict[str, Any]:
    """The protocol of a score: what every metric says, what this one adds (`more`), its fields.

    A field that `more` has under its name is told by that.
    """
    data = real.points or real.train
    names = (f.name for f in fields(metric))  # pyright: ignore[reportArgumentType]
    settings = {n: getattr(metric, n) for n in names if n not in _TOLD and n not in more}
    return {
        "reference": real.name,
        "data_digest": data.digest if data else "",
        "generator": fake.name,
        **dict(fake.about),
        **more,
        **{n: show(v) if isinstance(v, (Part, tuple)) else v for n, v in settings.items()},
        "library": f"sparring {library_version()}",
    }


def in_words(protocol: dict[str, Any]) -> str:
    """A protocol as one line of text: equal for equal protocols only."""
    return "; ".join(f"{name.replace('_', ' ')} {value}" for name, value in protocol.items())


def library_version() -> str:
    """The installed version of this package."""
    try:
        return version("sparring")
    except PackageNotFoundError:  # run from a source tree that was never installed
        return "unknown"
