"""Which kinds of real images a generator leaves out, where no labels say what kinds there are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from sparring.data.source import Images
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

_SHOWN = 6  # clusters in the picture
_EACH = 4  # images of each side
_SURE = 1.96  # of a difference between two shares, in standard errors: 5 %


class ClusterCoverage(Metric):
    """Clusters of the training images that the samples leave out, by name and with pictures.

    The clusters are those of k-means of up to n_train training images in `features`; n samples go
    to their nearest. Three scores: clusters, how many have at least `share` of their due part of
    the samples; cluster-tv, total variation between the samples' and the data's shares, in [0, 1];
    ndb, the share of clusters whose two parts differ at the 5 % level (Richardson and Weiss; 0.05
    is what chance gives). Their detail: a table of all clusters, those most wanting first, each
    with the class that most of its images have where there are classes; examples as a picture.
    """

    paper = "Richardson and Weiss 2018, arXiv:1805.12462"

    n: int = 2000
    n_train: int = 10_000
    features: Features = Pixels()
    clusters: int = 20
    share: float = 0.1

    def check(self) -> None:
        require(self.n >= 2, "n must be at least 2")
        require(self.n_train >= 2, "n_train must be at least 2")
        require(self.clusters >= 2, "clusters must be at least 2")
        require(0 < self.share <= 1, "share lies in (0, 1]")

    def score(self, real: Real, fake: Fake, n: int | None = None) -> list[Score]:
        extractor = self.features.open(real)
        images = real.some(self.n_train)
        truth = real_features(extractor, real, self.n_train)
        made = fake_features(extractor, real, fake, fake.enough(n or self.n))
        clusters = Clusters.of(truth, self.clusters)
        real_in, made_in = clusters.assign(truth), clusters.assign(made)
        k = len(clusters.centres)
        table = Table(made_in.bincount(minlength=k), real_in.bincount(minlength=k), self.share)
        seen = protocol(
            self,
            real,
            fake,
            split="train",
            n_real=len(truth),
            n_fake=len(made),
            **extractor.protocol,
            clusters=k,
            dtype="clusters float64",
        )
        rows = table.rows(_names(real_in, images, k))
        typical = [_typical(clusters, truth, real_in, int(i)) for i in table.order[:_SHOWN]]
        chosen = [(made_in == i).nonzero()[:_EACH, 0].tolist() for i in table.order[:_SHOWN]]
        show = _picture(typical, chosen, images, real, fake)
        found = table.scores(seen, {"table": rows, "picture": show})
        return [replace(score, metric=named(score.metric, extractor)) for score in found]


class Table:
    """How samples and data spread over clusters, from counts int64 (K,) of both."""

    def __init__(self, made: Tensor, real: Tensor, share: float) -> None:
        self.n, self.n_real = int(made.sum()), int(real.sum())
        self.counts, self.least = made, share
        self.q, self.p = made.double() / self.n, real.double() / self.n_real
        both = (made + real).double() / (self.n + self.n_real)
        error = (both * (1 - both) * (1 / self.n + 1 / self.n_real)).sqrt()
        # Where all of both sides, or none, are in one cluster there is no difference to test.
        self.z = torch.where(error > 0, (self.q - self.p) / error.clamp_min(1e-300), 0.0)
        self.missed = (self.q < share * self.p) | (made == 0)
        self.order = self.z.argsort(stable=True)

    def rows(self, names: list[str]) -> list[dict[str, Any]]:
        """One row for each cluster, those most wanting first."""
        return [
            {
                "cluster": names[i],
                "data": float(self.p[i]),
                "samples": float(self.q[i]),
                "z": float(self.z[i]),
                "missed": bool(self.missed[i]),
            }
            for i in self.order.tolist()
        ]

    def scores(self, seen: dict[str, Any], detail: dict[str, Any]) -> list[Score]:
        """clusters, cluster-tv and ndb."""
        k = len(self.p)
        perfect = (self.p * (1 - self.p) * (1 / self.n + 1 / self.n_real) / (2 * torch.pi)).sqrt()
        apart = (self.q - self.p).sign()
        # The delta method: the distance is linear in q wherever no share equals the data's.
        variance = ((self.q * apart.square()).sum() - (self.q * apart).sum().square()) / self.n
        differ = float((self.z.abs() > _SURE).double().mean())
        return [
            Score(
                "clusters", float((~self.missed).sum()), None, seen, {"of": k, **detail}, "higher"
            ),
            Score(
                "cluster-tv",
                0.5 * float((self.q - self.p).abs().sum()),
                0.5 * float(variance.clamp_min(0).sqrt()),
                seen,
                {"perfect": float(perfect.sum())},
            ),
            Score("ndb", differ, (differ * (1 - differ) / k) ** 0.5, seen, {"perfect": 0.05}),
        ]


def _names(at: Tensor, images: Images, k: int) -> list[str]:
    """What each cluster is called: its number, and the commonest class where there are classes."""
    names = [f"cluster {i + 1}" for i in range(k)]
    if images.labels is None or images.labels.dim() != 1:
        return names
    for i in range(k):
        counts = images.labels.cpu()[at == i].bincount()
        if len(counts):
            most = int(counts.argmax())
            label = images.classes[most] if images.classes else str(most)
            names[i] += f": {label} ({int(counts.max()) / int(counts.sum()):.0%})"
    return names


def _typical(clusters: Clusters, truth: Tensor, at: Tensor, i: int) -> list[int]:
    """The training images nearest to the centre of cluster i."""
    members = (at == i).nonzero()[:, 0]
    nearest_ones = nearest(clusters.centres[i : i + 1], truth[members], k=_EACH)[1][0]
    return members[nearest_ones].tolist()


def _picture(
    typical: list[list[int]], chosen: list[list[int]], images: Images, real: Real, fake: Fake
) -> dict[str, Any]:
    wanted = [i for row in chosen for i in row]
    drawn = iter(samples(fake, real, wanted) if wanted else [])
    rows: list[list[Tensor | None]] = []
    for left, right in zip(typical, chosen):
        shown: list[Tensor | None] = list(images.uint8(torch.tensor(left)).cpu())
        shown += [None] * (_EACH - len(left))
        shown += [next(drawn) for _ in right]
        rows.append(shown + [None] * (2 * _EACH - len(shown)))
    caption = (
        "The clusters that the samples reach least, one to a row: real images of each on the "
        "left, samples of it on the right."
    )
    return picture(rows, ("real",) * _EACH + ("sample",) * _EACH, caption)
