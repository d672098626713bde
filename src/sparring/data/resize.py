"""Resizing and cropping, the same on every machine to the last bit.

The image is scaled until it covers the size asked for, then cropped around its centre. When it
shrinks, each new pixel is the mean of the area it covers, pixels cut by its edge weighing by the
part inside: exact for any ratio (Pillow's BOX takes a pixel whole or not at all and so aliases at
ratios such as 1.4). Sums are of whole numbers and without BLAS, whose threads would fight those
that decode. When it grows, it is Pillow's bicubic. Values are taken as they are, without undoing
gamma, as all common tools do. Colours of transparent images weigh by how opaque they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from PIL import Image

_NARROW = 4  # lines; up to here it is faster to add the k-th lines of all bins than bin by bin


def fit(pixels: np.ndarray, size: tuple[int, int], clear: bool = False) -> np.ndarray:
    """(h, w, C) scaled to cover `size` = (H, W), then cropped at the centre: (H, W, C).

    uint8, or float32 in [-1, 1]. clear: the last channel says how opaque a pixel is, and by it the
    colours weigh: what nobody sees behind a transparent pixel does not come into its neighbours.
    """
    (height, width), (rows, cols) = pixels.shape[:2], size
    # Along both axes a new pixel spans step / unit old ones: the smaller of the two ratios.
    step, unit = (height, rows) if height * cols <= width * rows else (width, cols)
    step, unit = step // math.gcd(step, unit), unit // math.gcd(step, unit)
    # Whole pixels, so that an image that is only cropped keeps its values.
    top = (height * unit - rows * step) // (2 * unit)
    left = (width * unit - cols * step) // (2 * unit)
    if step == unit:
        return pixels[top : top + rows, left : left + cols]

    def scale(values: np.ndarray) -> np.ndarray:
        if step < unit:
            return _enlarge(values, size, top, left, step / unit)
        return _shrink(values, size, (top, left), step, unit)

    return _weighed(pixels, scale) if clear else scale(pixels)


def _weighed(pixels: np.ndarray, scale: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The scaled pixels, each colour the mean of the old ones by their last channel."""
    scaled, whole = scale(pixels), pixels.dtype == np.uint8
    values = pixels.astype(np.float64)
    opaque = values[..., -1:] if whole else (values[..., -1:] + 1) / 2
    share, total = scale(opaque), scale(values[..., :-1] * opaque)
    seen = share > (0.5 if whole else 0.5 / 255)  # what is clearer has no colour that one sees
    colour = total / np.where(seen, share, 1)
    colour = np.floor(colour + 0.5).clip(0, 255) if whole else colour.clip(-1, 1)
    scaled[..., :-1] = np.where(seen, colour, scaled[..., :-1])
    return scaled


def _enlarge(
    pixels: np.ndarray, size: tuple[int, int], top: int, left: int, ratio: float
) -> np.ndarray:
    rows, cols = size
    box = (left, top, left + cols * ratio, top + rows * ratio)
    channels = [
        Image.fromarray(np.ascontiguousarray(pixels[:, :, c])).resize(
            (cols, rows), Image.Resampling.BICUBIC, box=box
        )
        for c in range(pixels.shape[2])
    ]
    enlarged = np.stack([np.asarray(channel) for channel in channels], axis=2)
    return enlarged.clip(-1, 1) if pixels.dtype == np.float32 else enlarged  # bicubic overshoots


def _shrink(
    pixels: np.ndarray, size: tuple[int, int], corner: tuple[int, int], step: int, unit: int
) -> np.ndarray:
    (height, width, channels), (rows, cols) = pixels.shape, size
    whole = pixels.dtype == np.uint8
    first, second = (np.int32, np.int64) if whole else (np.float64, np.float64)
    down = _sums(pixels.reshape(height, -1), rows, corner[0], step, unit, first)
    turned = down.reshape(rows, width, channels).transpose(1, 0, 2).reshape(width, -1)
    total = _sums(turned, cols, corner[1], step, unit, second)
    area = step * step
    if not whole:
        mean = (total / area).astype(pixels.dtype)
        mean = mean.clip(-1, 1) if mean.dtype == np.float32 else mean
        return mean.reshape(cols, rows, channels).transpose(1, 0, 2)
    mean = (2 * total + area) // (2 * area)  # rounded to the nearest, halves up
    return mean.astype(np.uint8).reshape(cols, rows, channels).transpose(1, 0, 2)


def _sums(
    lines: np.ndarray, out: int, first: int, step: int, unit: int, dtype: type[np.number]
) -> np.ndarray:
    """(length, k) -> (out, k): the sum of the lines in each bin, a whole line counting `unit`.

    Bins start at line `first` and are step / unit > 1 lines wide.
    """
    at = first * unit + np.arange(out + 1) * step
    whole, part = at // unit, at % unit
    last = len(lines) - 1
    # What the whole lines leave out at the end of a bin, and count too much at its start.
    cut = part.astype(dtype)[:, None] * lines[whole.clip(max=last)]
    count = np.diff(whole)
    if count.max() <= _NARROW:
        inside = lines[whole[:-1]].astype(dtype)
        for k in range(1, count.max()):
            has = (k < count).astype(lines.dtype)[:, None]
            inside += lines[(whole[:-1] + k).clip(max=last)] * has
    else:
        inside = np.empty((out, lines.shape[1]), dtype)
        for i, (begin, end) in enumerate(pairwise(whole.tolist())):
            np.add.reduce(lines[begin:end], axis=0, dtype=dtype, out=inside[i])
    return inside * unit + cut[1:] - cut[:-1]
