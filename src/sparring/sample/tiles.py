"""Images too large to be translated at one time, piece by piece and without a seam."""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.nets import Translator

LARGE = 512  # pixels of a side; the square of it is translated as a whole
CORE = 256  # pixels of a side of a piece, without what it is shown around it


def large(a: Tensor) -> bool:
    """Whether inputs (n, Ca, h, w) are better taken piece by piece."""
    return a.shape[2] * a.shape[3] > LARGE**2


def tiled(G: Translator, a: Tensor, tile: int = CORE) -> Tensor:
    """The translation of inputs (n, Ca, h, w), squares of `tile` pixels at a time.

    Each is shown as much around it as can change it (`G.reach`): then the result is that of the
    whole. Where everything can, a quarter of the tile is, and neighbours fade into one another.
    """
    height, width = a.shape[2:]
    margin = max(8, tile // 4) if G.reach is None else G.reach
    total = a.new_zeros(0)
    weight = a.new_zeros((1, 1, G.factor * height, G.factor * width))
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            rows, fade_rows = _piece(top, tile, height, margin, G.reach is None)
            columns, fade_columns = _piece(left, tile, width, margin, G.reach is None)
            made = G(a[:, :, rows, columns])
            if not total.numel():
                total = made.new_zeros((*made.shape[:2], *weight.shape[2:]))
            fade = (fade_rows[:, None] * fade_columns).to(weight)
            fade = fade.repeat_interleave(G.factor, 0).repeat_interleave(G.factor, 1)
            place = (..., _scaled(rows, G.factor), _scaled(columns, G.factor))
            total[place] += made * fade
            weight[place] += fade
    return total / weight


def _piece(start: int, tile: int, length: int, margin: int, fades: bool) -> tuple[slice, Tensor]:
    """What of a side a piece is shown, and with which weight each pixel counts: 1 inside, outside
    0 or, where it fades, less the further away."""
    stop = min(length, start + tile)
    shown = slice(max(0, start - margin), min(length, stop + margin))
    at = torch.arange(shown.start, shown.stop) + 0.5
    outside = torch.maximum(start - at, at - stop).clamp(min=0)
    weight = (1 - outside / margin).clamp(min=0) if fades else (outside == 0).float()
    return shown, weight


def _scaled(at: slice, factor: int) -> slice:
    return slice(at.start * factor, at.stop * factor)
