"""The FID of two sets of images, by pytorch-fid's protocol.

    SPARRING_TEST_DATA=... python benchmarks/inception.py A.npz B.npz

Each file holds arr_0, uint8 (N, H, W) or (N, H, W, C) with C of 1 or 3. FIDs at different N do not
compare: the fewer images, the larger the FID, even of two sets from one source.

Features: pool3 of Inception-v3 (Szegedy et al. 2015, arXiv:1512.00567) as TensorFlow released it on
2015-12-05, whose weights every published FID uses (Heusel et al. 2017, arXiv:1706.08500); they are
in fid_inception_2015_12_05_pool3_fp32.safetensors in the folder that SPARRING_TEST_DATA names.
The resize is pytorch-fid's (bilinear, half-pixel centres, no antialias), not TensorFlow's.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from sparring.errors import DataError, SparringError
from sparring.metrics import Gaussian, frechet_distance

WEIGHTS = "fid_inception_2015_12_05_pool3_fp32.safetensors"
EPS = 1e-3  # of every batch normalisation
BATCH = 32
SIDE = 299


class Step(NamedTuple):
    """One convolution of a branch. It keeps the size, except at stride 2, which has no padding."""

    width: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1


THREE, FIVE, ROW, COLUMN = (3, 3), (5, 5), (1, 7), (7, 1)
# A branch is its steps, one after the other; steps in a tuple run side by side on the same input.
Branches = dict[str, list[Step | tuple[Step, Step]]]


class Conv(nn.Conv2d):
    """Convolution and ReLU; the batch normalisation that stood between is folded into it."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input).relu_()


class Mixed(nn.Module):
    """Branches side by side, joined by channel in the order given, the pooled one last.

    inputs: channels that come in. pool: "mean" or "max", 3x3, the size kept, then the convolution
    `branch_pool`; "halve" is a 3x3 maximum at stride 2 with none. outputs: channels that go out.
    """

    def __init__(self, inputs: int, branches: Branches, pool: str) -> None:
        super().__init__()
        self.pool = pool
        self.chains: list[list[list[str]]] = []
        self.outputs = inputs if pool == "halve" else 0
        for branch, steps in branches.items():
            width, chain = inputs, []
            for i, step in enumerate(steps, start=1):
                name = branch if len(steps) == 1 else f"{branch}_{i}"
                if isinstance(step, Step):
                    sides = {name: step}
                else:
                    sides = {f"{name}{letter}": side for letter, side in zip("ab", step)}
                for key, (channels, kernel, stride) in sides.items():
                    padding = (kernel[0] // 2, kernel[1] // 2) if stride == 1 else 0
                    self.add_module(key, Conv(width, channels, kernel, stride, padding))
                width = sum(side.width for side in sides.values())
                chain.append([*sides])
            self.chains.append(chain)
            self.outputs += width

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H', W'), half the size after "halve"."""
        joined: list[Tensor] = []
        for chain in self.chains:
            y = self._pooled(x) if chain == [["branch_pool"]] else x
            for names in chain:
                sides = [self.get_submodule(name)(y) for name in names]
                y = sides[0] if len(sides) == 1 else torch.cat(sides, dim=1)
            joined.append(y)
        if self.pool == "halve":
            joined.append(F.max_pool2d(x, 3, stride=2))
        return torch.cat(joined, dim=1)

    def _pooled(self, x: Tensor) -> Tensor:
        if self.pool == "max":
            return F.max_pool2d(x, 3, stride=1, padding=1)
        # TensorFlow's mean is over the pixels there are, without the padding.
        return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


def _square(pooled: int) -> Branches:
    """35x35: one 5x5, and the same reach from two 3x3."""
    return {
        "branch1x1": [Step(64)],
        "branch5x5": [Step(48), Step(64, FIVE)],
        "branch3x3dbl": [Step(64), Step(96, THREE), Step(96, THREE)],
        "branch_pool": [Step(pooled)],
    }


def _crossed(n: int) -> Branches:
    """17x17: 7x7 convolutions, each as a row and a column, n wide inside."""
    return {
        "branch1x1": [Step(192)],
        "branch7x7": [Step(n), Step(n, ROW), Step(192, COLUMN)],
        "branch7x7dbl": [
            Step(n),
            Step(n, COLUMN),
            Step(n, ROW),
            Step(n, COLUMN),
            Step(192, ROW),
        ],
        "branch_pool": [Step(192)],
    }


def _forked() -> Branches:
    """8x8: the last 3x3 of each branch as a row beside a column."""
    fork = (Step(384, (1, 3)), Step(384, (3, 1)))
    return {
        "branch1x1": [Step(320)],
        "branch3x3": [Step(384), fork],
        "branch3x3dbl": [Step(448), Step(384, THREE), fork],
        "branch_pool": [Step(192)],
    }


BLOCKS: dict[str, tuple[Branches, str]] = {
    "Mixed_5b": (_square(32), "mean"),
    "Mixed_5c": (_square(64), "mean"),
    "Mixed_5d": (_square(64), "mean"),
    "Mixed_6a": (
        {
            "branch3x3": [Step(384, THREE, 2)],
            "branch3x3dbl": [Step(64), Step(96, THREE), Step(96, THREE, 2)],
        },
        "halve",
    ),
    "Mixed_6b": (_crossed(128), "mean"),
    "Mixed_6c": (_crossed(160), "mean"),
    "Mixed_6d": (_crossed(160), "mean"),
    "Mixed_6e": (_crossed(192), "mean"),
    "Mixed_7a": (
        {
            "branch3x3": [Step(192), Step(320, THREE, 2)],
            "branch7x7x3": [Step(192), Step(192, ROW), Step(192, COLUMN), Step(192, THREE, 2)],
        },
        "halve",
    ),
    "Mixed_7b": (_forked(), "mean"),
    "Mixed_7c": (_forked(), "max"),  # not the mean of the paper: so in the released graph
}


class Inception(nn.Module):
    """Inception-v3 from the pixels to pool3: float32 (B, 3, 299, 299) in [-1, 1] -> (B, 2048)."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Conv(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = Conv(32, 32, 3)
        self.Conv2d_2b_3x3 = Conv(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = Conv(64, 80, 1)
        self.Conv2d_4a_3x3 = Conv(80, 192, 3)
        width = 192
        for name, (branches, pool) in BLOCKS.items():
            block = Mixed(width, branches, pool)
            self.add_module(name, block)
            width = block.outputs

    def forward(self, x: Tensor) -> Tensor:
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = F.max_pool2d(x, 3, stride=2)
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x))
        x = F.max_pool2d(x, 3, stride=2)
        for name in BLOCKS:
            x = self.get_submodule(name)(x)
        return x.mean(dim=(2, 3))


