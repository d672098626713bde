"""A small convolutional pair that trains in minutes on a CPU."""

from __future__ import annotations

import itertools
from typing import ClassVar

from torch import Tensor, nn

from sparring.nets.architecture import Discriminator, Generator, Nets, Spec, halvings
from sparring.nets.condition import Chain, Condition
from sparring.nets.spectral import spectral
from sparring.parts import require


class Fast(Nets):
    """Plain 3x3 convolutions: sub-pixel upsampling with BatchNorm in G, no normalisation in D.

    For 28 to 128 pixels on a CPU. At the lowest resolution (4..9) G has `g_width` channels and D
    `d_width`; both halve with each doubling of the size, down to a quarter in G and a half in D.
    `g_spectral` and `d_spectral` divide weights by their spectral norm.
    """

    paper: ClassVar[str] = (
        "Shi et al. 2016, Sub-pixel convolution, arXiv:1609.05158; "
        "Huang et al. 2024, R3GAN, arXiv:2501.05441"
    )
    g_width: int = 64
    d_width: int = 64
    latent: int = 64
    g_spectral: bool = False
    d_spectral: bool = False

    def check(self) -> None:
        require(self.g_width >= 4 and self.d_width >= 4, "widths start at 4")
        require(self.latent >= 1, "latent must be at least 1")

    def generator(self, spec: Spec) -> Generator:
        net = _Generator(spec, self.g_width, self.latent, self.conditioning)
        return spectral(net, self.g_spectral)

    def discriminator(self, spec: Spec) -> Discriminator:
        return spectral(_Discriminator(spec, self.d_width, self.conditioning), self.d_spectral)


def _channels(width: int, levels: int, least: int) -> list[int]:
    """From the lowest resolution to the highest."""
    return [max(width >> i, width // least, 1) for i in range(levels)]


class _Generator(Generator):
    def __init__(self, spec: Spec, width: int, latent: int, condition: Condition) -> None:
        super().__init__()
        k, h, w = halvings(spec, "Fast")
        self.latent, self.base = latent, (width, h, w)
        self.join = condition.join(spec, latent, normed=True)
        channels = _channels(width, k + 1, least=4)
        self.project = nn.Linear(self.join.width, width * h * w)
        self.layers = Chain(
            *(
                Chain(
                    nn.Conv2d(i, 4 * o, 3, padding=1),
                    nn.PixelShuffle(2),
                    condition.norm(spec, nn.BatchNorm2d(o), o),
                    nn.ReLU(),
                )
                for i, o in itertools.pairwise(channels)
            ),
            nn.Conv2d(channels[-1], spec.shape[0], 3, padding=1),
            nn.Tanh(),
        )

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        return self.layers(self.project(self.join(z, c)).unflatten(1, self.base), c)


class _Discriminator(Discriminator):
    def __init__(self, spec: Spec, width: int, condition: Condition) -> None:
        super().__init__()
        k, h, w = halvings(spec, "Fast")
        self.see = condition.see(spec)
        channels = [spec.shape[0] + self.see.extra, *_channels(width, k + 1, least=2)[::-1]]
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(i, o, 4, 2, 1) if n < k else nn.Conv2d(i, o, 3, padding=1),
                nn.LeakyReLU(0.2),
            )
            for n, (i, o) in enumerate(itertools.pairwise(channels))
        )
        self.head = nn.Linear(channels[-1] * h * w, 1)
        self.verdict = condition.verdict(spec, channels[-1] * h * w)

    def forward(
        self, x: Tensor, c: Tensor | None = None, features: bool = False
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        x, found = self.see(x, c), {}
        for i, layer in enumerate(self.layers):
            x = found[f"layer{i}"] = layer(x)
        h = x.flatten(1)
        logits = self.verdict(self.head(h).squeeze(1), h, c, found)
        return (logits, found) if features else logits
