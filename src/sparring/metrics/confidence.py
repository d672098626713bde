"""Scores of a classifier's certainty: the Inception Score, and that of the data's classifier."""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.errors import DataError
from sparring.metrics.classifier import VERSION, DomainClassifier
from sparring.metrics.comparison import Comparison
from sparring.metrics.features import DomainFeatures, fake_features, real_features
from sparring.metrics.inception import WEIGHTS, Inception
from sparring.metrics.metric import Fake, Metric, Real, Score, protocol
from sparring.metrics.weights import load_weights, tensors_digest
from sparring.parts import require


class InceptionScore(Comparison):
    """Certainty and balance: exp of the mean KL of each sample's classes from those of all.

    From 1 to 1000, higher is better, of ImageNet's classes: it says little of other pictures. The
    mean over `splits` parts of the samples, as in the paper; the error is that of this mean. It
    needs the official weights file, the only one with the class head.
    """

    paper = "Salimans et al. 2016, arXiv:1606.03498"

    n: int = 50_000
    splits: int = 10

    def check(self) -> None:
        super().check()
        require(self.splits >= 2, "splits must be at least 2")
        require(isinstance(self.features, Inception), "only Inception has these classes")

    def score(self, real: Real, fake: Fake, n: int | None = None) -> list[Score]:
        n, extractor = fake.enough(n or self.n), self.open(real)
        head = load_weights(WEIGHTS).get("fc.weight")
        if head is None:
            raise DataError(
                "the Inception Score needs the class head",
                why="these weights end at pool3",
                fix=f"--weights {WEIGHTS.files[0].name}, or the metric domain-score",
            )
        features = fake_features(extractor, real, fake, n)
        logits = torch.cat([part @ head.float().T for part in features.split(1024)])
        value, spread, error = certainty(logits.double(), self.splits)
        seen = protocol(self, real, fake, n_fake=n, **extractor.protocol, dtype="float64")
        seen |= {"head_digest": tensors_digest({"fc.weight": head})}
        name = self.named("inception-score", extractor)
        return [Score(name, value, error, seen, {"std_of_splits": spread}, "higher")]


class DomainScore(Metric):
    """What the Inception Score is, by the classifier of the data: from 1 to their classes.

    Never to be called IS: other classes, other numbers. The detail has that of real images.
    """

    paper = "Salimans et al. 2016, arXiv:1606.03498"

    n: int = 10_000
    splits: int = 10

    def check(self) -> None:
        require(self.splits >= 2, "splits must be at least 2")
        require(self.n >= 2 * self.splits, "n must be at least two for each split")

    def score(self, real: Real, fake: Fake, n: int | None = None) -> list[Score]:
        n, extractor = fake.enough(n or self.n), DomainFeatures().open(real)
        classifier = DomainClassifier.of(real)
        features = fake_features(extractor, real, fake, n)
        value, spread, error = certainty(_logits(classifier, features), self.splits)
        images = real_features(extractor, real, n)
        own, _, _ = certainty(_logits(classifier, images), self.splits)
        seen = protocol(self, real, fake, n_fake=n, **extractor.protocol)
        seen |= {"classes": f"domain classifier {VERSION}", "dtype": "float64"}
        detail = {"real": own, "std_of_splits": spread}
        return [Score("domain-score", value, error, seen, detail, "higher")]


def certainty(logits: Tensor, splits: int) -> tuple[float, float, float]:
    """exp(mean KL) of logits (n, K): its mean over the splits, their spread, the mean's error.

    The splits are consecutive, as even as can be; the spread is divided by their number, as in the
    reference code. Raises DataError with fewer samples than splits.
    """
    if len(logits) < splits:
        raise DataError(f"too few samples for {splits} splits", why=f"there are {len(logits)}")
    values = []
    for i in range(splits):
        part = logits[i * len(logits) // splits : (i + 1) * len(logits) // splits].double()
        p, log_p = part.softmax(dim=1), part.log_softmax(dim=1)
        kl = torch.where(p > 0, p * (log_p - p.mean(dim=0).log()), 0.0).sum(dim=1)
        values.append(kl.mean().exp())
    found = torch.stack(values)
    return float(found.mean()), float(found.std(correction=0)), float(found.std() / splits**0.5)


def _logits(classifier: DomainClassifier, features: Tensor) -> Tensor:
    return classifier.net.head(features).detach().double()
