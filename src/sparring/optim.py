"""Optimisers, as parts."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import ClassVar

import torch
from torch import Tensor

from sparring.parts import Part, require
from sparring.schedules import Schedule


class Optimiser(Part, kind="optimisers", abstract=True):
    """How parameters follow their gradients. `schedule`, if any, multiplies the rate `lr`."""

    lr: float = 2e-4
    schedule: Schedule | None = None

    def check(self) -> None:
        require(0 < self.lr < math.inf, f"the rate lr must be positive, not {self.lr}")
        ends = (self.schedule.start, self.schedule.end) if self.schedule else (1.0,)
        require(min(ends) >= 0, "the schedule of a rate must not go below zero")

    def rate(self, images: int) -> float:
        """The learning rate after `images` images."""
        return self.lr * (float(self.schedule(torch.tensor(images))) if self.schedule else 1.0)

    def build(self, parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
        """The torch optimiser over the parameters."""
        raise NotImplementedError


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


class SGD(Optimiser):
    """Stochastic gradient descent, with momentum if asked."""

    paper: ClassVar[str] = "Robbins & Monro 1951, A stochastic approximation method"
    momentum: float = 0.0

    def check(self) -> None:
        super().check()
        require(self.momentum >= 0, "momentum must not be negative")

    def build(self, parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr=self.lr, momentum=self.momentum)
