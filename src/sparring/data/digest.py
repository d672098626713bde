"""The fingerprint of a set of images."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import torch
from torch import Tensor

from sparring.data.rows import Rows

_BLOCK = 4096  # rows of a file read at once


def digest(pixels: Tensor | Rows, labels: Tensor | None) -> str:
    """16 hexadecimal digits of the SHA-256 of shape, pixels and labels.

    pixels: uint8 or float32 (N, C, H, W), read in the order N, H, W, C; labels: int64 (N,), float32
    (N, K) or None.
    """
    said = (tuple(pixels.shape), labels is not None)
    more = () if pixels.dtype == torch.uint8 else (str(pixels.dtype),)
    sha = hashlib.sha256(repr(said + more).encode())
    for block in [pixels] if isinstance(pixels, Tensor) else _blocks(pixels):
        sha.update(block.permute(0, 2, 3, 1).contiguous().numpy().data.cast("B"))
    if labels is not None:
        kind = "<f4" if labels.is_floating_point() else "<i8"
        sha.update(labels.contiguous().numpy().astype(kind).tobytes())
    return sha.hexdigest()[:16]


def digest_part(whole: str, index: Tensor) -> str:
    """The fingerprint of the images at `index`, int64 (n,), of a set of the digest `whole`."""
    return hashlib.sha256(whole.encode() + index.numpy().astype("<i8").tobytes()).hexdigest()[:16]


def digest_both(inputs: str, targets: str) -> str:
    """The fingerprint of two sets of which one is translated into the other."""
    return hashlib.sha256(f"{inputs} to {targets}".encode()).hexdigest()[:16]


def _blocks(rows: Rows) -> Iterator[Tensor]:
    for start in range(0, len(rows), _BLOCK):
        yield rows[start : start + _BLOCK]
