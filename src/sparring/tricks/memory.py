"""Tricks that remember, or hold, weights, samples and logits: clipping, averages, replay, LeCam."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from sparring.errors import RecipeError
from sparring.parts import require
from sparring.tricks.trick import State, Trick, View


class WeightClipping(Trick):
    """Clamps D's weights to [-limit, limit] after each of its steps."""

    paper: ClassVar[str] = "Arjovsky et al. 2017, Wasserstein GAN, arXiv:1701.07875"
    clips: ClassVar[bool] = True
    limit: float = 0.01

    def check(self) -> None:
        super().check()
        require(self.limit > 0, "limit must be positive")

    def after_step(self, view: View, state: State) -> None:
        if view.side == "d":
            with torch.no_grad():
                for p in view.D.parameters():
                    p.clamp_(-self.limit, self.limit)


class HistoricalAveraging(Trick):
    """Both players are pulled to the mean of their past weights: weight |theta - mean theta|^2."""

    paper: ClassVar[str] = (
        "Salimans et al. 2016, Improved techniques for training GANs, arXiv:1606.03498"
    )
    weight: float = 1e-3

    def check(self) -> None:
        super().check()
        require(self.weight >= 0, "weight must not be negative")

    def init(self, view: View, state: State) -> State:
        means = {
            f"{side}.{name}": p.detach().clone()
            for side, net in (("d", view.D), ("g", view.G))
            for name, p in net.named_parameters()
        }
        count = torch.ones((), dtype=torch.int64, device=view.images.device)
        return {**means, "d_count": count, "g_count": count.clone()}

    def _term(self, side: str, net: nn.Module, state: State) -> Tensor:
        pulls = [(p - state[f"{side}.{k}"]).square().sum() for k, p in net.named_parameters()]
        return self.weight * torch.stack(pulls).sum()

    def d_term(self, view: View, state: State) -> Tensor | float:
        return self._term("d", view.D, state)

    def g_term(self, view: View, state: State) -> Tensor | float:
        return self._term("g", view.G, state)

    def after_step(self, view: View, state: State) -> None:
        net = view.D if view.side == "d" else view.G
        count = state[f"{view.side}_count"].add_(1)
        for name, p in net.named_parameters():
            state[f"{view.side}.{name}"].lerp_(p.detach(), (1 / count).to(p))


class Replay(Trick):
    """D also meets fakes of the past: with probability `share` a fake is swapped for a stored one.

    The pool fills first, then every swap stores the new fake in the old one's place. Conditions are
    stored with their fakes, and D judges an old fake by its own.
    """

    paper: ClassVar[str] = (
        "Shrivastava et al. 2017, Learning from simulated and unsupervised images, arXiv:1612.07828"
    )
    swaps: ClassVar[bool] = True
    size: int = 512
    share: float = 0.5

    def check(self) -> None:
        super().check()
        require(self.size >= 1, "size must be at least 1")
        require(0 <= self.share <= 1, "share must lie in [0, 1]")

    def init(self, view: View, state: State) -> State:
        n = view.fake.shape[0]
        if self.size < n:
            raise RecipeError(
                f"{self!r}: the pool must hold at least one batch, which is {n}",
                fix=f"Replay(size={n}) or more",
            )
        pool = torch.zeros((self.size, *view.fake.shape[1:])).to(view.fake)
        filled = torch.zeros((), dtype=torch.int64, device=pool.device)
        labels = {} if view.c is None else {"c": view.c.new_zeros((self.size, *view.c.shape[1:]))}
        return {"pool": pool, "filled": filled, **labels}

    def fakes(self, view: View, state: State, batch: Tensor) -> Tensor:
        n, pool, filled = batch.shape[0], state["pool"], state["filled"]
        # No Python `if` on the count: the slots are the next free ones while there is room for a
        # batch, random ones after that (at most n - 1 slots are never used).
        filling = filled + n <= self.size
        free = (filled + torch.arange(n, device=pool.device)) % self.size
        slots = torch.where(filling, free, view.rng.permutation(self.size - self.size % n)[:n])
        chosen = view.rng.uniform(n).to(pool.device) < self.share
        swap = chosen & ~filling

        def through(pool: Tensor, new: Tensor) -> Tensor:
            old, rows = pool[slots], swap.view(n, *[1] * (new.dim() - 1))
            pool[slots] = torch.where(rows | filling, new.detach(), old)
            return torch.where(rows, old, new)

        if view.fake_c is not None:
            view.fake_c = through(state["c"], view.fake_c)
        filled.add_(n * filling)
        return through(pool, batch)


class LeCam(Trick):
    """Keeps D's logits near the moving average of those of the other side.

    weight (E (x - a)^2 + E (y - b)^2) with x = D(real), y = D(fake), a the average of past y and b
    of past x (corrected for their start at 0; no term in the first step).
    """

    paper: ClassVar[str] = (
        "Tseng et al. 2021, Regularizing GANs under limited data, arXiv:2104.03310"
    )
    weight: float = 0.1
    decay: float = 0.99

    def check(self) -> None:
        super().check()
        require(self.weight >= 0, "weight must not be negative")
        require(0 <= self.decay < 1, "decay must lie in [0, 1)")

    def init(self, view: View, state: State) -> State:
        zero = torch.zeros((), device=view.images.device)
        return {"real": zero, "fake": zero, "count": zero}

    def d_term(self, view: View, state: State) -> Tensor | float:
        count = state["count"]
        whole = 1 - self.decay ** count.clamp(min=1)
        x = view.real_logits - state["fake"] / whole
        y = view.fake_logits - state["real"] / whole
        return self.weight * (count > 0) * (x.square().mean() + y.square().mean())

    def after_step(self, view: View, state: State) -> None:
        if view.side == "d":
            for side, logits in (("real", view.real_logits), ("fake", view.fake_logits)):
                mean = view.mean(logits.detach().mean()).to(state[side])
                state[side].lerp_(mean, 1 - self.decay)
            state["count"].add_(1)
