"""Figures of a run's numbers, over time and beside those of others: rows in, SVG text out.

All of them read without colour (dashes and shapes differ), skip what is not finite, and are the
same text for the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import ArrayLike, NDArray

from sparring.report.svg import (
    FAKE,
    LOOKS,
    REAL,
    axes,
    legend,
    render,
)

Array = NDArray[np.float64]
_MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")
_PLACES = 300


class Series(NamedTuple):
    """A line: its name, and y at x; what is None or not finite leaves a gap. se: its error."""

    name: str
    x: ArrayLike
    y: ArrayLike
    se: ArrayLike | None = None


def series(rows: Iterable[dict[str, Any]], column: str, name: str) -> Series:
    """One column of a run's rows over `images`."""
    kept = [r for r in rows if isinstance(r.get("images"), (int, float))]
    return Series(name, [r["images"] for r in kept], numbers(r.get(column) for r in kept))


def numbers(values: Iterable[Any]) -> list[float]:
    """Anything that is no number as NaN."""
    return [float(v) if isinstance(v, (int, float)) else math.nan for v in values]


def compact(value: float, _: Any = None) -> str:
    """1500 -> 1.5k, 2000000 -> 2M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{letter}"
    return f"{value:.4g}"


def curves(
    lines: Sequence[Series],
    label: str,
    *,
    limits: tuple[float, float] | None = None,
    percent: bool = False,
    log: bool | None = None,
    marked: bool = False,
    size: tuple[float, float] = (420, 250),
) -> str:
    """Lines over the number of images seen; "" when no number is finite.

    Many points are averaged in 300 places, with a band from the least to the greatest. log: the
    vertical axis, None decides by the numbers. marked: each line has marks of its own.
    """
    ready = [(line, *_finite(line)) for line in lines]
    ready = [(line, x, y) for line, x, y in ready if np.isfinite(y).any()]
    if not ready:
        return ""
    with axes(*size) as ax:
        for i, (line, x, y) in enumerate(ready):
            mark = _MARKS[i % len(_MARKS)] if marked else ""
            _line(ax, x, y, line, LOOKS[i % len(LOOKS)], mark)
        _images_axis(ax, max(x.max() for _, x, _ in ready))
        every = np.concatenate([y[np.isfinite(y)] for *_, y in ready])
        if limits:
            ax.set_ylim(*limits)
        elif every.min() == every.max() >= 0:
            ax.set_ylim(0, 1.3 * every.max() or 1)
        elif _wide(every) if log is None else log:
            _log_axis(ax, every)
        if percent:
            ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:.0%}"))
        elif ax.get_yscale() == "linear":
            ax.yaxis.set_major_locator(MaxNLocator(5))
            ax.yaxis.set_major_formatter(FuncFormatter(compact))
        if len(ready) > 1:
            legend(ax)
        return render(ax, label)


def _finite(line: Series) -> tuple[Array, Array]:
    x, y = np.asarray(line.x, float), np.asarray(line.y, float)
    return x, np.where(np.isfinite(y), y, np.nan)


def _line(ax: Axes, x: Array, y: Array, line: Series, look: dict[str, Any], mark: str = "") -> None:
    if line.se is not None:
        se = np.nan_to_num(np.asarray(line.se, float))
        ax.fill_between(x, y - 2 * se, y + 2 * se, color=look["color"], alpha=0.16, linewidth=0)
    if len(x) > _PLACES:
        x, y, low, high = _thinned(x, y)
        ax.fill_between(x, low, high, color=look["color"], alpha=0.16, linewidth=0)
    few = np.isfinite(y).sum() < 12
    apart = max(1, len(x) // 8)
    mark = mark or ("o" if few else "")
    size = 6 if mark and not few else 4
    ax.plot(x, y, label=line.name, marker=mark, markersize=size, markevery=apart, **look)


def intervals(
    rows: Sequence[tuple[str, float, float | None, float | None, Sequence[float]]], label: str
) -> str:
    """A row for each (name, value, low, high, values of single runs): a dot, its interval, and the
    single values as small strokes; "" for no rows."""
    if not rows:
        return ""
    with axes(420, 56 + 34 * len(rows)) as ax:
        for i, (_, value, low, high, single) in enumerate(rows):
            if low is not None and high is not None:
                ax.plot([low, high], [i, i], color=REAL, marker="|", markersize=11)
            ax.plot([value], [i], _MARKS[i % len(_MARKS)], color=REAL, markersize=7)
            if len(single) > 1:
                ax.plot(single, [i + 0.24] * len(single), "|", color=FAKE, markersize=8)
        ax.set_yticks(range(len(rows)), [_brief(name) for name, *_ in rows])
        ax.set_ylim(len(rows) - 0.5, -0.5)
        ax.xaxis.set_major_locator(MaxNLocator(5))
        ax.xaxis.set_major_formatter(FuncFormatter(compact))
        ax.margins(x=0.06)
        return render(ax, label)


def _brief(name: str) -> str:
    return name if len(name) <= 24 else name[:11] + "…" + name[-12:]


def _thinned(x: Array, y: Array) -> tuple[Array, Array, Array, Array]:
    """The means of x and y in equal groups of rows, and y's least and greatest there."""
    groups = np.array_split(np.arange(len(x)), _PLACES)
    rows = []
    for group in groups:
        inside = y[group][np.isfinite(y[group])]
        spread = (inside.mean(), inside.min(), inside.max()) if len(inside) else (np.nan,) * 3
        rows.append((x[group].mean(), *spread))
    table = np.array(rows)
    return table[:, 0], table[:, 1], table[:, 2], table[:, 3]


def _images_axis(ax: Axes, end: float) -> None:
    ax.set_xlim(0, end * 1.02 if end > 0 else 1)
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.xaxis.set_major_formatter(FuncFormatter(compact))
    ax.set_xlabel("real images seen by D")


def _wide(values: Array) -> bool:
    """Whether values ask for a logarithmic axis: all positive, over more than two decades."""
    return bool(values.min() > 0 and values.max() > 100 * values.min())


def _log_axis(ax: Axes, values: Array) -> None:
    """A logarithmic axis, where the values allow one and fill more than half a decade."""
    if values.min() <= 0 or values.max() < 3 * values.min():
        return
    ax.set_yscale("log")
    ax.set_ylim(values.min() / 1.15, values.max() * 1.15)
    many = values.max() > 200 * values.min()
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0,) if many else (1.0, 2.0, 5.0)))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(compact))
