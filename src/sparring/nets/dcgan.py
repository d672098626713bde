"""Strided convolutions with BatchNorm: the network most courses teach."""

from __future__ import annotations

import itertools
from typing import ClassVar

import torch
from torch import Tensor, nn

from sparring.nets.architecture import Discriminator, Generator, Nets, Spec, halvings
from sparring.nets.condition import Chain, Condition
from sparring.nets.normalise import Norm, normalising
from sparring.nets.spectral import spectral
from sparring.parts import require


class DCGAN(Nets):
    """Strided and transposed convolutions, BatchNorm except at G's output and D's input.

    ReLU and tanh in G, LeakyReLU(0.2) in D, weights drawn from N(0, 0.02). The smaller side of the
    image must halve to 4..9 (28, 32, 36, 40, 48, 64, 128, ...), the other as often. `width` is the
    number of channels at the highest resolution; it doubles with each halving. Normalisation can
    be another in either network, and weights divided by their spectral norm.
    """

    paper: ClassVar[str] = "Radford et al. 2016, DCGAN, arXiv:1511.06434"
    width: int = 64
    latent: int = 100
    g_norm: Norm = "batch"
    d_norm: Norm = "batch"
    g_spectral: bool = False
    d_spectral: bool = False

    def check(self) -> None:
        require(self.width >= 1, "width must be at least 1")
        require(self.latent >= 1, "latent must be at least 1")

    def generator(self, spec: Spec) -> Generator:
        net = _Generator(spec, self, self.conditioning).apply(_initialise)
        if self.g_spectral:
            spectral(net)
        return net

    def discriminator(self, spec: Spec) -> Discriminator:
        net = _Discriminator(spec, self, self.conditioning).apply(_initialise)
        if self.d_spectral:
            spectral(net)
        return net


def _initialise(module: nn.Module) -> None:
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)


class _Generator(Generator):
    def __init__(self, spec: Spec, nets: DCGAN, condition: Condition) -> None:
        super().__init__()
        k, h, w = halvings(spec, "DCGAN")
        self.latent = nets.latent
        self.join = condition.join(spec, nets.latent, normed=True)
        bias = nets.g_norm == "none"

        def normed(o: int) -> list[nn.Module]:
            return [condition.norm(spec, normalising(nets.g_norm, o), o), nn.ReLU()]

        channels = [nets.width << (k - 1 - i) for i in range(k)]
        layers = [nn.ConvTranspose2d(self.join.width, channels[0], (h, w), bias=bias)]
        layers += normed(channels[0])
        for i, o in itertools.pairwise(channels):
            layers += [nn.ConvTranspose2d(i, o, 4, 2, 1, bias=bias), *normed(o)]
        layers += [nn.ConvTranspose2d(channels[-1], spec.shape[0], 4, 2, 1), nn.Tanh()]
        self.layers = Chain(*layers)

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        return self.layers(self.join(z, c)[:, :, None, None], c)


class _Discriminator(Discriminator):
    def __init__(self, spec: Spec, nets: DCGAN, condition: Condition) -> None:
        super().__init__()
        k, h, w = halvings(spec, "DCGAN")
        self.mixes = k > 1 and nets.d_norm == "batch"  # a single layer has no BatchNorm
        self.see = condition.see(spec)
        channels = [spec.shape[0] + self.see.extra, *(nets.width << i for i in range(k))]
        self.layers = nn.ModuleList()
        for n, (i, o) in enumerate(itertools.pairwise(channels)):
            norm = [normalising(nets.d_norm, o)] if n and nets.d_norm != "none" else []
            conv = nn.Conv2d(i, o, 4, 2, 1, bias=not norm)
            self.layers.append(nn.Sequential(conv, *norm, nn.LeakyReLU(0.2)))
        self.head = nn.Conv2d(channels[-1], 1, (h, w))
        self.verdict = condition.verdict(spec, channels[-1] * h * w)

    def forward(
        self, x: Tensor, c: Tensor | None = None, features: bool = False
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        x, found = self.see(x, c), {}
        for i, layer in enumerate(self.layers):
            x = found[f"layer{i}"] = layer(x)
        logits = self.verdict(torch.flatten(self.head(x)), x.flatten(1), c, found)
        return (logits, found) if features else logits
