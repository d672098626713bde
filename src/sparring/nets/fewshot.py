"""A pair for a hundred to a thousand images: skip-layer excitation in G, a D that can decode."""

from __future__ import annotations

import itertools
from typing import ClassVar

from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, glu, interpolate

from sparring.layers import DECODED
from sparring.nets.architecture import Discriminator, Generator, Nets, Spec, halvings
from sparring.nets.condition import Chain, Condition
from sparring.nets.normalise import Norm, normalising
from sparring.nets.spectral import spectral
from sparring.parts import require


class FewShot(Nets):
    """Gated convolutions and skip-layer excitation in G; D's maps decode to the image they saw.

    In the spirit of FastGAN, for 100 to 1000 images of 28 to 256 pixels and more; the smaller side
    must halve to 4..9, the other as often. `g_width` and `d_width` are the channels at the full
    size, twice as many with each halving up to 16 times. The trick Reconstruction makes D keep
    what its decoders need. Where the paper decodes a part of a map, here
    all of it is decoded, at half the image's size at most.
    """

    paper: ClassVar[str] = (
        "Liu et al. 2021, Towards faster and stabilized GAN training for few-shot image synthesis, "
        "arXiv:2101.04775"
    )
    g_width: int = 32
    d_width: int = 32
    latent: int = 256
    d_norm: Norm = "batch"
    g_spectral: bool = True
    d_spectral: bool = True

    def check(self) -> None:
        require(self.g_width >= 1 and self.d_width >= 1, "widths start at 1")
        require(self.latent >= 1, "latent must be at least 1")

    def generator(self, spec: Spec) -> Generator:
        return spectral(_Generator(spec, self, self.conditioning), self.g_spectral)

    def discriminator(self, spec: Spec) -> Discriminator:
        return spectral(_Discriminator(spec, self, self.conditioning), self.d_spectral)


def _channels(width: int, k: int) -> list[int]:
    """From the lowest resolution to the highest, k halvings apart."""
    return [width << min(k - level, 4) for level in range(k + 1)]


def _conv(i: int, o: int, size: int = 3) -> nn.Conv2d:
    return nn.Conv2d(i, o, size, padding=size // 2, bias=False)


class _GLU(nn.Module):
    """Half of the channels, each times the sigmoid of its partner in the other half."""

    def forward(self, x: Tensor) -> Tensor:
        return glu(x, dim=1)


class _Double(nn.Module):
    """Twice the size, every pixel four times."""

    def forward(self, x: Tensor) -> Tensor:
        return interpolate(x, scale_factor=2.0, mode="nearest")


class SkipLayerExcitation(nn.Module):
    """A low map scales the channels of a high one: y = high * sigmoid(F(low)), F (n, o, 1, 1).

    low (n, i, h, w) is averaged to 4x4, which one convolution reduces to a pixel. Sizes need not
    agree, so that gradients reach the lowest layers from the highest in one step.
    """

    def __init__(self, i: int, o: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(i, o, 4, bias=False), nn.SiLU(), nn.Conv2d(o, o, 1), nn.Sigmoid()
        )

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        return high * self.layers(adaptive_avg_pool2d(low, 4))


class _Generator(Generator):
    def __init__(self, spec: Spec, nets: FewShot, condition: Condition) -> None:
        super().__init__()
        k, h, w = halvings(spec, "FewShot")
        self.latent, self.reach = nets.latent, min(k, 4)
        channels = _channels(nets.g_width, k)
        self.join = condition.join(spec, nets.latent, normed=True)

        def gated(o: int) -> list[nn.Module]:
            return [condition.norm(spec, nn.BatchNorm2d(2 * o), 2 * o), _GLU()]

        first = nn.ConvTranspose2d(self.join.width, 2 * channels[0], (h, w), bias=False)
        self.levels = nn.ModuleList([Chain(first, *gated(channels[0]))])
        for n, (i, o) in enumerate(itertools.pairwise(channels)):
            second = [] if n % 2 else [_conv(o, 2 * o), *gated(o)]  # one and two in turn
            self.levels.append(Chain(_Double(), _conv(i, 2 * o), *gated(o), *second))
        # A map scales the one four doublings above it, or the highest where there are fewer.
        self.excite = nn.ModuleList(
            SkipLayerExcitation(i, o) for i, o in zip(channels, channels[self.reach :])
        )
        self.image = nn.Sequential(nn.Conv2d(channels[-1], spec.shape[0], 3, padding=1), nn.Tanh())

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        x, maps = self.join(z, c)[:, :, None, None], []
        for n, level in enumerate(self.levels):
            x = level(x, c)
            if n >= self.reach:
                x = self.excite[n - self.reach](maps[n - self.reach], x)
            maps.append(x)
        return self.image(x)


class _Down(nn.Module):
    """Half the size: the mean of two convolutions' path and a pooled one."""

    def __init__(self, i: int, o: int, norm: Norm) -> None:
        super().__init__()

        def then(conv: nn.Conv2d) -> list[nn.Module]:
            return [conv, normalising(norm, o), nn.LeakyReLU(0.2)]

        self.main = nn.Sequential(*then(nn.Conv2d(i, o, 4, 2, 1, bias=False)), *then(_conv(o, o)))
        self.side = nn.Sequential(*then(_conv(i, o, 1)))

    def forward(self, x: Tensor) -> Tensor:
        return (self.main(x) + self.side(avg_pool2d(x, 2))) / 2


def _decoder(i: int, doublings: int, colours: int, norm: Norm) -> nn.Module:
    """A map to a small image: (n, i, h, w) -> (n, colours, h, w) as often doubled."""
    layers: list[nn.Module] = []
    for _ in range(doublings):
        o = max(i // 2, 8)
        layers += [_Double(), _conv(i, 2 * o), normalising(norm, 2 * o), _GLU()]
        i = o
    return nn.Sequential(*layers, nn.Conv2d(i, colours, 3, padding=1), nn.Tanh())


class _Discriminator(Discriminator):
    decodes = True

    def __init__(self, spec: Spec, nets: FewShot, condition: Condition) -> None:
        super().__init__()
        k, h, w = halvings(spec, "FewShot")
        self.mixes = nets.d_norm == "batch"
        self.see = condition.see(spec)
        channels = _channels(nets.d_width, k)[::-1]
        first = nn.Conv2d(spec.shape[0] + self.see.extra, channels[0], 3, padding=1, bias=False)
        self.layers = nn.ModuleList([nn.Sequential(first, nn.LeakyReLU(0.2))])
        for i, o in itertools.pairwise(channels):
            self.layers.append(_Down(i, o, nets.d_norm))
        # The lowest two maps, of 4..9 and 8..18 pixels, to images of at most half the size.
        self.decoders = nn.ModuleList(
            _decoder(channels[k - n], min(k - 1 - n, 4), spec.shape[0], nets.d_norm)
            for n in range(min(k, 2))
        )
        self.head = nn.Conv2d(channels[-1], 1, (h, w))
        self.verdict = condition.verdict(spec, channels[-1] * h * w)

    def forward(
        self, x: Tensor, c: Tensor | None = None, features: bool = False
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        x, found, maps = self.see(x, c), {}, []
        for i, layer in enumerate(self.layers):
            x = found[f"layer{i}"] = layer(x)
            maps.append(x)
        logits = self.verdict(self.head(x).flatten(), x.flatten(1), c, found)
        if not features:
            return logits
        for n, decode in enumerate(self.decoders):
            found[f"{DECODED}{n}"] = decode(maps[-1 - n])
        return logits, found
