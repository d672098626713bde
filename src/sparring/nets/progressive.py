"""Progressive growing: networks that start at the lowest resolution and fade in the others."""

from __future__ import annotations

import itertools
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from sparring.nets.architecture import Discriminator, Generator, Nets, Spec, halvings, widths
from sparring.nets.condition import Condition
from sparring.nets.equal import EqualConv, EqualLinear, act
from sparring.nets.minibatch import MinibatchStddev
from sparring.nets.normalise import PixelNorm, precise
from sparring.nets.style import Noise, StyleGenerator
from sparring.parts import require
from sparring.schedules import Linear, Schedule


class _Grown(Nets, abstract=True):
    """What growing networks share: widths, D, and how far they have grown."""

    width: int = 512
    latent: int = 512
    stddev: int = 4
    growth: Schedule = Linear(start=0.0, end=2.0)

    def check(self) -> None:
        require(self.width >= 1, "width must be at least 1")
        require(self.latent >= 1, "latent must be at least 1")
        require(self.stddev == 0 or self.stddev >= 2, "stddev must be 0 or at least 2")

    def discriminator(self, spec: Spec) -> Discriminator:
        return _Discriminator(spec, self, self.conditioning)


class ProGAN(_Grown):
    """Progressive growing: pixel norm in G, equalised rates, minibatch stddev in D.

    For 28 to 256 pixels and more; the smaller side must halve to 4..9, the other as often. `width`
    channels up to 32 pixels, half as many with each doubling beyond. `growth` is the share of the
    growing that is done: each size is faded in over as many images as it is then trained for; by
    default that takes the first half of the budget. `stddev`: the group of D's minibatch standard
    deviation, 0 none.
    """

    paper: ClassVar[str] = "Karras et al. 2018, Progressive growing of GANs, arXiv:1710.10196"

    def generator(self, spec: Spec) -> Generator:
        return _Generator(spec, self, self.conditioning)


class StyleGAN(_Grown):
    """The first StyleGAN: a mapping network, AdaIN and noise behind each layer, growing.

    As `ProGAN`, with `mapping` layers that make a style of z, which scales and shifts every
    normalised map. `noise`: maps of noise, part of z. `mixing`: the share of samples whose later
    layers take a second style.
    """

    paper: ClassVar[str] = "Karras et al. 2019, StyleGAN, arXiv:1812.04948"
    mapping: int = 8
    noise: bool = True
    mixing: float = 0.9

    def check(self) -> None:
        super().check()
        require(self.mapping >= 1, "mapping must have at least one layer")
        require(0 <= self.mixing <= 1, "mixing must lie in [0, 1]")

    def generator(self, spec: Spec) -> Generator:
        return _StyleGenerator(spec, self, self.conditioning)


# ------------------------------------------------------------------------------------------ growth


class Growing(nn.Module):
    """A network of k + 1 sizes at a place of its growth, from 0 (the lowest alone) to 2k (all).

    Between 2i - 2 and 2i - 1 the i-th size is trained alone, between 2i - 1 and 2i the next is
    faded in. `level` is the highest size there is, `alpha` how far it is faded in. New networks
    are grown; `at` says where they are after a number of images, which is saved with the weights.
    """

    grows = True

    def plant(self, k: int, growth: Schedule) -> None:
        """Called once, at the start."""
        self.k, self.growth, self.place, self.seen = k, growth, 2.0 * k, -1

    def at(self, images: int) -> None:
        self.seen = images
        # Rounded, as 5 / 6 of 6 would be 4.9999999 of float32 and a size too few.
        self.place = round(2 * self.k * min(max(self.growth.at(images), 0.0), 1.0), 5)

    @property
    def level(self) -> int:
        """The highest size, 0..k."""
        return (int(self.place) + 1) // 2

    @property
    def alpha(self) -> float:
        """How far it is faded in, in [0, 1]."""
        return 1.0 if int(self.place) % 2 == 0 else self.place - int(self.place)

    def get_extra_state(self) -> Tensor:
        return torch.tensor(self.seen)

    def set_extra_state(self, state: Tensor) -> None:
        if int(state) >= 0:
            self.at(int(state))


def enlarged(x: Tensor, times: int) -> Tensor:
    """Every pixel `times` times along each side."""
    return x if times == 1 else interpolate(x, scale_factor=1.0 * times, mode="nearest")


class _Grower(Growing, Generator):
    """A generator that shows its last two sizes, blended; whole images in eval mode."""

    images: nn.ModuleList

    def shown(self, maps: list[Tensor]) -> Tensor:
        """The image of maps of each size up to the level."""
        image = self.images[self.level](maps[-1])
        if self.alpha < 1:
            before = self.images[self.level - 1](maps[-2])
            image = torch.lerp(enlarged(before, 2), image, self.alpha)
        image = torch.tanh(image)
        return image if self.training else enlarged(image, 1 << (self.k - self.level))


# ------------------------------------------------------------------------------------ the networks


class _Generator(_Grower):
    def __init__(self, spec: Spec, nets: ProGAN, condition: Condition) -> None:
        super().__init__()
        k, h, w = halvings(spec, "ProGAN")
        self.plant(k, nets.growth)
        channels = widths(nets.width, k)
        self.latent, self.base = nets.latent, (channels[0], h, w)
        self.join, self.norm = condition.join(spec, nets.latent), PixelNorm()
        # The gain keeps the variance: h w outputs share the inputs of one position.
        self.project = EqualLinear(self.join.width, channels[0] * h * w)
        self.first = EqualConv(channels[0], channels[0])
        self.levels = nn.ModuleList(
            nn.ModuleList([EqualConv(i, o), EqualConv(o, o)])
            for i, o in itertools.pairwise(channels)
        )
        self.images = nn.ModuleList(EqualConv(o, spec.shape[0], 1) for o in channels)

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        x = self.project(self.norm(self.join(z, c))).unflatten(1, self.base)
        x = self.norm(act(self.first(self.norm(act(x)))))
        maps = [x]
        for level in list(self.levels)[: self.level]:
            x = enlarged(x, 2)
            for conv in level.children():
                x = self.norm(act(conv(x)))
            maps.append(x)
        return self.shown(maps)


