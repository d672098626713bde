"""FID, KID, precision, recall, density, coverage: closed forms, errors against repetition."""

from __future__ import annotations

import math
import re
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from sparring.data.digest import digest
from sparring.data.source import Images
from sparring.errors import DataError, RecipeError
from sparring.metrics import (
    FID,
    KID,
    PRDC,
    ClassFID,
    DensityCoverage,
    Fake,
    FIDInfinity,
    Gaussian,
    Metric,
    PILBicubic,
    Pixels,
    PrecisionRecall,
    Real,
    Score,
    SlicedFeatures,
    evaluate,
    frechet_distance,
)
from sparring.metrics.comparison import Sides, fake_moments, real_moments
from sparring.metrics.frechet import sampling_error
from sparring.metrics.kernel import cubic, discrepancy
from sparring.metrics.manifold import balls
from sparring.parts import parse
from sparring.randomness import generator

pytestmark = pytest.mark.usefixtures("cache")


def noise(n: int, *shape: int, seed: int = 0) -> Tensor:
    return torch.randn(n, *shape, dtype=torch.float64, generator=generator("comparison", seed))


def images(n: int, seed: int = 0, side: int = 4, shift: int = 0) -> Tensor:
    x = 128 + shift + 40 * noise(n, 1, side, side, seed=seed)
    return x.clamp(0, 255).to(torch.uint8)


def real(pixels: Tensor, labels: Tensor | None = None, classes: tuple[str, ...] = ()) -> Real:
    return Real("test", Images(pixels, labels, classes, digest(pixels, labels)))


def fake(pixels: Tensor, **more) -> Fake:
    return Fake("made", lambda n: iter(pixels[:n].split(13)), count=len(pixels), **more)


def value(metric, x: Tensor, y: Tensor) -> dict[str, float]:
    return {s.metric: s.value for s in metric.score(real(x), fake(y))}


P = Pixels()


def sides(x: Tensor, y: Tensor) -> Sides:
    return Sides(x, y, P.open(real(images(2))), {})


# ------------------------------------------------------------------------------------------- FID


def test_fid_is_the_distance_of_the_features_moments() -> None:
    x, y = images(70), images(70, 1, shift=9)
    (score,) = FID(features=P).score(real(x), fake(y))
    moments = [Gaussian.of(z.flatten(1).double() / 255) for z in (y, x)]
    assert score.value == pytest.approx(frechet_distance(*moments), rel=1e-6)
    assert score.metric == "fd-pixels"
    assert (score.protocol["n_real"], score.protocol["n_fake"]) == (70, 70)


def test_a_set_is_at_no_distance_from_itself() -> None:
    x = images(60)
    assert value(FID(features=P), x, x)["fd-pixels"] < 1e-12
    assert value(FID(features=P), x, x.flip(0))["fd-pixels"] < 1e-12


def test_few_images_are_scored_and_the_bias_is_said() -> None:
    (score,) = FID(features=P).score(real(images(8)), fake(images(8, 1)))
    assert math.isfinite(score.value)
    assert "16 images" in score.detail["biased"]
    (score,) = FID(features=P).score(real(images(40)), fake(images(40, 1)))
    assert "biased" not in score.detail


def test_constant_images_are_no_error() -> None:
    """Both covariances are zero: what is left is the distance of the means."""
    black, grey = (torch.full((9, 1, 4, 4), v, dtype=torch.uint8) for v in (0, 51))
    assert value(FID(features=P), black, grey)["fd-pixels"] == pytest.approx(16 * 0.04, rel=1e-6)
    assert value(KID(features=P), black, black)["kd-pixels"] == pytest.approx(0, abs=1e-12)


def test_the_error_of_the_distance_is_its_spread_over_repetitions() -> None:
    reference = Gaussian.of(noise(4000, 6, seed=90))
    values, errors = [], []
    for seed in range(60):
        x = 0.4 + noise(300, 6, seed=seed)
        moments = Gaussian.of(x)
        values.append(frechet_distance(moments, reference))
        errors.append(sampling_error(x, moments, reference))
    spread, said = np.std(values), np.mean(errors)
    assert 0.75 < said / spread < 1.35  # the spread itself is known to a tenth


