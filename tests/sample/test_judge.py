"""A discriminator as a metric asks it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sparring.api import train
from sparring.data import Npz
from sparring.errors import DataError
from sparring.metrics import Membership
from sparring.nets import MLP, Discriminator, Projection, Spec
from sparring.recipe import Recipe
from sparring.sample.judge import judging


def built(**fields: object) -> Discriminator:
    spec = Spec((1, 4, 4), ("a", "b"))
    return MLP(**fields).discriminator(spec).eval()  # pyright: ignore[reportArgumentType]


def test_it_is_loaded_once_and_asked_in_its_own_range() -> None:
    net, loads = built(), []

    def load() -> Discriminator:
        loads.append(1)
        return net

    ask = judging(load)
    x = torch.tensor([0, 255, 100], dtype=torch.uint8).view(3, 1, 1, 1).expand(-1, -1, 4, 4)
    assert not loads
    with torch.no_grad():
        wanted = net(x.float() / 127.5 - 1)
    for _ in range(2):
        found = ask(x, None)
        torch.testing.assert_close(found, wanted)
    assert not found.requires_grad
    assert len(loads) == 1
    assert x.float().max() == 255  # what it is given is left as it is


def test_a_conditional_one_needs_classes() -> None:
    net = built(condition=Projection())
    x = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    ask = judging(lambda: net)
    with pytest.raises(DataError, match="this D reads classes: not all of these images have them"):
        ask(x, None)
    assert ask(x, torch.tensor([0, 1])).shape == (2,)


def test_training_asks_its_own_d_and_goes_on_as_if_it_had_not(tmp_path: Path) -> None:
    """Membership is scored on the way; the run is bit for bit that which is not scored."""
    pixels = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 1), dtype=np.uint8)
    np.savez(tmp_path / "some.npz", images=pixels)
    recipe = Recipe(
        data=Npz(path=str(tmp_path / "some.npz")),
        nets=MLP(g_widths=(8,), d_widths=(8,)),
        images=96,
        batch=16,
        held_out=20,
        precision="fp32",
        metrics=(),
    )
    asked = replace(recipe, metrics=(Membership(n=20),), evaluate_every=32)
    plain, scored = (train(r, tmp_path / n) for r, n in ((recipe, "plain"), (asked, "scored")))
    rows = [r for r in scored.scores() if r["metric"] == "membership-auc"]
    assert [r["images"] for r in rows] == [32, 64, 96]
    assert len({r["value"] for r in rows}) > 1
    assert plain.weights.read_bytes() == scored.weights.read_bytes()
