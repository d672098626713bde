"""Which kinds of real images a generator leaves out, where no labels say what kinds there are."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from sparring.data.source import Images
from sparring.metrics.chance import counted_error, same_share
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
from sparring.randomness import generator

_SHOWN = 6  # clusters in the picture
_EACH = 4  # images of each side
_LEVEL = 0.05  # of tests of two shares


class ClusterCoverage(Metric):
    """Clusters of the training images that the samples leave out, by name and with pictures.

    The clusters are those of k-means of half of up to n_train training images in `features`; the
    other half, which they were not fitted to, and n samples go to their nearest. Three scores:
    clusters, how many are not missed: missed is one with less than `share` of its due part of the
    samples, where chance leaves one of all clusters so wanting in at most 5 % of cases; cluster-tv,
    total variation between the samples' and the data's shares, in [0, 1]; ndb, the share of
    clusters whose two parts differ at the 5 % level of Fisher's exact test (Richardson and Weiss,
    who take a normal one); the detail `perfect` is what chance gives. Further detail: a table of
    all clusters, those most wanting first, each with the class that most of its images have where
    there are classes; examples as a picture.
    """

    yields = ("clusters", "cluster-tv", "ndb")
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
        # Clusters lie closer to the images that they were fitted to than to any other.
        order = torch.randperm(len(truth), generator=generator("clusters", len(truth)))
        fitted, counted = order.tensor_split([len(truth) // 2])
        clusters = Clusters.of(truth[fitted], self.clusters)
        real_in, made_in = clusters.assign(truth), clusters.assign(made)
        k = len(clusters.centres)
        counts = [at.bincount(minlength=k) for at in (made_in, real_in[counted])]
        table = Table(counts[0], counts[1], self.share)
        seen = protocol(
            self,
            real,
            fake,
            split="train",
            n_clustered=len(fitted),
            n_real=len(counted),
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
        self.counts, self.share = made, share
        self.q, self.p = made.double() / self.n, real.double() / self.n_real
        both = (made + real).double() / (self.n + self.n_real)
        error = (both * (1 - both) * (1 / self.n + 1 / self.n_real)).sqrt()
        # Where all of both sides, or none, are in one cluster there is no difference to test.
        self.z = torch.where(error > 0, (self.q - self.p) / error.clamp_min(1e-300), 0.0)
        self.order = self.z.argsort(stable=True)
        pairs = zip(made.tolist(), real.tolist())
        tests = [same_share(a, self.n, b, self.n_real) for a, b in pairs]
        few, apart, self.by_chance = torch.tensor(tests, dtype=torch.float64).T
        # Of all clusters, not of each, chance names one in 5 % of cases at most.
        self.missed = (self.q < share * self.p) & (few <= _LEVEL / len(made))
        self.differ = apart <= _LEVEL

    def _bounds(self, b: int) -> tuple[int, int, int]:
        """Of a cluster of b real images: the fewest samples at which it is not missed, at which it
        does not differ, and the most at which it does not."""
        due = self.n * b / self.n_real

        def test(a: int, side: int) -> float:
            return same_share(a, self.n, b, self.n_real)[side]

        few = range(math.ceil(self.share * due))
        enough = bisect_left(few, True, key=lambda a: test(a, 0) > _LEVEL / len(self.p))
        below, above = range(round(due)), range(round(due), self.n + 1)
        low = bisect_left(below, True, key=lambda a: test(a, 1) > _LEVEL)
        high = round(due) + bisect_left(above, True, key=lambda a: test(a, 1) <= _LEVEL) - 1
        return enough, low, high

    def errors(self) -> tuple[float, float]:
        """The standard errors of how many clusters are not missed, and of how many differ."""
        bounds = [self._bounds(round(p * self.n_real)) for p in self.p.tolist()]
        enough, low, high = torch.tensor(bounds).T
        reached = counted_error(self.counts, lambda c: (c >= enough).sum(-1), "clusters")
        differ = counted_error(self.counts, lambda c: ((c < low) | (c > high)).sum(-1), "ndb")
        return reached, differ

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
        reached, differ = self.errors()
        covered, different = float((~self.missed).sum()), float(self.differ.sum())
        by_chance = {"perfect": float(self.by_chance.mean())}
        return [
            Score("clusters", covered, reached, seen, {"of": k, **detail}, "higher"),
            Score(
                "cluster-tv",
                0.5 * float((self.q - self.p).abs().sum()),
                0.5 * float(variance.clamp_min(0).sqrt()),
                seen,
                {"perfect": float(perfect.sum())},
            ),
            Score("ndb", different / k, differ / k, seen, by_chance),
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
