"""Metrics: two sets in, numbers out. They know no trainer, no run and no recipe."""

from __future__ import annotations

from collections.abc import Iterable

from sparring.errors import DataError
from sparring.metrics.classifier import DomainClassifier
from sparring.metrics.domain import DomainFid
from sparring.metrics.features import DomainFeatures, Extractor, Features, Pixels
from sparring.metrics.frechet import Gaussian, frechet_distance
from sparring.metrics.inception import Inception
from sparring.metrics.metric import Fake, Metric, Real, Score
from sparring.metrics.optimal import Optimum, bandwidth, discriminator_error, kde, optimum
from sparring.metrics.points import ModeCoverage, Wasserstein1D
from sparring.metrics.resize import AntialiasedBilinear, Bilinear, PILBicubic, Resize, TFBilinear
from sparring.metrics.weights import load_weights, offer


def default_metrics(real: Real) -> tuple[Metric, ...]:
    """The metrics that say something about these data; none for images without classes."""
    if real.points is not None:
        line = (Wasserstein1D(),) if real.points.shape == (1,) else ()
        return (ModeCoverage(), *line)
    train = real.train
    labelled = train is not None and train.labels is not None and not train.vectors
    return (DomainFid(),) if labelled else ()


def evaluate(
    metrics: Iterable[Metric], real: Real, fake: Fake, n: int | None = None
) -> tuple[list[Score], list[tuple[str, str]]]:
    """All scores, and (metric, reason) for each metric that these data do not allow.

    n: the samples for each metric; None leaves each its own number. Only DataError is caught.
    """
    scores: list[Score] = []
    skipped: list[tuple[str, str]] = []
    for metric in metrics:
        try:
            scores += metric.score(real, fake, n)
        except DataError as e:
            skipped.append((type(metric).__name__, str(e)))
    return scores, skipped


__all__ = [
    "AntialiasedBilinear",
    "Bilinear",
    "DomainClassifier",
    "DomainFeatures",
    "DomainFid",
    "Extractor",
    "Fake",
    "Features",
    "Gaussian",
    "Inception",
    "Metric",
    "ModeCoverage",
    "Optimum",
    "PILBicubic",
    "Pixels",
    "Real",
    "Resize",
    "Score",
    "TFBilinear",
    "Wasserstein1D",
    "bandwidth",
    "default_metrics",
    "discriminator_error",
    "evaluate",
    "frechet_distance",
    "kde",
    "load_weights",
    "offer",
    "optimum",
]
