"""Pictures and arrays on disk: grids, single images, npz, animations."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sparring.errors import RecipeError
from sparring.sample.draw import to_uint8
from sparring.storage import disk_errors, replace_file


def picture(image: Tensor) -> Image.Image:
    """uint8 (C, H, W) as a picture: grey, RGB or RGBA, else the first channel."""
    array = image.numpy()
    if len(array) in (3, 4):
        return Image.fromarray(np.ascontiguousarray(array.transpose(1, 2, 0)))
    return Image.fromarray(array[0])


def grid(images: Tensor, columns: int | None = None, gap: int = 2) -> Image.Image:
    """uint8 (n, C, H, W) -> one picture, row by row, near square unless `columns` says."""
    n, channels, height, width = images.shape
    columns = columns or math.ceil(math.sqrt(n * height / width))
    rows = math.ceil(n / columns)
    canvas = torch.full(
        (channels, rows * (height + gap) - gap, columns * (width + gap) - gap), 255
    ).to(torch.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        canvas[:, top : top + height, left : left + width] = image
    return picture(canvas)


def png(image: Image.Image) -> bytes:
    """The bytes of a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def save_samples(samples: Tensor, out: Path, labels: Tensor | None = None) -> None:
    """Writes samples as `out` asks: .png a grid, .npz arrays, anything else a folder of PNGs.

    npz: `arr_0` uint8 (n, H, W, C), or float32 (n, d) for points, and `arr_1` labels if any.
    """
    points = samples.dim() == 2
    kind = out.suffix.lower()
    if kind == ".npz":
        array = samples.numpy() if points else to_uint8(samples).permute(0, 2, 3, 1).numpy()
        arrays: Any = {"arr_0": array}
        if labels is not None:
            arrays["arr_1"] = labels.numpy()
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        with disk_errors("samples", out):
            out.parent.mkdir(parents=True, exist_ok=True)
        replace_file(out, buffer.getvalue())
    elif points:
        raise RecipeError("points are no pictures", where=out, fix="--out samples.npz")
    elif kind == ".png":
        with disk_errors("samples", out):
            out.parent.mkdir(parents=True, exist_ok=True)
        replace_file(out, png(grid(to_uint8(samples))))
    elif kind:
        raise RecipeError(
            f"cannot write samples to {out}",
            why=f"'{out.suffix}' is not known",
            fix="--out FILE.png for a grid, FILE.npz for arrays, or a folder",
        )
    else:
        with disk_errors("samples", out):
            out.mkdir(parents=True, exist_ok=True)
            for i, image in enumerate(to_uint8(samples)):
                picture(image).save(out / f"{i:06d}.png")
