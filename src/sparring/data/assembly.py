"""A set of images put together: pixels, labels and what tells the set from others."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sparring.data.digest import digest
from sparring.data.labels import Labels
from sparring.data.rows import Rows
from sparring.data.source import Images
from sparring.errors import DataError


def arrange(
    pixels: np.ndarray | Rows,
    labels: Labels | None,
    where: str,
    left_out: Sequence[tuple[str, str]] = (),
    content: str = "",
) -> Images:
    """The set of images, an array (N, H, W, C) or rows, without the classes that none of them has.

    content: the digest of rows. Raises DataError for fewer than two images.
    """
    if len(pixels) < 2:
        raise DataError(
            "only one usable image" if len(pixels) else "no usable image",
            where=where,
            why="; ".join(f"{name}: {why}" for name, why in left_out[:3]),
            fix="give at least 2 images",
        )
    if isinstance(pixels, Rows):
        values: Tensor | Rows = pixels
    else:
        values = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    found: Tensor | None = None
    classes: tuple[str, ...] = ()
    if labels is not None and labels[0].ndim == 2:
        found, classes = torch.from_numpy(labels[0].astype(np.float32)), labels[1]
    elif labels is not None:
        used, inverse = np.unique(labels[0], return_inverse=True)
        classes = tuple(labels[1][i] for i in used)
        found = torch.from_numpy(inverse.astype(np.int64))
    if isinstance(values, Rows):
        told = b"" if found is None else found.numpy().tobytes()
        known = hashlib.sha256(content.encode() + told).hexdigest()[:16]
    else:
        known = digest(values, found)
    return Images(values, found, classes, known, tuple(left_out))
