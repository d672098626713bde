"""Images too large to be translated at one time, piece by piece and without a seam."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sparring.nets import Translator

LARGE = 512  # pixels of a side; the square of it is translated as a whole
CORE = 256  # pixels of a side of a piece, without what it is shown around it


def large(a: Tensor) -> bool:
    """Whether inputs (n, Ca, h, w) are better taken piece by piece."""
    return a.shape[2] * a.shape[3] > LARGE**2


def cheap(G: Translator) -> bool:
    """Whether pieces are that of the whole at little cost: it looks no further than its reach."""
    return G.reach is not None and not _norms(G)


def tiled(G: Translator, a: Tensor, tile: int | None = None) -> Tensor:
    """The translation of inputs (n, Ca, h, w), squares of `tile` pixels at a time.

    Each is shown as much around it as can change it (`G.reach`), and norms over the image take
    their statistics from all pieces: then the result is that of the whole. Where all may change
    all, a quarter of the tile is shown, and neighbours fade into one another. tile: None is as
    large as makes what is shown around it no more than thrice the rest. It is rounded up to what
    the network takes unpadded.
    """
    pieces = _pieces(G, a, tile or max(CORE, 2 * (G.reach or 0)))
    with ExitStack() as hooks:
        if G.reach is not None and len(pieces) > 1:
            for norm in _order(G, a[:, :, : G.grain, : G.grain]):
                mean, scale = _statistics(G, norm, a, pieces)
                hooks.callback(norm.register_forward_hook(_Given(mean, scale)).remove)
        return _together(G, a, pieces)


@dataclass(frozen=True)
class _Side:
    """What of a side is a piece's own, and what it is shown."""

    own: slice
    shown: slice
    length: int
    fades: bool

    @property
    def weight(self) -> Tensor:
        """With which each pixel shown counts: 1 inside, outside 0 or, where it fades, less the
        further away."""
        at = torch.arange(self.shown.start, self.shown.stop) + 0.5
        outside = torch.maximum(self.own.start - at, at - self.own.stop).clamp(min=0)
        margin = max(self.own.start - self.shown.start, self.shown.stop - self.own.stop, 1)
        return (1 - outside / margin).clamp(min=0) if self.fades else (outside == 0).float()

    def within(self, size: int, grain: int) -> slice:
        """Its own part of a map of so many positions that the network makes of what is shown."""
        padded = -(-(self.shown.stop - self.shown.start) // grain) * grain
        start = (self.own.start - self.shown.start) * size // padded
        stop = (self.own.stop - self.shown.start) * size // padded
        return slice(start, size if self.own.stop == self.length else stop)


_Piece = tuple[_Side, _Side]


def _pieces(G: Translator, a: Tensor, tile: int) -> list[_Piece]:
    margin = max(8, tile // 4) if G.reach is None else G.reach
    tile, margin = (-(-x // G.grain) * G.grain for x in (tile, margin))

    def sides(length: int) -> list[_Side]:
        return [
            _Side(
                slice(start, min(length, start + tile)),
                slice(max(0, start - margin), min(length, start + tile + margin)),
                length,
                G.reach is None,
            )
            for start in range(0, length, tile)
        ]

    return [(rows, columns) for rows in sides(a.shape[2]) for columns in sides(a.shape[3])]


def _together(G: Translator, a: Tensor, pieces: list[_Piece]) -> Tensor:
    total = a.new_zeros(0)
    weight = a.new_zeros((1, 1, G.factor * a.shape[2], G.factor * a.shape[3]))
    for rows, columns in pieces:
        made = G(a[:, :, rows.shown, columns.shown])
        if not total.numel():
            total = made.new_zeros((*made.shape[:2], *weight.shape[2:]))
        fade = (rows.weight[:, None] * columns.weight).to(weight)
        fade = fade.repeat_interleave(G.factor, 0).repeat_interleave(G.factor, 1)
        place = (..., _scaled(rows.shown, G.factor), _scaled(columns.shown, G.factor))
        total[place] += made * fade
        weight[place] += fade
    return total / weight


def _scaled(at: slice, factor: int) -> slice:
    return slice(at.start * factor, at.stop * factor)


def _norms(G: Translator) -> list[nn.GroupNorm]:
    """Layers whose statistics are of all positions of a sample."""
    return [m for m in G.modules() if isinstance(m, nn.GroupNorm)]


class _Reached(Exception):
    """The layer that was to be measured has been: what comes behind it is not needed."""


def _order(G: Translator, a: Tensor) -> list[nn.GroupNorm]:
    """The norms as the data meet them."""
    met: list[nn.Module] = []
    with ExitStack() as hooks:
        for norm in _norms(G):
            hooks.callback(norm.register_forward_pre_hook(lambda m, _: met.append(m)).remove)
        G(a)
    return sorted(_norms(G), key=met.index)


def _statistics(
    G: Translator, norm: nn.GroupNorm, a: Tensor, pieces: list[_Piece]
) -> tuple[Tensor, Tensor]:
    """Mean and 1 / deviation (n, groups, 1) of what a norm meets in the whole image, in float64.

    Those before it have theirs already: each costs another walk through the network up to it, which
    needs no more memory than a piece.
    """
    count, total, square = 0, a.new_zeros(0).double(), a.new_zeros(0).double()

    def measure(piece: _Piece) -> Any:
        def hook(_: nn.Module, args: tuple[Tensor, ...]) -> None:
            nonlocal count, total, square
            (x,) = args
            rows, columns = (
                side.within(size, G.grain) for side, size in zip(piece, x.shape[2:], strict=True)
            )
            own = x[:, :, rows, columns].double().flatten(2)
            own = own.reshape(len(x), norm.num_groups, -1)
            total = own.sum(2) + (total if count else 0)
            square = own.square().sum(2) + (square if count else 0)
            count += own.shape[2]
            raise _Reached

        return hook

    for rows, columns in pieces:
        handle = norm.register_forward_pre_hook(measure((rows, columns)))
        try:
            G(a[:, :, rows.shown, columns.shown])
        except _Reached:
            pass
        finally:
            handle.remove()
    mean = total / count
    variance = (square / count - mean.square()).clamp(min=0)
    return mean[..., None], (variance + norm.eps).rsqrt()[..., None]


class _Given:
    """What a norm makes with statistics that it is given."""

    def __init__(self, mean: Tensor, scale: Tensor) -> None:
        self.mean, self.scale = mean, scale

    def __call__(self, norm: nn.GroupNorm, args: tuple[Tensor, ...], _: Tensor) -> Tensor:
        (x,) = args
        grouped = x.reshape(len(x), norm.num_groups, -1)
        made = ((grouped - self.mean.to(x)) * self.scale.to(x)).reshape(x.shape)
        if norm.affine:
            made = made * norm.weight[:, None, None] + norm.bias[:, None, None]
        return made
