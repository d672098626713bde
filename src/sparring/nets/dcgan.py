"""Strided convolutions with BatchNorm: the network most courses teach."""

from __future__ import annotations

import itertools
import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from sparring.nets.architecture import Discriminator, Generator, Nets, Spec, halvings
from sparring.nets.condition import Chain, Condition
from sparring.nets.minibatch import MinibatchDiscrimination, MinibatchStddev, packed
from sparring.nets.normalise import Norm, normalising
from sparring.nets.spectral import spectral
from sparring.nets.virtual import References, VirtualBatchNorm
from sparring.parts import require


class DCGAN(Nets):
    """Strided and transposed convolutions, BatchNorm except at G's output and D's input.

    ReLU and tanh in G, LeakyReLU(0.2) in D, weights drawn from N(0, 0.02). The smaller side of the
    image must halve to 4..9 (28, 32, 36, 40, 48, 64, 128, ...), the other as often. `width` is the
    number of channels at the highest resolution; it doubles with each halving. Normalisation can
    be another in either network, and weights divided by their spectral norm; `virtual` fixed
    samples normalise G in place of `g_norm` (Salimans et al. 2016).

    Against a lack of variety D may judge `pack` samples as one (PacGAN), or see before its head
    how near samples are to each other by `kernels` of minibatch discrimination (Salimans et al.
    2016) or the standard deviation of groups of `stddev` samples (Karras et al. 2018); 0: no.
    """

    paper: ClassVar[str] = "Radford et al. 2016, DCGAN, arXiv:1511.06434"
    width: int = 64
    latent: int = 100
    g_norm: Norm = "batch"
    d_norm: Norm = "batch"
    g_spectral: bool = False
    d_spectral: bool = False
    virtual: int = 0
    pack: int = 1
    kernels: int = 0
    stddev: int = 0

    def check(self) -> None:
        require(self.width >= 1, "width must be at least 1")
        require(self.latent >= 1, "latent must be at least 1")
        require(self.virtual == 0 or self.virtual >= 2, "virtual must be 0 or at least 2")
        require(self.pack >= 1, "pack must be at least 1")
        require(self.kernels >= 0, "kernels must not be negative")
        require(self.stddev == 0 or self.stddev >= 2, "stddev must be 0 or at least 2")

    def generator(self, spec: Spec) -> Generator:
        return spectral(
            _Generator(spec, self, self.conditioning).apply(_initialise), self.g_spectral
        )

    def discriminator(self, spec: Spec) -> Discriminator:
        return spectral(
            _Discriminator(spec, self, self.conditioning).apply(_initialise), self.d_spectral
        )


def _initialise(module: nn.Module) -> None:
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)


class _Generator(Generator):
    def __init__(self, spec: Spec, nets: DCGAN, condition: Condition) -> None:
        super().__init__()
        k, h, w = halvings(spec, "DCGAN")
        self.latent, self.virtual = nets.latent, nets.virtual
        self.join = condition.join(spec, nets.latent, normed=not nets.virtual)
        bias = nets.g_norm == "none" and not nets.virtual

        def normed(o: int) -> list[nn.Module]:
            if nets.virtual:  # the references come without their conditions
                return [VirtualBatchNorm(o, nets.virtual), nn.ReLU()]
            return [condition.norm(spec, normalising(nets.g_norm, o), o), nn.ReLU()]

        channels = [nets.width << (k - 1 - i) for i in range(k)]
        layers = [nn.ConvTranspose2d(self.join.width, channels[0], (h, w), bias=bias)]
        layers += normed(channels[0])
        for i, o in itertools.pairwise(channels):
            layers += [nn.ConvTranspose2d(i, o, 4, 2, 1, bias=bias), *normed(o)]
        layers += [nn.ConvTranspose2d(channels[-1], spec.shape[0], 4, 2, 1), nn.Tanh()]
        self.layers = Chain(*layers)
        if nets.virtual:
            self.references = References(spec, self.join, nets.latent, nets.virtual)

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        x = self.join(z, c)
        if self.virtual:
            x = self.references(self.join, x)
        return self.layers(x[:, :, None, None], c)[self.virtual :]


def _head(width: int, size: tuple[int, int], nets: DCGAN) -> nn.Module:
    """From D's last maps (n, width, h, w) to its logits, past what looks at several samples."""
    together: list[nn.Module] = [MinibatchStddev(nets.stddev)] if nets.stddev else []
    width += len(together)
    if nets.kernels:
        inputs = width * math.prod(size)
        near = MinibatchDiscrimination(inputs, nets.kernels)
        last = [nn.Flatten(), near, nn.Linear(inputs + nets.kernels, 1)]
    else:
        last = [nn.Conv2d(width, 1, size)]
    return nn.Sequential(*together, *last) if together or nets.kernels else last[0]


class _Discriminator(Discriminator):
    def __init__(self, spec: Spec, nets: DCGAN, condition: Condition) -> None:
        super().__init__()
        k, h, w = halvings(spec, "DCGAN")
        # A single layer has no BatchNorm.
        self.mixes = (
            (k > 1 and nets.d_norm == "batch") or nets.pack > 1 or bool(nets.kernels or nets.stddev)
        )
        self.pack, self.see = nets.pack, condition.see(spec)
        seen = nets.pack * spec.shape[0] + self.see.extra
        channels = [seen, *(nets.width << i for i in range(k))]
        self.layers = nn.ModuleList()
        for n, (i, o) in enumerate(itertools.pairwise(channels)):
            norm = [normalising(nets.d_norm, o)] if n and nets.d_norm != "none" else []
            conv = nn.Conv2d(i, o, 4, 2, 1, bias=not norm)
            self.layers.append(nn.Sequential(conv, *norm, nn.LeakyReLU(0.2)))
        self.head = _head(channels[-1], (h, w), nets)
        self.verdict = condition.verdict(spec, channels[-1] * h * w)

    def forward(
        self, x: Tensor, c: Tensor | None = None, features: bool = False
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        x, found = self.see(packed(x, self.pack), c), {}
        for i, layer in enumerate(self.layers):
            x = found[f"layer{i}"] = layer(x)
        logits = self.verdict(torch.flatten(self.head(x)), x.flatten(1), c, found)
        return (logits, found) if features else logits
