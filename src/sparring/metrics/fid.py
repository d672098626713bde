"""The Frechet inception distance and what is made of it: per class, and without its bias."""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.errors import DataError
from sparring.metrics.comparison import Comparison, fake_moments, real_moments
from sparring.metrics.features import Extractor, fake_features, real_features
from sparring.metrics.frechet import Gaussian, frechet_distance, sampling_error
from sparring.metrics.metric import Fake, Real, Score
from sparring.parts import require
from sparring.randomness import generator


class FID(Comparison):
    """Frechet distance of features taken as Gaussians: FID with Inception's, FD with others.

    The squared distance, >= 0, biased upwards in proportion to 1/n: compare at one n only. Its
    error is that of the samples, the reference taken as given. Other features than Inception's
    give a score called fd-..., never fid.
    """

    paper = "Heusel et al. 2017, arXiv:1706.08500"

    def score(self, real: Real, fake: Fake, n: int | None = None) -> list[Score]:
        n, extractor = fake.enough(n or self.n), self.open(real)
        reference = real_moments(extractor, real, n)
        moments, some = fake_moments(extractor, real, fake, n)
        seen = self.protocol(real, fake, extractor, reference.n, moments.n)
        value = frechet_distance(moments, reference)
        error = sampling_error(some, moments, reference)
        few = min(moments.n, reference.n) <= extractor.dimension
        note = f"strongly biased at no more than {extractor.dimension} images"
        detail = {"biased": note} if few else {}
        return [Score(self.distance("fid", extractor), value, error, seen, detail)]

    def distance(self, name: str, extractor: Extractor) -> str:
        """The score's name: `name` for Inception's features, with fd for fid for all others."""
        if extractor.key != "inception":
            return f"{name.replace('fid', 'fd')}-{extractor.key}"
        return self.named(name, extractor)


class ClassFID(FID):
    """Mean over the classes of the FID of a class's samples to the real images of that class.

    For labelled data and samples whose classes are known: of a conditional generator, folders of
    classes, an npz with labels. Classes are compared by name. Those of the data with fewer than
    `least` images on either side are left out and named in the detail, which holds the distance of
    each; so are those of the samples that the data do not have.
    """

    paper = "Miyato and Koyama 2018, intra-FID, arXiv:1802.05637"

    least: int = 10

    def score(self, real: Real, fake: Fake, n: int | None = None) -> list[Score]:
        n, extractor = fake.enough(n or self.n), self.open(real)
        images = real.some(n)
        if images.labels is None or fake.labels is None:
            side = real.name if images.labels is None else fake.name
            raise DataError("the FID of each class needs labels", where=side, why="there are none")
        x, y = real_features(extractor, real, n), fake_features(extractor, real, fake, n)
        labels = fake.labels(n).cpu()
        names, made = (
            _names(*side) for side in ((images.classes, images.labels), (fake.classes, labels))
        )
        unknown = [name for name in made if name not in names]
        if len(unknown) == len(made):
            both = " and ".join(", ".join(side[:9]) for side in (made, names))
            raise DataError("samples and data have no class in common", where=fake.name, why=both)
        distances, errors, missing = {}, [], []
        for i, name in enumerate(names):
            mine = x[images.labels == i]
            theirs = y[labels == made.index(name)] if name in made else y[:0]
            if min(len(mine), len(theirs)) < max(self.least, 2):
                missing.append(name)
                continue
            a, b = Gaussian.of(theirs), Gaussian.of(mine)
            distances[name] = frechet_distance(a, b)
            errors.append(sampling_error(theirs, a, b))
        if not distances:
            raise DataError(f"no class has {self.least} images on both sides", where=real.name)
        value = sum(distances.values()) / len(distances)
        error = sum(e * e for e in errors) ** 0.5 / len(errors)
        seen = self.protocol(real, fake, extractor, len(x), len(y))
        detail = {"classes": distances, "left_out": missing, "unknown": unknown}
        return [Score(self.distance("class-fid", extractor), value, error, seen, detail)]


def _names(classes: tuple[str, ...], labels: Tensor) -> tuple[str, ...]:
    return classes or tuple(map(str, range(int(labels.max()) + 1)))


class FIDInfinity(FID):
    """FID extrapolated to infinitely many samples, which takes away the bias of their number.

    The FIDs of `points` random subsets, from a third of the samples to all, at even steps of 1/n,
    against one reference; the value is the intercept of the line through them over 1/n. The bias
    from the reference's own size stays, so take all of it. The error is the line's, too small by
    what the subsets share.
    """

    paper = "Chong and Forsyth 2020, arXiv:1911.07023"

    points: int = 15

    def check(self) -> None:
        super().check()
        require(self.points >= 3, "points must be at least 3")

    def score(self, real: Real, fake: Fake, n: int | None = None) -> list[Score]:
        n, extractor = fake.enough(n or self.n), self.open(real)
        if n < 30:
            raise DataError("too few samples to extrapolate", where=fake.name, why="30 are needed")
        reference = real_moments(extractor, real, 2**62)  # all of it
        features = fake_features(extractor, real, fake, n)
        inverse = torch.linspace(3 / n, 1 / n, self.points, dtype=torch.float64)
        sizes = [round(1 / float(i)) for i in inverse]
        rng = generator("fid-infinity subsets", n)
        distances = [
            frechet_distance(Gaussian.of(features[torch.randperm(n, generator=rng)[:m]]), reference)
            for m in sizes
        ]
        value, error = _intercept(
            1 / torch.tensor(sizes).double(), torch.tensor(distances).double()
        )
        seen = self.protocol(real, fake, extractor, reference.n, n)
        detail = {"sizes": sizes, "distances": distances}
        return [Score(self.distance("fid-infinity", extractor), value, error, seen, detail)]


def _intercept(x: Tensor, y: Tensor) -> tuple[float, float]:
    """Of the least-squares line through (x, y), and its standard error."""
    columns = torch.stack([torch.ones_like(x), x], dim=1)
    inverse = torch.linalg.inv(columns.T @ columns)
    found = inverse @ columns.T @ y
    spread = (y - columns @ found).square().sum() / (len(x) - 2)
    return float(found[0]), float((spread * inverse[0, 0]).sqrt())
