"""The order of a tensor's values in memory, which a fused optimiser takes for granted."""

from __future__ import annotations

import torch
from torch import Tensor


def laid_out_like(p: Tensor, x: Tensor) -> Tensor:
    """x with the strides of the parameter p, which has its shape; x itself where it has them.

    torch's fused Adam on a CPU walks through the memory of weights, gradients and moments side by
    side and looks at no strides: a contiguous gradient of a channels-last weight moves the wrong
    values, silently.
    """
    return x if x.stride() == p.stride() else torch.empty_like(p).copy_(x)
