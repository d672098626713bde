"""Spectral normalisation: every weight divided by its largest singular value."""

from __future__ import annotations

from typing import TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils import parametrize

from sparring.nets.condition import Embedding, See

_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d, Embedding)
Net = TypeVar("Net", bound=nn.Module)


class Spectral(nn.Module):
    """W -> W / sigma, with sigma the largest singular value of W as a matrix (rows, the rest).

    sigma = |W' u| for a unit vector u kept as a buffer, which follows the first left singular
    vector by one power iteration in each `iterate`. Asking for the weight changes nothing: it is
    a function of W and u, whose gradient by W is that of sigma. So it may be asked for any number
    of times in a step, inside torch.func.grad too. Miyato et al. 2018, Spectral normalization for
    GANs, arXiv:1802.05957.
    """

    u: Tensor

    def __init__(self, weight: Tensor, transposed: bool = False) -> None:
        super().__init__()
        self.transposed = transposed  # of a transposed convolution rows come second
        self.register_buffer("u", normalize(torch.randn_like(self._matrix(weight)[:, 0]), dim=0))
        self.iterate(weight, 20)

    def _matrix(self, weight: Tensor) -> Tensor:
        return (weight.transpose(0, 1) if self.transposed else weight).flatten(1)

    def forward(self, weight: Tensor) -> Tensor:
        # A moving average of u is no unit vector. Products and sums, so that autocast keeps out.
        u = self.u / self.u.norm().clamp(min=1e-12)
        return weight / (self._matrix(weight) * u[:, None]).sum(0).norm().clamp(min=1e-12)

    @torch.no_grad()
    def iterate(self, weight: Tensor, times: int = 1) -> None:
        """Power iterations of u, `times` of them."""
        matrix = self._matrix(weight)
        for _ in range(times):
            v = normalize(matrix.T @ self.u, dim=0)
            self.u.copy_(normalize(matrix @ v, dim=0))


def spectral(net: Net, wanted: bool = True) -> Net:
    """The network, every linear, convolutional and embedding layer of it normalised if `wanted`.

    But for weights that start at zero, such as the gains of a conditional norm: W / sigma has no
    slope there, and the first step would throw them from zero to one. And but for what D looks at
    beside an image: as one matrix its planes would be too faint to be seen.
    """
    if not wanted:
        return net
    seen = {layer for see in net.modules() if isinstance(see, See) for layer in see.modules()}
    for layer in list(net.modules()):
        if isinstance(layer, _LAYERS) and layer not in seen and bool(layer.weight.any()):
            rule = Spectral(layer.weight.detach(), isinstance(layer, nn.ConvTranspose2d))
            parametrize.register_parametrization(layer, "weight", rule)
    return net


def settle(net: nn.Module) -> None:
    """What a network owes after a step of its optimiser: a power iteration of each weight."""
    for layer in net.modules():
        if isinstance(layer, parametrize.ParametrizationList):
            for rule in layer:
                if isinstance(rule, Spectral):
                    rule.iterate(cast(Tensor, layer.original))
