"""Toys that tests train: networks whose numbers can be worked by hand, a few points as data."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sparring.data import Points, Source
from sparring.nets import (
    DCGAN,
    MLP,
    R3,
    Discriminator,
    Fast,
    FewShot,
    Generator,
    Nets,
    ProGAN,
    ResidualTranslator,
    ResNet,
    Spec,
    StyleGAN,
    StyleGAN2,
    SuperResolver,
    UNet,
)
from sparring.recipe import Recipe
from sparring.training.device import Device
from sparring.training.setup import Setup, open_data

# Every architecture, small.
SMALL: dict[type[Nets], Nets] = {
    MLP: MLP(g_widths=(16, 16), d_widths=(16, 16), latent=8, batchnorm=True),
    DCGAN: DCGAN(width=4, latent=8),
    Fast: Fast(g_width=8, d_width=8, latent=8),
    # Without spectral norm, which joins all rows of a table; test_spectral.py tests it.
    FewShot: FewShot(g_width=2, d_width=2, latent=8, g_spectral=False, d_spectral=False),
    ResNet: ResNet(g_width=8, d_width=8, latent=8, d_spectral=False, attention=8),
    R3: R3(width=8, latent=8),
    ProGAN: ProGAN(width=8, latent=8),
    StyleGAN: StyleGAN(width=8, latent=8, mapping=2),
    StyleGAN2: StyleGAN2(width=8, latent=8, mapping=2, stddev=4),
}


# Every one that translates images, small.
TRANSLATORS: dict[type[Nets], Nets] = {
    UNet: UNet(width=4, d_width=4, d_layers=2),
    ResidualTranslator: ResidualTranslator(width=4, blocks=1, d_width=4, d_layers=2),
    SuperResolver: SuperResolver(width=4, blocks=1, d_width=4, d_layers=2),
}


class ToyOrigin(Source):
    """A point mass at `at`: every sample is the same, in float64."""

    at: tuple[float, ...] = (0.0,)

    def open(self, size: tuple[int, int] | None = None) -> Points:
        point = torch.tensor(self.at, dtype=torch.float64)
        return Points(
            modes=point[None].float(),
            sigma=0.0,
            sample=lambda n, generator: point.expand(n, -1).clone(),
            log_density=lambda x: torch.zeros(len(x)),
            digest="point",
        )


class ToyCloud(Source):
    """Standard normal points in `dim` dimensions, in float64."""

    dim: int = 3

    def open(self, size: tuple[int, int] | None = None) -> Points:
        return Points(
            modes=torch.zeros(1, self.dim),
            sigma=1.0,
            sample=lambda n, generator: torch.randn(n, self.dim, generator=generator).double(),
            log_density=lambda x: -x.square().sum(1) / 2,
            digest="cloud",
        )


class ToyGenerator(Generator):
    """x = theta, whatever z."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.latent = 1
        self.theta = nn.Parameter(torch.full((dim,), 0.5, dtype=torch.float64))

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        return self.theta.expand(len(z), -1)


class ToyShift(Generator):
    """x = z + theta."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.latent = dim
        self.theta = nn.Parameter(torch.full((dim,), 0.5, dtype=torch.float64))

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        return z.double() + self.theta


class ToyLinear(Discriminator):
    """D(x) = w.x; its one layer is x * w."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.linspace(1.0, 2.0, dim, dtype=torch.float64))

    def forward(self, x: Tensor, c: Tensor | None = None, features: bool = False) -> Any:
        layer = x * self.w
        return (layer.sum(1), {"layer0": layer}) if features else layer.sum(1)


class ToyQuadratic(Discriminator):
    """D(x) = x.A x / 2 with a symmetric A: its slope is A x."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        a = torch.arange(1.0, dim * dim + 1, dtype=torch.float64).view(dim, dim) / 4
        self.a = nn.Parameter((a + a.T) / 2)

    def forward(self, x: Tensor, c: Tensor | None = None, features: bool = False) -> Any:
        logits = (x * (x @ self.a)).sum(1) / 2
        return (logits, {"layer0": x}) if features else logits


class ToyScale(Generator):
    """x = theta * z."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.latent = dim
        self.theta = nn.Parameter(torch.linspace(0.5, 1.5, dim, dtype=torch.float64))

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        return z.double() * self.theta


