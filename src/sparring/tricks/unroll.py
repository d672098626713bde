"""Unrolling: G plays against the D that would answer it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from sparring.parts import require
from sparring.tricks.trick import State, Trick, View


class Unrolled(Trick):
    """G plays against D as it would be `steps` of its own steps later, and is differentiated
    through them.

    Each inner step is D's whole objective (loss and tricks) on this batch and one step of D's
    optimiser with its present moments; D itself does not move. A step of G then costs about
    2 `steps` of D's. With several processes each unrolls on its own rows.
    """

    paper: ClassVar[str] = "Metz et al. 2017, Unrolled GANs, arXiv:1611.02163"
    follows: ClassVar[bool] = True
    steps: int = 5

    def check(self) -> None:
        super().check()
        require(self.steps >= 1, "steps must be at least 1")

    def opponent(self, view: View, state: State, D: nn.Module) -> nn.Module:
        assert view.d_loss is not None
        assert view.d_step is not None
        weights = {
            name: p.detach().requires_grad_() for name, p in D.named_parameters() if p.requires_grad
        }
        other, memory = _With(D, weights), {}
        for _ in range(self.steps):
            loss = view.d_loss(other, view)
            found = torch.autograd.grad(
                loss, list(weights.values()), create_graph=True, allow_unused=True
            )
            weights, memory = view.d_step(weights, dict(zip(weights, found, strict=True)), memory)
            other = _With(D, weights)
        return other


class _With(nn.Module):
    """D with other weights, and with buffers of its own (BatchNorm's statistics)."""

    def __init__(self, D: nn.Module, weights: dict[str, Tensor]) -> None:
        super().__init__()
        self.mixes = getattr(D, "mixes", False)
        # Out of reach of Module's bookkeeping: neither D nor these weights are parts of this one.
        self._lent = lambda: (D, weights)
        self._names = {name.replace(".", "/"): name for name, _ in D.named_buffers()}
        for mine, name in self._names.items():
            self.register_buffer(mine, D.get_buffer(name).clone())

    def named_parameters(self, *_: Any, **__: Any) -> Iterator[tuple[str, Any]]:
        """These weights by D's names, for tricks that read them."""
        return iter(self._lent()[1].items())

    def forward(self, *inputs: Any, **options: Any) -> Any:
        D, weights = self._lent()
        buffers = {name: getattr(self, mine) for mine, name in self._names.items()}
        return torch.func.functional_call(D, {**weights, **buffers}, inputs, options)
