"""Scores of a model: its samples against real data, by the metrics' own rules."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from sparring.channels import coloured
from sparring.errors import DataError
from sparring.metrics import Fake, Judge, Metric, Real
from sparring.metrics import evaluate as score
from sparring.metrics.classifier import weights_digest
from sparring.metrics.metric import finite
from sparring.sample.draw import Model, to_uint8


def fakes(model: Model, seed: int = 0, judge: Judge | None = None) -> Fake:
    """The model's samples as a metric takes them, and the discriminator they were made against.

    Their classes are those that a conditional generator was asked for.
    """

    def take(n: int) -> Iterator[Tensor]:
        made = 0
        for batch in model.batches(n, seed):
            yield batch if model.spec.points else to_uint8(finite(batch, made))
            made += len(batch)

    def labels(n: int) -> Tensor:
        return cast(Tensor, model.conditions(n, seed))

    return Fake(
        name=f"{model.weights} generator at {model.images} images, seed {seed}",
        take=take,
        about=tuple(_about(model, seed)),
        count=model.count,
        labels=labels if model.conditional and not model.spec.vectors else None,
        classes=model.spec.classes,
        judge=judge,
        **_shown(model),
    )


def _about(model: Model, seed: int) -> Iterator[tuple[str, Any]]:
    """What the samples depend on."""
    yield "generator_digest", weights_digest(model.generator)
    yield "weights", model.weights
    yield "images", model.images
    yield "seed", seed
    psi = getattr(model.generator, "psi", 1)
    if psi != 1:
        yield "truncation", psi
    if model.examples is not None:
        images = model.examples.images
        yield "inputs_digest", (images.inputs or images).digest


def _shown(model: Model) -> dict[str, Any]:
    """What the samples of a model that translates were made of, and should be."""
    shown = model.examples
    if shown is None:
        return {}

    def targets(n: int) -> Tensor:
        return to_uint8(cast(Tensor, shown.target(torch.arange(n))))

    def take(n: int) -> Iterator[Tensor]:
        for index in torch.arange(n).split(64):
            seen = alike(shown.inputs.look(shown.input(index)), model.spec.shape)
            yield to_uint8(seen)

    known = "held-out" if shown.held_out else "training"
    inputs = Fake(
        name=f"{known} inputs",
        take=take,
        count=len(shown),
        targets=targets if shown.paired else None,
    )
    return {"inputs": inputs, "targets": inputs.targets}


def alike(images: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Images (n, Ca, h, w) with the channels and the size of (C, H, W), bicubic; DataError where
    the channels do not compare."""
    channels, height, width = shape
    if images.shape[1] not in (1, channels) and channels != 1:
        raise DataError(f"inputs of {images.shape[1]} channels do not compare with {channels}")
    if images.shape[1] == 1:
        images = images.expand(-1, channels, -1, -1)
    elif channels == 1:
        images = images[:, : coloured(images.shape[1])].mean(1, keepdim=True)
    if tuple(images.shape[2:]) == (height, width):
        return images
    size = (height, width)
    return interpolate(images, size, mode="bicubic", align_corners=False).clamp(-1, 1)


def rows(
    metrics: Sequence[Metric], real: Real, fake: Fake, n: int | None = None
) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """Rows (metric, value, se, protocol, detail, better) and (metric, reason) of those skipped."""
    scores, skipped = score(metrics, real, fake, n)
    return [dataclasses.asdict(s) for s in scores], skipped


def evaluate(
    model: Model,
    metrics: Sequence[Metric],
    real: Real,
    n: int | None = None,
    seed: int = 0,
    judge: Judge | None = None,
) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """The rows of a model's samples against real data, then of its way back where there is one."""
    found, skipped = rows(metrics, real, fakes(model, seed, judge), n)
    if model.back is not None and real.train is not None and real.train.inputs is not None:
        home, missed = rows(metrics, _turned(real), fakes(model.turned(), seed), n)
        found += [{**row, "metric": f"{row['metric']}-back"} for row in home]
        skipped += [(f"{name}-back", why) for name, why in missed]
    return found, skipped


def _turned(real: Real) -> Real:
    """What the way back is compared with: the inputs."""
    train, held_out = (x and x.inputs for x in (real.train, real.held_out))
    return Real(f"{real.name}, inputs", train=train, held_out=held_out)
