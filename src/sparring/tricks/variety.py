"""Terms of G alone: how far its samples move with its noise."""

from __future__ import annotations

import math
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from sparring.parts import require
from sparring.tricks.trick import State, Trick, View


class ModeSeeking(Trick):
    """G's samples must differ where its noise does: weight / (E d(x1, x2) / d(z1, z2)).

    x1 = G(z1) and x2 = G(z2) under the same conditions, d the mean absolute difference.
    """

    paper: ClassVar[str] = "Mao et al. 2019, Mode seeking GANs, arXiv:1903.05628"
    steps_in_noise: ClassVar[bool] = True
    weight: float = 1.0

    def check(self) -> None:
        super().check()
        require(self.weight >= 0, "weight must not be negative")

    def g_term(self, view: View, state: State) -> Tensor | float:
        assert view.z is not None
        z = cast(Any, view.G).noise(view.z.shape[0], view.rng)
        x = view.G(z, view.c)
        apart = (x - view.fake).abs().flatten(1).mean(1) / (z - view.z).abs().flatten(1).mean(1)
        return self.weight / (apart.mean() + 1e-5)


class PathLength(Trick):
    """A step in the noise moves G's sample by the same length everywhere: weight E (|J' y| - a)^2.

    J is the Jacobian of G, y Gaussian noise of the samples' shape (over the square root of the
    number of pixels), a the moving average of |J' y|. As in the paper J is taken at the styles of a
    G that makes some of z (StyleGAN2), |J' y|^2 then being the mean over its layers; at z of any
    other. `share` of the batch bears it.
    """

    paper: ClassVar[str] = "Karras et al. 2020, StyleGAN2, arXiv:1912.04958"
    steps_in_noise: ClassVar[bool] = True
    weight: float = 2.0
    decay: float = 0.99
    share: float = 0.5

    def check(self) -> None:
        super().check()
        require(self.weight >= 0, "weight must not be negative")
        require(0 <= self.decay < 1, "decay must lie in [0, 1)")
        require(0 < self.share <= 1, "share must lie in (0, 1]")

    def init(self, view: View, state: State) -> State:
        return {"length": torch.zeros((), device=view.images.device)}

    def g_term(self, view: View, state: State) -> Tensor | float:
        assert view.z is not None
        n = max(1, round(self.share * view.z.shape[0]))
        y = view.rng.normal(n, *view.fake.shape[1:]) / math.sqrt(math.prod(view.fake.shape[2:]))
        c = None if view.c is None else view.c[:n]
        slope = _pull_back(view.G, view.z[:n], c, y.to(view.fake))
        lengths = (slope.flatten(1).square().sum(1) + 1e-12).sqrt()
        view.notes["path_length"] = lengths.detach().mean()
        return self.weight * (lengths - state["length"]).square().mean()

    def after_step(self, view: View, state: State) -> None:
        if view.side == "g" and "path_length" in view.notes:
            length = view.mean(view.notes["path_length"]).to(state["length"])
            state["length"].lerp_(length, 1 - self.decay)


def _pull_back(G: nn.Module, z: Tensor, c: Tensor | None, y: Tensor) -> Tensor:
    """J' y, the gradient of G(z).y in G's styles or else in z; G's buffers do not follow.

    That in the styles of the n layers there are is divided by sqrt(n): the paper's weight is for a
    mean.
    """
    styles = cast(Any, G).styles(z, c) if hasattr(G, "styles") else None

    def total(at: Tensor) -> Tensor:
        buffers = {name: b.clone() for name, b in G.named_buffers()}
        args = (at, c) if styles is None else (z, c, at)
        return (torch.func.functional_call(G, buffers, args) * y).sum()

    if styles is None:
        return torch.func.grad(total)(z)
    used = getattr(G, "used", styles.shape[1])  # a G that grows has not all of its layers yet
    return torch.func.grad(total)(styles) / math.sqrt(used)
