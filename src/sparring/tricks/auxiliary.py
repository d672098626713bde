"""The term by which D learns classes and G makes them."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from sparring.parts import require
from sparring.tricks.trick import CLASS_LOGITS, State, Trick, View


class AuxiliaryClassifier(Trick):
    """Both networks answer for the class that D guesses: cross entropy, added to either side.

    D learns to tell the classes of real and of generated images, G to make what D tells. For nets
    with `condition=Auxiliary()`. Where a condition is several numbers, half the squared error.
    """

    paper: ClassVar[str] = "Odena et al. 2017, AC-GAN, arXiv:1610.09585"
    features: ClassVar[bool] = True
    guesses: ClassVar[bool] = True
    d_weight: float = 1.0
    g_weight: float = 1.0

    def check(self) -> None:
        super().check()
        require(min(self.d_weight, self.g_weight) >= 0, "weights must not be negative")

    def d_term(self, view: View, state: State) -> Tensor | float:
        real = _wrong(view.real_features, view.c)
        return self.d_weight * (real + _wrong(view.fake_features, view.fake_c))

    def g_term(self, view: View, state: State) -> Tensor | float:
        return self.g_weight * _wrong(view.fake_features, view.fake_c)


def _wrong(features: dict[str, Tensor], c: Tensor | None) -> Tensor:
    """How wrong D's guess of the conditions is, averaged over the batch."""
    assert c is not None
    guess = features[CLASS_LOGITS].float()
    if c.is_floating_point():
        return (guess - c).square().mean() / 2
    return functional.cross_entropy(guess, c)