def test_moments_of_many_images_are_streamed(monkeypatch) -> None:
    """Beyond what is held, features are not kept, and the score is the same."""
    x, y = images(300, 2), images(300, 3, shift=5)
    whole = FID(features=P).score(real(x), fake(y))[0]
    monkeypatch.setattr("sparring.metrics.comparison.HELD", 1000)
    monkeypatch.setattr("sparring.metrics.comparison._moments", {})
    extractor, flipped = P.open(real(x)), real(x.flip(0))
    streamed = frechet_distance(
        fake_moments(extractor, flipped, fake(y), 300)[0], real_moments(extractor, flipped, 300)
    )
    assert streamed == pytest.approx(whole.value, rel=1e-9)


def test_the_reference_moments_are_kept_by_content(cache, monkeypatch) -> None:
    x = images(40, 7)
    extractor = P.open(real(x))
    first = real_moments(extractor, real(x), 40)
    monkeypatch.setattr("sparring.metrics.comparison._moments", {})
    monkeypatch.setattr(
        "sparring.metrics.comparison.real_features", lambda *_: pytest.fail("computed again")
    )
    again = real_moments(extractor, real(x.clone()), 40)
    assert torch.equal(first.root, again.root)
    assert again.n == 40
    with pytest.raises(pytest.fail.Exception):
        real_moments(extractor, real(x.flip(0)), 40)


def test_the_fid_of_each_class() -> None:
    x, y = images(60), images(60, 1)
    labels = torch.arange(60) % 3
    y[labels == 1] = x[labels == 1]
    names = ("a", "b", "c")
    known = fake(y, labels=lambda n: labels[:n], classes=names)
    against = real(x, labels, names)
    (score,) = ClassFID(features=P).score(against, known)
    each = score.detail["classes"]
    assert each["b"] < 1e-12
    assert each["a"] == pytest.approx(
        value(FID(features=P), x[labels == 0], y[labels == 0])["fd-pixels"]
    )
    assert score.value == pytest.approx(sum(each.values()) / 3)
    assert score.metric == "class-fd-pixels"
    with pytest.raises(DataError, match="needs labels"):
        ClassFID(features=P).score(against, fake(y))
    (score,) = ClassFID(features=P, least=20).score(
        against, fake(y, labels=lambda n: labels[:n].clamp_max(1), classes=names)
    )
    assert score.detail["left_out"] == ["c"]


def test_classes_are_compared_by_name() -> None:
    """Samples whose classes stand in another order, or are more than those of the data."""
    x = torch.cat([images(30, i, shift=40 * i) for i in range(3)])
    labels = torch.arange(90) // 30
    turned = fake(x, labels=lambda n: 3 - labels[:n], classes=("z", "c", "b", "a"))
    (score,) = ClassFID(features=P).score(real(x, labels, ("a", "b", "c")), turned)
    assert score.value < 1e-9
    assert score.detail["unknown"] == ["z"]
    with pytest.raises(DataError, match="no class in common in made: 0, 1, 2 and a, b, c"):
        ClassFID(features=P).score(
            real(x, labels, ("a", "b", "c")), fake(x, labels=lambda n: labels[:n])
        )


def test_fid_of_infinitely_many_samples_has_no_bias() -> None:
    """Samples of the data's own distribution: the plain distance is 0.5 too large, the line's
    intercept is near 0, within a few of its errors."""
    x, y = images(4000, 1), images(600, 2)
    plain = value(FID(features=P, n=600), x, y)["fd-pixels"]
    (score,) = FIDInfinity(features=P).score(real(x), fake(y))
    assert score.metric == "fd-infinity-pixels"
    assert score.protocol["n_real"] == 4000
    assert abs(score.value) < 0.25 * plain
    assert score.se < 0.25 * plain
    assert score.detail["sizes"][0] == 200
    assert score.detail["sizes"][-1] == 600


# ------------------------------------------------------------------------------------------- KID


