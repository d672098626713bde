"""The sections of a run that makes points: their distribution, D, and D beside the optimal D."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sparring.data import Points
from sparring.errors import RunError
from sparring.metrics import optimum
from sparring.report.markup import beside, figure, grid, slider, table
from sparring.report.material import Material
from sparring.report.points import densities, judgement, moving_histogram, moving_points, surface

PLACES = (-3.0, -2.0, 0.0, 2.0, 3.0)
_FRAMES = 24


def samples(m: Material) -> str:
    """Generated points over time, with a slider."""
    frames = _clouds(m)
    stage = _stage(m, frames)
    caption = "The same latents all along, through the moving average of G."
    last = f"{frames[-1][0]:,} images"
    return slider(stage, len(frames), "Number of images seen in training", last, caption)


def cloud(m: Material) -> str:
    """The last points alone."""
    return _stage(m, _clouds(m)[-1:])


def _clouds(m: Material) -> list[tuple[int, Any]]:
    frames = m.clouds(m.points.shape[0], _FRAMES)
    if not frames:
        raise RunError("no samples of points", where=m.run.samples)
    return frames


def _stage(m: Material, frames: list[tuple[int, Any]]) -> str:
    """Points at several times, one cloud or histogram for each."""
    if m.points.shape[0] == 1:
        x = _line(m.points)
        return moving_histogram(frames, x, m.points.log_density(x[:, None]).exp())
    return moving_points(frames, m.reals[:300], _limits(m.points))


def line(m: Material) -> str:
    """Real against generated on a line, and D beside the optimal D."""
    x = _line(m.points)
    p = m.points.log_density(x[:, None]).exp()
    shape = figure(
        densities(m.reals, m.fakes, x, p),
        "10,000 real and 10,000 generated points, with the density the data are drawn from.",
    )
    if not m.recipe.loss.logistic:
        drawn = judgement(x, m.logits(x[:, None]))
        caption = "The logits of D: with this loss sigmoid(D) does not estimate p / (p + q)."
        return grid([shape, figure(drawn, caption)])
    many = m.many(100_000)

    def probability(at: Tensor) -> Tensor:
        return m.logits(at).sigmoid()

    o = optimum(probability, m.points, many)
    places = optimum(probability, m.points, many, torch.tensor(PLACES, dtype=torch.float64))
    caption = (
        "D as the probability of being real, and D* = p / (p + q), the best answer to this G: p is "
        "the exact density of the data, q a kernel density estimate of 100,000 samples. On grey "
        "ground there is next to nothing of either."
    )
    drawn = figure(judgement(o.x, o.d, o.optimal, o.p + o.q), caption)
    return grid([shape, drawn]) + best(places.d, places.optimal, o.error)


def best(d: Tensor, optimal: Tensor, error: float) -> str:
    """D and D* at `PLACES`, both (5,), as a table, and how far apart they are in all."""
    rows = [
        (f"{x:g}".replace("-", "−"), f"{a:.3f}", f"{b:.3f}", f"{abs(a - b):.3f}")
        for x, a, b in zip(PLACES, d.tolist(), optimal.tolist(), strict=True)
    ]
    said = (
        '<dl class="tile"><dt>Error of D against D*</dt>'
        f'<dd>{error:.4f}</dd><dd class="small">the mean of |D − D*| under (p + q) / 2</dd></dl>'
    )
    return grid([table(("x", "D", "D*", "|D − D*|"), rows, "numbers"), said])


def plane(m: Material) -> str:
    """D over the plane, real and generated points, and where D pushes them."""
    left, right, bottom, top = limits = _limits(m.points)
    x, y = torch.linspace(left, right, 90), torch.linspace(bottom, top, 90)
    d = m.logits(torch.cartesian_prod(x, y)).unflatten(0, (90, 90)).T
    logistic = m.recipe.loss.logistic
    coarse = [torch.linspace(a, b, 19)[1:-1] for a, b in (limits[:2], limits[2:])]
    where = torch.cartesian_prod(*coarse)
    slope = m.logits(where, slopes=True)
    drawn = surface(
        x,
        y,
        d.sigmoid() if logistic else d,
        (where.detach(), slope),
        m.reals[:300],
        m.fakes[:400],
        logistic,
    )
    said = "D as the probability of being real" if logistic else "The logits of D"
    caption = (
        f"{said}, higher where it is blue and lower where it is orange. Circles are real, crosses "
        "generated. Arrows show where the logit of D rises: the way G is pushed."
    )
    across, up = m.fakes.T
    away = int(((across < left) | (across > right) | (up < bottom) | (up > top)).sum())
    if away:
        caption += f" {away:,} of {len(m.fakes):,} samples lie outside."
    return beside(drawn, caption)


def _line(points: Points) -> Tensor:
    """401 places over all modes, float64."""
    reach = 5 * points.sigma or 1.0
    low, high = (end.item() for end in points.ends)
    low, high = low - reach, high + reach
    return torch.linspace(low, high, 401, dtype=torch.float64)


def _limits(points: Points) -> tuple[float, float, float, float]:
    """Left, right, bottom and top of a square around all modes."""
    low, high = points.ends
    half = float((high - low).max()) / 2
    half = (half * 1.35 + 5 * points.sigma if half else 8 * points.sigma) or 1.0
    across, up = ((low + high) / 2).tolist()
    return across - half, across + half, up - half, up + half
