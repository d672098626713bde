"""What is refused before a run starts, or starts again."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
import torch
from toys import toy

from sparring.errors import DiskError, RecipeError, RunError, SparringError
from sparring.losses import Hinge
from sparring.nets import MLP
from sparring.optim import Adam, RMSprop
from sparring.runs import Run, locked, open_run, read_checkpoint
from sparring.training import resume, train


def refused(error: type[SparringError], code: int, call, *hints: str) -> None:
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    assert caught.value.exit_code == code
    assert "\n" not in message
    for hint in hints:
        assert hint in message


def test_a_run_in_use(cut):
    with locked(cut):
        before = cut.log.read_text()
        refused(
            RecipeError,
            2,
            lambda: resume(cut.path, device="cpu", quiet=True),
            "is in use",
            f"process {os.getpid()}",
        )
        assert cut.log.read_text() == before


def test_a_changed_recipe(cut, runs):
    changed = replace(cut.recipe, ema=16, loss=Hinge())
    refused(
        RecipeError,
        2,
        lambda: resume(cut.path, recipe=changed, device="cpu", quiet=True),
        "the recipe has changed",
        f"ema was {cut.recipe.ema}, is 16",
        "loss was NonSaturating(), is Hinge()",
        "--override",
    )
    assert cut.recipe == runs[1].recipe
    rates = replace(cut.recipe, g_optim=Adam(lr=1e-5))
    resume(cut.path, recipe=rates, override=True, device="cpu", quiet=True)
    assert Run(cut.path).recipe.g_optim == Adam(lr=1e-5)
    ended = [read_checkpoint(run.saved()[0])[0]["G"]["layers.0.weight"] for run in (cut, runs[0])]
    assert not torch.equal(*ended)


@pytest.mark.parametrize(
    "change", [{"batch": 16}, {"d_steps": 2}, {"g_optim": RMSprop()}], ids=lambda c: next(iter(c))
)
def test_what_cannot_change_within_a_run(change, cut, runs):
    before = (cut.path / "recipe.py").read_text()
    refused(
        RecipeError,
        2,
        lambda: resume(
            cut.path,
            recipe=replace(cut.recipe, **change),
            override=True,
            device="cpu",
            quiet=True,
        ),
        f"{next(iter(change))} cannot change within a run",
        "--init-from",
    )
    assert (cut.path / "recipe.py").read_text() == before


def test_a_change_that_does_not_fit_the_checkpoint(cut):
    changed = replace(cut.recipe, nets=MLP(g_widths=(9,), d_widths=(8,), latent=2))
    refused(
        RecipeError,
        2,
        lambda: resume(cut.path, recipe=changed, override=True, device="cpu", quiet=True),
        "does not fit the recipe",
    )


def test_a_trick_may_be_left_out(cut):
    """As one may be added: what it remembered goes with it."""
    assert cut.recipe.tricks
    changed = replace(cut.recipe, tricks=())
    resume(cut.path, recipe=changed, override=True, device="cpu", quiet=True)
    assert not Run(cut.path).recipe.tricks


def test_a_run_that_is_done(runs):
    refused(
        RecipeError,
        2,
        lambda: resume(runs[0].path, device="cpu", quiet=True),
        "is done",
        "--images 160",
    )


@pytest.mark.parametrize("images", [0, -8])
def test_resuming_for_no_images(cut, images):
    refused(
        RecipeError, 2, lambda: resume(cut.path, images=images, device="cpu", quiet=True), "images"
    )


def test_out_exists(tmp_path):
    out = tmp_path / "run"
    out.mkdir()
    refused(
        RecipeError,
        2,
        lambda: train(toy(), out, device="cpu", quiet=True),
        "exists",
        f"sparring resume {out}",
    )
    assert list(out.iterdir()) == []


def test_out_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("x")
    refused(DiskError, 5, lambda: train(toy(), tmp_path / "file" / "run", device="cpu"), "--out")


@pytest.mark.parametrize("minutes", [0.0, -1.0, float("nan")])
def test_no_time(tmp_path, minutes):
    refused(
        RecipeError,
        2,
        lambda: train(toy(), tmp_path / "run", minutes=minutes, device="cpu"),
        "--minutes",
    )
    assert not (tmp_path / "run").exists()


def test_no_run(tmp_path):
    refused(RunError, 4, lambda: open_run(tmp_path / "none"), "no run at", "does not exist")
    refused(RunError, 4, lambda: open_run(tmp_path), "is no run", "recipe.py")


@pytest.mark.parametrize("text", ["", "R1()", "Recipe(", "Recipe(nets=Unknown())", "\0"])
def test_a_recipe_that_cannot_be_read(cut, text):
    (cut.path / "recipe.py").write_text(text)
    refused(RunError, 4, lambda: resume(cut.path, device="cpu"), "cannot read recipe.py")