def test_kid_by_its_definition() -> None:
    x, y = noise(7, 3), noise(5, 3, seed=1)
    k = lambda a, b: (float(a @ b) / 3 + 1) ** 3  # noqa: E731
    xx = [k(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j]
    yy = [k(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j]
    xy = [k(a, b) for a in x for b in y]
    found = discrepancy(x, y, cubic)
    assert found.value == pytest.approx(np.mean(xx) + np.mean(yy) - 2 * np.mean(xy), rel=1e-12)
    own = [k(a, b) for a in x for b in x], [k(a, b) for a in y for b in y]
    biased = np.mean(own[0]) + np.mean(own[1]) - 2 * np.mean(xy)
    assert found.biased == pytest.approx(biased, rel=1e-12)


def test_the_rows_are_cut_into_parts_without_a_trace(monkeypatch) -> None:
    x, y = noise(40, 3), noise(33, 3, seed=1)
    whole = discrepancy(x, y, cubic)
    monkeypatch.setattr("sparring.metrics.kernel._ROWS", 7)
    parts = discrepancy(x, y, cubic)
    for name in ("value", "error", "biased"):
        assert getattr(parts, name) == pytest.approx(getattr(whole, name), rel=1e-10)


@pytest.mark.parametrize(("m", "n", "shift"), [(60, 60, 0.0), (50, 90, 0.0), (60, 60, 0.3)])
def test_kid_is_unbiased_and_its_error_is_its_spread(m: int, n: int, shift: float) -> None:
    values, errors = [], []
    for seed in range(150):
        x, y = noise(m, 4, seed=seed) + shift, noise(n, 4, seed=1000 + seed)
        found = discrepancy(x, y, cubic)
        values.append(found.value)
        errors.append(found.error)
    spread, said = np.std(values), np.sqrt(np.mean(np.square(errors)))
    assert 0.8 < said / spread < 1.3
    if shift == 0:
        assert abs(np.mean(values)) < 3 * spread / math.sqrt(150)
        assert min(values) < 0  # unbiased: below zero as often as above, and never clamped


def test_kid_of_subsets_is_the_common_convention() -> None:
    x, y = images(80), images(80, 1, shift=20)
    whole = KID(features=P).score(real(x), fake(y))[0]
    subsets = KID(features=P, subsets=40, size=30).score(real(x), fake(y))[0]
    assert subsets.value == pytest.approx(whole.value, abs=3 * subsets.detail["std_of_subsets"])
    assert subsets.value != whole.value
    assert subsets.protocol["estimate"] == "40 subsets of 30, unbiased"
    one = KID(features=P, subsets=1, size=1000).score(real(x), fake(y))[0]
    assert one.value == pytest.approx(whole.value, rel=1e-10)


# ------------------------------------------------------- precision, recall, density and coverage


def brute(x: np.ndarray, y: np.ndarray, k: int, edge: bool, slack: float = 0) -> dict[str, float]:
    """By the definitions, distances one by one."""
    away = lambda a, b: np.linalg.norm(a[:, None] - b[None], axis=2)  # noqa: E731
    radius, radius_fake = (np.sort(away(z, z), axis=1)[:, k] for z in (x, y))
    radius, radius_fake = (r * (1 + (slack if edge else -slack) / 2) for r in (radius, radius_fake))
    across = away(x, y)
    inside = np.less_equal if edge else np.less
    in_real = inside(across, radius[:, None])
    return {
        "precision": in_real.any(0).mean(),
        "recall": inside(across, radius_fake[None]).any(1).mean(),
        "density": in_real.sum(0).mean() / k,
        "coverage": in_real.any(1).mean(),
    }


@pytest.mark.parametrize("edge", [True, False])
@pytest.mark.parametrize("k", [1, 3, 5])
def test_the_four_by_their_definitions(k: int, edge: bool) -> None:
    """On a grid of whole numbers, where many distances are exactly equal."""
    x = (noise(90, 3) * 2).round().numpy()
    y = (noise(70, 3, seed=1) * 2 + 1).round().numpy()
    expected = brute(x, y, k, edge)
    found = balls(sides(torch.from_numpy(x), torch.from_numpy(y)), k, edge)
    for name, wanted in expected.items():
        assert float(found.values(name).mean()) == pytest.approx(wanted, abs=1e-12), name
    assert expected != brute(x, y, k, not edge)


def test_one_image_made_again_and_again_is_precise_and_recalls_nothing() -> None:
    x = images(50)
    y = x[:1].expand(50, -1, -1, -1)
    found = value(PrecisionRecall(features=P), x, y)
    assert found["precision[pixels]"] == 1
    assert found["recall[pixels]"] <= 1 / 50  # at most the image itself
    four = value(PRDC(features=P), x, y)
    assert four["coverage[pixels]"] < 0.2


def test_samples_of_the_data_cover_what_theory_says() -> None:
    """1 - 2^-k of the balls; density near 1."""
    x, y = noise(1500, 3), noise(1500, 3, seed=1)
    for k in (1, 3, 5):
        found = balls(sides(x, y), k, edge=False)
        assert float(found.values("coverage").mean()) == pytest.approx(1 - 2.0**-k, abs=0.04)
        assert float(found.values("density").mean()) == pytest.approx(1, abs=0.1)


def test_identical_sets_are_wholly_inside() -> None:
    x = images(40)
    found = value(PrecisionRecall(features=P), x, x)
    assert set(found.values()) == {1.0}


def test_too_few_neighbours_are_said() -> None:
    with pytest.raises(DataError, match="too few images for k = 5"):
        PRDC(features=P).score(real(images(5)), fake(images(20, 1)))


# ------------------------------------------------------------------------------------ all of them

ALL = [
    FID(features=P),
    KID(features=P),
    KID(features=P, subsets=3, size=20),
    PrecisionRecall(features=P),
    DensityCoverage(features=P),
    PRDC(features=P),
]


@pytest.mark.parametrize("metric", ALL, ids=repr)
def test_neither_order_nor_batches_matter(metric) -> None:
    x, y = images(50), images(50, 1, shift=10)
    first = metric.score(real(x), fake(y))
    batches = Fake("made", lambda n: iter(y[:n].split(50)), count=50)
    turned = Fake("made", lambda n: iter(y.flip(0)[:n].split(9)), count=50)
    for a, b, c in zip(first, metric.score(real(x), batches), metric.score(real(x), turned)):
        assert a == b
        if not getattr(metric, "subsets", 0):
            assert c.value == pytest.approx(a.value, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("metric", ALL, ids=repr)
def test_one_image_is_too_few(metric) -> None:
    scores, skipped = evaluate([metric], real(images(20)), fake(images(1)))
    assert scores == []
    assert "too few" in skipped[0][1]


@pytest.mark.parametrize("metric", ALL, ids=repr)
def test_every_score_has_an_error_and_a_protocol(metric) -> None:
    for score in metric.score(real(images(30)), fake(images(30, 1))):
        assert score.se is not None
        assert score.se >= 0
        for name in ("reference", "data_digest", "n_real", "n_fake", "features", "resize", "dtype"):
            assert score.protocol[name] != "", name


def test_the_short_names() -> None:
    assert parse("fid", FID) == FID()
    assert parse("kid(subsets=100)", KID) == KID(subsets=100)
    assert parse("prdc", PRDC) == PRDC()
    assert parse("precision-recall", PrecisionRecall).k == 3
    assert parse("FID(resize=PILBicubic())", FID).resize == PILBicubic()
    with pytest.raises(RecipeError, match="have no resize"):
        FID(features=P, resize=PILBicubic())


def test_a_metric_that_breaks_is_skipped_and_costs_the_others_nothing() -> None:
    class ToyBroken(KID):
        """Fails in a way nobody foresaw."""

        def score(self, real, fake, n=None):
            raise ZeroDivisionError("oh")

    scores, skipped = evaluate([ToyBroken(), KID(features=P)], real(images(9)), fake(images(9)))
    assert [s.metric for s in scores] == ["kd-pixels"]
    assert skipped == [("ToyBroken", "ZeroDivisionError: oh")]


class ToyScorer(KID):
    """Gives whatever `GIVEN` has under a name."""

    what: str = ""

    def score(self, real, fake, n=None):
        return GIVEN[self.what]()


GIVEN: dict[str, Any] = {
    "nothing": lambda: None,
    "a number": lambda: 3.0,
    "one": lambda: Score("one", 3.0),
    "pairs": lambda: [("a", 1.0)],
    "tensor": lambda: [Score("a", 1.0, detail={"x": torch.ones(2)})],
    "better": lambda: [Score("a", 1.0, better=cast(Any, "up"))],
    "unwritten": lambda: Metric().score(None, None),  # pyright: ignore[reportArgumentType]
}


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("nothing", "score gives None. Fix: return a list of sparring.Score"),
        ("a number", "score gives 3.0. Fix: return a list of sparring.Score"),
        ("one", r"score gives Score\(metric='one', value=3.0.* Fix: return a list"),
        ("pairs", r"score gives \[\('a', 1.0\)\]. Fix: return a list"),
        ("tensor", "the score a cannot be kept: Object of type Tensor is not JSON serializable"),
        ("better", "better is 'up': it is one of .*'lower', 'higher', 'data'"),
        ("unwritten", "its score is not written"),
    ],
)
def test_what_is_no_score_is_said(what, why) -> None:
    scores, [(name, reason)] = evaluate([ToyScorer(what=what)], real(images(9)), fake(images(9)))
    assert not scores
    assert name == "ToyScorer"
    assert re.fullmatch(f"{why}.*", reason)


def test_a_score_is_plain_numbers() -> None:
    score = Score("a", torch.tensor(3.0), np.float32(0.5))  # pyright: ignore[reportArgumentType]
    assert (type(score.value), score.value) == (float, 3.0)
    assert (type(score.se), score.se) == (float, 0.5)


def test_every_factor_changes_the_protocol() -> None:
    from dataclasses import replace

    from sparring.metrics import in_words

    x, y = images(40), images(40, 1)

    def text(metric=FID(features=P), against=None, made=None) -> str:  # noqa: B008
        return in_words(metric.score(against or real(x), made or fake(y))[0].protocol)

    named = replace(fake(y), about=(("weights", "EMA"), ("seed", 0)))
    texts = [
        text(),
        text(against=real(x.flip(0))),  # other data
        text(against=replace(real(x), name="held out")),  # another split
        text(against=real(x[:30])),  # fewer real images
        text(made=fake(y[:30])),  # fewer samples
        text(FID(features=Pixels(side=2))),  # other features and resize
        text(KID(features=P)),
        text(KID(features=P, subsets=2, size=9)),
        text(made=replace(fake(y), name="raw generator")),
        text(made=named),
        text(made=replace(named, about=(("weights", "raw"), ("seed", 0)))),
        text(made=replace(named, about=(("weights", "EMA"), ("seed", 1)))),
        text(PrecisionRecall(features=P)),
        text(PrecisionRecall(features=P, k=4)),
    ]
    assert text() == texts[0]
    assert len(set(texts)) == len(texts)


def test_resize_and_weights_are_in_the_protocol(monkeypatch) -> None:
    from sparring.metrics import Inception, in_words, inception

    texts = set()
    for digest_ in ("d" * 16, "e" * 16):
        monkeypatch.setattr(
            inception, "pretrained", lambda d=digest_: (lambda x: x.mean((2, 3)), d)
        )
        for metric in (FID(), FID(resize=PILBicubic()), FID(features=Inception())):
            score = metric.score(real(images(20)), fake(images(20, 1)))[0]
            assert score.metric == ("fid[PILBicubic]" if metric.resize else "fid")
            texts.add(in_words(score.protocol))
    assert len(texts) == 4


def test_the_error_of_kid_by_subsets_holds_the_chance_of_the_subsets() -> None:
    values, errors = [], []
    for seed in range(80):
        x, y = images(60, seed), images(60, 500 + seed)
        (score,) = KID(features=P, subsets=2, size=12).score(real(x), fake(y))
        values.append(score.value)
        errors.append(score.se)
    assert 0.8 < np.sqrt(np.mean(np.square(errors))) / np.std(values) < 1.3
    whole = KID(features=P).score(real(x), fake(y))[0]
    assert errors[-1] > 2 * whole.se


def test_balls_are_of_as_many_images_on_both_sides() -> None:
    """Recall grows with the number of samples, so more of them than real images do not count."""
    x, y = images(40), images(90, 1)
    for metric in (PrecisionRecall(features=P), DensityCoverage(features=P), PRDC(features=P)):
        found = metric.score(real(x), fake(y))
        assert found == metric.score(real(x), fake(y[:40])) or all(
            a.value == b.value for a, b in zip(found, metric.score(real(x), fake(y[:40])))
        )
        assert [found[0].protocol[name] for name in ("n_real", "n_fake")] == [40, 40]


def test_the_floor_of_slices_is_that_of_real_images_in_random_order() -> None:
    """Also where the data come sorted by class."""
    x = torch.cat([images(100, shift=-60), images(100, 1, shift=60)])
    (score,) = SlicedFeatures(features=P).score(real(x), fake(x.flip(0)))
    mixed = x[torch.randperm(200, generator=generator("mixed"))]
    (other,) = SlicedFeatures(features=P).score(real(mixed), fake(x))
    assert score.detail["floor"] < 2 * other.detail["floor"]


def test_ties_are_ties_beside_an_image_unlike_all_others() -> None:
    """One far feature makes all products large; distances of the others stay exact."""
    x = (noise(60, 3) * 2).round()
    y = (noise(60, 3, seed=1) * 2).round()
    x[0] = 3e6
    for edge in (True, False):
        expected = brute(x.numpy(), y.numpy(), 3, edge, slack=1e-9)
        for rows in (x, x.flip(0)):
            found = balls(sides(rows, y), 3, edge)
            for name, wanted in expected.items():
                assert float(found.values(name).mean()) == pytest.approx(wanted, abs=1e-12), name
