"""Tests of copying: known answers, brute force, and p-values that hold their level."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from metrics.conftest import stripes
from torch import Tensor

from sparring.data import Ring, take
from sparring.errors import DataError
from sparring.metrics import Fake, Memorisation, Real, Score, chance
from sparring.metrics.memorisation import Near, _authenticity, _copied, _copy_test
from sparring.metrics.neighbours import Clusters
from sparring.randomness import generator


def fake(pixels: Tensor) -> Fake:
    return Fake("a test", lambda n: iter(pixels[:n].split(100)))


def scores(real: Real, pixels: Tensor, **fields: int) -> dict[str, Score]:
    found = Memorisation(**fields).score(real, fake(pixels), len(pixels))
    return {score.metric: score for score in found}


def normal(n: int, d: int, *words: object) -> Tensor:
    return torch.randn(n, d, dtype=torch.float64, generator=generator("test", *words))


def noisy(pixels: Tensor, level: float, n: int) -> Tensor:
    """n draws from the images under a little noise: a generator that knows them by heart."""
    rng = generator("noisy", level, n)
    chosen = pixels[torch.randint(len(pixels), (n,), generator=rng)].float()
    noise = level * torch.randn(chosen.shape, generator=rng)
    return (chosen + noise).clamp(0, 255).to(torch.uint8)


def three(made: Tensor, train: Tensor, held: Tensor) -> dict[str, Score]:
    """The scores of features."""
    near = Near.of(made, train, held)
    clusters = Clusters.of(train, 3)
    found = [
        *_authenticity(near, {}),
        *_copy_test(near, clusters, made, held, 20, {}),
        *_copied(near, len(train), len(held), {}, {}),
    ]
    return {score.metric: score for score in found}


def test_the_training_images_themselves_are_called_out(cache: Path, striped: Real) -> None:
    assert striped.train
    found = scores(striped, striped.train.pixels[::3])
    assert found["authenticity"].value == 0
    assert found["authenticity"].detail["held_out"] > 0.4
    assert found["copied"].value == 1
    assert found["copied"].detail["nearest_is_training"] == 1
    assert found["copied"].detail["by_chance"] == 0.8
    assert found["copy-test"].value < -5
    for name in ("authenticity-p", "copied-p", "copy-test-p"):
        assert found[name].value == 1 / 1000


def test_twenty_images_learnt_by_heart_are_called_out_and_a_thousand_are_not(
    cache: Path, striped: Real
) -> None:
    """A generator that repeats its 20 images under noise, and one that draws new ones."""
    assert striped.train
    few = Real("20 stripes", train=take(striped.train, torch.arange(0, 1200, 60)))
    few = replace(few, held_out=striped.held_out)
    assert few.train
    found = scores(few, noisy(few.train.pixels, 10, 400))
    assert found["authenticity"].value < 0.05
    assert found["copied"].value > 0.9
    assert found["copied-p"].value == 1 / 1000
    fresh = stripes(400, 7, torch.randint(4, (400,), generator=generator("fresh")))
    found = scores(striped, fresh.pixels)
    assert min(found[f"{m}-p"].value for m in ("authenticity", "copied", "copy-test")) > 0.01


def test_too_little_variety_is_no_copying(cache: Path, striped: Real) -> None:
    """One new image again and again: nearer to real ones than these are to each other, perhaps,
    but to the held out as much as to the trained.
    """
    one = stripes(4, 9).pixels[1:2].expand(200, -1, -1, -1)
    found = scores(striped, one)
    assert found["copied-p"].value > 0.05


def test_authenticity_and_copied_by_hand() -> None:
    """Training images at 0, 1 and 10 on a line, held out at 4 and 30."""
    train, held = torch.tensor([[0.0], [1], [10]]), torch.tensor([[4.0], [30]])
    made = torch.tensor([[0.5], [-3], [2], [11], [25]])
    found = three(made, train, held)
    # Distances 0.5 (or from 1), 3, 1, 1, 15 against the spacings 1, 1, 1, 9, 9.
    assert found["authenticity"].value == pytest.approx(2 / 5)
    # Held out: 3 against 1, 20 against 9.
    assert found["authenticity"].detail["held_out"] == 1
    # Nearest of all: 0 or 1, 0, 1, 10, 30: four of five trained on, by chance three of five.
    assert found["copied"].detail["nearest_is_training"] == pytest.approx(4 / 5)
    assert found["copied"].value == pytest.approx((4 / 5 - 3 / 5) / (2 / 5))


def test_an_image_on_both_sides_counts_half() -> None:
    train, held = torch.tensor([[0.0], [5], [9]]), torch.tensor([[0.0], [7]])
    found = three(torch.tensor([[0.0], [0.0]]), train, held)
    assert found["copied"].detail["nearest_is_training"] == 0.5


def test_the_copy_test_is_a_mean_of_mann_whitney_z() -> None:
    train = torch.cat([normal(80, 2, "train", i) + 30 * i for i in range(3)])
    held = torch.cat([normal(30 + 10 * i, 2, "held", i) + 30 * i for i in range(3)])
    made = torch.cat([train[:40] + 0.1, normal(60, 2, "made") + 30, normal(5, 2, "few") + 60])
    found = three(made, train, held)["copy-test"]
    near = Near.of(made, train, held)
    z = []
    for made_rows, held_rows in ((slice(0, 40), slice(0, 30)), (slice(40, 100), slice(30, 70))):
        a, b = near.made[made_rows], near.held[held_rows]
        u = float((a[:, None] > b).sum())
        m, h = len(a), len(b)
        z.append((u - m * h / 2) / (m * h * (m + h + 1) / 12) ** 0.5)
    assert found.value == pytest.approx((30 * z[0] + 40 * z[1]) / 70)  # the third has 5 samples
    assert sorted(c["samples"] for c in found.detail["cells"]) == [40, 60]
    assert found.se is not None
    assert found.se == pytest.approx((30**2 + 40**2) ** 0.5 / 70, rel=0.1)


def test_p_values_of_unseen_images_hold_their_level(monkeypatch: pytest.MonkeyPatch) -> None:
    """80 seeds. C_T has few ties: uniform, Kolmogorov's 0.1 % point being 1.95 / sqrt(80). The
    other two count, so theirs may lie above, never below.
    """
    monkeypatch.setattr(chance, "DRAWS", 99)
    p: dict[str, list[float]] = {"authenticity-p": [], "copy-test-p": [], "copied-p": []}
    for seed in range(80):
        found = three(*(normal(n, 4, s, seed) for s, n in enumerate((60, 120, 50))))
        for name, values in p.items():
            values.append(found[name].value)
    grid = torch.arange(1, 81) / 80
    uniform = torch.tensor(p["copy-test-p"]).sort().values
    assert float((uniform - grid).abs().max()) < 1.95 / 80**0.5
    for values in p.values():
        excess = grid - torch.tensor(values).sort().values
        assert float(excess.max()) < 1.95 / 80**0.5
        assert 0.3 < sum(values) / 80 < 0.75


def test_what_it_needs(cache: Path, striped: Real) -> None:
    bare = Real("bare", train=striped.train)
    pixels = stripes(50, 3).pixels
    with pytest.raises(DataError, match="not trained on in bare: none were held out"):
        scores(bare, pixels)
    with pytest.raises(DataError, match="memorisation needs images in a ring"):
        Memorisation().score(Real("a ring", points=Ring().open()), fake(pixels))
    assert striped.train
    single = replace(striped, train=take(striped.train, torch.tensor([5])))
    with pytest.raises(DataError, match="two training images"):
        scores(single, pixels)


def test_two_samples_suffice_and_everything_repeats(cache: Path, striped: Real) -> None:
    assert striped.train
    assert striped.held_out
    tiny = Real(
        "tiny",
        train=take(striped.train, torch.tensor([5, 900])),
        held_out=take(striped.held_out, torch.tensor([1])),
    )
    pixels = stripes(2, 3).pixels
    first = Memorisation().score(tiny, fake(pixels), 2)
    for score in first:
        assert abs(score.value) < float("inf")
        text = json.dumps([score.value, score.se, score.protocol, score.detail], allow_nan=False)
        assert score.protocol["n_fake"] == 2
        assert score.protocol["features"] == "pixels"
        assert score.protocol["n_held_out"] == 1
        assert text
    assert Memorisation().score(tiny, fake(pixels), 2) == first
    shown = next(s.detail["picture"] for s in first if s.metric == "copied")
    assert shown["image"].startswith("data:image/png;base64,")
    assert shown["columns"] == ["sample", "nearest training image", "nearest held out"]
    assert (shown["width"], shown["height"]) == (3 * 16, 2 * 16)


def test_a_control_takes_the_place_of_the_held_out(striped: Real) -> None:
    assert striped.train
    bare = Real("few", train=take(striped.train, torch.arange(20)))
    mixed = stripes(1200, 0)  # the training images, 20 of them those of `few`
    same = bare.against(mixed, "Folder()").held_out
    assert same
    assert same.labels is not None
    assert mixed.labels is not None
    assert (same.labels == mixed.labels[20:]).all()
    found = bare.against(replace(mixed, classes=("a", "b", "c", "d")), "Folder()")
    assert found.name == "few, control Folder()"
    assert found.held_out
    assert len(found.held_out) == 1180
    assert found.held_out.labels is None
    assert found.train is bare.train
    with pytest.raises(DataError, match="nothing is left of the control in x: it was trained on"):
        bare.against(take(mixed, torch.arange(20)), "x")
    small = replace(mixed, pixels=mixed.uint8(slice(None))[:, :, :6])
    with pytest.raises(DataError, match="in x: it is 1x6x12, the data 1x12x12"):
        bare.against(small, "x")
    with pytest.raises(DataError, match="only images have a control in ring"):
        Real("ring", points=Ring().open()).against(mixed, "x")
