"""A run that starts from another one's weights."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from sparring.data import Grid, Ring
from sparring.errors import RecipeError, RunError
from sparring.nets import MLP
from sparring.optim import Adam
from sparring.recipe import Recipe
from sparring.schedules import Cosine
from sparring.training import resume, train
from sparring.training.checkpoint import newest_checkpoint
from sparring.training.device import Device
from sparring.training.inherit import afresh, inherit
from sparring.training.setup import Setup, open_data

RECIPE = Recipe(data=Ring(), nets=MLP(), batch=16, images=320, precision="fp32", metrics=())


@pytest.fixture(scope="module")
def parent(tmp_path_factory):
    return train(RECIPE, tmp_path_factory.mktemp("runs") / "parent", quiet=True)


def setup(recipe: Recipe) -> Setup:
    return Setup(*open_data(recipe), Device("cpu"))


def test_equal_networks_are_taken_whole(parent):
    child = setup(replace(RECIPE, data=Grid(), seed=5))
    lines = inherit(child.everything, parent.path)
    saved, mine = newest_checkpoint(parent).files, child.everything.tensors()
    for name in ("G", "D", "ema_G"):
        assert mine[name].keys() == saved[name].keys()
        assert all(torch.equal(mine[name][k], saved[name][k]) for k in mine[name])
    assert [line.split(":")[0] for line in lines] == ["G", "D", "ema_G"]
    assert all("; not" not in line for line in lines)
    assert not any(mine["g_optim"].values())  # the optimisers start anew


def test_what_does_not_fit_keeps_its_own_weights_and_is_named(parent):
    recipe = replace(RECIPE, nets=MLP(g_widths=(64, 32)))
    child, same = setup(recipe), setup(recipe)
    lines = inherit(child.everything, parent.path)
    assert "layers.2.weight (64x64 there, 32x64 here)" in lines[0]
    saved = newest_checkpoint(parent).files
    mine, fresh = child.everything.tensors(), same.everything.tensors()
    assert torch.equal(mine["G"]["layers.0.weight"], saved["G"]["layers.0.weight"])
    assert torch.equal(mine["G"]["layers.2.weight"], fresh["G"]["layers.2.weight"])
    assert torch.equal(mine["D"]["head.weight"], saved["D"]["head.weight"])


def test_nothing_that_fits_is_an_error(parent):
    strange = replace(RECIPE, nets=MLP(g_widths=(8,), d_widths=(8,), latent=3), data=Ring())
    child = setup(strange)
    everything = child.everything
    everything.players = {"other": torch.nn.Linear(9, 9)}
    everything.averages = {}
    with pytest.raises(RecipeError, match="fits these networks"):
        inherit(everything, parent.path)


def test_no_run_is_an_error(tmp_path):
    with pytest.raises(RunError, match="no run at"):
        inherit(setup(RECIPE).everything, tmp_path / "none")


def test_a_recipe_taken_afresh_forgets_what_its_data_and_budget_decided(parent):
    curve = Cosine(start=1.0, end=0.1)
    opened, _ = open_data(replace(RECIPE, g_optim=Adam(schedule=curve), held_out=None))
    again = afresh(opened)
    assert again.g_optim == Adam(schedule=curve)
    assert again.metrics is None
    assert again.held_out is None
    assert again.sample_every is None
    assert again.nets == RECIPE.nets


def test_beyond_the_first_budget_a_schedule_holds_its_last_value(tmp_path):
    """A run extended to twice its images goes on at the rate it ended with."""
    adam = Adam(lr=1e-3, schedule=Cosine(start=1.0, end=0.1))
    run = train(replace(RECIPE, g_optim=adam, images=160), tmp_path / "run", quiet=True)
    longer = resume(run.path, images=320, quiet=True)
    kept = longer.recipe.g_optim.schedule
    assert kept is not None
    assert kept.images == 160
    rates = [longer.recipe.g_optim.rate(images) for images in (0, 160, 176, 320)]
    assert rates == pytest.approx([1e-3, 1e-4, 1e-4, 1e-4])
    assert longer.stats()[-1]["images"] == 320
