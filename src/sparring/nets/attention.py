"""Self-attention over the positions of a feature map."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d


class SelfAttention(nn.Module):
    """x + gamma o(attention): every position reads from all others; (n, C, h, w) -> the same.

    Queries and keys have an eighth of the channels, values half; keys and values are taken from
    the map pooled to half its size. gamma starts at 0, so at first it is the identity. Plain matrix
    products: their second derivative exists, as gradient penalties need. Zhang et al. 2019,
    SAGAN, arXiv:1805.08318.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        key, value = max(width // 8, 1), max(width // 2, 1)
        self.query, self.key = (nn.Conv2d(width, key, 1, bias=False) for _ in range(2))
        self.value = nn.Conv2d(width, value, 1, bias=False)
        self.out = nn.Conv2d(value, width, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        pooled = max_pool2d(x, 2) if min(x.shape[2:]) > 1 else x
        q = self.query(x).flatten(2).transpose(1, 2)
        k, v = self.key(pooled).flatten(2), self.value(pooled).flatten(2)
        share = torch.softmax((q @ k).float() if q.dtype == torch.bfloat16 else q @ k, -1)
        read = (v @ share.to(v).transpose(1, 2)).unflatten(2, x.shape[2:])
        return x + self.gamma.to(x) * self.out(read)
