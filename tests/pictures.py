"""Seeded pictures that are the same on every machine: whole numbers from NumPy's PCG64 only.

The reference tools are run on them (benchmarks/reference_tools.py), and the tests read the values.
"""

from __future__ import annotations

import hashlib

import numpy as np


def pictures(n: int, side: int, seed: int, coarsest: int = 8) -> np.ndarray:
    """uint8 (n, side, side, 3): random squares of halving sizes added up, as photographs are."""
    rng = np.random.Generator(np.random.PCG64([seed, side]))
    total = np.zeros((n, side, side, 3), np.int64)
    weight, square = 64, max(1, side // coarsest)
    while weight >= 4:
        cells = -(-side // square)
        layer = rng.integers(0, 256, (n, cells, cells, 3))
        layer = layer.repeat(square, axis=1).repeat(square, axis=2)[:, :side, :side]
        total += weight * layer
        weight, square = weight // 2, max(1, square // 2)
    return (total // 128).clip(0, 255).astype(np.uint8)


def pair(n: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Two sets that differ: the second is finer and darker."""
    return pictures(n, side, 1), pictures(n, side, 2, coarsest=16) // 4 * 3


def numbers(n: int, d: int, seed: int) -> np.ndarray:
    """float32 (n, d) >= 0: features with whole multiples of 1/64, exact in every precision."""
    rng = np.random.Generator(np.random.PCG64(seed))
    return ((rng.integers(-256, 257, (n, d)) + 8 * seed).clip(0) / 64).astype(np.float32)


def sha256(array: np.ndarray) -> str:
    """Of shape, type and content."""
    head = f"{array.shape} {array.dtype}\n".encode()
    return hashlib.sha256(head + np.ascontiguousarray(array).tobytes()).hexdigest()
