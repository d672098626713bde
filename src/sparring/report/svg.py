"""SVG that takes its colours and its font from the page, drawn by matplotlib.

In what matplotlib draws, each colour becomes a CSS variable with a fallback, so that one figure
serves light and dark pages and also stands alone.
"""

from __future__ import annotations

import hashlib
import html
import io
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sparring.report.keeping import keep

# Colours where there is no page; on one, CSS variables take their place. Real data and D are blue,
# what is generated and G are orange; lines differ in their dashes too.
INK, MUTED, GRID, REAL, FAKE = "#1d1d1f", "#6b6b70", "#dcdce0", "#0b62a4", "#bc4a10"
LOOKS: tuple[dict[str, Any], ...] = (
    {"color": REAL, "linestyle": "-"},
    {"color": FAKE, "linestyle": (0, (4, 1.6))},
    {"color": INK, "linestyle": (0, (1.2, 1.4))},
    {"color": MUTED, "linestyle": (0, (6, 1.6, 1.2, 1.6))},
)
_VARIABLES = {INK: "ink", MUTED: "muted", GRID: "line", REAL: "real", FAKE: "fake"}
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 11,
    "axes.edgecolor": GRID,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.minor.visible": False,
    "ytick.minor.visible": False,
    "figure.facecolor": "none",
    "legend.frameon": False,
    "legend.borderpad": 0,
    "legend.borderaxespad": 0.2,
    "legend.handlelength": 2.4,
    "legend.columnspacing": 1.6,
    "lines.linewidth": 1.7,
    "path.simplify": True,
}


@contextmanager
def axes(width: float = 420, height: float = 250) -> Iterator[Axes]:
    """One set of axes on a figure of this many pixels, in the style of the page."""
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": "sparring"}):
        figure = Figure(figsize=(width / 72, height / 72), dpi=72, layout="constrained")
        yield figure.subplots()


def legend(ax: Axes) -> None:
    """Names of the lines, above the axes."""
    names = ax.get_legend_handles_labels()[1]
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1.02), ncols=max(1, min(3, len(names))))


def render(ax: Axes, label: str, over: str = "", last: Callable[[], object] | None = None) -> str:
    """The figure of `ax` as an SVG element; `label` is said in its place, `over` is drawn last.

    last: draws, where the figure is kept as PNG, what `over` shows at first.
    """
    buffer = io.StringIO()
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.S)
    # matplotlib styles "*", which inside a page would be everything on it.
    svg = re.sub(r"<defs>\s*<style[^>]*>.*?</style>\s*</defs>\s*", "", svg, flags=re.S)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.S)
    svg = re.sub(r'(<g) id="[^"]*"', r"\1", svg)
    svg = _own_names(svg, label)
    # Rows of a path and numbers with six decimals are most of the size.
    svg = re.sub(r'\bd="([^"]*)"', lambda m: f'd="{_short(m[1])}"', svg)
    svg = re.sub(r'\b(x|y)="(-?[\d.]+)"', lambda m: f'{m[1]}="{_number(float(m[2]))}"', svg)
    svg = re.sub(r"font: ([^\"';]*?)'DejaVu Sans'[^\";]*", r"font: \1var(--font, sans-serif)", svg)
    svg = re.sub(r">\s+<", "><", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var(--{variable}, {colour})")
    box = re.search(r'viewBox="[^"]*"', svg)
    assert box is not None
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'{box[0]} role="img" style="stroke-linejoin:round">'
        f"<title>{html.escape(label)}</title>"
    )
    body = svg[svg.index(">") + 1 : svg.rindex("</svg>")]
    whole = f"{head}{body.strip()}{over}</svg>"
    keep(label, svg=lambda: alone(whole), png=lambda: _png(figure, last))
    return whole


def alone(svg: str) -> str:
    """An SVG that needs no page: its size, a white ground, colours and font as they are."""
    svg = re.sub(r"var\(--[\w-]+, ([^()]*)\)", r"\1", svg)
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    assert box is not None
    svg = svg.replace("<svg ", f'<svg width="{box[1]}" height="{box[2]}" ', 1)
    return svg.replace("</title>", '</title><rect width="100%" height="100%" fill="#fff"/>', 1)


def _png(figure: Figure, last: Callable[[], object] | None) -> bytes:
    """The figure at twice its size on white, with the last of what a page shows one at a time."""
    if last is not None:
        last()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=144, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def settle(ax: Axes) -> None:
    """Lays the figure out, so that `place` knows where things will be."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()


def place(ax: Axes, x: float, y: float) -> str:
    """Where data coordinates are in the SVG, as "x y". Call it after `settle`."""
    across, up = ax.transData.transform((x, y))
    figure = ax.get_figure(root=True)
    assert figure is not None
    return f"{_number(across)} {_number(figure.bbox.height - up)}"


def _own_names(svg: str, label: str) -> str:
    """Names that the figure refers to, made different from those of other figures on the page."""
    own = hashlib.sha256((label + svg).encode()).hexdigest()[:6]
    svg = re.sub(r'\bid="([^"]+)"', rf'id="f{own}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#f{own}-\1)", svg)
    return re.sub(r'xlink:href="#([^"]+)"', rf'xlink:href="#f{own}-\1"', svg)


def _short(path: str) -> str:
    """A path's commands with one decimal, without needless blanks."""
    words = path.split()
    return " ".join(w if w.isalpha() else _number(float(w)) for w in words)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0") if math.isfinite(value) else "0"
