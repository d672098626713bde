"""Metrics: two sets in, numbers out. They know no trainer, no run and no recipe."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable

from sparring.data.stacked import is_stacked
from sparring.errors import DataError
from sparring.metrics.birthday import Birthday
from sparring.metrics.classifier import DomainClassifier
from sparring.metrics.clusters import ClusterCoverage
from sparring.metrics.confidence import DomainScore, InceptionScore
from sparring.metrics.diversity import LPIPS, MSSSIM
from sparring.metrics.domain import DomainFid
from sparring.metrics.features import DomainFeatures, Extractor, Features, Pixels, shared
from sparring.metrics.fid import FID, ClassFID, FIDInfinity
from sparring.metrics.foundation import CLIP, CMMD, DINOv2
from sparring.metrics.frechet import Gaussian, frechet_distance
from sparring.metrics.inception import Inception
from sparring.metrics.kernel import KID
from sparring.metrics.manifold import PRDC, DensityCoverage, PrecisionRecall
from sparring.metrics.membership import Membership
from sparring.metrics.memorisation import Memorisation
from sparring.metrics.metric import Fake, Judge, Metric, Real, Score, in_words, protocol
from sparring.metrics.optimal import Optimum, bandwidth, discriminator_error, kde, optimum
from sparring.metrics.paired import PSNR, SSIM, OfInputs, PairedLPIPS
from sparring.metrics.perceptual import lpips
from sparring.metrics.points import HighDensity, ModeCoverage, SlicedWasserstein, Wasserstein1D
from sparring.metrics.resize import AntialiasedBilinear, Bilinear, PILBicubic, Resize, TFBilinear
from sparring.metrics.slices import SlicedFeatures
from sparring.metrics.stacked import StackedModes
from sparring.metrics.weights import load_weights, looked_for_once, offer

_log = logging.getLogger("sparring")


def default_metrics(real: Real) -> tuple[Metric, ...]:
    """The metrics that say something about these data, whatever machine they are computed on.

    For grey images with labels a classifier of the data, since Inception never saw such; for other
    images KID, which unlike FID has no bias: of 2,048 samples, or 256 and more of a smaller set.
    """
    if real.points is not None:
        if not len(real.points.modes):
            return (HighDensity(), SlicedWasserstein())
        line = (Wasserstein1D(),) if real.points.shape == (1,) else ()
        return (ModeCoverage(), *line)
    train = real.train
    if train is not None and is_stacked(train):
        return (StackedModes(),)
    classes = train is not None and train.labels is not None and not train.vectors
    if classes and real.shape[0] == 1:
        return (DomainFid(),)
    return (KID(n=2048 if train is None else min(2048, max(256, len(train)))),)


def translation_metrics(paired: bool) -> tuple[Metric, ...]:
    """The metrics of a game that translates, each also of the inputs: how near the targets are
    where there are any, else how near the set as a whole."""
    near = (PSNR(), SSIM(), PairedLPIPS(), FID()) if paired else (FID(), KID())
    return tuple(m for metric in near for m in (metric, OfInputs(metric=metric)))


def evaluate(
    metrics: Iterable[Metric], real: Real, fake: Fake, n: int | None = None
) -> tuple[list[Score], list[tuple[str, str]]]:
    """All scores, and (metric, reason) for each metric that these data do not allow.

    n: the samples for each metric; None leaves each its own number. A metric that fails, in
    whatever way, is skipped with its reason: one score must not cost the others, or a training.
    """
    scores: list[Score] = []
    skipped: list[tuple[str, str]] = []
    with looked_for_once():
        for metric in metrics:
            try:
                scores += _checked(metric.score(real, fake, n))
            except NotImplementedError:
                skipped.append((type(metric).__name__, "its score is not written"))
            except DataError as e:
                skipped.append((type(metric).__name__, str(e)))
            except Exception as e:  # noqa: BLE001
                _log.debug("%r failed", metric, exc_info=True)
                reason = " ".join(f"{type(e).__name__}: {e}".split())
                skipped.append((type(metric).__name__, reason))
    return scores, skipped


def _checked(found: list[Score]) -> list[Score]:
    """The scores of a metric, which may be a user's own; DataError where they are no such."""
    if not isinstance(found, list) or not all(isinstance(row, Score) for row in found):
        raise DataError(f"score gives {str(found)[:80]}", fix="return a list of sparring.Score")
    for row in found:
        try:
            json.dumps((row.protocol, row.detail))
        except TypeError as e:
            raise DataError(f"the score {row.metric} cannot be kept", why=str(e)) from None
    return found


__all__ = [
    "CLIP",
    "CMMD",
    "FID",
    "KID",
    "LPIPS",
    "MSSSIM",
    "PRDC",
    "PSNR",
    "SSIM",
    "AntialiasedBilinear",
    "Bilinear",
    "Birthday",
    "ClassFID",
    "ClusterCoverage",
    "DINOv2",
    "DensityCoverage",
    "DomainClassifier",
    "DomainFeatures",
    "DomainFid",
    "DomainScore",
    "Extractor",
    "FIDInfinity",
    "Fake",
    "Features",
    "Gaussian",
    "HighDensity",
    "Inception",
    "InceptionScore",
    "Judge",
    "Membership",
    "Memorisation",
    "Metric",
    "ModeCoverage",
    "OfInputs",
    "Optimum",
    "PILBicubic",
    "PairedLPIPS",
    "Pixels",
    "PrecisionRecall",
    "Real",
    "Resize",
    "Score",
    "SlicedFeatures",
    "SlicedWasserstein",
    "StackedModes",
    "TFBilinear",
    "Wasserstein1D",
    "bandwidth",
    "default_metrics",
    "discriminator_error",
    "evaluate",
    "frechet_distance",
    "in_words",
    "kde",
    "load_weights",
    "lpips",
    "offer",
    "optimum",
    "protocol",
    "shared",
    "translation_metrics",
]
