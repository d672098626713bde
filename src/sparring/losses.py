"""Adversarial losses: pure functions of logits, mathematics only.

Written with x = D(real) and y = D(fake), before any sigmoid, and sp(t) = log(1 + exp t), so that
-log sigmoid(t) = sp(-t). Each loss is what its player *minimises*, averaged over all logits.
"""

from __future__ import annotations

from typing import ClassVar, Protocol

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus

from sparring.parts import Part, require


class Uniform(Protocol):
    """Where random labels come from."""

    def uniform(self, n: int, *shape: int) -> Tensor: ...


Label = float | tuple[float, float]


class Loss(Part, kind="losses", abstract=True):
    """What D and G minimise, as functions of logits of any shape; each returns one number.

    `needs_real`: whether G's loss reads D(real). `pairs`: whether real and fake are compared row by
    row. `logistic`: whether sigmoid(D) estimates p / (p + q) at D's optimum, which the report
    draws. `lipschitz`: whether D's slope must be bounded by something, or the loss has no least
    value.
    """

    needs_real: ClassVar[bool] = False
    pairs: ClassVar[bool] = False
    lipschitz: ClassVar[bool] = False

    @property
    def logistic(self) -> bool:
        return False

    def d(self, real: Tensor, fake: Tensor, rng: Uniform | None = None) -> Tensor:
        """D's loss."""
        raise NotImplementedError

    def g(self, real: Tensor | None, fake: Tensor, rng: Uniform | None = None) -> Tensor:
        """G's loss."""
        raise NotImplementedError

    def boundary(self, real: Tensor, fake: Tensor) -> Tensor | float:
        """The logit above which D says "real", for its accuracy."""
        return 0.0


def _check_label(label: Label, name: str) -> None:
    low, high = label if isinstance(label, tuple) else (label, label)
    _check_range(low, high)
    require(low >= 0 and high <= 1, f"the label '{name}' must lie in [0, 1]")


def _check_range(low: float, high: float) -> None:
    require(low <= high, f"a range of labels goes upwards, not from {low} to {high}")


def _target(label: Label, like: Tensor, rng: Uniform | None) -> Tensor | float:
    """The label, drawn anew per logit where it is a range."""
    if not isinstance(label, tuple):
        return label
    if rng is None:
        raise ValueError("random labels need a source of random numbers")
    low, high = label
    return low + (high - low) * rng.uniform(*like.shape).to(like)


def _cross_entropy(logits: Tensor, target: Tensor | float) -> Tensor:
    """-t log sigmoid(l) - (1 - t) log(1 - sigmoid(l)) = sp(l) - t l, averaged."""
    return (softplus(logits) - target * logits).mean()


class NonSaturating(Loss):
    """The loss of practice: D as in the minimax game, G maximises log D(fake).

    d = E sp(-x) + E sp(y), g = E sp(-y). `real` and `fake` are D's labels: 0.9 and 0 is one-sided
    smoothing (Salimans et al. 2016), 0.9 and 0.1 two-sided, `real=(0.9, 1.0)` a random label for
    each logit.
    """

    paper: ClassVar[str] = "Goodfellow et al. 2014, Generative adversarial nets, arXiv:1406.2661"
    real: Label = 1.0
    fake: Label = 0.0

    @property
    def logistic(self) -> bool:
        return (self.real, self.fake) == (1.0, 0.0)

    def check(self) -> None:
        _check_label(self.real, "real")
        _check_label(self.fake, "fake")

    def d(self, real: Tensor, fake: Tensor, rng: Uniform | None = None) -> Tensor:
        x = _cross_entropy(real, _target(self.real, real, rng))
        return x + _cross_entropy(fake, _target(self.fake, fake, rng))

    def g(self, real: Tensor | None, fake: Tensor, rng: Uniform | None = None) -> Tensor:
        return softplus(-fake).mean()


class Minimax(NonSaturating):
    """The saturating loss of the theory: G minimises log(1 - D(fake)), so its gradient vanishes
    where D is sure.

    d = E sp(-x) + E sp(y), g = -E sp(y). Labels as in NonSaturating.
    """

    paper: ClassVar[str] = NonSaturating.paper

    def g(self, real: Tensor | None, fake: Tensor, rng: Uniform | None = None) -> Tensor:
        return -softplus(fake).mean()


