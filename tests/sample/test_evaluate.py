"""A run's samples as metrics take them: their classes, their weights, the D that is theirs."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import sparring
from sparring.data import Images, Npz, Ring
from sparring.errors import DataError
from sparring.metrics import FID, Membership, ModeCoverage, Pixels, Real
from sparring.nets import MLP, Projection, Spec
from sparring.recipe import Recipe
from sparring.sample import Model
from sparring.sample.evaluate import evaluate, fakes


def a_model(classes: tuple[str, ...] = ("a", "b"), **more: object) -> Model:
    spec = Spec((1, 4, 4), classes, shares=(0.25, 0.75))
    net = MLP(condition=Projection(), g_widths=(8,), latent=2).generator(spec)
    return Model(net, spec, 100, **more)  # pyright: ignore[reportArgumentType]


def test_the_classes_that_were_asked_for_are_the_labels() -> None:
    fake = fakes(a_model(), seed=3)
    assert fake.labels is not None
    assert fake.classes == ("a", "b")
    labels = fake.labels(150)
    assert torch.equal(labels, a_model().conditions(150, 3))  # pyright: ignore
    assert 20 < int((labels == 0).sum()) < 60
    assert torch.equal(fake.labels(70), labels[:70])
    bare = MLP(g_widths=(8,), latent=2).generator(Spec((1, 4, 4), ("a", "b")))
    assert fakes(Model(bare, Spec((1, 4, 4), ("a", "b")))).labels is None


def test_the_protocol_says_whether_weights_are_averaged(tmp_path: Path) -> None:
    recipe = Recipe(
        data=Ring(),
        nets=MLP(g_widths=(8,), d_widths=(8,), latent=2),
        batch=8,
        images=8,
        precision="fp32",
        metrics=(ModeCoverage(n=20),),
    )
    for ema, weights in ((100, "EMA"), (0, "raw")):
        run = sparring.train(replace(recipe, ema=ema), tmp_path / weights)
        rows, _ = sparring.evaluate(run, [ModeCoverage(n=20)])
        for row in (run.scores()[0], rows[0]):
            assert row["protocol"]["weights"] == weights
            assert row["protocol"]["generator"].startswith(f"{weights} generator at 8 images")


def test_the_protocol_says_whether_styles_are_truncated_and_which_weights_they_are() -> None:
    from toys import SMALL

    from sparring.nets import StyleGAN2

    def about(seed: int, psi: float | None = None) -> dict[str, object]:
        torch.manual_seed(seed)
        model = Model(SMALL[StyleGAN2].generator(Spec((1, 8, 8))), Spec((1, 8, 8)))
        return dict(fakes(model if psi is None else model.truncate(psi)).about)

    assert "truncation" not in about(0)
    assert about(0, 0.5)["truncation"] == 0.5
    assert about(0) == about(0, 1)
    assert about(0)["generator_digest"] != about(1)["generator_digest"]


def test_a_sample_that_is_not_finite_is_named_and_not_scored() -> None:
    model = a_model()
    make = model.make

    def broken(z, c=None):
        made = make(z, c)
        if len(made) < 64:
            made[3, 0, 1, 2] = torch.nan
        return made

    model.make = broken  # pyright: ignore[reportAttributeAccessIssue]
    pixels = torch.zeros(80, 1, 4, 4, dtype=torch.uint8)
    with pytest.raises(DataError, match="sample 67 is not finite"):
        fakes(model).draw(80, (1, 4, 4))
    rows, skipped = evaluate(model, [FID(features=Pixels(), n=80)], Real("x", Images(pixels)))
    assert rows == []
    assert "sample 67 is not finite" in skipped[0][1]


def test_the_best_generator_is_scored_with_its_own_d(tmp_path: Path) -> None:
    """That of the checkpoint made with it; where none is kept, the reason is said."""
    pixels = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 1), dtype=np.uint8)
    np.savez(tmp_path / "some.npz", images=pixels)
    recipe = Recipe(
        data=Npz(path=str(tmp_path / "some.npz")),
        nets=MLP(g_widths=(8,), d_widths=(8,), latent=2),
        batch=8,
        images=64,
        checkpoint_every=16,
        keep=9,
        precision="fp32",
        held_out=20,
        metrics=(),
    )
    run = sparring.train(recipe, tmp_path / "run")
    model = sparring.load(run)
    score = {"metric": "planned", "value": 1.0}
    run.save_generator(model.generator, model.spec, 32, score)

    def auc(best: bool) -> float:
        (rows, skipped) = sparring.evaluate(run, [Membership()], best=best)
        assert not skipped
        return rows[0]["value"]

    last, best = auc(False), auc(True)
    for folder in run.saved():
        if folder.name != "000000032":
            shutil.rmtree(folder)
    assert auc(True) == best != last
    _, skipped = sparring.evaluate(run, [Membership()])
    assert "no checkpoint of 64 images" in skipped[0][1]
    assert not skipped[0][1].startswith("RunError")