class AdaIN(nn.Module):
    """Each map normalised, then scaled by y_s and shifted by y_b, linear in the style."""

    def __init__(self, width: int, style: int) -> None:
        super().__init__()
        self.affine = EqualLinear(style, 2 * width)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        wide = precise(x)
        mean = wide.mean((2, 3), keepdim=True)
        var = (wide - mean).square().mean((2, 3), keepdim=True)
        scale, shift = self.affine(w)[:, :, None, None].chunk(2, 1)
        return ((wide - mean) * (var + 1e-8).rsqrt()).to(x) * (1 + scale) + shift


class _Styled(nn.Module):
    """A layer of StyleGAN: a convolution if it has one, noise, activation, AdaIN."""

    def __init__(self, i: int, o: int, style: int, conv: bool = True) -> None:
        super().__init__()
        self.conv = EqualConv(i, o) if conv else nn.Identity()
        self.noise, self.adain = Noise(), AdaIN(o, style)

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        return self.adain(act(self.noise(self.conv(x), noise)), w)


class _StyleGenerator(_Grower, StyleGenerator):
    def __init__(self, spec: Spec, nets: StyleGAN, condition: Condition) -> None:
        k, h, w = halvings(spec, "StyleGAN")
        levels = [level for level in range(k + 1) for _ in range(2)]
        StyleGenerator.__init__(
            self,
            spec,
            condition,
            latent=nets.latent,
            width=nets.latent,
            depth=nets.mapping,
            layers=len(levels),
            mixing=nets.mixing,
            maps=[(h << level, w << level) for level in levels] if nets.noise else [],
        )
        self.plant(k, nets.growth)
        channels = widths(nets.width, k)
        self.start = nn.Parameter(torch.ones(channels[0], h, w))
        ins = [channels[0], *channels]
        self.levels = nn.ModuleList(
            nn.ModuleList([_Styled(i, o, nets.latent, conv=n > 0), _Styled(o, o, nets.latent)])
            for n, (i, o) in enumerate(itertools.pairwise(ins))
        )
        self.images = nn.ModuleList(EqualConv(o, spec.shape[0], 1) for o in channels)

    @property
    def used(self) -> int:
        return 2 * (self.level + 1)

    def forward(self, z: Tensor, c: Tensor | None = None, styles: Tensor | None = None) -> Tensor:
        ws = self.styles(z, c) if styles is None else styles
        noises = self.noises(z) or [None] * self.layers
        x, maps = self.start.expand(len(z), -1, -1, -1), []
        for n, level in enumerate(list(self.levels)[: self.level + 1]):
            x = enlarged(x, 2) if n else x
            for m, layer in enumerate(level.children(), 2 * n):
                x = layer(x, ws[:, m], noises[m])
            maps.append(x)
        return self.shown(maps)


class _Discriminator(Growing, Discriminator):
    """D's layers are called as in the grown network: those of sizes to come are not there yet."""

    def __init__(self, spec: Spec, nets: _Grown, condition: Condition) -> None:
        super().__init__()
        k, h, w = halvings(spec, type(nets).__name__)
        self.plant(k, nets.growth)
        self.size, self.mixes = (h, w), nets.stddev > 0
        channels = widths(nets.width, k)
        last = channels[0]
        self.see = condition.see(spec)
        self.images = nn.ModuleList(
            EqualConv(spec.shape[0] + self.see.extra, o, 1) for o in channels
        )
        self.levels = nn.ModuleList(  # the one at i comes down from size i + 1
            nn.ModuleList([EqualConv(i, i), EqualConv(i, o)])
            for o, i in itertools.pairwise(channels)
        )
        self.stddev = MinibatchStddev(nets.stddev) if nets.stddev else nn.Identity()
        self.conv = EqualConv(last + self.mixes, last)
        self.hidden = EqualLinear(last * h * w, last)
        self.head = EqualLinear(last, 1)
        self.verdict = condition.verdict(spec, last)

    def fit(self, x: Tensor) -> Tensor:
        """Whole real images as they are at this place of the growth: smaller, and blended.

        Done once for the batch, so that slopes are taken at the size that D looks at.
        """
        x = avg_pool2d(x, 1 << (self.k - self.level)) if self.level < self.k else x
        if self.alpha < 1:
            x = torch.lerp(enlarged(avg_pool2d(x, 2), 2), x, self.alpha)
        return x

    def forward(
        self, x: Tensor, c: Tensor | None = None, features: bool = False
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        if x.shape[2] != self.size[0] << self.level:
            x = self.fit(x)
        found: dict[str, Tensor] = {}
        h = act(self.images[self.level](self.see(x, c)))
        for i in reversed(range(self.level)):
            first, second = self.levels[i].children()
            h = avg_pool2d(act(second(act(first(h)))), 2)
            if i + 1 == self.level and self.alpha < 1:
                small = act(self.images[i](self.see(avg_pool2d(x, 2), c)))
                h = torch.lerp(small, h, self.alpha)
            found[f"layer{self.k - 1 - i}"] = h
        h = found[f"layer{self.k}"] = act(self.conv(self.stddev(h)))
        h = found[f"layer{self.k + 1}"] = act(self.hidden(h.flatten(1)))
        logits = self.verdict(self.head(h).squeeze(1), h, c, found)
        return (logits, found) if features else logits
