"""Conditioning: how the networks are told what to make and what they judge.

A condition c is a class, int64 (n,), or several numbers, float32 (n, K): see `Spec`. A network of
any architecture makes the same four calls, two in G and two in D, and passes c along::

    self.join = condition.join(spec, latent)         # (z, c) -> (n, join.width), what G starts from
    condition.norm(spec, nn.BatchNorm2d(o), o)       # a normalising layer of G, inside a Chain
    self.see = condition.see(spec)                   # (x, c) -> x with see.extra more channels
    self.verdict = condition.verdict(spec, width)    # (logits, h, c, found) -> logits

What they return depends on the conditioning. `Condition` itself, which stands for none, gives
modules without weights that leave everything as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from sparring.errors import RecipeError
from sparring.layers import CLASS_LOGITS, CLASS_WANTED
from sparring.parts import Part, require

if TYPE_CHECKING:
    from sparring.nets.architecture import Spec


class Given(nn.Module):
    """A layer that is told the condition: `forward(x, c)`."""


class Chain(nn.Sequential):
    """Layers one after another; those that are `Given` the condition get it."""

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:  # pyright: ignore
        for layer in self:
            x = layer(x, c) if isinstance(layer, (Given, Chain)) else layer(x)
        return x


def conditional(net: nn.Module) -> bool:
    """Whether a network reads its condition: it has a layer with weights that is given it."""
    return any(isinstance(m, Given) and any(True for _ in m.parameters()) for m in net.modules())


def some(spec: Spec, n: int) -> Tensor:
    """n conditions as the data have them: classes in turn, int64 (n,), or rows, float (n, K)."""
    turn = torch.arange(n)
    return (
        torch.tensor(spec.rows)[turn % len(spec.rows)] if spec.vectors else turn % len(spec.classes)
    )


# ------------------------------------------------------------------------------------ the modules


class Embedding(nn.Module):
    """A learned vector (n, width) for each condition.

    Of classes: a table's rows at c int64 (n,), or rows mixed by the weights c float (n, classes),
    as on the way from one class to another. Of numbers float (n, K): a linear map of them, after
    each was shifted and scaled to mean 0 and deviation 1 over the training data.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, spec: Spec, width: int, spread: float = 1.0) -> None:
        super().__init__()
        if not spec.classes:
            raise RecipeError("a conditional network needs labelled data", fix="--condition none")
        self.vectors = spec.vectors
        self.weight = nn.Parameter(spread * torch.randn(len(spec.classes), width))
        if spec.vectors:
            _keep_scale(self, spec)
            self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, c: Tensor | None) -> Tensor:
        if c is None:
            raise ValueError("a conditional network is asked without conditions")
        if self.vectors:
            return torch.addmm(self.bias, (c - self.mean) / self.std, self.weight)
        if c.is_floating_point():
            return c @ self.weight
        return functional.embedding(c, self.weight)


def _keep_scale(module: nn.Module, spec: Spec) -> None:
    """The buffers `mean` and `std` of numbers over the training data."""
    rows = torch.tensor(spec.rows or [[0.0] * len(spec.classes)])
    std = rows.std(0, correction=0)
    module.register_buffer("mean", rows.mean(0))
    module.register_buffer("std", torch.where(std > 0, std, 1.0))


class Join(Given):
    """What G starts from: z (n, latent) as it is, or with columns more."""

    def __init__(self, latent: int, embedding: Embedding | None = None) -> None:
        super().__init__()
        self.embedding = embedding
        self.width = latent + (embedding.weight.shape[1] if embedding else 0)

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        return z if self.embedding is None else torch.cat([z, self.embedding(c)], 1)


class ConditionalNorm(Given):
    """A normalising layer whose output is scaled by 1 + g(c) and shifted by b(c), per channel.

    g and b start at zero: at first it is the plain layer.
    """

    def __init__(self, spec: Spec, norm: nn.Module, width: int) -> None:
        super().__init__()
        self.norm = norm
        self.gain, self.shift = (Embedding(spec, width, spread=0.0) for _ in range(2))

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        gain, shift = (e(c).view(len(x), -1, *[1] * (x.dim() - 2)) for e in (self.gain, self.shift))
        return self.norm(x) * (1 + gain) + shift


class See(Given):
    """What D looks at: x as it is."""

    extra: int = 0

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        return x


class Columns(See):
    """x (n, d) with the embedded condition as columns more."""

    def __init__(self, spec: Spec, width: int) -> None:
        super().__init__()
        self.embedding, self.extra = Embedding(spec, width), width

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        return torch.cat([x, self.embedding(c)], 1)


class Plane(See):
    """Images (n, C, H, W) with a learned plane for the condition as one channel more."""

    extra = 1

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.size = spec.shape[1:]
        self.embedding = Embedding(spec, self.size[0] * self.size[1])

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        plane = self.embedding(c).view(-1, 1, *self.size)
        if x.shape[2:] != plane.shape[2:]:  # a network that grows looks at smaller images first
            # By picking pixels: means of them would fade the plane.
            plane = functional.interpolate(plane, size=x.shape[2:], mode="nearest")
        return torch.cat([x, plane.to(x)], 1)


