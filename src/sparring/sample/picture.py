"""Pictures and arrays on disk: grids, single images, npz, animations."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
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
    """uint8 (C, H, W) as a picture: grey, RGB or RGBA, else its channels side by side."""
    array = shown(image[None])[0].numpy()
    if len(array) in (3, 4):
        return Image.fromarray(np.ascontiguousarray(array.transpose(1, 2, 0)))
    return Image.fromarray(array[0])


def shown(images: Tensor) -> Tensor:
    """uint8 (n, C, H, W) as one sees them: (n, 1 or 3 or 4, H', W').

    Of 2, or of more than 4 channels none is red: they become grey tiles in a near square block.
    """
    n, channels, height, width = images.shape
    if channels in (1, 3, 4):
        return images
    columns = math.ceil(math.sqrt(channels * height / width))
    rows = math.ceil(channels / columns)
    block = images.new_full((n, rows, columns, height + 1, width + 1), 128)
    block.flatten(1, 2)[:, :channels, :height, :width] = images
    return block.transpose(2, 3).reshape(n, 1, rows * (height + 1), -1)[:, :, :-1, :-1]


def grid(images: Tensor, columns: int | None = None, gap: int = 2) -> Image.Image:
    """uint8 (n, C, H, W) -> one picture, row by row, near square unless `columns` says."""
    images = shown(images)
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


def in_rows(images: Tensor, labels: Tensor | None, gap: int = 2) -> Image.Image:
    """uint8 (n, C, H, W) as a grid whose rows are of one class each, by labels int64 (n,).

    Classes come in the order of their first image; rows that are not full end in white. Without
    classes (no labels, or several numbers for each image) it is a plain grid.
    """
    if labels is None or labels.dim() > 1:
        return grid(images, gap=gap)
    groups = [images[labels == k] for k in dict.fromkeys(labels.tolist())]
    most = max(map(len, groups))
    columns = math.ceil(most / max(1, round(math.sqrt(most / len(groups)))))
    rows = math.ceil(most / columns)
    white = torch.full_like(images[:1], 255)
    filled = [torch.cat([g, white.expand(rows * columns - len(g), -1, -1, -1)]) for g in groups]
    return grid(torch.cat(filled), columns, gap)


def png(image: Image.Image) -> bytes:
    """The bytes of a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _array(samples: Tensor, range: tuple[float, float] | None) -> np.ndarray:
    if samples.dim() == 2:
        return samples.numpy()
    if range is None:
        return to_uint8(samples).permute(0, 2, 3, 1).numpy()
    low, high = range
    values = low + (samples.double().clamp(-1, 1) + 1) / 2 * (high - low)
    return values.float().permute(0, 2, 3, 1).numpy()


def save_samples(
    samples: Tensor,
    out: Path,
    labels: Tensor | None = None,
    names: tuple[str, ...] = (),
    *,
    by_class: bool = False,
    range: tuple[float, float] | None = None,
) -> None:
    """Writes samples as `out` asks: .png a grid, .npz arrays, anything else a folder of PNGs.

    labels: int64 (n,) or float32 (n, K); names: of the classes. With `by_class` a grid has a row
    for each class, and a folder a folder; one that holds anything is refused. npz: `arr_0` uint8
    (n, H, W, C), or float32 (n, d) for points; `arr_1` the labels and `classes` the names, if any.
    With range = (low, high), as data that are not of 8 bits have it, `arr_0` is float32 with -1 at
    low and 1 at high.
    """
    points = samples.dim() == 2
    kind = out.suffix.lower()
    if kind == ".npz":
        arrays: Any = {"arr_0": _array(samples, range)}
        if labels is not None:
            arrays |= {"arr_1": labels.cpu().numpy(), "classes": np.array(names)}
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
        rows = in_rows(to_uint8(samples), labels if by_class else None)
        replace_file(out, png(rows))
    elif kind:
        raise RecipeError(
            f"cannot write samples to {out}",
            why=f"'{out.suffix}' is not known",
            fix="--out FILE.png for a grid, FILE.npz for arrays, or a folder",
        )
    else:
        _refuse_filled(out)
        folders = _folders(names)
        with disk_errors("samples", out):
            for i, image in enumerate(to_uint8(samples)):
                inside = out
                if by_class and labels is not None and labels.dim() == 1:
                    inside = out / folders[labels[i]]
                inside.mkdir(parents=True, exist_ok=True)
                picture(image).save(inside / f"{i:06d}.png")


def _refuse_filled(out: Path) -> None:
    """RecipeError where other samples are there: nobody could tell them apart any more."""
    if out.is_dir() and any(out.iterdir()):
        raise RecipeError(
            f"--out {out} is not empty",
            why="these samples would lie among what is there",
            fix="choose another folder, or empty it",
        )


def _folders(names: Sequence[str]) -> list[str]:
    """A folder's name for each class: one that stays inside, and another one for each."""
    found: list[str] = []
    for i, name in enumerate(names):
        plain = re.sub(r"[^\w .-]", "_", name)
        taken = not plain.strip(". ") or plain in found
        found.append(f"{i}-{plain}" if taken else plain)
    return found
