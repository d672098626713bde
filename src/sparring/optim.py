"""Optimisers, as parts."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import ClassVar

import torch
from torch import Tensor

from sparring.errors import RecipeError
from sparring.parts import Part, require
from sparring.schedules import Schedule, least

Memory = dict[str, Tensor]


class Optimiser(Part, kind="optimisers", abstract=True):
    """How parameters follow their gradients. `schedule`, if any, multiplies the rate `lr`."""

    lr: float = 2e-4
    schedule: Schedule | None = None

    def check(self) -> None:
        require(0 < self.lr < math.inf, f"the rate lr must be positive, not {self.lr}")
        require(least(self.schedule or 1.0) >= 0, "the schedule of a rate must not go below zero")

    def rate(self, images: int) -> float:
        """The learning rate after `images` images."""
        return self.lr * (self.schedule.at(images) if self.schedule else 1.0)

    def build(self, parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
        """The torch optimiser over the parameters."""
        raise NotImplementedError

    def follow(
        self, weight: Tensor, gradient: Tensor, memory: Memory, lr: float
    ) -> tuple[Tensor, Memory]:
        """One step at the rate `lr` as a function: the new weight and memory.

        `memory` is what the torch optimiser keeps of this weight, {} before the first step. All
        of it can be differentiated.
        """
        raise RecipeError(f"{self!r} cannot be followed step by step", fix="--d-optim Adam")


def _check_betas(betas: tuple[float, float]) -> None:
    require(all(0 <= b < 1 for b in betas), f"betas must lie in [0, 1), not {betas}")


class Adam(Optimiser):
    """Adam with the betas usual for GANs."""

    paper: ClassVar[str] = "Kingma & Ba 2015, Adam, arXiv:1412.6980"
    betas: tuple[float, float] = (0.5, 0.999)
    eps: float = 1e-8

    def check(self) -> None:
        super().check()
        _check_betas(self.betas)

    def build(self, parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, lr=self.lr, betas=self.betas, eps=self.eps, fused=True)

    def follow(
        self, weight: Tensor, gradient: Tensor, memory: Memory, lr: float
    ) -> tuple[Tensor, Memory]:
        step, memory = _adam(gradient, memory, self.betas, self.eps)
        return weight - lr * step, memory


class AdamW(Optimiser):
    """Adam with decoupled weight decay."""

    paper: ClassVar[str] = "Loshchilov & Hutter 2019, AdamW, arXiv:1711.05101"
    betas: tuple[float, float] = (0.5, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.01

    def check(self) -> None:
        super().check()
        _check_betas(self.betas)
        require(self.weight_decay >= 0, "weight_decay must not be negative")

    def build(self, parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            parameters,
            lr=self.lr,
            betas=self.betas,
            eps=self.eps,
            weight_decay=self.weight_decay,
            fused=True,
        )

    def follow(
        self, weight: Tensor, gradient: Tensor, memory: Memory, lr: float
    ) -> tuple[Tensor, Memory]:
        step, memory = _adam(gradient, memory, self.betas, self.eps)
        return weight * (1 - lr * self.weight_decay) - lr * step, memory


class RMSprop(Optimiser):
    """RMSprop, the optimiser of the first Wasserstein GAN."""

    paper: ClassVar[str] = "Tieleman & Hinton 2012, RMSprop, Coursera lecture 6.5"
    lr: float = 5e-5
    alpha: float = 0.99
    eps: float = 1e-8

    def check(self) -> None:
        super().check()
        require(0 <= self.alpha < 1, "alpha must lie in [0, 1)")

    def build(self, parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
        return torch.optim.RMSprop(parameters, lr=self.lr, alpha=self.alpha, eps=self.eps)

    def follow(
        self, weight: Tensor, gradient: Tensor, memory: Memory, lr: float
    ) -> tuple[Tensor, Memory]:
        past = memory.get("square_avg", torch.zeros_like(weight))
        square = self.alpha * past + (1 - self.alpha) * gradient.square()
        return weight - lr * gradient / (_root(square) + self.eps), {"square_avg": square}


class SGD(Optimiser):
    """Stochastic gradient descent, with momentum if asked."""

    paper: ClassVar[str] = "Robbins & Monro 1951, A stochastic approximation method"
    momentum: float = 0.0

    def check(self) -> None:
        super().check()
        require(self.momentum >= 0, "momentum must not be negative")

    def build(self, parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr=self.lr, momentum=self.momentum)

    def follow(
        self, weight: Tensor, gradient: Tensor, memory: Memory, lr: float
    ) -> tuple[Tensor, Memory]:
        past = memory.get("momentum_buffer")
        speed = gradient if past is None else self.momentum * past + gradient
        return weight - lr * speed, {"momentum_buffer": speed} if self.momentum else {}


def _adam(
    gradient: Tensor, memory: Memory, betas: tuple[float, float], eps: float
) -> tuple[Tensor, Memory]:
    """The step of Adam before the rate, and its new moments."""
    zero, (b1, b2) = torch.zeros_like(gradient), betas
    # In double precision: 1 - 0.999 has lost half its digits in single.
    step = memory.get("step", torch.zeros((), device=gradient.device)).double() + 1
    first = b1 * memory.get("exp_avg", zero) + (1 - b1) * gradient
    second = b2 * memory.get("exp_avg_sq", zero) + (1 - b2) * gradient.square()
    c1, c2 = ((1 - b**step).to(gradient.dtype) for b in betas)
    new = {"step": step, "exp_avg": first, "exp_avg_sq": second}
    return first / c1 / (_root(second / c2) + eps), new


def _root(x: Tensor) -> Tensor:
    """The square root, with slope 0 at 0 in place of infinity."""
    some = x > 0
    return torch.where(some, torch.where(some, x, 1.0).sqrt(), 0.0)
