"""Figures from plain numbers: valid, the same each time, and safe whatever the numbers are."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from sparring.report.figures import Series, compact, curves, series
from sparring.report.points import densities, judgement, moving_histogram, moving_points, surface

NORMAL = np.random.default_rng(0).normal(size=(200, 2))
LINE = np.linspace(-3, 3, 61)
DENSITY = np.exp(-(LINE**2) / 2) / math.sqrt(2 * math.pi)


def all_figures() -> dict[str, str]:
    rows = [{"images": 10 * i, "d": math.sin(i), "g": i + 1.0} for i in range(40)]
    x = np.linspace(-2, 2, 12)
    height = np.add.outer(x, x)
    frames = [(0, NORMAL[:50]), (100, NORMAL[50:])]
    flat = [(images, points[:, :1]) for images, points in frames]
    return {
        "curves": curves([series(rows, "d", "D"), series(rows, "g", "G")], "losses"),
        "densities": densities(NORMAL[:, 0], NORMAL[:, 1], LINE, DENSITY),
        "judgement": judgement(LINE, DENSITY, DENSITY**2, DENSITY),
        "logits": judgement(LINE, LINE),
        "histogram": moving_histogram(flat, LINE, DENSITY),
        "points": moving_points(frames, NORMAL, (-2, 2, -2, 2)),
        "surface": surface(x, x, height, (NORMAL, NORMAL), NORMAL, NORMAL, False),
        "level": surface(x, x, 0 * height, (NORMAL, 0 * NORMAL), NORMAL, NORMAL, True),
    }


@pytest.fixture(scope="module")
def figures() -> dict[str, str]:
    return all_figures()


def test_they_are_valid_small_and_repeat_themselves(figures: dict[str, str]) -> None:
    again = all_figures()
    for name, svg in figures.items():
        assert svg == again[name]
        assert ElementTree.fromstring(svg).tag.endswith("svg")
        assert len(svg) < 150_000, name


def test_they_take_the_colours_of_the_page_and_leave_its_style_alone(
    figures: dict[str, str],
) -> None:
    for svg in figures.values():
        assert "var(--" in svg
        assert "<style" not in svg
        for colour in ("#1d1d1f", "#6b6b70", "#dcdce0", "#0b62a4", "#bc4a10"):
            assert svg.count(colour) == len(re.findall(rf"var\(--\w+, {colour}\)", svg))


def test_names_inside_one_figure_are_not_those_of_another(figures: dict[str, str]) -> None:
    seen: set[str | None] = set()
    for svg in figures.values():
        names = {e.get("id") for e in ElementTree.fromstring(svg).iter() if e.get("id")}
        assert not seen & names
        seen |= names


def test_one_frame_is_shown_and_none_leaves_the_axes(figures: dict[str, str]) -> None:
    for name in ("histogram", "points"):
        root = ElementTree.fromstring(figures[name])
        paths = [e for e in root.iter() if e.get("class") == "frame"]
        assert [p.get("data-images") for p in paths] == ["0", "100"]
        assert [p.get("style") for p in paths] == ["display:none", None]
        inside = ((NORMAL[:50] >= -2) & (NORMAL[:50] <= 2)).all(1).sum()
        if name == "points":
            assert (paths[0].get("d") or "").count("M") == inside


def test_curves_of_one_row_of_nothing_and_of_gaps() -> None:
    one = curves([series([{"images": 64, "d": 0.5}], "d", "D")], "one")
    assert "<svg" in one
    assert curves([], "none") == ""
    rows = [{"images": 1, "d": None}, {"images": 2, "d": math.nan}, {"images": 3}]
    assert curves([series(rows, "d", "D")], "none is finite") == ""
    assert "<svg" in curves([series([*rows, {"images": 4, "d": 1.0}], "d", "D")], "one is")
    assert "<svg" in curves([series([{"images": 0, "d": 0.0}], "d", "D")], "at the start")
    assert "<svg" in curves([Series("D", [1, 2], [math.inf, 1e-30])], "infinite", log=True)


def test_thousands_of_rows_stay_small_and_their_peaks_are_kept() -> None:
    y = np.ones(20_000)
    y[777] = 5
    svg = curves([Series("D", np.arange(20_000), y)], "long")
    assert len(svg) < 40_000
    flat = curves([Series("D", np.arange(20_000), np.ones(20_000))], "long")
    assert svg.count("5</text>") > flat.count("5</text>")


def test_a_name_is_no_markup_and_no_mathematics() -> None:
    name = r"<b>$\alpha_$ & \"x\""
    svg = curves([Series(name, [1, 2], [1, 2]), Series("G", [1, 2], [2, 1])], name)
    assert "<b>" not in svg
    assert any(name in (e.text or "") for e in ElementTree.fromstring(svg).iter())


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (999, "999"), (1500, "1.5k"), (2e6, "2M"), (-4e3, "-4k"), (0.025, "0.025")],
)
def test_compact(value: float, text: str) -> None:
    assert compact(value) == text