class LeastSquares(Loss):
    """Squared distance of the logits from labels.

    d = E (x - real)^2 / 2 + E (y - fake)^2 / 2, g = E (y - target)^2 / 2; the labels may be ranges.
    """

    paper: ClassVar[str] = "Mao et al. 2017, Least squares GAN, arXiv:1611.04076"
    real: Label = 1.0
    fake: Label = 0.0
    target: float = 1.0

    def check(self) -> None:
        for label in (self.real, self.fake):
            low, high = label if isinstance(label, tuple) else (label, label)
            _check_range(low, high)

    def d(self, real: Tensor, fake: Tensor, rng: Uniform | None = None) -> Tensor:
        x = (real - _target(self.real, real, rng)).square().mean()
        return x / 2 + (fake - _target(self.fake, fake, rng)).square().mean() / 2

    def g(self, real: Tensor | None, fake: Tensor, rng: Uniform | None = None) -> Tensor:
        return (fake - self.target).square().mean() / 2

    def boundary(self, real: Tensor, fake: Tensor) -> Tensor | float:
        labels = [sum(b) / 2 if isinstance(b, tuple) else b for b in (self.real, self.fake)]
        return sum(labels) / 2


class Wasserstein(Loss):
    """The dual of the Earth-Mover distance; D must be kept Lipschitz by a trick.

    d = E y - E x, g = -E y.
    """

    paper: ClassVar[str] = "Arjovsky et al. 2017, Wasserstein GAN, arXiv:1701.07875"
    lipschitz: ClassVar[bool] = True

    def d(self, real: Tensor, fake: Tensor, rng: Uniform | None = None) -> Tensor:
        return fake.mean() - real.mean()

    def g(self, real: Tensor | None, fake: Tensor, rng: Uniform | None = None) -> Tensor:
        return -fake.mean()

    def boundary(self, real: Tensor, fake: Tensor) -> Tensor | float:
        return _midpoint(real, fake)


class Hinge(Loss):
    """Logits pushed beyond a margin of one and no further.

    d = E max(0, 1 - x) + E max(0, 1 + y), g = -E y.
    """

    paper: ClassVar[str] = "Lim & Ye 2017, Geometric GAN, arXiv:1705.02894"

    def d(self, real: Tensor, fake: Tensor, rng: Uniform | None = None) -> Tensor:
        return relu(1 - real).mean() + relu(1 + fake).mean()

    def g(self, real: Tensor | None, fake: Tensor, rng: Uniform | None = None) -> Tensor:
        return -fake.mean()


class RelativisticPaired(Loss):
    """D tells which of a pair is real; with R1 and R2 local convergence is proven (R3GAN).

    d = E sp(-(x - y)), g = E sp(-(y - x)), logits paired by index.
    """

    paper: ClassVar[str] = (
        "Jolicoeur-Martineau 2019, Relativistic GAN, arXiv:1807.00734; "
        "Huang et al. 2024, R3GAN, arXiv:2501.05441"
    )
    needs_real: ClassVar[bool] = True
    pairs: ClassVar[bool] = True

    def d(self, real: Tensor, fake: Tensor, rng: Uniform | None = None) -> Tensor:
        return softplus(fake - real).mean()

    def g(self, real: Tensor | None, fake: Tensor, rng: Uniform | None = None) -> Tensor:
        if real is None:
            raise ValueError("the relativistic loss needs D(real)")
        return softplus(real - fake).mean()

    def boundary(self, real: Tensor, fake: Tensor) -> Tensor | float:
        return _midpoint(real, fake)


class RelativisticAverage(Loss):
    """D tells how much more real the reals are than the average fake, and the other way round.

    With x' = x - E y and y' = y - E x: d = base.d(x', y') and g = base.d(y', x'). The paper's
    RaSGAN is base=NonSaturating(), RaLSGAN base=LeastSquares(real=1, fake=-1), RaHingeGAN
    base=Hinge(). Averages are over this process's logits. Of base only D's side is used, so a
    `target` for its G is not.
    """

    paper: ClassVar[str] = "Jolicoeur-Martineau 2019, Relativistic GAN, arXiv:1807.00734"
    needs_real: ClassVar[bool] = True
    base: Loss = NonSaturating()

    def check(self) -> None:
        require(not self.base.needs_real, "base must be a loss that is not relativistic itself")

    def d(self, real: Tensor, fake: Tensor, rng: Uniform | None = None) -> Tensor:
        return self.base.d(real - fake.mean(), fake - real.mean(), rng)

    def g(self, real: Tensor | None, fake: Tensor, rng: Uniform | None = None) -> Tensor:
        if real is None:
            raise ValueError("the relativistic loss needs D(real)")
        return self.base.d(fake - real.mean(), real - fake.mean(), rng)

    def boundary(self, real: Tensor, fake: Tensor) -> Tensor | float:
        return _midpoint(real, fake)


def _midpoint(real: Tensor, fake: Tensor) -> Tensor:
    """Half way between the two means: the boundary of a critic whose logits have a free offset."""
    return (torch.mean(real) + torch.mean(fake)) / 2
