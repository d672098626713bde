"""Truncation of a model: the mean of its styles, over its classes, whatever seeds samples have."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from sparring.errors import RecipeError
from sparring.nets import Fast, Projection, Spec, StyleGAN, StyleGAN2
from sparring.randomness import Draws, seeded
from sparring.sample import Model

SPEC = Spec((1, 16, 16), ("a", "b"), shares=(0.75, 0.25))


def model(nets) -> Model:
    with seeded(0, "weights"):
        return Model(nets.generator(SPEC), SPEC)


@pytest.mark.parametrize(
    "nets",
    [
        StyleGAN2(width=4, latent=4, mapping=2),
        StyleGAN(width=4, latent=4, mapping=2),
        StyleGAN2(width=4, latent=4, mapping=2, condition=Projection()),
    ],
    ids=repr,
)
def test_styles_shrink_towards_their_mean(nets):
    plain, half = model(nets), model(nets).truncate(0.5)
    z, c = plain.noise(1000, seed=3), plain.conditions(1000, seed=3)
    w, shrunk = plain.generator.style(z, c), half.generator.styles(z, c)
    mean = 2 * (shrunk[:, 0] - w / 2)
    assert_close(mean, mean[:1].expand(1000, -1), atol=1e-5, rtol=0)
    # Of 4096 other styles, in about the same shares of classes.
    assert_close(mean[0], w.mean(0), atol=5 * (w.std(0).max() / 1000**0.5).item(), rtol=0)
    assert not torch.equal(plain.make(z[:2], c if c is None else c[:2]), half.sample(2, seed=3))


def test_a_truncated_sample_depends_on_its_seed_and_place_alone():
    nets = StyleGAN2(width=4, latent=4, mapping=2)
    many = model(nets).truncate(0.3).sample(70, seed=1)
    assert torch.equal(model(nets).truncate(0.3).sample(2, seed=1), many[:2])


def test_one_undoes_it():
    nets = StyleGAN2(width=4, latent=4, mapping=2)
    there_and_back = model(nets).truncate(0.3).truncate(1)
    assert torch.equal(there_and_back.sample(3), model(nets).sample(3))


def test_the_mean_is_drawn_with_noise_of_its_own():
    """Latents of the mean are none of those of samples."""
    nets = StyleGAN2(width=4, latent=4, mapping=2)
    G = model(nets).generator
    assert not torch.equal(G.noise(64, Draws(0, "truncation", 0)), model(nets).noise(64))


@pytest.mark.parametrize("psi", [-0.1, 1.1, float("nan")])
def test_psi_lies_between_zero_and_one(psi):
    with pytest.raises(RecipeError, match=r"is not in \[0, 1\]"):
        model(StyleGAN2(width=4, latent=4, mapping=2)).truncate(psi)


def test_a_generator_without_styles_is_refused():
    with pytest.raises(RecipeError, match=r"no styles to truncate.*mapping network"):
        model(Fast(g_width=4, d_width=4)).truncate(0.7)
