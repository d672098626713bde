"""No field of an architecture does nothing: each changes what two steps make of the weights."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import cache
from typing import Any

import pytest
import torch
from toys import SMALL, TRANSLATORS, Pictures, other, set_up, toy, weights

from sparring.data import Npz, Pairs
from sparring.errors import RecipeError
from sparring.games import Noise, Pix2Pix
from sparring.games.inputs import Downscale
from sparring.nets import MLP, Nets, Projection, SuperResolver, UNet
from sparring.parts import catalogue
from sparring.schedules import Linear

OURS = [c for c in catalogue(Nets) if c.__module__.startswith("sparring.")]
OTHERS: dict[str, Any] = {
    "condition": Projection(width=3),
    "growth": Linear(start=1.0, end=2.0),
    "g_widths": (8, 8),
    "d_widths": (8, 8),
    "g_activation": "tanh",
    "d_activation": "tanh",
    "g_norm": "layer",
    "d_norm": "layer",
    "norm": "layer",
    "g_form": "residual",
    "d_form": "skip",
    "virtual": 4,
    "pack": 2,
    "kernels": 2,
    "stddev": 2,
    "dropout": 0.25,
    "attention": 4,
    "depth": 2,
    "d_layers": 1,
}
UPS = {"resize": "transposed", "transposed": "resize"}


def changed(nets: Nets, field: str) -> Nets:
    """The same with another value of a field."""
    value = getattr(nets, field)
    new = UPS[value] if field == "up" else OTHERS[field] if field in OTHERS else other(value)
    return replace(nets, **{field: new})


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The weights after two steps of an architecture."""
    folder = tmp_path_factory.mktemp("data")

    def source(size: int) -> Npz:
        shape = (40, size, size, 3)
        return Npz(path=Pictures.write(folder / f"{size}.npz", shape, classes=3).path)

    @cache
    def run(nets: Nets) -> dict[str, torch.Tensor]:
        game, data = Noise(), source(16)
        if isinstance(nets, SuperResolver):
            game = Pix2Pix(inputs=Downscale(factor=2))
        elif type(nets) in TRANSLATORS:
            # The dropout of a U-Net begins at 64 pixels.
            images = source(64 if isinstance(nets, UNet) else 16)
            game, data = Pix2Pix(), Pairs(input=images, target=images)
        setup = set_up(toy(data=data, nets=nets, game=game, batch=8, images=3200, held_out=0))
        for number in range(2):
            setup.advance(number)
        return weights(setup)

    return run


def small(cls: type[Nets]) -> Nets:
    return {**SMALL, **TRANSLATORS}[cls]


@pytest.mark.parametrize(
    ("cls", "field"), [(cls, f.name) for cls in OURS for f in fields(cls)], ids=str
)
def test_a_field_changes_the_weights(cls, field, trained):
    nets = small(cls)
    if (cls, field) == (MLP, "virtual"):
        nets = replace(nets, batchnorm=False)
    if cls in TRANSLATORS and field == "condition":
        with pytest.raises(RecipeError, match="told no condition"):
            replace(nets, condition=OTHERS[field])
        return
    one, two = trained(nets), trained(changed(nets, field))
    assert one.keys() != two.keys() or any(
        one[n].shape != two[n].shape or not torch.equal(one[n], two[n]) for n in one
    )
