"""Changes to what D sees, real and fake alike."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from sparring.parts import require
from sparring.schedules import Linear, Schedule, value
from sparring.tricks.trick import State, Trick, View


class InstanceNoise(Trick):
    """Gaussian noise on all that D sees, so that real and fake overlap; usually decays.

    `sigma` is a number or a schedule: Linear(start=0.1, end=0.0), Exponential(start=0.1, end=1e-3).
    """

    paper: ClassVar[str] = (
        "Sonderby et al. 2017, Amortised MAP inference, arXiv:1610.04490; "
        "Arjovsky & Bottou 2017, arXiv:1701.04862"
    )
    sigma: float | Schedule = Linear(start=0.1, end=0.0)

    def check(self) -> None:
        super().check()
        sigma = self.sigma.start if isinstance(self.sigma, Schedule) else self.sigma
        require(sigma >= 0, "sigma must not be negative")

    def see(self, view: View, state: State, images: Tensor) -> Tensor:
        noise = view.rng.normal(*images.shape).to(images)
        return images + value(self.sigma, view.images) * noise
