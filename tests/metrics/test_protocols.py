"""Every field of a metric changes its protocol, so that different scores never look alike."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from metrics.conftest import stripes

from sparring.metrics import (
    Birthday,
    ClusterCoverage,
    DomainFeatures,
    Fake,
    Membership,
    Memorisation,
    Metric,
    Real,
    in_words,
)

OTHER: dict[str, Any] = {
    "n": 90,
    "n_train": 300,
    "features": DomainFeatures(),
    "cells": 2,
    "least": 5,
    "closest": 0.05,
    "clusters": 5,
    "share": 0.2,
}


@pytest.mark.parametrize("metric", [Birthday(), ClusterCoverage(), Membership(), Memorisation()])
def test_every_field_is_in_the_protocol(cache: Path, striped: Real, metric: Metric) -> None:
    pixels = stripes(100, 5).uint8(slice(None))
    fake = Fake(
        "a test",
        lambda n: iter(pixels[:n].split(64)),
        judge=lambda x, labels: x.float().mean((1, 2, 3)),
        count=100,
    )

    def said(changed: Metric, real: Real = striped, made: Fake = fake) -> str:
        return in_words(changed.score(real, made)[0].protocol)

    plain = said(replace(metric, n=100))
    for field in fields(metric):  # pyright: ignore[reportArgumentType]
        changed = replace(replace(metric, n=100), **{field.name: OTHER[field.name]})
        assert said(changed) != plain, field.name
    assert said(replace(metric, n=100), made=replace(fake, name="another")) != plain
    assert striped.held_out
    half = replace(striped, held_out=stripes(50, 8))
    if not isinstance(metric, Birthday | ClusterCoverage):
        assert said(replace(metric, n=100), half) != plain
    data = replace(striped, train=stripes(1200, 6))
    assert said(replace(metric, n=100), data) != plain
