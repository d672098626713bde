"""Residual networks: the pair of SNGAN, and with attention that of SAGAN."""

from __future__ import annotations

import itertools
from typing import ClassVar

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from sparring.nets.architecture import Discriminator, Generator, Nets, Spec, halvings, widths
from sparring.nets.attention import SelfAttention
from sparring.nets.condition import Chain, Condition
from sparring.nets.normalise import Norm, normalising
from sparring.nets.spectral import spectral
from sparring.parts import require


class ResNet(Nets):
    """Residual blocks of two 3x3 convolutions, normalised in G, with spectral norm in D.

    The pair of SNGAN for 28 to 256 pixels; the smaller side must halve to 4..9, the other as often.
    Widths are those up to 32 pixels and halve with each doubling beyond. `attention` puts one layer
    of self-attention into G and D, where the smaller side of their maps is nearest to it (0: none).
    With spectral norm in both, that is SAGAN.
    """

    paper: ClassVar[str] = (
        "Miyato et al. 2018, Spectral normalization for GANs, arXiv:1802.05957; "
        "Zhang et al. 2019, SAGAN, arXiv:1805.08318"
    )
    g_width: int = 256
    d_width: int = 128
    latent: int = 128
    g_norm: Norm = "batch"
    d_norm: Norm = "none"
    g_spectral: bool = False
    d_spectral: bool = True
    attention: int = 0

    def check(self) -> None:
        require(self.g_width >= 1 and self.d_width >= 1, "widths start at 1")
        require(self.latent >= 1, "latent must be at least 1")
        require(self.attention >= 0, "attention is a size in pixels, or 0")

    def generator(self, spec: Spec) -> Generator:
        return spectral(_Generator(spec, self, self.conditioning), self.g_spectral)

    def discriminator(self, spec: Spec) -> Discriminator:
        return spectral(_Discriminator(spec, self, self.conditioning), self.d_spectral)


def conv(i: int, o: int, size: int = 3) -> nn.Conv2d:
    """A convolution that keeps the size, weights drawn as Glorot does, those of 3x3 wider."""
    layer = nn.Conv2d(i, o, size, padding=size // 2)
    nn.init.xavier_uniform_(layer.weight, gain=2**0.5 if size > 1 else 1.0)
    nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]
    return layer


def nearest_level(sizes: list[int], wanted: int) -> int:
    """The index of the size next to the one wanted, -1 where none is."""
    return min(range(len(sizes)), key=lambda i: abs(sizes[i] - wanted)) if wanted else -1


class _Double(nn.Module):
    """Twice the size, every pixel four times."""

    def forward(self, x: Tensor) -> Tensor:
        return interpolate(x, scale_factor=2.0, mode="nearest")


class _Up(Chain):
    """A residual block of G that doubles the size."""

    def __init__(self, spec: Spec, i: int, o: int, norm: Norm, condition: Condition) -> None:
        super().__init__()
        first, second = (condition.norm(spec, normalising(norm, w), w) for w in (i, o))
        self.layers = Chain(first, nn.ReLU(), _Double(), conv(i, o), second, nn.ReLU(), conv(o, o))
        self.skip = nn.Sequential(_Double(), conv(i, o, 1))

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        return self.skip(x) + self.layers(x, c)


class _Generator(Generator):
    def __init__(self, spec: Spec, nets: ResNet, condition: Condition) -> None:
        super().__init__()
        k, h, w = halvings(spec, "ResNet")
        self.latent, channels = nets.latent, widths(nets.g_width, k)
        self.join = condition.join(spec, nets.latent, normed=True)
        self.base = (channels[0], h, w)
        self.project = nn.Linear(self.join.width, channels[0] * h * w)
        nn.init.xavier_uniform_(self.project.weight)
        # Where attention may be: behind the projection or a block, but not at the full size.
        place = nearest_level([min(h, w) << i for i in range(k)], nets.attention)
        layers: list[nn.Module] = [SelfAttention(channels[0])] if place == 0 else []
        for level, (i, o) in enumerate(itertools.pairwise(channels), 1):
            layers.append(_Up(spec, i, o, nets.g_norm, condition))
            layers += [SelfAttention(o)] if place == level else []
        last = normalising(nets.g_norm, channels[-1])
        layers += [condition.norm(spec, last, channels[-1]), nn.ReLU()]
        self.layers = Chain(*layers, conv(channels[-1], spec.shape[0]), nn.Tanh())

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        return self.layers(self.project(self.join(z, c)).unflatten(1, self.base), c)


class _Down(nn.Module):
    """A residual block of D, which halves the size if it is to; the first has no ReLU before it."""

    def __init__(self, i: int, o: int, norm: Norm, down: bool, first: bool) -> None:
        super().__init__()
        before = [] if first else [normalising(norm, i), nn.ReLU()]
        self.layers = nn.Sequential(
            *before, conv(i, o), normalising(norm, o), nn.ReLU(), conv(o, o)
        )
        self.skip = conv(i, o, 1) if down or i != o else nn.Identity()
        self.down = down

    def forward(self, x: Tensor) -> Tensor:
        x = self.skip(x) + self.layers(x)
        return avg_pool2d(x, 2) if self.down else x


class _Discriminator(Discriminator):
    def __init__(self, spec: Spec, nets: ResNet, condition: Condition) -> None:
        super().__init__()
        k, h, w = halvings(spec, "ResNet")
        self.mixes = nets.d_norm == "batch"
        self.see = condition.see(spec)
        # Down to 5..9 pixels, then two blocks there.
        downs = k - 1 if 2 * min(h, w) <= 8 and k > 1 else k
        channels = widths(nets.d_width, k)[:0:-1][:downs]
        channels = [spec.shape[0] + self.see.extra, *channels, *[channels[-1]] * 2]
        sizes = [min(spec.shape[1:]) >> (i + 1) for i in range(downs)]
        place = nearest_level(sizes, nets.attention)
        self.layers = nn.ModuleList()
        for n, (i, o) in enumerate(itertools.pairwise(channels)):
            block = _Down(i, o, nets.d_norm, down=n < downs, first=n == 0)
            self.layers.append(nn.Sequential(block, SelfAttention(o)) if n == place else block)
        self.last = nn.Sequential(normalising(nets.d_norm, channels[-1]), nn.ReLU())
        self.head = nn.Linear(channels[-1], 1)
        nn.init.xavier_uniform_(self.head.weight)
        self.verdict = condition.verdict(spec, channels[-1])

    def forward(
        self, x: Tensor, c: Tensor | None = None, features: bool = False
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        x, found = self.see(x, c), {}
        for i, layer in enumerate(self.layers):
            x = found[f"layer{i}"] = layer(x)
        h = found[f"layer{len(self.layers)}"] = self.last(x).sum((2, 3))
        logits = self.verdict(self.head(h).squeeze(1), h, c, found)
        return (logits, found) if features else logits
