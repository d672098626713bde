"""Can one tell from the discriminator which images it was trained on? Privacy, and overfitting."""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.data.source import Images
from sparring.errors import DataError
from sparring.metrics.chance import DRAWS, auc, p_value, random_sums, ranks
from sparring.metrics.memorisation import kept_back
from sparring.metrics.metric import Fake, Judge, Metric, Real, Score, protocol
from sparring.parts import require
from sparring.randomness import generator

_BATCH = 64


class Membership(Metric):
    """A membership-inference attack on D: images it calls more real are said to be of the training.

    n training images at most and as many held out, both as they are, without flips and tricks; D
    must be at hand, as it is for a run, else DataError. Two scores: membership-auc, the area under
    the attack's ROC curve, 0.5 where nothing leaks and 1 where D knows every training image; and
    membership-p, its one-sided permutation p-value. Detail: the 95 % interval; tpr, the share of
    training images found when 1 % of the others are falsely accused; advantage, the largest
    difference of the two shares.
    """

    yields = ("membership-auc", "membership-p")
    paper = "Hayes et al. 2019, LOGAN, arXiv:1705.07663; Carlini et al. 2022, arXiv:2112.03570"

    n: int = 2000

    def check(self) -> None:
        require(self.n >= 2, "n must be at least 2")

    def score(self, real: Real, fake: Fake, n: int | None = None) -> list[Score]:
        unseen = Real(real.name, train=kept_back(real, "the membership attack"))
        if fake.judge is None:
            raise DataError("the membership attack needs a discriminator", where=fake.name)
        n = n or self.n
        inside, outside = _logits(fake.judge, real.some(n), unseen.some(n))
        area, error = auc(inside, outside)
        together = ranks(torch.cat([inside, outside]))
        m = len(inside)
        drawn = random_sums(together, m, "membership", len(together), m)
        seen = protocol(
            self,
            real,
            fake,
            split="train",
            n_real=m,
            n_held_out=len(outside),
            held_out_digest=unseen.train.digest if unseen.train else "",
            attack="logits of D",
            permutations=DRAWS,
            dtype="logits float32, ranks float64",
        )
        limit = 1.96 * error
        detail = {
            "interval": [max(0.0, area - limit), min(1.0, area + limit)],
            **_curve(inside, outside),
        }
        return [
            Score("membership-auc", area, error, seen, detail),
            Score(
                "membership-p", p_value(float(together[:m].sum()), drawn), None, seen, {}, "higher"
            ),
        ]


def _logits(judge: Judge, inside: Images, outside: Images) -> tuple[Tensor, Tensor]:
    """float64 (m,) and (h,): D's logits, asked in batches that mix both kinds, for a D whose
    answer depends on the batch would else tell the kinds apart by it.
    """
    m, h = len(inside), len(outside)
    order = torch.randperm(m + h, generator=generator("membership order", m, h))
    found = torch.empty(m + h, dtype=torch.float64)
    for index in order.split(_BATCH):
        sides = [(inside, index[index < m]), (outside, index[index >= m] - m)]
        pixels = torch.cat([images.uint8(at).cpu() for images, at in sides])
        labels = [images.labels[at].cpu() for images, at in sides if images.labels is not None]
        logits = judge(pixels, torch.cat(labels) if len(labels) == 2 else None)
        if len(logits) != len(pixels):
            raise DataError("this D judges several images at once", why="it gives them one logit")
        found[torch.cat([index[index < m], index[index >= m]])] = (
            logits.double().reshape(len(index), -1).mean(1)
        )
    if not found.isfinite().all():
        raise DataError("a logit of D is not finite")
    return found[:m], found[m:]


def _curve(inside: Tensor, outside: Tensor) -> dict[str, float]:
    """tpr at 1 % false accusations, and the largest advantage over all thresholds."""
    limit = torch.quantile(outside, 0.99, interpolation="higher")
    thresholds = torch.cat([inside, outside]).unique()
    true = 1 - torch.searchsorted(inside.sort().values, thresholds) / len(inside)
    false = 1 - torch.searchsorted(outside.sort().values, thresholds) / len(outside)
    return {
        "tpr": float((inside > limit).double().mean()),
        "advantage": float((true - false).max().clamp_min(0)),
    }
