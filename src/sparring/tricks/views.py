"""Changes to what D sees, real and fake alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from sparring.channels import coloured
from sparring.errors import RecipeError
from sparring.parts import require
from sparring.randomness import Draws
from sparring.schedules import Linear, Schedule, least, value
from sparring.tricks import augment
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
        require(least(self.sigma) >= 0, "sigma must not be negative")

    def see(self, view: View, state: State, images: Tensor) -> Tensor:
        noise = view.rng.normal(*images.shape).to(images)
        return images + value(self.sigma, view.images) * noise


def _only_images(trick: Trick, view: View) -> None:
    if view.real.dim() != 4:
        raise RecipeError(
            f"{trick!r} changes images", why="these are points", fix="InstanceNoise() in its place"
        )


class DiffAugment(Trick):
    """All that D sees, real and fake alike, is changed at random, and G learns through the change.

    `colour`: brightness by -0.5 to 0.5, saturation times 0 to 2, contrast times 0.5 to 1.5;
    `translation`: the largest shift, as a share of the size; `cutout`: the side of a square set to
    0, likewise; `flip`: mirrored half of the time. 0 and False leave a change out. Each side of a
    pair has its own saturation and mean, changed alike; the last of 2 or 4 channels keeps its
    values.
    """

    paper: ClassVar[str] = (
        "Zhao et al. 2020, Differentiable augmentation for data-efficient GAN training, "
        "arXiv:2006.10738"
    )
    colour: bool = True
    translation: float = 0.125
    cutout: float = 0.5
    flip: bool = False

    def check(self) -> None:
        super().check()
        require(0 <= self.translation <= 1, "translation must lie in [0, 1]")
        require(0 <= self.cutout <= 1, "cutout must lie in [0, 1]")
        any_of = self.colour or self.translation or self.cutout or self.flip
        require(bool(any_of), "it changes nothing: leave it out, or one of its changes in")

    def init(self, view: View, state: State) -> State:
        _only_images(self, view)
        return {}

    def see(self, view: View, state: State, images: Tensor) -> Tensor:
        x, n, rng = images, images.shape[0], view.rng
        if self.colour:
            by, saturation, contrast = (rng.uniform(n) for _ in range(3))

            def change(x: Tensor) -> Tensor:
                x = augment.saturate(augment.brighten(x, by - 0.5), 2 * saturation)
                return augment.contrast(x, 0.5 + contrast)

            x = augment.colours(x, view.sides, change)
        if self.translation:
            x = augment.shift(x, self.translation, rng)
        if self.cutout:
            x = augment.cut(x, self.cutout, rng)
        return augment.flip(x, rng.uniform(n) < 0.5) if self.flip else x


class ADA(Trick):
    """Changes all that D sees with a probability p that follows how sure D is of the training set.

    r = E sign(D(real) - the boundary of the loss) is near 0 while D learns and 1 where it knows the
    training images by heart: after every `interval` steps p moves towards more changes where
    r > target and towards fewer where it is less, by as much as takes it from 0 to 1 in `speed`
    images. Each change of each image comes with probability p: mirroring, quarter turns, shifts by
    whole and by parts of a pixel, scaling, turning, stretching, brightness, contrast, inversion,
    hue (of three colours) and saturation. `geometry` and `colour` choose among them. Colours are
    those of each side of a pair, changed alike; the last of 2 or 4 channels is none. The paper
    filters where it warps; here warping is bilinear.
    """

    paper: ClassVar[str] = "Karras et al. 2020, Training GANs with limited data, arXiv:2006.06676"
    target: float = 0.6
    speed: int = 500_000
    interval: int = 4
    p: float = 0.0
    geometry: bool = True
    colour: bool = True

    def check(self) -> None:
        super().check()
        require(-1 <= self.target <= 1, "target must lie in [-1, 1]")
        require(self.speed >= 1, "speed must be at least 1 image")
        require(self.interval >= 1, "interval must be at least 1")
        require(0 <= self.p <= 1, "p, where it starts, must lie in [0, 1]")
        require(self.geometry or self.colour, "it changes nothing: leave geometry or colour in")

    def init(self, view: View, state: State) -> State:
        _only_images(self, view)
        zero = torch.zeros((), device=view.images.device)
        return {"p": zero + self.p, "signs": zero, "count": zero}

    def see(self, view: View, state: State, images: Tensor) -> Tensor:
        rng, p = view.rng, state["p"]
        x = self._warped(images, p, rng) if self.geometry else images
        return self._coloured(x, p, rng, view.sides) if self.colour else x

    def _warped(self, x: Tensor, p: Tensor, rng: Draws) -> Tensor:
        """Every geometric change in one map of the plane."""
        n, _, h, w = x.shape

        def gate() -> Tensor:
            return rng.uniform(n).to(p) < p

        def some(values: Tensor, neutral: float = 0.0) -> Tensor:
            return torch.where(gate(), values.to(p), neutral)

        zero, one = torch.zeros(n).to(p), torch.ones(n).to(p)
        sign = 1 - 2 * some(rng.integers(2, n))
        quarter = 1 if h == w else 2  # others would not fit
        angle = some(rng.integers(4 // quarter, n) * quarter) * (math.pi / 2)
        by = [torch.round((2 * rng.uniform(n) - 1) * size / 8) for size in (w, h)]
        whole = gate()
        m = augment.linear(sign, zero, zero, one) @ augment.turn(angle)
        m = m @ augment.move(*(torch.where(whole, b.to(p), 0.0) for b in by))
        scale = some(torch.exp2(0.2 * rng.normal(n)), 1.0)
        m = m @ augment.linear(scale, zero, zero, scale)
        # Two turns about a stretch: each comes with 1 - sqrt(1 - p), so that one does with p.
        rare = 1 - (1 - p).sqrt()
        turns = [
            torch.where(rng.uniform(n).to(p) < rare, (2 * rng.uniform(n) - 1).to(p) * math.pi, 0.0)
            for _ in range(2)
        ]
        stretch = some(torch.exp2(0.2 * rng.normal(n)), 1.0)
        m = m @ augment.turn(turns[0]) @ augment.linear(stretch, zero, zero, 1 / stretch)
        m = m @ augment.turn(turns[1])
        part = gate()
        by = [size / 8 * rng.normal(n) for size in (w, h)]
        m = m @ augment.move(*(torch.where(part, b.to(p), 0.0) for b in by))
        # Where nothing was drawn the image stays as it is, to the last bit.
        same = (m == torch.eye(3).to(m)).flatten(1).all(1)
        return torch.where(same.view(-1, 1, 1, 1), x, augment.warp(x, m[:, :2]))

    def _coloured(self, x: Tensor, p: Tensor, rng: Draws, sides: Sequence[int]) -> Tensor:
        """Every change of colours, drawn once for all sides of a pair."""
        n = x.shape[0]

        def some(values: Tensor, neutral: float = 0.0) -> Tensor:
            return torch.where(rng.uniform(n).to(p) < p, values.to(p), neutral)

        brightness = some(0.2 * rng.normal(n))
        contrast = some(torch.exp2(0.5 * rng.normal(n)), 1.0)
        inverted = some(rng.integers(2, n))
        hue = None
        if 3 in map(coloured, sides or x.shape[1:2]):
            hue = some((2 * rng.uniform(n) - 1) * math.pi)
        saturation = some(torch.exp2(rng.normal(n)), 1.0)

        def change(x: Tensor) -> Tensor:
            x = augment.contrast(augment.brighten(x, brightness), contrast, about_mean=False)
            x = augment.invert_grey(x, inverted)
            if hue is not None and x.shape[1] == 3:
                x = augment.rotate_hue(x, hue)
            return augment.saturate(x, saturation)

        return augment.colours(x, sides, change)

    def after_step(self, view: View, state: State) -> None:
        if view.side != "d":
            return
        sure = (view.real_logits.detach() - view.boundary).sign().mean()
        state["signs"].add_(view.mean(sure))
        state["count"].add_(1)
        due = (state["count"] >= self.interval).to(state["p"])
        r = state["signs"] / state["count"]
        batch = view.real.shape[0] * view.rng.world
        by = due * (r - self.target).sign() * (self.interval * batch / self.speed)
        state["p"].add_(by).clamp_(0, 1)
        state["signs"].mul_(1 - due)
        state["count"].mul_(1 - due)
        view.notes["ada_p"], view.notes["ada_r"] = state["p"].clone(), r