class Verdict(Given):
    """D's last word: its logits as they are. h (n, width) is what its head read."""

    def forward(
        self, logits: Tensor, h: Tensor, c: Tensor | None, found: dict[str, Tensor]
    ) -> Tensor:
        return logits


class Project(Verdict):
    """The logits and the inner product of the embedded condition with h."""

    def __init__(self, spec: Spec, width: int) -> None:
        super().__init__()
        self.embedding = Embedding(spec, width, spread=width**-0.5)

    def forward(
        self, logits: Tensor, h: Tensor, c: Tensor | None, found: dict[str, Tensor]
    ) -> Tensor:
        return logits + (self.embedding(c) * h).sum(1)


class Classify(Verdict):
    """Logits as they are, and what h says of the condition, (n, classes), put into `found`.

    Of numbers it is said in standard units, and what should be said is put beside it.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, spec: Spec, width: int) -> None:
        super().__init__()
        if not spec.classes:
            raise RecipeError("a conditional network needs labelled data", fix="--condition none")
        self.vectors = spec.vectors
        self.head = nn.Linear(width, len(spec.classes))
        if spec.vectors:
            _keep_scale(self, spec)

    def forward(
        self, logits: Tensor, h: Tensor, c: Tensor | None, found: dict[str, Tensor]
    ) -> Tensor:
        found[CLASS_LOGITS] = self.head(h)
        if self.vectors and c is not None:
            found[CLASS_WANTED] = (c - self.mean) / self.std
        return logits


# -------------------------------------------------------------------------------------- the parts


class Condition(Part, kind="conditions", abstract=True):
    """How G and D are told the condition. This one, which None stands for, tells them nothing.

    `guesses`: whether D guesses it instead, in the layer `class_logits` of its features.
    """

    guesses: ClassVar[bool] = False

    def join(self, spec: Spec, latent: int, normed: bool = False) -> Join:
        """G's input. normed: whether this network asks for `norm` as well."""
        return Join(latent)

    def norm(self, spec: Spec, layer: nn.Module, width: int) -> nn.Module:
        """A layer of G that normalises (n, width, ...)."""
        return layer

    def see(self, spec: Spec, flat: bool = False) -> See:
        """D's input. flat: whether this network looks at rows (n, d) and not at images."""
        return See()

    def verdict(self, spec: Spec, width: int) -> Verdict:
        """D's end: its head reads h (n, width)."""
        return Verdict()


class Concat(Condition):
    """The embedded class joined to G's noise and to D's input.

    `width` columns for G, and for a D that looks at rows; one channel for a D that looks at images.
    """

    paper: ClassVar[str] = "Mirza & Osindero 2014, Conditional GANs, arXiv:1411.1784"
    width: int = 16

    def check(self) -> None:
        require(self.width >= 1, "width must be at least 1")

    def join(self, spec: Spec, latent: int, normed: bool = False) -> Join:
        return Join(latent, Embedding(spec, self.width))

    def see(self, spec: Spec, flat: bool = False) -> See:
        return Columns(spec, self.width) if flat or spec.points else Plane(spec)


class Projection(Condition):
    """A projection in D; in G conditional BatchNorm, or where it has none the class joined to z.

    D's logit is the unconditional one plus <embedding of the class, h>, h being what its head
    reads. `width` columns are joined to the noise of a G that does not normalise.
    """

    paper: ClassVar[str] = (
        "Miyato & Koyama 2018, cGANs with projection discriminator, arXiv:1802.05637; "
        "de Vries et al. 2017, Modulating early visual processing, arXiv:1707.00683"
    )
    width: int = 16

    def check(self) -> None:
        require(self.width >= 1, "width must be at least 1")

    def join(self, spec: Spec, latent: int, normed: bool = False) -> Join:
        return Join(latent, None if normed else Embedding(spec, self.width))

    def norm(self, spec: Spec, layer: nn.Module, width: int) -> nn.Module:
        return ConditionalNorm(spec, layer, width)

    def verdict(self, spec: Spec, width: int) -> Verdict:
        return Project(spec, width)


class Auxiliary(Condition):
    """D is not told the class but guesses it, in a second head; G gets it joined to z.

    The guesses are the layer `class_logits` of D's features, those of numbers in standard units of
    the training data. The trick AuxiliaryClassifier makes both networks answer for them.
    """

    paper: ClassVar[str] = "Odena et al. 2017, AC-GAN, arXiv:1610.09585"
    guesses: ClassVar[bool] = True
    width: int = 16

    def check(self) -> None:
        require(self.width >= 1, "width must be at least 1")

    def join(self, spec: Spec, latent: int, normed: bool = False) -> Join:
        return Join(latent, Embedding(spec, self.width))

    def verdict(self, spec: Spec, width: int) -> Verdict:
        return Classify(spec, width)