def load_inception() -> Inception:
    """The network with the released weights, frozen, channels last, on the CPU.

    Raises DataError when SPARRING_TEST_DATA is not set or its folder lacks the file.
    """
    folder = os.environ.get("SPARRING_TEST_DATA")
    if not folder:
        raise DataError("SPARRING_TEST_DATA is not set", fix="name the test data folder")
    path = Path(folder) / WEIGHTS
    if not path.is_file():
        raise DataError("no Inception weights", where=path, fix="put the file there")
    network = Inception()
    network.load_state_dict(_folded(load_file(path)))
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def _folded(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Each convolution and its batch normalisation as one convolution with a bias (in float64)."""
    folded: dict[str, Tensor] = {}
    for key in weights:
        name, found, _ = key.partition(".conv.weight")
        if found:
            kernel, gain, shift, mean, variance = (
                weights[f"{name}.{part}"].double()
                for part in (
                    "conv.weight",
                    "bn.weight",
                    "bn.bias",
                    "bn.running_mean",
                    "bn.running_var",
                )
            )
            scale = gain / (variance + EPS).sqrt()
            folded[f"{name}.weight"] = (kernel * scale[:, None, None, None]).float()
            folded[f"{name}.bias"] = (shift - mean * scale).float()
    return folded


def prepare(images: Tensor) -> Tensor:
    """uint8 (B, C, H, W) -> float32 (B, 3, 299, 299) in [-1, 1], channels last; grey repeated."""
    x = images.float().div_(255).expand(-1, 3, -1, -1)
    x = F.interpolate(x, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
    return x.mul_(2).sub_(1).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def features(images: Tensor, network: Inception) -> Iterator[Tensor]:
    """The pool3 features of uint8 (N, C, H, W), C of 1 or 3: float32 (<= 32, 2048) at a time."""
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
        raise DataError(
            f"images of {images.dtype} {tuple(images.shape)}",
            why="the FID takes uint8 (N, C, H, W) with C of 1 or 3",
        )
    for batch in images.split(BATCH):
        with torch.autocast(batch.device.type, enabled=False):
            yield network(prepare(batch))


def statistics(images: Tensor, network: Inception) -> Gaussian:
    """Mean and covariance (float64) of the features of uint8 (N, C, H, W), N >= 2.

    For many sets against one: `frechet_distance` of two of these is their FID.
    """
    return Gaussian.of(features(images, network))


def fid(samples: Tensor, real: Tensor) -> float:
    """The FID of uint8 (N, C, H, W) and uint8 (M, C, H, W), C of 1 or 3 (Heusel et al. 2017).

    It runs where the samples are.
    """
    network = load_inception().to(samples.device)
    of_real = statistics(real.to(samples.device), network)
    return frechet_distance(statistics(samples, network), of_real)


def read(path: Path) -> Tensor:
    """arr_0 of an npz file, (N, H, W) or (N, H, W, C), as (N, C, H, W)."""
    with np.load(path) as file:
        images = torch.from_numpy(file["arr_0"])
    return images[:, None] if images.ndim == 3 else images.movedim(-1, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("samples", type=Path, help="npz with arr_0, uint8 (N, H, W[, C])")
    parser.add_argument("real", type=Path, help="npz with arr_0, uint8 (N, H, W[, C])")
    args = parser.parse_args()
    try:
        print(f"{fid(read(args.samples), read(args.real)):.4f}")
    except SparringError as e:
        raise SystemExit(f"error: {e}") from None


if __name__ == "__main__":
    main()
