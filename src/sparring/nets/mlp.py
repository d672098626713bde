"""Fully connected networks, for small images and for points."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from torch import Tensor, nn

from sparring.nets.architecture import Discriminator, Generator, Nets, Spec
from sparring.nets.condition import Chain, Condition
from sparring.nets.minibatch import MinibatchDiscrimination, MinibatchStddev, packed
from sparring.nets.spectral import spectral
from sparring.nets.virtual import References, VirtualBatchNorm
from sparring.parts import require

Activation = Literal["relu", "leaky_relu", "tanh", "gelu", "silu"]


def _activation(name: Activation) -> nn.Module:
    return {
        "relu": nn.ReLU(),
        "leaky_relu": nn.LeakyReLU(0.2),
        "tanh": nn.Tanh(),
        "gelu": nn.GELU(),
        "silu": nn.SiLU(),
    }[name]


class MLP(Nets):
    """The textbook pair of fully connected networks, for small images and for points.

    Fields left at None follow the data. Images: latent 100, G 256-512-1024 with tanh at the end, D
    the mirror with dropout 0.3, LeakyReLU(0.2) in both. Points: latent 6, two hidden layers of 64,
    ReLU in G, LeakyReLU in D, no dropout. `batchnorm` puts BatchNorm1d into G's hidden layers,
    `virtual` virtual batch normalisation by so many fixed samples (Salimans et al. 2016);
    `g_spectral` and `d_spectral` divide weights by their spectral norm (Miyato et al. 2018).
    `omega` multiplies the noise before G's first layer, for steeper steps between modes (named as
    the factor of the first layer in Sitzmann et al. 2020, SIREN, arXiv:2006.09661).

    Against a lack of variety D may judge `pack` samples as one (PacGAN), or see before its last
    layer how near samples are to each other by `kernels` of minibatch discrimination (Salimans et
    al. 2016) or the standard deviation of groups of `stddev` samples (Karras et al. 2018); 0: no.
    """

    paper: ClassVar[str] = "Goodfellow et al. 2014, Generative adversarial nets, arXiv:1406.2661"
    latent: int | None = None
    g_widths: tuple[int, ...] | None = None
    d_widths: tuple[int, ...] | None = None
    batchnorm: bool = False
    virtual: int = 0
    omega: float = 1.0
    dropout: float | None = None
    g_activation: Activation | None = None
    d_activation: Activation = "leaky_relu"
    g_spectral: bool = False
    d_spectral: bool = False
    pack: int = 1
    kernels: int = 0
    stddev: int = 0

    def check(self) -> None:
        require(self.latent is None or self.latent >= 1, "latent must be at least 1")
        for widths in (self.g_widths, self.d_widths):
            require(widths is None or bool(widths), "there must be at least one hidden layer")
            require(min(widths or (1,)) >= 1, "widths start at 1")
        require(self.dropout is None or 0 <= self.dropout < 1, "dropout must lie in [0, 1)")
        require(self.virtual == 0 or self.virtual >= 2, "virtual must be 0 or at least 2")
        require(not (self.virtual and self.batchnorm), "choose one of batchnorm and virtual")
        require(self.omega > 0, "omega must be a positive number")
        require(self.pack >= 1, "pack must be at least 1")
        require(self.kernels >= 0, "kernels must not be negative")
        require(self.stddev == 0 or self.stddev >= 2, "stddev must be 0 or at least 2")

    def generator(self, spec: Spec) -> Generator:
        latent = self.latent or (6 if spec.points else 100)
        widths = self.g_widths or ((64, 64) if spec.points else (256, 512, 1024))
        activation = self.g_activation or ("relu" if spec.points else "leaky_relu")
        batchnorm, virtual, condition = self.batchnorm, self.virtual, self.conditioning
        net = _Generator(
            spec, latent, self.omega, widths, batchnorm, virtual, activation, condition
        )
        return spectral(net, self.g_spectral)

    def discriminator(self, spec: Spec) -> Discriminator:
        widths = self.d_widths or ((64, 64) if spec.points else (1024, 512, 256))
        dropout = (0.0 if spec.points else 0.3) if self.dropout is None else self.dropout
        together: list[nn.Module] = []
        if self.kernels:
            together.append(MinibatchDiscrimination(widths[-1], self.kernels))
        if self.stddev:
            together.append(MinibatchStddev(self.stddev))
        activation, pack = self.d_activation, self.pack
        net = _Discriminator(spec, widths, dropout, activation, pack, together, self.conditioning)
        return spectral(net, self.d_spectral)


class _Generator(Generator):
    def __init__(
        self,
        spec: Spec,
        latent: int,
        omega: float,
        widths: tuple[int, ...],
        batchnorm: bool,
        virtual: int,
        activation: Activation,
        condition: Condition,
    ) -> None:
        super().__init__()
        self.latent, self.omega, self.shape, self.virtual = latent, omega, spec.shape, virtual
        self.join = condition.join(spec, latent, normed=batchnorm)
        layers: list[nn.Module] = []
        for i, o in zip((self.join.width, *widths), widths, strict=False):
            layers += [nn.Linear(i, o)]
            layers += [condition.norm(spec, nn.BatchNorm1d(o), o)] if batchnorm else []
            layers += [VirtualBatchNorm(o, virtual)] if virtual else []
            layers += [_activation(activation)]
        layers += [nn.Linear(widths[-1], math.prod(spec.shape))]
        layers += [] if spec.points else [nn.Tanh()]
        self.layers = Chain(*layers)
        if virtual:
            self.references = References(spec, self.join, latent, virtual)

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        x = self._joined(z, c)
        if self.virtual:
            x = self.references(self._joined, x)
        return self.layers(x, c)[self.virtual :].unflatten(1, self.shape)

    def _joined(self, z: Tensor, c: Tensor | None) -> Tensor:
        return self.join(self.omega * z, c)


class _Discriminator(Discriminator):
    def __init__(
        self,
        spec: Spec,
        widths: tuple[int, ...],
        dropout: float,
        activation: Activation,
        pack: int,
        together: list[nn.Module],
        condition: Condition,
    ) -> None:
        super().__init__()
        self.pack = pack
        self.see = condition.see(spec, flat=True)
        self.mixes = pack > 1 or bool(together)
        ins = (pack * math.prod(spec.shape) + self.see.extra, *widths)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(i, o), _activation(activation), nn.Dropout(dropout))
            for i, o in zip(ins, widths, strict=False)
        )
        more = sum(getattr(layer, "kernels", 1) for layer in together)
        head = nn.Linear(widths[-1] + more, 1)
        self.head = nn.Sequential(*together, head) if together else head
        self.verdict = condition.verdict(spec, widths[-1])

    def forward(
        self, x: Tensor, c: Tensor | None = None, features: bool = False
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        x, found = self.see(packed(x, self.pack).flatten(1), c), {}
        for i, layer in enumerate(self.layers):
            x = found[f"layer{i}"] = layer(x)
        logits = self.verdict(self.head(x).squeeze(1), x, c, found)
        return (logits, found) if features else logits
