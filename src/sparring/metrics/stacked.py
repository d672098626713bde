"""The modes of stacked images: each channel is classified, and the three classes are the mode."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import torch
from torch import Tensor

from sparring.data.source import Images
from sparring.data.stacked import unstacked
from sparring.errors import DataError
from sparring.metrics.chance import counted_error
from sparring.metrics.classifier import VERSION, DomainClassifier
from sparring.metrics.metric import Fake, Metric, Real, Score, protocol
from sparring.metrics.points import expected_divergence, kl_divergence
from sparring.parts import require

PUBLISHED = 26_000  # samples that papers count the modes of
_FITTED = 20_000  # stacked images of which the classifier learns


class StackedModes(Metric):
    """Modes covered, and their balance, of samples of stacked digits (`StackedMnist`).

    A classifier of single digits, trained once per data set, names the mode of each of n samples.
    Four scores: stacked-modes, those with at least one sample as in the papers, where every
    misread sample counts; stacked-modes-5, those with at least five; stacked-kl, the divergence
    KL(samples || uniform) in nats; stacked-kl-data, that from the shares that the data have by
    their labels, channel by channel. The detail `perfect` is what a perfect sampler has at this n.
    """

    yields = ("stacked-modes-5", "stacked-kl", "stacked-kl-data")
    paper = "Srivastava et al. 2017, VEEGAN, arXiv:1705.07761; Lin et al. 2018, arXiv:1712.04086"

    n: int = PUBLISHED

    def check(self) -> None:
        require(self.n >= 2, "n must be at least 2")

    def score(self, real: Real, fake: Fake, n: int | None = None) -> list[Score]:
        if real.train is None:
            raise DataError("stacked modes need images", where=real.name)
        labels, names = unstacked(real.train)
        classifier = DomainClassifier.of(_digits(real.train, labels, names))
        k, n = len(names), fake.enough(n or self.n)
        counts = torch.zeros(k**3, dtype=torch.int64)
        for batch in fake.batches(n, real.shape):
            channels = classifier.classes(classifier.features(batch.flatten(0, 1)[:, None]))
            modes = channels.reshape(-1, 3) @ torch.tensor([k * k, k, 1])
            counts += modes.bincount(minlength=k**3)
        due = _product(labels.cpu(), k)
        (kl, kl_error), (away, away_error) = kl_divergence(counts), kl_divergence(counts, due)
        seen = protocol(
            self,
            real,
            fake,
            n_fake=n,
            features=f"domain classifier {VERSION} of single channels",
            features_digest=classifier.digest,
            features_accuracy=classifier.accuracy,
            features_tested=classifier.tested,
            resize=classifier.resize,
            dtype="classes float32, divergence float64",
        )
        perfect = {"perfect": expected_divergence(n, k**3)}
        covered = {"of": k**3, "missed": _missed(counts, real.train.classes)}
        if n < PUBLISHED:
            covered["biased"] = f"of {n:,} samples where papers take {PUBLISHED:,}: fewer modes"
        return [
            _met("stacked-modes", counts, 1, seen, covered),
            _met("stacked-modes-5", counts, 5, seen, covered),
            Score("stacked-kl", kl, kl_error, seen, perfect),
            Score("stacked-kl-data", away, away_error, seen, perfect),
        ]


def _met(
    name: str, counts: Tensor, least: int, seen: dict[str, Any], detail: dict[str, Any]
) -> Score:
    """How many modes have at least so many samples; the detail has what a perfect sampler has."""
    n, k = int(counts.sum()), len(counts)
    fewer = torch.arange(least, dtype=torch.float64)  # each mode's count is binomial
    ways = torch.lgamma(torch.tensor(n + 1.0).double()) - torch.lgamma(n - fewer + 1)
    ways = ways - torch.lgamma(fewer + 1)
    chance = torch.exp(ways - fewer * math.log(k) + (n - fewer) * math.log1p(-1 / k))
    perfect = k * (1 - float(chance[fewer <= n].sum()))
    error = counted_error(counts, lambda drawn: (drawn >= least).sum(-1), name)
    value = float((counts >= least).sum())
    return Score(name, value, error, seen, {**detail, "perfect": perfect}, "higher")


def _digits(images: Images, labels: Tensor, names: tuple[str, ...]) -> Real:
    """The single images that were stacked, each once, as labelled data."""
    known: dict[bytes, tuple[Tensor, int]] = {}
    for index in torch.arange(min(len(images), _FITTED)).split(1024):
        for stack, row in zip(images.uint8(index).cpu(), labels[index].tolist()):
            for channel, label in zip(stack, row):
                known.setdefault(_fingerprint(channel), (channel, label))
    pixels, classes = zip(*known.values())
    single = Images(torch.stack(pixels)[:, None], torch.tensor(classes), names)
    return Real("single channels", train=single)


def _fingerprint(image: Tensor) -> bytes:
    return hashlib.blake2b(image.contiguous().numpy().tobytes(), digest_size=16).digest()


def _product(labels: Tensor, k: int) -> Tensor:
    """float64 (k^3,): the shares of the modes where channels are independent, by their labels."""
    shares = [labels[:, c].bincount(minlength=k).double() / len(labels) for c in range(3)]
    return torch.einsum("a,b,c->abc", *shares).flatten()


def _missed(counts: Tensor, names: tuple[str, ...]) -> list[str]:
    return [names[i] for i in (counts == 0).nonzero()[:50, 0].tolist()]
