"""Does a generator give back its training images? Three tests, with unseen images as control.

All compare samples with training images and with images of the same kind that were kept from
training, and all get their p-values by permutation (see `chance.py`). They ask different things:
whether samples lie nearer to the training images than unseen images do (authenticity, C_T), which
those of a generator of too little variety do as well; and whether samples lie nearer to the
training images than to the unseen ones (copied), which only those of a generator do that has learnt
single images.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sparring.data.source import Images
from sparring.errors import DataError
from sparring.metrics.chance import DRAWS, p_value, random_sums, ranks, share_error
from sparring.metrics.features import (
    Features,
    Pixels,
    fake_features,
    named,
    real_features,
)
from sparring.metrics.metric import Fake, Metric, Real, Score, protocol
from sparring.metrics.neighbours import Clusters, nearest
from sparring.metrics.picture import picture, samples
from sparring.parts import require

_SHOWN = 8  # samples in the picture


class Memorisation(Metric):
    """Whether samples repeat training images, judged against images kept from training.

    n samples, up to n_train training images and as many held out, compared in `features`. Without
    images held out: DataError. Each p-value is one-sided: small where samples copy. Scores:

    authenticity (Alaa): the share, in [0, 1], of samples that are further from their nearest
    training image than that one is from its own nearest; copies lower it. copy-test (Meehan's
    C_T): the mean over k-means cells of the Mann-Whitney z of the samples' distances to the
    training images against those of the images held out; copies are below 0, strays above. Cells
    with fewer than `least` of either are left out; where none is left, all is one cell. copied
    (Platzer): how many samples are copies, as a share, estimated from how many have a training
    image as their nearest of all real ones, less what chance gives: 0 at best, 1 at worst.
    """

    yields = (
        "authenticity",
        "authenticity-p",
        "copy-test",
        "copy-test-p",
        "copied",
        "copied-p",
    )
    paper = (
        "Alaa et al. 2022, arXiv:2102.08921; Meehan et al. 2020, arXiv:2004.05675; "
        "Platzer and Reutterer 2021, arXiv:2104.00635"
    )

    n: int = 2000
    n_train: int = 10_000
    features: Features = Pixels()
    cells: int = 3
    least: int = 20

    def check(self) -> None:
        require(self.n >= 2, "n must be at least 2")
        require(self.n_train >= 2, "n_train must be at least 2")
        require(self.cells >= 1, "cells must be at least 1")
        require(self.least >= 1, "least must be at least 1")

    def score(self, real: Real, fake: Fake, n: int | None = None) -> list[Score]:
        unseen = Real(real.name, train=kept_back(real, "memorisation"))
        extractor = self.features.open(real)
        train = real_features(extractor, real, self.n_train)
        held = real_features(extractor, unseen, self.n_train)
        made = fake_features(extractor, real, fake, fake.enough(n or self.n))
        seen = protocol(
            self,
            real,
            fake,
            split="train",
            n_real=len(train),
            n_held_out=len(held),
            held_out_digest=unseen.train.digest if unseen.train else "",
            n_fake=len(made),
            **extractor.protocol,
            permutations=DRAWS,
            dtype="distances float64",
        )
        near = Near.of(made, train, held)
        show = _picture(near, real.some(self.n_train), unseen.some(self.n_train), real, fake)
        found = [
            *_authenticity(near, seen),
            *_copy_test(near, Clusters.of(train, self.cells), made, held, self.least, seen),
            *_copied(near, len(train), len(held), seen, show),
        ]
        return [replace(score, metric=named(score.metric, extractor)) for score in found]


def kept_back(real: Real, what: str) -> Images:
    """The images held out, or DataError."""
    if real.train is None:
        raise DataError(f"{what} needs images", where=real.name)
    if real.held_out is None or len(real.held_out) == 0:
        raise DataError(
            f"{what} needs images that were not trained on",
            where=real.name,
            why="none were held out",
            fix="give such images with --control DATA",
        )
    return real.held_out


@dataclass(frozen=True, eq=False)
class Near:
    """Distances, float64, and indices of nearest neighbours.

    made, made_at: of each sample (n,) among the training images; held, held_at: of each image held
    out (h,) among them; across, across_at: of each sample among the images held out; spacing: of
    each training image (t,) that is somebody's nearest to the next training image, else NaN.
    """

    made: Tensor
    made_at: Tensor
    held: Tensor
    held_at: Tensor
    across: Tensor
    across_at: Tensor
    spacing: Tensor

    @classmethod
    def of(cls, made: Tensor, train: Tensor, held: Tensor) -> Near:
        """From features (n, d), (t, d) and (h, d); t >= 2."""
        if len(train) < 2:
            raise DataError("memorisation needs two training images", why="there is only one")
        of_made, made_at = (v[:, 0] for v in nearest(made, train))
        of_held, held_at = (v[:, 0] for v in nearest(held, train))
        across, across_at = (v[:, 0] for v in nearest(made, held))
        wanted = torch.cat([made_at, held_at]).unique()
        spacing = torch.full((len(train),), torch.nan, dtype=torch.float64)
        # The first of two neighbours in the whole set is the image itself, or its equal.
        spacing[wanted] = nearest(train[wanted], train, k=2)[0][:, 1]
        return cls(of_made, made_at, of_held, held_at, across, across_at, spacing)


def _authenticity(near: Near, seen: dict[str, object]) -> Iterator[Score]:
    copies = near.made <= near.spacing[near.made_at]
    others = near.held <= near.spacing[near.held_at]
    n, h = len(copies), len(others)
    share, usual = (1 - v.double().mean().item() for v in (copies, others))
    drawn = random_sums(torch.cat([copies, others]), n, "authenticity", n, h)
    error = share_error(n - int(copies.sum()), n)
    yield Score("authenticity", share, error, seen, {"held_out": usual}, "higher")
    yield Score("authenticity-p", p_value(float(copies.sum()), drawn), None, seen, {}, "higher")


def _copy_test(
    near: Near, clusters: Clusters, made: Tensor, held: Tensor, least: int, seen: dict[str, object]
) -> Iterator[Score]:
    made_in, held_in = clusters.assign(made), clusters.assign(held)
    k = len(clusters.centres)
    sizes = torch.stack([made_in.bincount(minlength=k), held_in.bincount(minlength=k)])
    if not (sizes.amin(0) >= least).any():
        made_in, held_in = made_in * 0, held_in * 0
        sizes = torch.tensor([[len(made)], [len(held)]])
        least = 1
    cells, total, drawn, weight = [], 0.0, torch.zeros(1, dtype=torch.float64), 0.0
    for cell, (m, h) in enumerate(sizes.T.tolist()):
        if min(m, h) < least:
            continue
        together = ranks(torch.cat([near.made[made_in == cell], near.held[held_in == cell]]))
        middle, spread = m * (m + h + 1) / 2, (m * h * (m + h + 1) / 12) ** 0.5
        z = (float(together[:m].sum()) - middle) / spread
        share = h / len(held)
        total, weight = total + share * z, weight + share
        drawn = (
            drawn + share * (random_sums(together, m, "copy test", cell, m, h) - middle) / spread
        )
        cells.append({"samples": m, "held_out": h, "z": z})
    value, drawn = total / weight, drawn / weight
    detail = {"held_out": 0.0, "cells": cells}
    yield Score("copy-test", value, float(drawn.std()), seen, detail, "data")
    yield Score("copy-test-p", p_value(-value, -drawn), None, seen, {}, "higher")


def _copied(
    near: Near, t: int, h: int, seen: dict[str, object], show: dict[str, object]
) -> Iterator[Score]:
    """The nearest real image of each sample falls on one that was trained on, or on one that was
    not. Where nothing was learnt by heart, which of them were trained on could be drawn anew.
    """
    n = len(near.made)
    trained = ((near.made < near.across) + 0.5 * (near.made == near.across)).double()
    falls = torch.zeros(t + h, dtype=torch.float64)
    falls.index_add_(0, near.made_at, trained).index_add_(0, t + near.across_at, 1 - trained)
    share, due = float(trained.mean()), t / (t + h)
    drawn = random_sums(falls, t, "copied", t, h)
    error = float(drawn.std()) / n / (1 - due)
    detail = {"nearest_is_training": share, "by_chance": due, "picture": show}
    yield Score("copied", (share - due) / (1 - due), error, seen, detail)
    yield Score("copied-p", p_value(share * n, drawn), None, seen, {}, "higher")


def _picture(near: Near, train: Images, held: Images, real: Real, fake: Fake) -> dict[str, object]:
    """The samples that are nearest to a training image, by its own distance to the next one."""
    ratio = near.made / near.spacing[near.made_at].clamp_min(1e-12)
    chosen = ratio.argsort(stable=True)[:_SHOWN]
    sides = (train.uint8(near.made_at[chosen]), held.uint8(near.across_at[chosen]))
    rows = list(zip(samples(fake, real, chosen.tolist()), *(s.cpu() for s in sides)))
    caption = (
        "The samples most like a training image, measured by how far that one is from the next, "
        "with the nearest training image and the nearest image that was held out."
    )
    return picture(rows, ("sample", "nearest training image", "nearest held out"), caption)
