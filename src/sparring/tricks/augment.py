"""Random changes of images that gradients flow through, a draw for each sample.

All take images (n, C, H, W) in [-1, 1] of any number of channels and the draws of a trick.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, pad

from sparring.channels import coloured
from sparring.randomness import Draws


def _column(x: Tensor, like: Tensor) -> Tensor:
    """(n,) as (n, 1, 1, 1), in the dtype of `like`."""
    return x.to(like).view(-1, 1, 1, 1)


# ------------------------------------------------------------------------------------------ colour


def colours(x: Tensor, sides: Sequence[int], change: Callable[[Tensor], Tensor]) -> Tensor:
    """x with a change of the colours of each of the images of so many channels beside each other.

    () is one image. The last of 2 or 4 channels, transparency or a hole, is no colour and stays.
    """
    pieces = []
    for side in x.split(list(sides) or x.shape[1], 1):
        k = coloured(side.shape[1])
        pieces += [change(side[:, :k]), side[:, k:]] if k < side.shape[1] else [change(side)]
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces, 1)


def brighten(x: Tensor, by: Tensor) -> Tensor:
    """Adds `by` (n,)."""
    return x + _column(by, x)


def saturate(x: Tensor, factor: Tensor) -> Tensor:
    """Scales each pixel's distance to the mean of its channels; one channel stays as it is."""
    # As a sum with x a factor of 1 changes no bit; so below.
    return x + (x - x.mean(1, keepdim=True)) * _column(factor - 1, x)


def contrast(x: Tensor, factor: Tensor, about_mean: bool = True) -> Tensor:
    """Scales each value's distance to the image's mean, or to 0."""
    mean = x.mean((1, 2, 3), keepdim=True) if about_mean else 0.0
    return x + (x - mean) * _column(factor - 1, x)


def invert_grey(x: Tensor, where: Tensor) -> Tensor:
    """Flips the sign of the mean of the channels, keeping the differences between channels."""
    return x - 2 * x.mean(1, keepdim=True) * _column(where, x)


def rotate_hue(x: Tensor, angle: Tensor) -> Tensor:
    """Turns the three channels about the grey axis by `angle` (n,)."""
    grey = x.mean(1, keepdim=True)
    # Rodrigues: about (1, 1, 1) / sqrt 3 the cross product is a difference of the other channels.
    across = (x.roll(1, 1) - x.roll(2, 1)) / math.sqrt(3)
    return x + (x - grey) * _column(angle.cos() - 1, x) + across * _column(angle.sin(), x)


# ---------------------------------------------------------------------------------------- geometry


def flip(x: Tensor, where: Tensor) -> Tensor:
    """Mirrors left and right the samples of `where` (n,)."""
    return torch.where(where.view(-1, 1, 1, 1), x.flip(3), x)


def shift(x: Tensor, share: float, rng: Draws) -> Tensor:
    """Moves each image by whole pixels, at most `share` of its size, over a ground of 0."""
    n, _, h, w = x.shape
    reach = [round(share * size) for size in (h, w)]
    start_y, start_x = (rng.integers(2 * r + 1, n).to(x.device) for r in reach)
    rows = start_y[:, None] + torch.arange(h, device=x.device)
    columns = start_x[:, None] + torch.arange(w, device=x.device)
    wide = pad(x, (reach[1], reach[1], reach[0], reach[0])).permute(0, 2, 3, 1)
    each = torch.arange(n, device=x.device)[:, None, None]
    return wide[each, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def cut(x: Tensor, share: float, rng: Draws) -> Tensor:
    """Sets to 0 a rectangle of `share` of the height and width, with its centre in the image."""
    n, _, h, w = x.shape
    inside = torch.ones((), dtype=torch.bool, device=x.device)
    for axis, size in ((1, h), (2, w)):
        length = round(share * size)
        start = rng.integers(size, n).to(x.device) - length // 2
        at = torch.arange(size, device=x.device) - start[:, None]
        inside = inside & ((at >= 0) & (at < length)).unsqueeze(3 - axis)
    return torch.where(inside[:, None], 0.0, x)


def warp(x: Tensor, matrix: Tensor) -> Tensor:
    """Images at M (u, v, 1) for pixels (u, v) from the centre: `matrix` (n, 2, 3), in pixels.

    Bilinear; beyond the border the image is mirrored.
    """
    h, w = x.shape[2:]
    v, u = torch.meshgrid(
        torch.arange(h, device=x.device) - (h - 1) / 2,
        torch.arange(w, device=x.device) - (w - 1) / 2,
        indexing="ij",
    )
    places = torch.stack([u, v, torch.ones_like(u)], dim=-1).to(matrix)
    at = torch.einsum("nij,hwj->nhwi", matrix, places)
    size = torch.tensor([w, h], device=x.device) / 2
    return grid_sample(
        x, (at / size).to(x), mode="bilinear", padding_mode="reflection", align_corners=False
    )


def linear(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    """The maps (n, 3, 3) of the matrices [[a, b], [c, d]], each (n,)."""
    zero, one = torch.zeros_like(a), torch.ones_like(a)
    return torch.stack([a, b, zero, c, d, zero, zero, zero, one], dim=1).view(-1, 3, 3)


def turn(angle: Tensor) -> Tensor:
    """The rotations by `angle` (n,), (n, 3, 3)."""
    return linear(angle.cos(), -angle.sin(), angle.sin(), angle.cos())


def move(u: Tensor, v: Tensor) -> Tensor:
    """The translations by (u, v), each (n,), (n, 3, 3)."""
    zero, one = torch.zeros_like(u), torch.ones_like(u)
    return torch.stack([one, zero, u, zero, one, v, zero, zero, one], dim=1).view(-1, 3, 3)
