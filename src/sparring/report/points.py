"""Figures of points, on a line and in the plane, with what D says of them there.

They read without colour and are the same text for the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from sparring.report.svg import (
    FAKE,
    GRID,
    INK,
    LOOKS,
    MUTED,
    REAL,
    axes,
    legend,
    place,
    render,
    settle,
)

Array = NDArray[np.float64]

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
            ax.plot(places, np.asarray(optimal, float), **LOOKS[1], label="optimal D*")
            ax.set_ylim(-0.03, 1.03)
        ax.plot(places, np.asarray(d, float), **LOOKS[0], label="D")
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


# ----------------------------------------------------------------------------------- one at a time


def _frames(frames: Sequence[tuple[int, ArrayLike]], shapes: list[str], width: float) -> str:
    """Shapes of which a page shows one at a time."""
    paths = []
    for i, ((images, _), shape) in enumerate(zip(frames, shapes, strict=True)):
        hidden = "" if i == len(frames) - 1 else ' style="display:none"'
        paths.append(f'<path class="frame" data-images="{images}"{hidden} d="{shape}"/>')
    look = f'fill="none" stroke-width="{width}" stroke-linecap="round" stroke-linejoin="round"'
    return f'<g {look} style="stroke:var(--fake, #bc4a10)">{"".join(paths)}</g>'