class ToyPixelG(Generator):
    """Images, the same for every z."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.latent = 1
        rng = torch.Generator().manual_seed(1)
        self.theta = nn.Parameter(torch.rand(shape, generator=rng) - 0.5)

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        return self.theta.expand(len(z), *self.theta.shape)


class ToyPixelD(Discriminator):
    """D(x) = w.x over all pixels."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(2)
        self.w = nn.Parameter(torch.rand(shape, generator=rng) - 0.5)

    def forward(self, x: Tensor, c: Tensor | None = None, features: bool = False) -> Any:
        logits = (x * self.w).flatten(1).sum(1)
        return (logits, {"layer0": x}) if features else logits


class ToyPixels(Nets):
    """A constant image against a linear D."""

    def generator(self, spec: Spec) -> Generator:
        return ToyPixelG(spec.shape)

    def discriminator(self, spec: Spec) -> Discriminator:
        return ToyPixelD(spec.shape)


class ToyNets(Nets):
    """G is a constant, a shift or a scale of its noise, D linear or quadratic; all in float64."""

    shift: bool = False
    scale: bool = False
    quadratic: bool = False

    def generator(self, spec: Spec) -> Generator:
        make = ToyShift if self.shift else ToyScale if self.scale else ToyGenerator
        return make(spec.shape[0])

    def discriminator(self, spec: Spec) -> Discriminator:
        return (ToyQuadratic if self.quadratic else ToyLinear)(spec.shape[0])


def toy(**changes: Any) -> Recipe:
    """A tiny recipe over ToyCloud with ToyNets."""
    from sparring.optim import SGD

    recipe = Recipe(
        data=ToyCloud(),
        nets=ToyNets(),
        g_optim=SGD(lr=0.1),
        d_optim=SGD(lr=0.1),
        batch=4,
        images=400,
        precision="fp32",
        metrics=(),
        ema=0,
    )
    return replace(recipe, **changes)


def set_up(recipe: Recipe) -> Setup:
    """Everything that one step needs, on the CPU."""
    recipe, material = open_data(recipe)
    return Setup(recipe, material, Device("cpu", "fp32"))


def weights(setup: Setup) -> dict[str, Tensor]:
    """Copies of all weights and buffers by player and name."""
    return {
        f"{player}.{name}": t.clone()
        for player, net in setup.players.items()
        for name, t in net.state_dict().items()
    }


@dataclass(frozen=True)
class Pictures:
    """A file of random images that a source can open."""

    path: str

    @staticmethod
    def write(path: Any, shape: tuple[int, ...] = (40, 16, 16, 1), classes: int = 0) -> Pictures:
        numbers = np.random.default_rng(0)
        arrays = {"arr_0": numbers.integers(0, 256, shape, dtype=np.uint8)}
        if classes:
            arrays["arr_1"] = np.arange(shape[0]) % classes
        np.savez(path, **arrays)
        return Pictures(str(path))


def other(value: Any) -> Any:
    """Another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value / 2
    raise AssertionError(f"no other value of {value!r}")


def flip_a_bit(path: Any, seed: int = 0) -> None:
    """Changes one bit of a file, not at its start."""
    data = bytearray(path.read_bytes())
    at = random.Random(seed).randrange(len(data) // 2, len(data))
    data[at] ^= 1 << 3
    path.write_bytes(bytes(data))


@dataclass(frozen=True)
class Walked:
    """What one step did: statistics as numbers, the weights before and after, the real batch."""

    stats: dict[str, float]
    before: dict[str, Tensor]
    after: dict[str, Tensor]
    real: Tensor
    setup: Setup

    def moved(self, name: str) -> Tensor:
        """How far a weight went."""
        return self.after[name] - self.before[name]


def walk(recipe: Recipe, steps: int = 1) -> list[Walked]:
    """The first steps of a recipe, on the CPU."""
    setup, path = set_up(recipe), []
    for number in range(steps):
        before = weights(setup)
        stats = {name: t.item() for name, t in setup.advance(number).items()}
        real = setup.feed(number * recipe.d_steps).x
        path.append(Walked(stats, before, weights(setup), real, setup))
    return path
