"""Terms that ask for the same answer to what has the same meaning."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from sparring.parts import require
from sparring.tricks.trick import State, Trick, View
from sparring.tricks.views import DiffAugment


class Consistency(Trick):
    """Balanced consistency (bCR): D gives a sample and a changed copy of it the same logit.

    real E (D(x) - D(T x))^2 + fake E (D(y) - D(T y))^2, for real x and generated y; of a D that
    judges patches the means of their logits are compared, since T moves what each of them sees. T
    is the change that the trick `augment` makes of what D sees: it must have no state of its own.
    """

    paper: ClassVar[str] = (
        "Zhao et al. 2021, Improved consistency regularization for GANs, arXiv:2002.04724"
    )
    real: float = 10.0
    fake: float = 10.0
    augment: Trick = DiffAugment(colour=False, cutout=0.0, flip=True)

    def check(self) -> None:
        super().check()
        require(self.real >= 0 and self.fake >= 0, "weights must not be negative")
        require(self.real + self.fake > 0, "one of the weights real and fake must be positive")
        changes = type(self.augment).see is not Trick.see
        require(changes, f"{self.augment!r} does not change what D sees: use DiffAugment")
        still = type(self.augment).after_step is Trick.after_step
        require(still, f"{self.augment!r} has a state of its own: use DiffAugment")

    def init(self, view: View, state: State) -> State:
        return self.augment.init(view, state)

    def d_term(self, view: View, state: State) -> Tensor | float:
        assert view.ask is not None
        term = torch.zeros((), device=view.images.device)
        for weight, x, c, logits in (
            (self.real, view.real_seen, view.c, view.real_logits),
            (self.fake, view.fake_seen, view.fake_c, view.fake_logits),
        ):
            if weight:
                changed = view.ask(view.D, self.augment.see(view, state, x), c)
                term = term + weight * (_whole(logits) - _whole(changed)).square().mean()
        return term


def _whole(logits: Tensor) -> Tensor:
    """One logit for each sample: (n, ...) -> (n,)."""
    return logits.flatten(1).mean(1) if logits.dim() > 1 else logits


class LatentConsistency(Trick):
    """Latent consistency (zCR): a small step in the noise moves G's sample but not D's answer.

    D pays d E (D(G(z)) - D(G(z')))^2, and G is paid g times the mean square of G(z) - G(z') over
    all values, with z' = z + sigma noise.
    """

    paper: ClassVar[str] = Consistency.paper
    own_fakes: ClassVar[bool] = True
    steps_in_noise: ClassVar[bool] = True
    d: float = 5.0
    g: float = 0.5
    sigma: float = 0.05

    def check(self) -> None:
        super().check()
        require(self.d >= 0 and self.g >= 0, "weights must not be negative")
        require(self.d + self.g > 0, "one of the weights d and g must be positive")
        require(self.sigma > 0, "sigma must be positive")

    def _near(self, view: View) -> Tensor:
        """G(z'), under the same conditions."""
        assert view.z is not None
        noise = view.rng.normal(*view.z.shape).to(view.z)
        return view.G(view.z + self.sigma * noise, view.c)

    def _fake(self, view: View) -> Tensor:
        """G(z), made again where it was rounded: its neighbour is nearer than that."""
        return view.G(view.z, view.c) if view.bf16 else view.fake

    def d_term(self, view: View, state: State) -> Tensor | float:
        with torch.no_grad():
            fake, near = self._fake(view), self._near(view)
        # What other tricks do to all that D sees they do to neither of the two.
        plain = view.fake_seen is view.fake and not view.bf16
        logits = view.fake_logits if plain else view.D(fake, view.c)
        return self.d * (logits - view.D(near, view.c)).square().mean()

    def g_term(self, view: View, state: State) -> Tensor | float:
        return -self.g * (self._fake(view) - self._near(view)).square().mean()
