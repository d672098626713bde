"""Schedules against their closed forms."""

from __future__ import annotations

from math import sqrt

import pytest
import torch
from torch.testing import assert_close

from sparring.errors import RecipeError
from sparring.parts import catalogue
from sparring.schedules import Cosine, Exponential, FlatThenLinear, Linear, Schedule, value

KEYS = {"start": 2.0, "end": 0.5, "images": 800}

CURVES = [
    # at 0, 1/4, 1/2, 3/4 and all of the way from 2 to 1/2
    (Linear(**KEYS), (2.0, 1.625, 1.25, 0.875, 0.5)),
    (Exponential(**KEYS), (2.0, sqrt(2), 1.0, sqrt(0.5), 0.5)),
    (Cosine(**KEYS), (2.0, 1.25 + 0.75 * sqrt(0.5), 1.25, 1.25 - 0.75 * sqrt(0.5), 0.5)),
    (FlatThenLinear(**KEYS), (2.0, 2.0, 2.0, 1.25, 0.5)),
]


@pytest.mark.parametrize(("schedule", "values"), CURVES, ids=lambda v: str(v)[:16])
def test_closed_forms(schedule, values):
    got = torch.stack([schedule(torch.tensor(n)) for n in (0, 200, 400, 600, 800)])
    assert_close(got, torch.tensor(values))


def test_the_table_has_every_schedule():
    ours = {c for c in catalogue(Schedule) if c.__module__.startswith("sparring.")}
    assert {type(row[0]) for row in CURVES} == ours


@pytest.mark.parametrize("schedule", [row[0] for row in CURVES], ids=lambda v: str(v)[:16])
def test_the_last_value_holds(schedule):
    for n in (800, 801, 10**12):
        assert_close(schedule(torch.tensor(n)), torch.tensor(0.5))
    assert schedule(torch.tensor(3)).shape == ()
    assert schedule(torch.tensor(3)).dtype == torch.float32


def test_rising_works_too():
    up = Linear(start=0.0, end=3.0, images=3)
    assert_close(
        torch.stack([up(torch.tensor(n)) for n in range(5)]), torch.tensor([0.0, 1, 2, 3, 3])
    )


def test_a_number_or_a_schedule():
    assert value(0.25, torch.tensor(5)) == 0.25
    assert_close(value(Linear(start=1, end=0, images=10), torch.tensor(5)), torch.tensor(0.5))


def test_bad_schedules():
    with pytest.raises(RecipeError, match="images"):
        Linear(images=0)
    with pytest.raises(RecipeError, match="positive"):
        Exponential(start=1.0, end=0.0)
    with pytest.raises(ValueError, match="length"):
        Linear()(torch.tensor(0))
