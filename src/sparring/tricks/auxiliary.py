"""What D learns besides real from fake: classes, which G answers for too, and images."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.functional import adaptive_avg_pool2d

from sparring.layers import CLASS_LOGITS, CLASS_WANTED, DECODED
from sparring.parts import require
from sparring.tricks.trick import State, Trick, View


class AuxiliaryClassifier(Trick):
    """Both networks answer for the class that D guesses: cross entropy, added to either side.

    D learns to tell the classes of real and of generated images, G to make what D tells. For nets
    with `condition=Auxiliary()`. Where a condition is several numbers, half the squared error
    in standard units.
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
        return (guess - features[CLASS_WANTED]).square().mean() / 2
    return functional.cross_entropy(guess, c)


class Reconstruction(Trick):
    """D keeps what its images look like: it pays for how far what it decodes is from the real ones.

    weight sum E |decoded - real|, over what D decodes from each of its layers, beside the real
    images as it sees them, averaged down to that size. For nets whose D decodes (`FewShot`). The
    paper measures by a pretrained network, this by the mean absolute difference.
    """

    paper: ClassVar[str] = (
        "Liu et al. 2021, Towards faster and stabilized GAN training for few-shot image synthesis, "
        "arXiv:2101.04775"
    )
    features: ClassVar[bool] = True
    decodes: ClassVar[bool] = True
    weight: float = 1.0

    def check(self) -> None:
        super().check()
        require(self.weight >= 0, "weight must not be negative")

    def d_term(self, view: View, state: State) -> Tensor | float:
        off = []
        for name, decoded in view.real_features.items():
            if name.startswith(DECODED):
                real = adaptive_avg_pool2d(view.real_seen, (decoded.shape[2], decoded.shape[3]))
                off.append((decoded.float() - real).abs().mean())
        return self.weight * torch.stack(off).sum()
