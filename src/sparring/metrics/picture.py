"""Pictures that a score shows as its evidence, small enough to be kept with its numbers."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from sparring.metrics.metric import Fake, Real

_BUDGET = 40_000  # bytes up to which a picture stays lossless
_SIDE = 96  # pixels of an image's longer side at most
_GAP = 4


def picture(
    rows: Sequence[Sequence[Tensor | None]], columns: Sequence[str], caption: str
) -> dict[str, Any]:
    """Images in rows and columns as JSON: image (a data URI), width, height, columns, caption.

    rows: uint8 (C, H, W) of one shape, None for an empty place; columns: what each column shows.
    """
    shape = next(i.shape for row in rows for i in row if i is not None)
    blank = torch.full(shape, 255, dtype=torch.uint8)
    flat = torch.stack([blank if i is None else i for row in rows for i in row])
    small = _shrunk(flat)
    height, width = small.shape[2:]
    canvas = Image.new(
        "RGB", (len(columns) * (width + _GAP), len(rows) * (height + _GAP)), (255, 255, 255)
    )
    for i, image in enumerate(small):
        place = (i % len(columns) * (width + _GAP), i // len(columns) * (height + _GAP))
        canvas.paste(_pillow(image), place)
    return {
        "image": _encoded(canvas),
        "width": canvas.width,
        "height": canvas.height,
        "columns": list(columns),
        "caption": caption,
    }


def samples(fake: Fake, real: Real, indices: Sequence[int]) -> list[Tensor]:
    """The samples at these indices, uint8 (C, H, W) each."""
    found: dict[int, Tensor] = {}
    wanted, start = set(indices), 0
    for batch in fake.batches(max(indices) + 1, real.shape):
        for i in wanted & set(range(start, start + len(batch))):
            found[i] = batch[i - start].clone()
        start += len(batch)
    return [found[i] for i in indices]


def _shrunk(images: Tensor) -> Tensor:
    """uint8 (n, C, H, W), averaged by the whole number that brings them within _SIDE pixels."""
    by = -(-max(images.shape[2:]) // _SIDE)
    if by == 1:
        return images
    mean = functional.avg_pool2d(images.float(), by, ceil_mode=True, count_include_pad=False)
    return mean.round().to(torch.uint8)


def _pillow(image: Tensor) -> Image.Image:
    """uint8 (C, H, W): three channels as RGB, others by their first."""
    array = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
    return Image.fromarray(array) if array.shape[2] == 3 else Image.fromarray(array[:, :, 0])


def _encoded(canvas: Image.Image) -> str:
    grey = canvas.convert("L")
    if canvas.tobytes() == grey.convert("RGB").tobytes():
        canvas = grey
    for kind, quality in (("png", 0), ("webp", 80), ("webp", 40)):
        buffer = io.BytesIO()
        canvas.save(buffer, kind, **({"quality": quality} if quality else {"optimize": True}))
        if len(buffer.getvalue()) <= _BUDGET:
            break
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
