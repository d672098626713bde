"""What `sparring.score` is asked from Python: each argument, and what it must not be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import sparring
from sparring.data import Ring
from sparring.errors import DataError, RecipeError
from sparring.metrics import KID, Pixels

PIXELS = "KID(features=Pixels())"


def images(n: int, seed: int, side: int = 12) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def ask(**given: Any) -> Any:
    return sparring.score(images(9, 0), images(9, 1), **{"metrics": PIXELS, **given})


@pytest.mark.parametrize("n", [-3, 0, 1])
def test_a_score_takes_two_samples_or_more(n: int) -> None:
    with pytest.raises(RecipeError, match="bad value in n: at least two samples are needed"):
        ask(n=n)


@pytest.mark.parametrize("n", [2.5, "7", True])
def test_n_is_a_whole_number(n: Any) -> None:
    with pytest.raises(RecipeError, match="bad value in n: expected a whole number"):
        ask(n=n)


def test_metrics_may_be_written_as_on_the_command_line() -> None:
    (expected,) = ask(metrics=[KID(features=Pixels())])[0]
    for metrics in (PIXELS, [PIXELS], KID(features=Pixels()), ("kid(features=pixels())",)):
        assert ask(metrics=metrics)[0][0]["value"] == expected["value"]


@pytest.mark.parametrize(
    ("metrics", "why"),
    [
        (["fit"], "did you mean 'FID'"),
        ([KID], "a metric is its name or a part such as KID()"),
        ([None], "a metric is its name or a part such as KID()"),
        (3, "a metric is its name or a part such as KID()"),
        ([Ring()], "a metric is its name or a part such as KID()"),
    ],
)
def test_what_is_no_metric(metrics: Any, why: str) -> None:
    with pytest.raises(RecipeError) as e:
        ask(metrics=metrics)
    assert why in str(e.value)


def test_a_metric_asked_for_twice_is_scored_once(caplog) -> None:
    assert len(ask(metrics=[PIXELS, PIXELS])[0]) == 1
    assert "KID(features=Pixels()) is asked for twice" in caplog.text


@pytest.mark.parametrize("size", [0, (0, 0), (-1, 8), "big", (8, 8, 8), 2.5, (99_999, 99_999)])
def test_what_is_no_size(size: Any) -> None:
    with pytest.raises(RecipeError, match="bad value in size"):
        ask(size=size)


def test_size_scales_arrays_too() -> None:
    for size in (6, (6, 6)):
        found = ask(size=size, metrics="FID(features=Pixels())")[0][0]
        assert found["protocol"]["resize"] == "none"
        small = sparring.score(images(9, 0), images(9, 1, 6), "FID(features=Pixels())", size=size)
        assert small[0][0]["value"] != found["value"]


def test_a_control_and_a_weights_file_by_their_path(tmp_path) -> None:
    np.savez(tmp_path / "control.npz", arr_0=images(9, 2))
    rows, _ = ask(metrics="memorisation", control=tmp_path / "control.npz")
    assert rows[0]["protocol"]["n_held_out"] == 9
    with pytest.raises(DataError, match=r"no weights file in .*x\.pth"):
        ask(weights=str(tmp_path / "x.pth"))
