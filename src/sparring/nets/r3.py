"""The modern baseline: residual networks without any normalisation."""

from __future__ import annotations

import itertools
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, leaky_relu

from sparring.nets.architecture import Discriminator, Generator, Nets, Spec, halvings, widths
from sparring.nets.condition import Condition
from sparring.parts import require


class R3(Nets):
    """Fix-up residual blocks of dense 3x3 convolutions, no normalisation, bilinear resampling.

    R3GAN with dense convolutions in place of its grouped bottlenecks. For 28 to 256 pixels; the
    smaller side must halve to 4..9, the other as often. `width` channels up to 32 pixels, half as
    many with each doubling beyond; `blocks` at each size. Rates go as 1 / width.
    """

    paper: ClassVar[str] = (
        "Huang et al. 2024, R3GAN, arXiv:2501.05441; Zhang et al. 2019, Fixup, arXiv:1901.09321"
    )
    width: int = 256
    blocks: int = 1
    latent: int = 64

    def check(self) -> None:
        require(self.width >= 1, "width must be at least 1")
        require(self.blocks >= 1, "blocks must be at least 1")
        require(self.latent >= 1, "latent must be at least 1")

    def generator(self, spec: Spec) -> Generator:
        return _Generator(spec, self, self.conditioning)

    def discriminator(self, spec: Spec) -> Discriminator:
        return _Discriminator(spec, self, self.conditioning)


def _conv(i: int, o: int, size: int, gain: float, bias: bool = False) -> nn.Conv2d:
    """A convolution that keeps the size, weights of standard deviation gain / sqrt(inputs)."""
    layer = nn.Conv2d(i, o, size, padding=size // 2, bias=bias)
    nn.init.normal_(layer.weight, 0.0, gain / (i * size * size) ** 0.5)
    if bias:
        nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]
    return layer


class Residual(nn.Module):
    """x + conv(act(conv(act(x)))), the identity at first: the second convolution starts at zero.

    depth: the number of blocks in the network, by which the first convolution is scaled down so
    that a step of all blocks together moves the output as far as one block would.
    """

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.first = _conv(width, width, 3, (2 / 1.04) ** 0.5 * depth**-0.5, bias=True)
        self.second = _conv(width, width, 3, 0.0)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(leaky_relu(x, 0.2))
        return x + self.second(leaky_relu(h, 0.2))


class _Up(nn.Module):
    """Twice the size, bilinear; to another width first."""

    def __init__(self, i: int, o: int) -> None:
        super().__init__()
        self.widen = _conv(i, o, 1, 1.0) if i != o else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.widen(x)
        return interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class _Down(nn.Module):
    """Half the size, each pixel the mean of four; to another width after."""

    def __init__(self, i: int, o: int) -> None:
        super().__init__()
        self.widen = _conv(i, o, 1, 1.0) if i != o else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.widen(avg_pool2d(x, 2))


class _Generator(Generator):
    def __init__(self, spec: Spec, nets: R3, condition: Condition) -> None:
        super().__init__()
        k, h, w = halvings(spec, "R3")
        self.latent, channels = nets.latent, widths(nets.width, k)
        depth = (k + 1) * nets.blocks
        self.join = condition.join(spec, nets.latent)
        self.basis = nn.Parameter(torch.randn(channels[0], h, w))
        self.project = nn.Linear(self.join.width, channels[0])
        nn.init.normal_(self.project.weight, 0.0, self.join.width**-0.5)
        layers: list[nn.Module] = [Residual(channels[0], depth) for _ in range(nets.blocks)]
        for i, o in itertools.pairwise(channels):
            layers += [_Up(i, o), *(Residual(o, depth) for _ in range(nets.blocks))]
        image = _conv(channels[-1], spec.shape[0], 1, 1.0, bias=True)
        self.layers = nn.Sequential(*layers, image, nn.Tanh())

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        return self.layers(self.basis * self.project(self.join(z, c))[:, :, None, None])


class _Discriminator(Discriminator):
    def __init__(self, spec: Spec, nets: R3, condition: Condition) -> None:
        super().__init__()
        k, h, w = halvings(spec, "R3")
        channels = widths(nets.width, k)[::-1]
        depth = (k + 1) * nets.blocks
        self.see = condition.see(spec)
        self.layers = nn.ModuleList()
        for n, (i, o) in enumerate(zip([spec.shape[0], *channels], channels)):
            first = _Down(i, o) if n else _conv(i + self.see.extra, o, 1, 1.0, bias=True)
            blocks = (Residual(o, depth) for _ in range(nets.blocks))
            self.layers.append(nn.Sequential(first, *blocks))
        last = channels[-1]
        self.gather = nn.Conv2d(last, last, (h, w), groups=last, bias=False)  # a weight a place
        nn.init.normal_(self.gather.weight, 0.0, (h * w) ** -0.5)
        self.head = nn.Linear(last, 1)
        nn.init.normal_(self.head.weight, 0.0, last**-0.5)
        self.verdict = condition.verdict(spec, last)

    def forward(
        self, x: Tensor, c: Tensor | None = None, features: bool = False
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        x, found = self.see(x, c), {}
        for i, layer in enumerate(self.layers):
            x = found[f"layer{i}"] = layer(x)
        h = found[f"layer{len(self.layers)}"] = self.gather(x).flatten(1)
        logits = self.verdict(self.head(h).squeeze(1), h, c, found)
        return (logits, found) if features else logits
