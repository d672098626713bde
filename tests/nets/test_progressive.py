"""Growing: the stage follows the images seen, fade-in at 0 is the upsampled lower stage."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import avg_pool2d
from torch.testing import assert_close
from toys import Pictures, set_up, weights

import sparring
from sparring.errors import RecipeError
from sparring.nets import Auxiliary, Concat, ProGAN, Projection, Spec, StyleGAN
from sparring.nets.progressive import AdaIN, enlarged
from sparring.randomness import Draws, seeded
from sparring.recipe import Recipe
from sparring.schedules import Linear
from sparring.tricks import R1, Replay
from sparring.tricks.trick import slopes

GROWTH = Linear(start=0.0, end=1.0, images=600)  # of three halvings: 100 images for each place
PARTS = [
    ProGAN(width=6, latent=4, stddev=0, growth=GROWTH),
    StyleGAN(width=6, latent=4, mapping=2, stddev=0, growth=GROWTH),
]
SPEC = Spec((2, 32, 48), ("a", "b"))  # from 4x6 in three halvings
every_net = pytest.mark.parametrize("nets", PARTS, ids=lambda n: type(n).__name__)


def images(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def pair(nets, at=None):
    with seeded(0):
        G, D = nets.generator(SPEC).double(), nets.discriminator(SPEC).double()
    if at is not None:
        G.at(at)
        D.at(at)
    return G, D


@every_net
@pytest.mark.parametrize(
    ("seen", "level", "alpha"),
    [
        (0, 0, 1.0),
        (99, 0, 1.0),
        (100, 1, 0.0),
        (125, 1, 0.25),
        (200, 1, 1.0),
        (299, 1, 1.0),
        (350, 2, 0.5),
        (550, 3, 0.5),
        (600, 3, 1.0),
        (10_000, 3, 1.0),
    ],
)
def test_the_stage_is_a_function_of_the_images(nets, seen, level, alpha):
    for net in pair(nets, seen):
        assert net.level == level
        assert_close(net.alpha, alpha, rtol=0, atol=1e-5)


@every_net
@pytest.mark.parametrize("level", [1, 2, 3])
def test_fade_in_at_zero_is_the_upsampled_lower_stage(nets, level):
    """G's images, and D's logits of images from below, just before and just after a size begins."""
    G, D = pair(nets)
    z, start = G.noise(3, Draws(0, "z")).double(), 100 * (2 * level - 1)
    if isinstance(nets, StyleGAN):  # which mixes styles among other layers from here on
        G.mixing = 0.0
    G.at(start - 1)
    D.at(start - 1)
    assert (G.level, G.alpha) == (level - 1, 1.0)
    before = G(z)
    said = D(before)
    G.at(start)
    D.at(start)
    assert_close((G.level, G.alpha), (level, 0.0), rtol=0, atol=1e-6)
    assert before.shape == (3, 2, 4 << level - 1, 6 << level - 1)
    assert_close(G(z), enlarged(before, 2), rtol=0, atol=1e-5)
    assert_close(D(enlarged(before, 2)), said, rtol=0, atol=1e-5)
    G.at(start + 50)
    assert (G(z) - enlarged(before, 2)).abs().max() > 1e-3


@pytest.mark.parametrize("seen", [0, 250, 600])
def test_styles_are_mixed_among_the_layers_there_are(seen):
    """The second style takes over within the layers of this stage, or it would not be seen."""
    G, _ = pair(replace(PARTS[1], mixing=1.0), seen)
    ws = G.styles(images(512, G.latent))
    first = (ws == ws[:, :1]).all(2).sum(1)
    assert first.unique().tolist() == list(range(1, 2 * (G.level + 1)))


@every_net
def test_whole_images_in_eval_mode(nets):
    G, D = pair(nets, 150)
    z = G.noise(2, Draws(0, "z")).double()
    if isinstance(nets, StyleGAN):
        G.mixing = 0.0
    small = G(z)
    assert small.shape == (2, 2, 8, 12)
    assert_close(G.eval()(z), enlarged(small, 4))
    assert_close(D(G(z)), D(D.fit(G(z))))


@every_net
def test_real_images_are_fitted(nets):
    """To the size of the stage, and blended with themselves at half of it as far as G's are."""
    _, D = pair(nets, 325)
    x = images(2, 2, 32, 48)
    half = avg_pool2d(x, 2)
    assert_close(D.fit(x), 0.75 * enlarged(avg_pool2d(half, 2), 2) + 0.25 * half, atol=1e-5, rtol=0)
    D.at(600)
    assert_close(D.fit(x), x, rtol=0, atol=0)


@every_net
def test_slopes_are_those_at_the_stage(nets):
    """A penalty of what D sees, not of the whole image, over which a slope would be spread."""
    _, D = pair(nets, 0)
    x = images(2, 2, 32, 48)
    small, _, _ = slopes(D, D.fit(x))
    whole, _, _ = slopes(D, x)
    assert_close(small.square().sum(), 64 * whole.square().sum())


@every_net
@pytest.mark.parametrize("condition", [None, Concat(), Projection(), Auxiliary()], ids=str)
@pytest.mark.parametrize("seen", [0, 150, 350, 600])
def test_every_stage_and_condition(nets, condition, seen):
    G, D = pair(replace(nets, condition=condition), seen)
    c = torch.tensor([0, 1, 1])
    x = G(G.noise(3, Draws(0, "z")).double(), c)
    slope, logits, _ = slopes(D, x, c)
    (slope.square().sum() + logits.sum()).backward()
    moved = [p.grad.abs().max() for p in G.parameters() if p.grad is not None]
    assert all(m.isfinite() for m in moved)
    assert max(moved) > 0
    # What is not there yet is not touched.
    later = [n for n, p in G.named_parameters() if p.grad is not None and n.startswith("levels.")]
    sizes = 3 if isinstance(nets, ProGAN) else 4
    assert len({n.split(".")[1] for n in later}) == sizes - (3 - G.level)


