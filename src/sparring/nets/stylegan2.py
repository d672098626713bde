"""StyleGAN2: styles that scale the inputs of convolutions, outputs scaled back to variance one."""

from __future__ import annotations

import itertools
import math
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d, interpolate

from sparring.nets.architecture import Discriminator, Generator, Nets, Spec, halvings, widths
from sparring.nets.condition import Condition
from sparring.nets.equal import EqualConv, EqualLinear, act
from sparring.nets.minibatch import MinibatchStddev
from sparring.nets.style import Noise, StyleGenerator
from sparring.parts import require

Form = Literal["skip", "residual"]


class StyleGAN2(Nets):
    """A mapping network z -> w and a synthesis whose convolutions w modulates; a residual D.

    For 28 to 256 pixels and more; the smaller side must halve to 4..9, the other as often. `width`
    channels up to 32 pixels, half as many with each doubling beyond. `mapping` layers make w, of
    `latent` numbers. `g_form` and `d_form`: images added up over the sizes (skip), or residual
    blocks. `noise`: maps of noise, part of z. `mixing`: the share of samples whose later layers
    take a second style. `stddev`: the group of D's minibatch standard deviation, 0 none.
    """

    paper: ClassVar[str] = "Karras et al. 2020, StyleGAN2, arXiv:1912.04958"
    width: int = 512
    latent: int = 512
    mapping: int = 8
    g_form: Form = "skip"
    d_form: Form = "residual"
    noise: bool = True
    mixing: float = 0.9
    stddev: int = 4

    def check(self) -> None:
        require(self.width >= 1, "width must be at least 1")
        require(self.latent >= 1, "latent must be at least 1")
        require(self.mapping >= 1, "mapping must have at least one layer")
        require(0 <= self.mixing <= 1, "mixing must lie in [0, 1]")
        require(self.stddev == 0 or self.stddev >= 2, "stddev must be 0 or at least 2")

    def generator(self, spec: Spec) -> Generator:
        return _Generator(spec, self, self.conditioning)

    def discriminator(self, spec: Spec) -> Discriminator:
        return _Discriminator(spec, self, self.conditioning)


