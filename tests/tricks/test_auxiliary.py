"""Reconstruction: D pays for what it decodes, by hand, and for real images alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from torch.nn.functional import interpolate
from torch.testing import assert_close
from toys import Pictures, set_up, walk

from sparring.data import Npz
from sparring.errors import RecipeError
from sparring.losses import Hinge
from sparring.nets import DCGAN, FewShot
from sparring.optim import SGD, Adam
from sparring.recipe import Recipe
from sparring.tricks import FeatureMatching, Reconstruction


@pytest.fixture
def recipe(tmp_path):
    path = Pictures.write(tmp_path / "images.npz").path
    return Recipe(
        data=Npz(path=path),
        nets=FewShot(g_width=2, d_width=2, latent=4),
        loss=Hinge(),
        tricks=(Reconstruction(weight=3.0),),
        g_optim=SGD(lr=0.1),
        d_optim=SGD(lr=0.1),
        batch=4,
        images=400,
        precision="fp32",
        metrics=(),
        ema=0,
        held_out=0,
    )


def test_the_term_by_hand(recipe):
    """D's loss with it less that without it: the mean distance to the halved image, summed."""
    without = walk(replace(recipe, tricks=()))[0]
    one = walk(recipe)[0]
    D = set_up(recipe).players["D"]
    found = D(one.real, None, features=True)[1]
    small = interpolate(one.real, scale_factor=0.5, mode="bilinear", antialias=False)
    by_hand = 3 * sum((found[f"decoded{n}"] - small).abs().mean().item() for n in (0, 1))
    assert_close(one.stats["d_loss"] - without.stats["d_loss"], by_hand, rtol=1e-4, atol=0)
    assert one.stats["g_loss"] != without.stats["g_loss"]  # D has moved another way


def test_it_moves_the_decoders_and_the_layers_below(recipe):
    without, one = walk(replace(recipe, tricks=()))[0], walk(recipe)[0]
    decoders = [n for n in one.before if n.startswith("D.decoders") and n.endswith("original")]
    assert decoders
    for name in decoders:
        assert without.moved(name).abs().max() == 0
        assert one.moved(name).abs().max() > 0
    first = "D.layers.0.0.parametrizations.weight.original"
    assert (one.moved(first) - without.moved(first)).abs().max() > 0


def test_what_is_decoded_comes_near_the_image(recipe, tmp_path):
    """Images of one grey each: after sixty steps D's lowest map holds which."""
    greys = np.linspace(0, 255, 40).astype(np.uint8)[:, None, None, None]
    np.savez(tmp_path / "greys.npz", arr_0=np.broadcast_to(greys, (40, 16, 16, 1)))
    recipe = replace(
        recipe,
        data=Npz(path=str(tmp_path / "greys.npz")),
        nets=FewShot(g_width=2, d_width=2, latent=4, d_norm="none"),
        d_optim=Adam(lr=5e-3),
    )
    last = walk(recipe, 60)[-1]
    found = last.setup.players["D"](last.real, None, features=True)[1]
    spread = (last.real - last.real.mean(0)).abs().mean()
    for n in (0, 1):
        off = (found[f"decoded{n}"] - last.real[:, :, ::2, ::2]).abs().mean()
        assert off < spread / 2


def test_decoded_images_are_no_layer_to_match(recipe):
    """The last layer is D's own, whatever it decodes behind it."""
    path = walk(replace(recipe, tricks=(FeatureMatching(weight=0.5),)))
    named = walk(replace(recipe, tricks=(FeatureMatching(weight=0.5, layer="layer2"),)))
    assert path[0].stats == named[0].stats


def test_it_needs_a_d_that_decodes(recipe):
    with pytest.raises(RecipeError, match=r"decodes.*--nets FewShot"):
        set_up(replace(recipe, nets=DCGAN(width=4)))


def test_a_weight_below_zero():
    with pytest.raises(RecipeError):
        Reconstruction(weight=-1.0)
