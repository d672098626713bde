"""A run that was stopped, and the same undisturbed."""

from __future__ import annotations

import os
import shutil
import signal

import pytest

from sparring.data import Mixture1D
from sparring.nets import MLP
from sparring.recipe import Recipe
from sparring.runs import Run
from sparring.training import Stopped, train
from sparring.tricks import HistoricalAveraging

RECIPE = Recipe(
    data=Mixture1D(),
    nets=MLP(g_widths=(8,), d_widths=(8,), latent=2),
    tricks=(HistoricalAveraging(),),
    batch=8,
    images=80,
    checkpoint_every=16,
    sample_every=40,
    keep=3,
    ema=40,
    metrics=(),
    precision="fp32",
)


def stop_before(images: int):
    def tick(row):
        if row["images"] == images - 8:
            os.kill(os.getpid(), signal.SIGINT)

    return tick


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> tuple[Run, Run]:
    """A whole run, and one stopped at 48 of its 80 images, with checkpoints at 16, 32 and 48."""
    folder = tmp_path_factory.mktemp("runs")
    whole = train(RECIPE, folder / "whole", device="cpu", quiet=True)
    with pytest.raises(Stopped):
        train(RECIPE, folder / "cut", device="cpu", quiet=True, on_tick=stop_before(48))
    return whole, Run(folder / "cut")


@pytest.fixture
def cut(runs, tmp_path) -> Run:
    """A copy of the stopped run, to damage."""
    shutil.copytree(runs[1].path, tmp_path / "run")
    return Run(tmp_path / "run")
