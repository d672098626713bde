"""No trick, and no field of one, does nothing: each changes what a few steps make of weights."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import cache
from typing import Any

import pytest
import torch
from toys import Pictures, other, set_up, toy, weights

from sparring.data import Npz
from sparring.errors import RecipeError
from sparring.nets import DCGAN, Auxiliary, FewShot
from sparring.parts import catalogue, show
from sparring.schedules import Linear
from sparring.tricks import (
    ADA,
    DRAGAN,
    AuxiliaryClassifier,
    Consistency,
    DiffAugment,
    FeatureMatching,
    InstanceNoise,
    LeCam,
    PathLength,
    Reconstruction,
    Replay,
    Trick,
    Unrolled,
    WeightClipping,
)

OURS = [c for c in catalogue(Trick) if c.__module__.startswith("sparring.")]
# What a trick needs to show itself in a few steps, where its defaults do not.
SHOWN: dict[type[Trick], Trick] = {
    ADA: ADA(p=0.5, interval=1, speed=100),
    LeCam: LeCam(decay=0.5),
    PathLength: PathLength(decay=0.5),
    Replay: Replay(size=16),
}
# Without BatchNorm in D, which would take the whole batch for any share.
PLAIN = DCGAN(width=4, latent=5, d_norm="none")
NETS = {
    AuxiliaryClassifier: replace(PLAIN, condition=Auxiliary(width=3)),
    Reconstruction: FewShot(g_width=2, d_width=2, latent=5),
}
# Another value of a field, where half of a number and the other of two would not do.
OTHERS: dict[tuple[type[Trick], str], Any] = {
    (ADA, "speed"): 1000,
    (ADA, "target"): -1.0,
    (FeatureMatching, "layer"): "layer0",
    (InstanceNoise, "sigma"): Linear(start=0.2, end=0.0),
    (DRAGAN, "target"): 0.0,
    (Replay, "size"): 8,
    (Consistency, "augment"): DiffAugment(),
}
# What is refused here: to skip terms that there are none of, pairs where there are none.
REFUSED = {
    *((cls, "every") for cls in (ADA, DiffAugment, InstanceNoise, Replay, Unrolled)),
    (WeightClipping, "every"),
    (FeatureMatching, "paired"),
}
# What a trick is compared with, where its networks cannot be without it.
WITHOUT = {AuxiliaryClassifier: (AuxiliaryClassifier(d_weight=0, g_weight=0),)}


def trick(cls: type[Trick]) -> Trick:
    return SHOWN.get(cls) or cls()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Npz:
    path = tmp_path_factory.mktemp("data") / "data.npz"
    return Npz(path=Pictures.write(path, (40, 16, 16, 1), classes=3).path)


@pytest.fixture(scope="module")
def trained(pictures):
    """The weights after four steps with these tricks, on the networks of a class of tricks."""

    @cache
    def run(cls: type[Trick], tricks: tuple[Trick, ...]) -> dict[str, torch.Tensor]:
        nets = NETS.get(cls, PLAIN)
        recipe = toy(data=pictures, nets=nets, tricks=tricks, batch=8, images=3200, held_out=0)
        setup = set_up(recipe)
        for number in range(4):
            setup.advance(number)
        return weights(setup)

    return run


def differ(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return any(not torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("cls", OURS)
def test_a_trick_changes_the_weights(cls, trained):
    assert differ(trained(cls, (trick(cls),)), trained(cls, WITHOUT.get(cls, ())))


@pytest.mark.parametrize(
    ("cls", "field"), [(cls, f.name) for cls in OURS for f in fields(cls)], ids=str
)
def test_a_field_changes_the_weights(cls, field, trained):
    made = trick(cls)
    value = OTHERS[cls, field] if (cls, field) in OTHERS else other(getattr(made, field))
    if (cls, field) in REFUSED:
        with pytest.raises(RecipeError):
            trained(cls, (replace(made, **{field: value}),))
        return
    changed = replace(made, **{field: value})
    assert show(changed) != show(made)
    assert differ(trained(cls, (made,)), trained(cls, (changed,)))
