"""Figures from plain numbers: every function takes rows or arrays and returns SVG text.

All of them read without colour (dashes and shapes differ), skip what is not finite, and are the
same text for the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import ArrayLike, NDArray

from sparring.report.svg import FAKE, GRID, INK, MUTED, REAL, axes, legend, place, render, settle

Array = NDArray[np.float64]
_LOOKS: tuple[dict[str, Any], ...] = (
    {"color": REAL, "linestyle": "-"},
    {"color": FAKE, "linestyle": (0, (4, 1.6))},
    {"color": INK, "linestyle": (0, (1.2, 1.4))},
    {"color": MUTED, "linestyle": (0, (6, 1.6, 1.2, 1.6))},
)
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


# -------------------------------------------------------------------------------------- over time


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
            _line(ax, x, y, line, _LOOKS[i % len(_LOOKS)], mark)
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


# ---------------------------------------------------------------------------------- on a line


def densities(real: ArrayLike, fake: ArrayLike, x: ArrayLike, p: ArrayLike) -> str:
    """Histograms of real and generated points on a line, and the true density p at x (m,)."""
    place_, density = np.asarray(x, float), np.asarray(p, float)
    edges = np.linspace(place_[0], place_[-1], 81)
    with axes(420, 280) as ax:
        shown = _histogram(real, edges)
        ax.stairs(shown, edges, fill=True, color=REAL, alpha=0.22, label="real")
        ax.stairs(_histogram(fake, edges), edges, color=FAKE, linewidth=1.7, label="generated")
        ax.plot(place_, density, color=INK, linestyle=(0, (1.2, 1.4)), label="true density")
        ax.set_xlim(edges[0], edges[-1])
        ax.set_ylim(bottom=0)
        ax.set_xlabel("x")
        ax.yaxis.set_major_locator(MaxNLocator(5))
        legend(ax)
        return render(ax, "Histogram of real and of generated points with the true density")


def _histogram(values: ArrayLike, edges: Array) -> Array:
    """The density of values in the bins; values outside count too, so that it is honest."""
    flat = np.asarray(values, float).ravel()
    counts = np.histogram(flat[np.isfinite(flat)], edges)[0]
    return counts / (max(1, len(flat)) * (edges[1] - edges[0]))


def judgement(
    x: ArrayLike, d: ArrayLike, optimal: ArrayLike | None = None, weight: ArrayLike | None = None
) -> str:
    """D along a line, and beside it the optimal D* where there is one; all (m,).

    weight: p + q; where it is next to nothing there is nothing to learn from, and the ground is
    shaded.
    """
    places = np.asarray(x, float)
    with axes(420, 280) as ax:
        if weight is not None:
            w = np.asarray(weight, float)
            empty = w < 1e-3 * w.max()
            ground = ax.get_xaxis_transform()
            ax.fill_between(
                places, 0, 1, where=empty, color=GRID, alpha=0.35, lw=0, transform=ground
            )
        if optimal is not None:
            ax.plot(places, np.asarray(optimal, float), **_LOOKS[1], label="optimal D*")
            ax.set_ylim(-0.03, 1.03)
        ax.plot(places, np.asarray(d, float), **_LOOKS[0], label="D")
        ax.set_xlim(places[0], places[-1])
        ax.set_xlabel("x")
        ax.yaxis.set_major_locator(MaxNLocator(5))
        legend(ax)
        return render(
            ax, "D along the line" + (" beside the optimal D*" if optimal is not None else "")
        )


def moving_histogram(frames: Sequence[tuple[int, ArrayLike]], x: ArrayLike, p: ArrayLike) -> str:
    """Histograms of points on a line at growing numbers of images, one shown at a time.

    frames: (images, points (n,)). Each is a path of class "frame"; all but the last are hidden.
    """
    place_, density = np.asarray(x, float), np.asarray(p, float)
    edges = np.linspace(place_[0], place_[-1], 81)
    heights = [np.minimum(_histogram(points, edges), 3 * density.max()) for _, points in frames]
    with axes(420, 280) as ax:
        ax.plot(place_, density, color=INK, linestyle=(0, (1.2, 1.4)), label="true density")
        ax.plot([], [], color=FAKE, label="generated")
        ax.set_xlim(edges[0], edges[-1])
        # Samples that have fallen into one place would make all else flat.
        ax.set_ylim(0, 1.08 * max(density.max(), *(h.max() for h in heights)))
        ax.set_xlabel("x")
        legend(ax)
        settle(ax)
        shapes = []
        for h in heights:
            corners = [(e, v) for i, v in enumerate(h) for e in edges[i : i + 2]]
            shapes.append("M" + "L".join(place(ax, e, v) for e, v in corners))
        over = _frames(frames, shapes, width=1.7)
        label = "Histogram of generated points over time"
        return render(ax, label, over, lambda: ax.stairs(heights[-1], edges, color=FAKE, lw=1.7))


# ----------------------------------------------------------------------------------- in the plane


def moving_points(
    frames: Sequence[tuple[int, ArrayLike]], real: ArrayLike, limits: tuple[float, ...]
) -> str:
    """Points of the plane at growing numbers of images, one cloud shown at a time.

    frames: (images, points (n, 2)); limits: left, right, bottom, top. Each cloud is a path of
    class "frame"; all but the last are hidden.
    """
    with axes(420, 440) as ax:
        _cloud(ax, real, REAL, "o", 4.5, "real", hollow=True)
        ax.plot([], [], "o", color=FAKE, markersize=3, label="generated")
        _plane(ax, limits)
        settle(ax)
        shapes = [
            "".join(f"M{place(ax, a, b)}h0" for a, b in _inside(points, limits)[:1000])
            for _, points in frames
        ]
        over = _frames(frames, shapes, width=3)
        end = _inside(frames[-1][1], limits)[:1000]
        label = "Generated points over time among real ones"
        return render(ax, label, over, lambda: ax.plot(*end.T, "o", color=FAKE, markersize=3))


def surface(
    x: ArrayLike,
    y: ArrayLike,
    d: ArrayLike,
    arrows: tuple[ArrayLike, ArrayLike],
    real: ArrayLike,
    fake: ArrayLike,
    probability: bool,
) -> str:
    """D over the plane with real and generated points and the direction in which D rises.

    x (m,), y (k,), d (k, m); arrows: places (j, 2) and the gradient of D's logit there (j, 2).
    probability: whether d lies in [0, 1].
    """
    xs, ys, heights = np.asarray(x, float), np.asarray(y, float), np.asarray(d, float)
    limits = (xs[0], xs[-1], ys[0], ys[-1])
    levels = (
        np.linspace(0, 1, 11)
        if probability
        else MaxNLocator(9).tick_values(float(np.nanmin(heights)), float(np.nanmax(heights)))
    )
    with axes(420, 440) as ax:
        for i, (low, high) in enumerate(pairwise(levels)):
            colour, alpha = _shade(i, len(levels))
            if heights.max() > low and heights.min() < high and alpha > 0:
                ax.contourf(xs, ys, heights, [low, high], colors=[colour], alpha=alpha)
        if heights.min() < heights.max():
            lines = ax.contour(xs, ys, heights, levels, colors=MUTED, linewidths=0.7)
            ax.clabel(lines, fontsize=9, fmt=lambda v: f"{v:.2g}")
        _arrows(ax, *arrows, (xs[-1] - xs[0]) / 18)
        _cloud(ax, real, REAL, "o", 4.5, "real", hollow=True)
        _cloud(ax, fake, FAKE, "x", 4, "generated")
        _plane(ax, limits)
        return render(ax, "D over the plane with real and generated points")


def _shade(i: int, count: int) -> tuple[str, float]:
    """The colour of a level: generated below the middle, real above, stronger away from it."""
    middle = (count - 2) / 2
    away = (i - middle) / max(middle, 1)
    return (REAL if away > 0 else FAKE), round(0.34 * abs(away), 3)


def _arrows(ax: Axes, where: ArrayLike, slope: ArrayLike, longest: float) -> None:
    at, g = np.asarray(where, float), np.asarray(slope, float)
    size = np.linalg.norm(g, axis=1, keepdims=True)
    if not np.isfinite(size).all() or size.max() == 0:
        return
    # The square root keeps weak slopes visible beside strong ones.
    drawn = g / np.maximum(size, 1e-12) * np.sqrt(size / size.max()) * longest
    ax.quiver(
        *at.T, *drawn.T, angles="xy", scale_units="xy", scale=1, color=INK, width=0.0035, alpha=0.75
    )


def _cloud(
    ax: Axes,
    points: ArrayLike,
    colour: str,
    mark: str,
    size: float,
    name: str,
    hollow: bool = False,
) -> None:
    at = np.asarray(points, float)
    face = "none" if hollow else colour
    ax.plot(
        *at.T,
        mark,
        color=colour,
        markersize=size,
        markerfacecolor=face,
        label=name,
        markeredgewidth=1,
    )


def _plane(ax: Axes, limits: tuple[float, ...]) -> None:
    ax.set_xlim(limits[0], limits[1])
    ax.set_ylim(limits[2], limits[3])
    ax.set_aspect("equal")
    ax.xaxis.set_major_locator(MaxNLocator(6))
    ax.yaxis.set_major_locator(MaxNLocator(6))
    legend(ax)


def _inside(points: ArrayLike, limits: tuple[float, ...]) -> Array:
    at = np.asarray(points, float)
    left, right, bottom, top = limits
    x, y = at.T
    return at[(x >= left) & (x <= right) & (y >= bottom) & (y <= top)]


def _frames(frames: Sequence[tuple[int, ArrayLike]], shapes: list[str], width: float) -> str:
    """Shapes of which a page shows one at a time."""
    paths = []
    for i, ((images, _), shape) in enumerate(zip(frames, shapes, strict=True)):
        hidden = "" if i == len(frames) - 1 else ' style="display:none"'
        paths.append(f'<path class="frame" data-images="{images}"{hidden} d="{shape}"/>')
    look = f'fill="none" stroke-width="{width}" stroke-linecap="round" stroke-linejoin="round"'
    return f'<g {look} style="stroke:var(--fake, #bc4a10)">{"".join(paths)}</g>'


__all__ = [
    "Series",
    "compact",
    "curves",
    "densities",
    "intervals",
    "judgement",
    "moving_histogram",
    "moving_points",
    "numbers",
    "series",
    "surface",
]