def double(x: Tensor) -> Tensor:
    """Twice the size, bilinear: the filter [1, 3, 3, 1] of the paper."""
    return interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class Modulated(nn.Module):
    """A convolution whose inputs a style scales; each output is then divided by its deviation.

    The paper scales the weights of each sample, s_i w_oij, and divides them by their norm over i
    and j. Here the inputs are scaled and the outputs divided: the same numbers from one plain
    convolution, whose derivatives of any order exist.
    """

    def __init__(self, i: int, o: int, style: int, size: int = 3, demodulate: bool = True) -> None:
        super().__init__()
        self.affine = EqualLinear(style, i, bias=1.0)
        self.weight = nn.Parameter(torch.randn(o, i, size, size))
        self.bias = nn.Parameter(torch.zeros(o))
        self.scale, self.demodulate = 1 / math.sqrt(i * size * size), demodulate

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        s, weight = self.affine(w), self.weight * self.scale
        y = conv2d(x * s[:, :, None, None], weight, padding=weight.shape[2] // 2)
        if self.demodulate:
            square = s.square() @ weight.square().sum((2, 3)).T
            y = y * (square + 1e-8).rsqrt()[:, :, None, None].to(y)
        return y

    def biased(self, y: Tensor) -> Tensor:
        return y + self.bias[:, None, None].to(y)


class _Layer(nn.Module):
    """A modulated 3x3 convolution, noise, bias and activation."""

    def __init__(self, i: int, o: int, style: int) -> None:
        super().__init__()
        self.conv, self.noise = Modulated(i, o, style), Noise()

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        return act(self.conv.biased(self.noise(self.conv(x, w), noise)))


class _Level(nn.Module):
    """The layers of one size: one at the lowest, two behind a doubling elsewhere."""

    def __init__(self, i: int, o: int, style: int, lowest: bool, form: Form) -> None:
        super().__init__()
        self.lowest = lowest
        ins = [o] if lowest else [i, o]
        self.layers = nn.ModuleList(_Layer(n, o, style) for n in ins)
        residual = form == "residual" and not lowest
        self.skip = EqualConv(i, o, 1) if residual else None

    def forward(self, x: Tensor, ws: Tensor, noises: list[Tensor]) -> Tensor:
        x = y = x if self.lowest else double(x)
        for n, layer in enumerate(self.layers):
            y = layer(y, ws[:, n], noises[n] if noises else None)
        return y if self.skip is None else (y + self.skip(x)) / math.sqrt(2)


class _Generator(StyleGenerator):
    def __init__(self, spec: Spec, nets: StyleGAN2, condition: Condition) -> None:
        k, h, w = halvings(spec, "StyleGAN2")
        levels = [0, *(level for level in range(1, k + 1) for _ in range(2))]
        maps = [(h << level, w << level) for level in levels] if nets.noise else []
        super().__init__(
            spec,
            condition,
            latent=nets.latent,
            width=nets.latent,
            depth=nets.mapping,
            layers=len(levels),
            mixing=nets.mixing,
            maps=maps,
        )
        channels = widths(nets.width, k)
        self.start = nn.Parameter(torch.randn(channels[0], h, w))
        self.levels = nn.ModuleList(
            _Level(channels[max(n - 1, 0)], o, nets.latent, n == 0, nets.g_form)
            for n, o in enumerate(channels)
        )
        shown = channels if nets.g_form == "skip" else channels[-1:]
        self.images = nn.ModuleList(
            Modulated(o, spec.shape[0], nets.latent, size=1, demodulate=False) for o in shown
        )

    def forward(self, z: Tensor, c: Tensor | None = None, styles: Tensor | None = None) -> Tensor:
        ws, noises = self.styles(z, c) if styles is None else styles, self.noises(z)
        x = self.start.expand(len(z), -1, -1, -1)
        image: Tensor | None = None
        for n, level in enumerate(self.levels):
            first, last = max(2 * n - 1, 0), 2 * n + 1
            x = level(x, ws[:, first:last], noises[first:last])
            place = n - (len(self.levels) - len(self.images))
            if place >= 0:
                show = self.images[place]
                seen = show.biased(show(x, ws[:, last - 1]))  # pyright: ignore
                image = seen if image is None else double(image) + seen
        assert image is not None
        return torch.tanh(image)


class _Down(nn.Module):
    """Two 3x3 convolutions and half the size; residual if it is to be."""

    def __init__(self, i: int, o: int, form: Form) -> None:
        super().__init__()
        self.first, self.second = EqualConv(i, i), EqualConv(i, o)
        self.skip = EqualConv(i, o, 1) if form == "residual" else None

    def forward(self, x: Tensor) -> Tensor:
        y = act(self.second(avg_pool2d(act(self.first(x)), 2)))
        return y if self.skip is None else (y + self.skip(avg_pool2d(x, 2))) / math.sqrt(2)


class _Discriminator(Discriminator):
    def __init__(self, spec: Spec, nets: StyleGAN2, condition: Condition) -> None:
        super().__init__()
        k, h, w = halvings(spec, "StyleGAN2")
        channels = widths(nets.width, k)[::-1]
        last = channels[-1]
        self.mixes = nets.stddev > 0
        self.see = condition.see(spec)
        seen = spec.shape[0] + self.see.extra
        read = channels if nets.d_form == "skip" else channels[:1]
        self.images = nn.ModuleList(EqualConv(seen, o, 1) for o in read)
        self.layers = nn.ModuleList(
            _Down(i, o, nets.d_form) for i, o in itertools.pairwise(channels)
        )
        self.stddev = MinibatchStddev(nets.stddev) if nets.stddev else nn.Identity()
        self.conv = EqualConv(last + self.mixes, last)
        self.hidden = EqualLinear(last * h * w, last)
        self.head = EqualLinear(last, 1)
        self.verdict = condition.verdict(spec, last)

    def forward(
        self, x: Tensor, c: Tensor | None = None, features: bool = False
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        image, found = self.see(x, c), {}
        x = found["layer0"] = act(self.images[0](image))
        for i, layer in enumerate(self.layers, 1):
            x = layer(x)
            if len(self.images) > 1:
                image = avg_pool2d(image, 2)
                x = x + act(self.images[i](image))
            found[f"layer{i}"] = x
        h = act(self.hidden(act(self.conv(self.stddev(x))).flatten(1)))
        found[f"layer{len(self.layers) + 1}"] = h
        logits = self.verdict(self.head(h).squeeze(1), h, c, found)
        return (logits, found) if features else logits