def test_a_layer_has_one_name_at_every_stage():
    """At 32 pixels: three sizes come down, then a convolution and a hidden layer of 4 pixels."""
    D = ProGAN(width=4, latent=4).discriminator(Spec(shape=(1, 32, 32)))
    shapes = {}
    for place in (0.0, 1.5, 3.0, 6.0):
        D.place = place
        _, found = D(torch.rand(2, 1, 32, 32), features=True)
        for name, layer in found.items():
            shapes.setdefault(name, set()).add(tuple(layer.shape))
        assert list(found)[-2:] == ["layer3", "layer4"]
    assert list(found) == [f"layer{i}" for i in range(5)]
    assert all(len(s) == 1 for s in shapes.values())


def test_minibatch_stddev_is_in_d():
    D = replace(PARTS[0], stddev=4).discriminator(SPEC)
    assert D.mixes
    x = images(4, 2, 32, 48).float()
    same = x[:1].expand(4, -1, -1, -1)
    assert (D(x)[:1] - D(same)[:1]).abs().max() > 1e-5


def test_adain_by_hand():
    with seeded(0):
        layer = AdaIN(3, 4).double()
    x, w = images(2, 3, 5, 6) * 4 + 2, images(2, 4, seed=1)
    y = layer(x, w)
    scale, shift = layer.affine(w)[:, :3], layer.affine(w)[:, 3:]
    assert_close(y.mean((2, 3)), shift)
    assert_close(y.var((2, 3), unbiased=False).sqrt(), (1 + scale).abs(), rtol=1e-6, atol=1e-6)


def test_pixel_norm_in_progan():
    G, seen = pair(PARTS[0])[0], []
    G.images[-1].register_forward_pre_hook(lambda m, args: seen.append(args[0]))
    G(G.noise(2, Draws(0, "z")).double())
    square = seen[0].square().mean(1)
    assert_close(square, torch.ones_like(square), rtol=1e-5, atol=1e-5)


# -------------------------------------------------------------------------------------- in training


def recipe(tmp_path, nets, **changes) -> Recipe:
    source = sparring.Npz(path=Pictures.write(tmp_path / "x.npz").path)
    base = Recipe(data=source, nets=nets, batch=4, images=64, precision="fp32", metrics=())
    return replace(base, **changes)


@every_net
def test_training_grows(tmp_path, nets):
    """By the first half of the budget all is grown; sizes that are not there yet do not move."""
    nets = replace(nets, growth=Linear(start=0.0, end=2.0), stddev=4)
    setup = set_up(recipe(tmp_path, nets, tricks=(R1(),)))
    assert setup.players["G"].k == 2
    start, levels = weights(setup), []
    for number in range(16):
        setup.advance(number)
        nets_of = (*setup.players.values(), setup.averages["G"].net)
        assert len({net.level for net in nets_of}) == 1
        levels.append(nets_of[0].level)
        if number == 0:
            moved = {n for n, t in weights(setup).items() if not torch.equal(t, start[n])}
            assert not any("images.2" in n for n in moved)
            assert any("images.0" in n for n in moved)
    assert levels == [0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2]
    assert not torch.equal(weights(setup)["G.images.2.weight"], start["G.images.2.weight"])


@every_net
def test_a_resumed_run_repeats(tmp_path, nets):
    """Stopped while a size fades in: the stage is restored, optimisers know half the weights."""
    growth = Linear(start=0.0, end=2.0, images=64)
    nets = replace(nets, growth=growth, stddev=0)
    whole = sparring.train(recipe(tmp_path, nets), tmp_path / "whole", quiet=True)
    half = replace(recipe(tmp_path, nets), images=12, sample_every=3, checkpoint_every=6)
    sparring.train(half, tmp_path / "half", quiet=True)
    model = sparring.load(tmp_path / "half")
    assert model.generator.level == 1
    assert model.sample(2).shape == (2, 1, 16, 16)
    sparring.resume(tmp_path / "half", images=64, quiet=True)
    ours, theirs = sparring.load(tmp_path / "half"), sparring.load(whole)
    assert_close(ours.generator.state_dict(), theirs.generator.state_dict(), rtol=0, atol=0)


def test_replay_and_growing_are_refused(tmp_path):
    with pytest.raises(
        RecipeError, match=r"Replay.* and ProGAN do not go together.*Fix: --tricks none"
    ):
        set_up(recipe(tmp_path, PARTS[0], tricks=(Replay(),)))


def test_bfloat16():
    for nets in PARTS:
        with seeded(0):
            G, D = nets.generator(SPEC).eval(), nets.discriminator(SPEC).eval()
        z = G.noise(2, Draws(0, "z"))
        with torch.autocast("cpu", torch.bfloat16):
            x = G(z)
            logits = D(x.float())
        assert (x.float() - G(z)).abs().mean() < 0.03
        assert_close(logits.float(), D(G(z)), rtol=0.1, atol=0.1)


@pytest.mark.parametrize(
    "bad",
    [
        lambda: ProGAN(width=0),
        lambda: ProGAN(latent=0),
        lambda: ProGAN(stddev=1),
        lambda: StyleGAN(mapping=0),
        lambda: StyleGAN(mixing=-0.1),
    ],
)
def test_bad_fields(bad):
    with pytest.raises(RecipeError):
        bad()
