"""Scores in the eyes of a classifier of the data themselves: see `classifier.py`."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.data.source import Images
from sparring.metrics.chance import counted_error
from sparring.metrics.classifier import VERSION, WIDTH, DomainClassifier
from sparring.metrics.frechet import Gaussian, distance_error, frechet_distance
from sparring.metrics.metric import Fake, Metric, Real, Score, protocol, shuffled
from sparring.parts import require

_GROUPS = 10  # of the jackknife


class DomainFid(Metric):
    """Frechet distance, and balance of the classes, in the eyes of a classifier of the data.

    For labelled images of any size and channels; others raise DataError. The classifier is trained
    once per data set. `n` samples are compared with `n` images of the training split (all of it
    where it is smaller), both uint8. Four scores:

    domain-fid: the squared Frechet distance of the 128 penultimate features, >= 0, biased upwards
    in proportion to 1/n as every FID is: compare at one n only. Its error is that of the samples,
    the reference taken as given; its detail holds `floors`, the distance of other real images.
    class-coverage: how many classes of the data have at least `share` of their due share of the
    samples. class-tv: total variation between the samples' classes and the data's, in [0, 1].
    class-entropy: that of the samples' classes in nats; log of the number of classes where all are
    as frequent. All count classes by the classifier on both sides, so that its errors cancel.
    Their detail: the histogram (names, counts, shares, data_shares), the classes `missed`, and the
    data's own entropy.
    """

    yields = ("class-coverage", "class-tv", "class-entropy")
    paper = "Heusel et al. 2017, arXiv:1706.08500"

    n: int = 10_000
    share: float = 0.1

    def check(self) -> None:
        require(self.n >= 2, "n must be at least 2")
        require(0 < self.share <= 1, "share lies in (0, 1]")

    def score(self, real: Real, fake: Fake, n: int | None = None) -> list[Score]:
        classifier = DomainClassifier.of(real)
        assert real.train is not None  # else there is no classifier
        n = fake.enough(n or self.n)
        reference = _reference(classifier, real, real.train, n)
        batches = fake.batches(n, real.train.shape)
        features = torch.cat([classifier.features(batch) for batch in batches])
        seen = protocol(
            self,
            real,
            fake,
            split="train",
            n_real=reference.gaussian.n,
            n_fake=len(features),
            features=f"domain classifier {VERSION}, penultimate layer",
            features_digest=classifier.digest,
            features_accuracy=classifier.accuracy,
            features_tested=classifier.tested,
            resize=classifier.resize,
            dtype="features float32, distance float64",
        )
        counts = _counts(classifier, features)
        return [
            _distance(features, reference, seen),
            *_balance(counts, reference.counts, classifier.names, self.share, seen),
        ]


@dataclass(frozen=True)
class _Reference:
    """What the real side of one comparison comes to."""

    gaussian: Gaussian
    counts: Tensor
    floors: dict[str, dict[str, float]]


# Evaluations during a run compare with the same real images again and again.
_references: dict[tuple[str, str, int], _Reference] = {}


def _reference(classifier: DomainClassifier, real: Real, train: Images, n: int) -> _Reference:
    key = (classifier.digest, train.digest, n)
    if key not in _references or not train.digest:
        if len(_references) >= 8:
            _references.clear()
        _references[key] = _look(classifier, real, train, n)
    return _references[key]


def _look(classifier: DomainClassifier, real: Real, train: Images, n: int) -> _Reference:
    order = shuffled(len(train))
    features = classifier.features(train.uint8(order[:n]))
    gaussian = Gaussian.of(features)
    # Real images in the place of the samples: others of the training split at the same n, where
    # there are as many, and those held out, where they are as many or enough to tell anything.
    others = {"training": train.uint8(order[n : 2 * n])} if len(train) >= 2 * n else {}
    if real.held_out is not None and len(real.held_out) >= min(n, 2 * WIDTH):
        others["held_out"] = real.held_out.uint8(shuffled(len(real.held_out))[:n])
    floors = {}
    for name, pixels in others.items():
        distance = frechet_distance(Gaussian.of(classifier.features(pixels)), gaussian)
        floors[name] = {"value": distance, "n": len(pixels)}
    return _Reference(gaussian, _counts(classifier, features), floors)


def _counts(classifier: DomainClassifier, features: Tensor) -> Tensor:
    """int64 (classes,): how many samples the classifier puts in each class."""
    return classifier.classes(features).bincount(minlength=len(classifier.names))


def _distance(features: Tensor, reference: _Reference, seen: dict[str, object]) -> Score:
    error = None
    if len(features) >= 2 * _GROUPS:
        groups = [Gaussian.of(features[i::_GROUPS]) for i in range(_GROUPS)]
        error = distance_error(groups, reference.gaussian)
    return Score(
        "domain-fid",
        frechet_distance(Gaussian.of(features), reference.gaussian),
        error,
        seen,
        {"floors": reference.floors},
    )


def _balance(
    counts: Tensor, real_counts: Tensor, names: tuple[str, ...], share: float, seen: dict
) -> list[Score]:
    """class-coverage, class-tv and class-entropy of counts int64 (K,) of samples and data."""
    n, n_real = int(counts.sum()), int(real_counts.sum())
    q, p = counts.double() / n, real_counts.double() / n_real

    def reached(counts: Tensor) -> Tensor:
        return (counts > 0) & (counts >= share * p * n) & (p > 0)

    covered = reached(counts)
    error = counted_error(counts, lambda drawn: reached(drawn).sum(-1), "class-coverage")
    histogram = {
        "names": list(names),
        "counts": counts.tolist(),
        "shares": q.tolist(),
        "data_shares": p.tolist(),
    }
    apart = (q - p).sign()
    # The delta method: the distance is linear in q wherever no share equals the data's.
    variance = ((q * apart.square()).sum() - (q * apart).sum().square()) / (4 * n)
    perfect = (p * (1 - p) * (1 / n + 1 / n_real) / (2 * torch.pi)).sqrt().sum()
    return [
        Score(
            "class-coverage",
            float(covered.sum()),
            error,
            seen,
            {
                **histogram,
                "classes": int((p > 0).sum()),
                "least_share_of_due": share,
                "missed": [name for name, c, due in zip(names, covered, p > 0) if due and not c],
            },
            "higher",
        ),
        Score(
            "class-tv",
            0.5 * float((q - p).abs().sum()),
            float(variance.clamp_min(0).sqrt()),
            seen,
            {**histogram, "perfect": float(perfect)},
        ),
        _entropy(q, p, n, seen),
    ]


def _entropy(q: Tensor, p: Tensor, n: int, seen: dict) -> Score:
    """class-entropy of shares q of n samples; its detail has that of the data's shares p."""
    surprise = torch.where(q > 0, -q.log(), 0.0)
    value = (q * surprise).sum()
    # The delta method, as for every functional of shares.
    variance = ((q * surprise.square()).sum() - value.square()) / n
    return Score(
        "class-entropy",
        float(value),
        float(variance.clamp_min(0).sqrt()),
        seen,
        {"real": {"value": float(torch.special.entr(p).sum())}},
        "data",
    )
