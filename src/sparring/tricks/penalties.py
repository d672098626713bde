"""Terms added to a loss: penalties on the slope of D, feature matching."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor

from sparring.errors import RecipeError
from sparring.layers import CLASS_LOGITS, DECODED
from sparring.parts import nearest, require
from sparring.schedules import Schedule, least, value
from sparring.tricks.trick import State, Trick, View, slopes


def _square_norm(slopes: Tensor, n: int) -> Tensor:
    """|slope|^2 of each of n logits, (n,); a logit of packed samples has the slopes of all."""
    return slopes.reshape(n, -1).square().sum(1)


class _Slope(Trick, abstract=True):
    """gamma / 2 times the mean square of D's gradient, on a `share` of the batch.

    side: the pixels of a side that gamma is meant for; of larger images it grows with the number of
    pixels, as in Karras et al. 2020, ADA, arXiv:2006.06676, since a slope at many pixels is spread
    thin. 0: gamma as it is.
    """

    per_sample: ClassVar[bool] = True
    gamma: float | Schedule = 1.0
    share: float = 1.0
    side: int = 0

    def check(self) -> None:
        super().check()
        require(least(self.gamma) >= 0, "gamma must not be negative")
        require(0 < self.share <= 1, "share must lie in (0, 1]")
        require(self.side >= 0, "side must not be negative")

    def _penalty(
        self, view: View, slopes: Tensor | None, x: Tensor, logits: Tensor
    ) -> Tensor | float:
        """The term, on this trick's own share: another trick may have asked for more rows.

        slopes: at the first rows of x, whose logits are `logits`.
        """
        assert slopes is not None
        if not getattr(view.D, "mixes", False):
            slopes = slopes[: max(1, round(self.share * x.shape[0]))]
        n = slopes.shape[0] * logits.shape[0] // x.shape[0]
        pixels = math.prod(x.shape[2:])
        larger = max(1.0, pixels / self.side**2) if self.side else 1.0
        return larger * value(self.gamma, view.images) / 2 * _square_norm(slopes, n).mean()


class R1(_Slope):
    """Keeps D flat at real images: gamma / 2 E |grad D(real)|^2."""

    paper: ClassVar[str] = (
        "Mescheder et al. 2018, Which training methods for GANs do actually converge?, "
        "arXiv:1801.04406"
    )
    slopes: ClassVar[tuple[Literal["real", "fake"], ...]] = ("real",)

    def d_term(self, view: View, state: State) -> Tensor | float:
        return self._penalty(view, view.real_slopes, view.real_seen, view.real_logits)


class R2(_Slope):
    """Keeps D flat at generated images: gamma / 2 E |grad D(fake)|^2."""

    paper: ClassVar[str] = R1.paper
    slopes: ClassVar[tuple[Literal["real", "fake"], ...]] = ("fake",)

    def d_term(self, view: View, state: State) -> Tensor | float:
        return self._penalty(view, view.fake_slopes, view.fake_seen, view.fake_logits)


class _Norm(Trick, abstract=True):
    """weight times the mean square of |grad D| - target, somewhere near the batch."""

    per_sample: ClassVar[bool] = True
    weight: float = 10.0
    target: float = 1.0

    def check(self) -> None:
        super().check()
        require(self.weight >= 0, "weight must not be negative")
        require(self.target >= 0, "target, a norm, must not be negative")

    def at(self, view: View) -> Tensor:
        """The inputs whose slopes are pulled to the target."""
        raise NotImplementedError

    def d_term(self, view: View, state: State) -> Tensor | float:
        gradient, logits, _ = slopes(view.D, self.at(view), view.c)
        # The square root has no slope at zero: a tiny constant keeps its gradient finite there.
        norm = (_square_norm(gradient, logits.shape[0]) + 1e-12).sqrt()
        return self.weight * (norm - self.target).square().mean()


class GradientPenalty(_Norm):
    """WGAN-GP: pulls the norm of D's gradient to one between real and generated images.

    weight E (|grad D(u real + (1 - u) fake)| - target)^2, u uniform for each pair.
    """

    paper: ClassVar[str] = "Gulrajani et al. 2017, Improved training of WGANs, arXiv:1704.00028"
    mixes_pairs: ClassVar[bool] = True

    def at(self, view: View) -> Tensor:
        real, fake = view.real_seen, view.fake_seen
        u = view.rng.uniform(real.shape[0], *[1] * (real.dim() - 1)).to(real)
        return u * real + (1 - u) * fake


class DRAGAN(_Norm):
    """Pulls the norm of D's gradient to one around real images.

    weight E (|grad D(real + noise)| - target)^2; the noise is Gaussian with `spread` times the
    standard deviation of the real batch.
    """

    paper: ClassVar[str] = (
        "Kodali et al. 2017, On convergence and stability of GANs, arXiv:1705.07215"
    )
    spread: float = 0.5

    def check(self) -> None:
        super().check()
        require(self.spread >= 0, "spread must not be negative")

    def at(self, view: View) -> Tensor:
        real = view.real_seen.detach()
        mean, square = view.mean(real.mean()), view.mean(real.square().mean())
        deviation = (square - mean.square()).clamp(min=0).sqrt()
        return real + self.spread * deviation * view.rng.normal(*real.shape).to(real)


class Drift(Trick):
    """Keeps D's logits of real images from drifting away from zero: weight E D(real)^2.

    For losses that read differences of logits alone, as Wasserstein does.
    """

    paper: ClassVar[str] = "Karras et al. 2018, Progressive growing of GANs, arXiv:1710.10196"
    weight: float = 1e-3

    def check(self) -> None:
        super().check()
        require(self.weight >= 0, "weight must not be negative")

    def d_term(self, view: View, state: State) -> Tensor | float:
        return self.weight * view.real_logits.square().mean()


class FeatureMatching(Trick):
    """G matches the mean of a layer of D over real images: weight |E f(real) - E f(fake)|^2.

    `layer` is a name of D's feature dict; empty takes the last one. With `paired`, as pix2pixHD has
    it, each translation matches its own target, place by place: weight times the mean of |f(real) -
    f(fake)|, added up over all layers of all scales of D, or of `layer` alone. The paper's weight
    is then 10.
    """

    paper: ClassVar[str] = (
        "Salimans et al. 2016, Improved techniques for training GANs, arXiv:1606.03498; "
        "Wang et al. 2018, pix2pixHD, arXiv:1711.11585"
    )
    features: ClassVar[bool] = True
    needs_real: ClassVar[bool] = True
    weight: float = 1.0
    layer: str = ""
    paired: bool = False

    def check(self) -> None:
        super().check()
        require(self.weight >= 0, "weight must not be negative")

    def g_term(self, view: View, state: State) -> Tensor | float:
        layers = [n for n in view.fake_features if not n.startswith((CLASS_LOGITS, DECODED))]
        if not layers:
            raise RecipeError(
                f"{self!r} needs the layers of D",
                why="this D gives none",
                fix="let it return (logits, dict of layers) with features=True",
            )
        if self.layer and self.layer not in view.fake_features:
            raise RecipeError(
                f"{self!r}: D has no layer '{self.layer}'{nearest(self.layer, layers)}",
                fix=f"use one of {', '.join(layers)}",
            )
        found = [
            (view.real_features[n].float(), view.fake_features[n].float())
            for n in ([self.layer] if self.layer else layers if self.paired else layers[-1:])
        ]
        if self.paired:
            return self.weight * torch.stack([(r - f).abs().mean() for r, f in found]).sum()
        ((real, fake),) = found
        return self.weight * torch.sum((real.mean(0) - fake.mean(0)).square())
