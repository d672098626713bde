"""The FID of two sets of images, by pytorch-fid's protocol.

    python benchmarks/inception.py A.npz B.npz [--weights FILE]

Each file holds arr_0, uint8 (N, H, W) or (N, H, W, C) with C of 1 or 3. FIDs at different N do not
compare: the fewer images, the larger the FID, even of two sets from one source. The resize is
pytorch-fid's (bilinear, half-pixel centres, no antialias), not TensorFlow's.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sparring.errors import SparringError
from sparring.metrics import Bilinear, Gaussian, Inception, Real, frechet_distance, offer


def statistics(images: Tensor) -> Gaussian:
    """Mean and covariance (float64) of the features of uint8 (N, C, H, W), N >= 2, C of 1 or 3.

    For many sets against one: `frechet_distance` of two of these is their FID.
    """
    extractor = Inception(resize=Bilinear()).open(Real("none"))
    return Gaussian.of(extractor.stream([images], len(images)))


def fid(samples: Tensor, real: Tensor) -> float:
    """The FID of uint8 (N, C, H, W) and uint8 (M, C, H, W), C of 1 or 3 (Heusel et al. 2017)."""
    return frechet_distance(statistics(samples), statistics(real))


def read(path: Path) -> Tensor:
    """arr_0 of an npz file, (N, H, W) or (N, H, W, C), as (N, C, H, W)."""
    with np.load(path) as file:
        images = torch.from_numpy(file["arr_0"])
    return images[:, None] if images.ndim == 3 else images.movedim(-1, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("samples", type=Path, help="npz with arr_0, uint8 (N, H, W[, C])")
    parser.add_argument("real", type=Path, help="npz with arr_0, uint8 (N, H, W[, C])")
    parser.add_argument("--weights", type=Path, help="the Inception weights, if not in the cache")
    args = parser.parse_args()
    try:
        if args.weights:
            offer(args.weights)
        print(f"{fid(read(args.samples), read(args.real)):.4f}")
    except SparringError as e:
        raise SystemExit(f"error: {e}") from None


if __name__ == "__main__":
    main()
