"""The preset that `auto` takes on a CPU makes all kinds of images there are."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from sparring.data import Images, Source
from sparring.presets import PRESETS
from sparring.sample import Model
from sparring.training.device import Device
from sparring.training.setup import Setup, open_data


class FastStripes(Source):
    """Waves that stand or lie, of many lengths and places: two kinds with nothing between."""

    def open(self, size=None):
        rng, side = torch.Generator().manual_seed(0), 16
        length, phase = torch.rand(2, 500, 1, 1, generator=rng)
        lying = (torch.arange(500) % 2 == 1)[:, None, None]
        place = torch.arange(side)
        along = torch.where(lying, place[:, None], place) / (side / 7 + side / 4 * length)
        bright = 0.5 + 0.5 * torch.sin(2 * torch.pi * (along + phase))
        return Images(pixels=(255 * bright).round().to(torch.uint8)[:, None])


@pytest.mark.slow
def test_both_kinds_of_simple_images_are_made():
    """With penalties that fall from 0.5 none of the samples lie, seeds 0 to 2; from 2 half do."""
    recipe = replace(PRESETS["fast"](), data=FastStripes(), images=6_400, precision="fp32")
    recipe, material = open_data(replace(recipe, metrics=()))
    setup = Setup(recipe, material, Device("cpu", "fp32"))
    for number in range(recipe.steps):
        setup.advance(number)
    x = Model(setup.averages["G"].net, material.spec).sample(200)  # pyright: ignore
    across, down = (x.diff(dim=d).square().mean((1, 2, 3)) for d in (3, 2))
    assert 0.25 < float((down > across).float().mean()) < 0.75
