"""pix2pix: what D sees, what G owes, and the real step on numbers that can be worked by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.testing import assert_close
from toys import Pictures, set_up, walk

from sparring.data import Folder, Npz, Pairs, Ring, Unpaired
from sparring.errors import DataError, RecipeError
from sparring.games import CycleGAN, Downscale, Greyscale, Pair, Pix2Pix
from sparring.losses import LeastSquares
from sparring.metrics import lpips, offer
from sparring.nets import Discriminator, Spec, Translator, UNet
from sparring.nets.patches import Translating
from sparring.optim import SGD
from sparring.presets import cyclegan, pix2pix
from sparring.randomness import Draws
from sparring.recipe import Recipe
from sparring.training.feed import Batch
from sparring.training.setup import Setup
from sparring.tricks import ADA, R1, DiffAugment, FeatureMatching, Replay


class Scaled(Translator):
    """x = w * a, of as many channels as are wanted."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.w = nn.Parameter(torch.tensor(0.5))

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        return self.w * z[:, :1].expand(-1, self.channels, -1, -1)


class Weighted(Discriminator):
    """The mean of each channel times a weight of its own."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.v = nn.Parameter(torch.arange(1.0, channels + 1) / 10)

    def forward(self, x: Tensor, c: Tensor | None = None, features: bool = False) -> Any:
        layer = x.mean((2, 3)) * self.v
        return (layer.sum(1), {"layer0": layer}) if features else layer.sum(1)


class ToyTranslating(Translating):
    """G is one number, D one for each channel that it sees."""

    def generator(self, spec: Spec) -> Scaled:
        return Scaled(spec.shape[0])

    def discriminator(self, spec: Spec) -> Weighted:
        return Weighted(spec.shape[0])


def pairs(folder: Path, channels: tuple[int, int] = (1, 3), n: int = 12) -> Pairs:
    a = Pictures.write(folder / "a.npz", (n, 8, 8, channels[0]))
    b = Pictures.write(folder / "b.npz", (n, 8, 8, channels[1]))
    return Pairs(input=Npz(path=a.path), target=Npz(path=b.path))


def recipe(folder: Path, **fields: Any) -> Recipe:
    known = Recipe(
        data=pairs(folder),
        nets=ToyTranslating(),
        game=Pix2Pix(l1=3.0),
        loss=LeastSquares(),
        g_optim=SGD(lr=0.1),
        d_optim=SGD(lr=0.1),
        batch=4,
        images=8,
        held_out=0,
        share_fakes=True,
        precision="fp32",
        metrics=(),
    )
    return replace(known, **fields)


def _dealt(setup: Setup) -> list[Pair]:
    return setup.step.deal(setup.feed(0), 0, "d", grad=False)


def test_d_sees_the_input_beside_the_image(tmp_path):
    setup = set_up(recipe(tmp_path))
    batch = setup.feed(0)
    assert batch.a is not None
    (pair,) = setup.recipe.game.pairs(setup.players, batch, lambda name: None)  # pyright: ignore
    assert_close(pair.real, torch.cat([batch.a, batch.x], 1))
    assert_close(pair.fake, torch.cat([batch.a, 0.5 * batch.a.expand(-1, 3, -1, -1)], 1))
    assert_close(pair.z, batch.a)
    assert_close(pair.draw(), pair.fake)
    assert pair.sides == (1, 3)
    for side in ("d", "g"):
        (view,) = setup.step.views(side, [pair], 0)
        assert view.sides == (1, 3)


def test_a_step_moves_g_by_both_of_its_gradients(tmp_path):
    """Least squares against D = v.mean and 3 times the mean absolute error, by hand."""
    (step,) = walk(recipe(tmp_path))
    batch = step.setup.feed(0)
    a, x = batch.a, batch.x
    assert a is not None
    v = step.after["D.v"]  # G answers the D that has just stepped
    means = a.mean((1, 2, 3))
    logit = v[0] * means + 0.5 * v[1:].sum() * means
    adversarial = ((logit - 1) * v[1:].sum() * means).mean()
    error = 0.5 * a - x
    owed = 3.0 * (error.sign() * a).mean()
    assert_close(step.moved("G.w"), -0.1 * (adversarial + owed), atol=1e-6, rtol=1e-5)
    assert step.stats["g_l1"] == pytest.approx(3.0 * error.abs().mean().item())
    loss = (logit - 1).square().mean().item() / 2 + step.stats["g_l1"]
    assert step.stats["g_loss"] == pytest.approx(loss, rel=1e-5)


def test_without_the_condition_d_sees_the_image_alone(tmp_path):
    (step,) = walk(recipe(tmp_path, game=Pix2Pix(conditional=False, l1=0.0)))
    assert [view.sides for view in step.setup.step.views("d", _dealt(step.setup), 0)] == [()]
    assert step.before["D.v"].shape == (3,)
    assert step.stats["g_l1"] == 0
    before = step.before["D.v"]
    x, fake = step.real, 0.5 * step.setup.feed(0).a.expand(-1, 3, -1, -1)  # pyright: ignore
    real_mean, fake_mean = x.mean((2, 3)), fake.mean((2, 3))
    slope = ((real_mean @ before - 1)[:, None] * real_mean).mean(0)
    slope += ((fake_mean @ before)[:, None] * fake_mean).mean(0)
    assert_close(step.moved("D.v"), -0.1 * slope, atol=1e-6, rtol=1e-5)


def test_smaller_inputs_are_shown_at_the_images_size():
    game = Pix2Pix(inputs=Downscale(factor=2))
    a, x = torch.arange(4.0).view(1, 1, 2, 2), torch.zeros(1, 3, 4, 4)
    seen = game.seen(a, x)
    assert seen.shape == (1, 4, 4, 4)
    assert_close(
        seen[0, 0], torch.tensor([[0.0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]])
    )


def test_inputs_may_be_made_of_any_images(tmp_path):
    """Colourisation needs nothing but colour images."""
    photos = Pictures.write(tmp_path / "photos.npz", (12, 8, 8, 3))
    game = Pix2Pix(inputs=Greyscale())
    (step,) = walk(recipe(tmp_path, data=Npz(path=photos.path), game=game, nets=UNet(width=2)))
    assert step.setup.spec == Spec((3, 8, 8), inputs=(1, 8, 8))
    assert step.before["G.down.0.0.weight"].shape == (2, 1, 4, 4)
    assert step.before["D.scales.0.layers.0.0.weight"].shape[1] == 4


@pytest.mark.realdata
def test_the_perceptual_term_is_lpips(tmp_path, test_data):
    """G owes its weight times the distance of fake and target, and its gradient is that."""
    offer(test_data / "lpips_alex_fp32.safetensors")
    photos = Pictures.write(tmp_path / "photos.npz", (6, 32, 32, 3))
    game = Pix2Pix(inputs=Greyscale(), l1=0.0, perceptual=7.0, conditional=False)
    (step,) = walk(recipe(tmp_path, data=Npz(path=photos.path), game=game))
    batch = step.setup.feed(0)
    a = Greyscale().of(batch.x, None, Draws(0))
    w = torch.tensor(0.5, requires_grad=True)
    made = (w * a).expand(-1, 3, -1, -1)
    owed = 7.0 * lpips()[0](made, batch.x).mean()
    assert step.stats["g_lpips"] == pytest.approx(owed.item(), rel=1e-5)
    v = step.after["D.v"]
    means = made.mean((2, 3)) @ v
    (slope,) = torch.autograd.grad(owed + (means - 1).square().mean() / 2, w)
    assert_close(step.moved("G.w"), -0.1 * slope, atol=1e-6, rtol=1e-4)


def test_the_perceptual_term_needs_images_it_can_read(tmp_path):
    game = Pix2Pix(inputs=Greyscale(), perceptual=1.0)
    photos = Pictures.write(tmp_path / "photos.npz", (6, 16, 16, 3))
    says = r"perceptual=1 .*LPIPS needs 31 pixels.*--size 32 or more, or --game .Pix2Pix"
    with pytest.raises(RecipeError, match=says):
        set_up(recipe(tmp_path, data=Npz(path=photos.path), game=game))


def test_the_size_that_the_perceptual_term_needs_can_be_made_smaller(tmp_path):
    """And where patches are cut, photos that hold none of that size are taken whole."""
    for i in range(4):
        pixels = np.random.default_rng(i).integers(0, 256, (24, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    game = Pix2Pix(inputs=Downscale(factor=3), perceptual=1.0, conditional=False)
    small = recipe(tmp_path, data=Folder(path=str(tmp_path)), game=game, patches=2)
    with pytest.raises(RecipeError, match=r"--size 33 or more, with --patches 0 for smaller"):
        set_up(small)
    with pytest.raises(RecipeError, match=r"--size 33 or more, or --game"):
        set_up(replace(small, patches=0))


def test_every_trick_meets_pairs_as_it_meets_images(tmp_path):
    tricks = (R1(gamma=1.0, share=0.5), DiffAugment(), Replay(size=8), FeatureMatching())
    nets = UNet(width=2, d_width=2, d_layers=1)
    steps = walk(recipe(tmp_path, tricks=tricks, nets=nets, batch=4), steps=3)
    assert all(torch.isfinite(torch.tensor(s.stats["d_loss"])) for s in steps)
    pool = steps[-1].setup.step.states["D"]["Replay0"]["pool"]
    assert pool.shape == (8, 4, 8, 8)
    # The stored fakes keep their own inputs.
    fed = {x.numpy().tobytes() for turn in range(3) for x in steps[0].setup.feed(turn).a}  # pyright: ignore
    assert all(x[:1].numpy().tobytes() in fed for x in pool)


def test_paired_features_are_matched_place_by_place_over_all_scales():
    """pix2pixHD's sum over scales and layers of |f(real) - f(fake)| / N, on a real D."""
    D = UNet(d_width=4, d_layers=1, scales=2).discriminator(Spec((4, 16, 16)))
    rng = torch.Generator().manual_seed(0)
    real, fake = torch.randn(2, 3, 4, 16, 16, generator=rng).unbind()
    f, g = (D(x, features=True)[1] for x in (real, fake))
    view: Any = SimpleNamespace(real_features=f, fake_features=g)
    wanted = sum((f[n] - g[n]).abs().sum() / f[n].numel() for n in f)
    assert {n.partition(".")[0] for n in f} == {"scale0", "scale1"}
    found = FeatureMatching(weight=10.0, paired=True).g_term(view, {})
    assert_close(found, 10 * wanted)
    one = FeatureMatching(paired=True, layer="scale1.layer0").g_term(view, {})
    assert_close(one, (f["scale1.layer0"] - g["scale1.layer0"]).abs().mean())


def test_only_g_pays_for_paired_features(tmp_path):
    trick = FeatureMatching(weight=2.0, paired=True)
    (off,) = walk(recipe(tmp_path))
    (on,) = walk(recipe(tmp_path, tricks=(trick,)))
    assert_close(on.moved("D.v"), off.moved("D.v"))
    assert on.stats["g_loss"] > off.stats["g_loss"]
    data = two_sets(tmp_path)
    with pytest.raises(RecipeError, match=r"own target.*in CycleGAN there are none"):
        set_up(recipe(tmp_path, data=data, game=CycleGAN(), tricks=(trick,)))
    (line,) = set_up(recipe(tmp_path, tricks=(trick, DiffAugment()))).warnings
    assert "DiffAugment() has changed each of them in another way" in line


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"data": Ring()}, "points are not translated"),
        ({"nets": Recipe().nets}, r"Pix2Pix and MLP do not go together.*--preset pix2pix"),
        ({"game": Recipe().game}, r"UNet translates images.*--preset pix2pix"),
    ],
)
def test_what_does_not_go_together(tmp_path, change, says):
    with pytest.raises(RecipeError, match=says):
        set_up(recipe(tmp_path, **({"nets": UNet()} | change)))


def test_data_without_inputs_or_pairs(tmp_path):
    photos = Pictures.write(tmp_path / "photos.npz", (12, 8, 8, 3))
    with pytest.raises(DataError, match="have no inputs to be translated from"):
        set_up(recipe(tmp_path, data=Npz(path=photos.path)))
    both = Unpaired(input=Npz(path=photos.path), target=Npz(path=photos.path))
    with pytest.raises(RecipeError, match="learns from pairs"):
        set_up(recipe(tmp_path, data=both))
    with pytest.raises(
        RecipeError, match=r"learns from pairs.*alone that Greyscale\(\) is made of"
    ):
        set_up(recipe(tmp_path, data=both, game=Pix2Pix(inputs=Greyscale())))


def test_a_batch_of_one_with_batchnorm_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="BatchNorm has nothing to learn from one image"):
        set_up(recipe(tmp_path, nets=UNet(width=2, norm="batch"), batch=1))
    set_up(recipe(tmp_path, nets=UNet(width=2), batch=1))


# ---------------------------------------------------------------------------------------- CycleGAN


def two_sets(folder: Path, channels: tuple[int, int] = (3, 3)) -> Unpaired:
    a = Pictures.write(folder / "one.npz", (10, 8, 8, channels[0]))
    b = Pictures.write(folder / "two.npz", (7, 8, 8, channels[1]))
    return Unpaired(input=Npz(path=a.path), target=Npz(path=b.path))


def test_both_ways_against_their_own_d(tmp_path):
    setup = set_up(recipe(tmp_path, data=two_sets(tmp_path), game=CycleGAN()))
    batch = setup.feed(0)
    there, back = setup.recipe.game.pairs(setup.players, batch, lambda name: None)  # pyright: ignore
    assert (there.name, back.name) == ("D", "D_back")
    assert_close(there.real, batch.x)
    assert_close(back.real, batch.a)
    assert batch.a is not None
    assert_close(there.fake, 0.5 * batch.a[:, :1].expand(-1, 3, -1, -1))
    assert_close(back.fake, 0.5 * batch.x[:, :1].expand(-1, 3, -1, -1))
    assert there.D is setup.players["D"]
    assert back.G is setup.players["G_back"]


def test_what_g_owes_there_and_back(tmp_path):
    """With G = v a and G_back = w x of one channel: |w v a - a| + |v w x - x|, and |v x - x|."""
    game = CycleGAN(cycle=4.0, identity=2.0)
    (step,) = walk(recipe(tmp_path, data=two_sets(tmp_path, (1, 1)), game=game))
    batch = step.setup.feed(0)
    assert batch.a is not None
    a, x = batch.a, batch.x
    cycle = 4.0 * (0.75 * a.abs().mean() + 0.75 * x.abs().mean())
    identity = 2.0 * (0.5 * x.abs().mean() + 0.5 * a.abs().mean())
    assert step.stats["g_cycle"] == pytest.approx(cycle.item(), rel=1e-5)
    assert step.stats["g_identity"] == pytest.approx(identity.item(), rel=1e-5)
    # Slopes by v at v = w = 1/2, of the terms; the adversarial one is that of its own D.
    owed = -4.0 * 0.5 * (a.abs().mean() + x.abs().mean()) - 2.0 * x.abs().mean()
    d, means = step.after["D.v"], a.mean((1, 2, 3))
    adversarial = ((0.5 * d * means - 1) * d * means).mean()
    assert_close(step.moved("G.w"), -0.1 * (owed + adversarial), atol=1e-6, rtol=1e-5)
    owed = -4.0 * 0.5 * (a.abs().mean() + x.abs().mean()) - 2.0 * a.abs().mean()
    d, means = step.after["D_back.v"], x.mean((1, 2, 3))
    adversarial = ((0.5 * d * means - 1) * d * means).mean()
    assert_close(step.moved("G_back.w"), -0.1 * (owed + adversarial), atol=1e-6, rtol=1e-5)


def test_the_published_presets_weigh_and_fall_as_published():
    """CycleGAN: (D - 1)^2 + 10 cycle + 5 identity. pix2pix: -log D + 100 L1. Rates fall to 0."""
    recipe = cyclegan()
    y = torch.tensor([0.25, -2.0])
    unit = float(recipe.loss.g(None, y) / (y - 1).square().mean())
    assert isinstance(recipe.game, CycleGAN)
    assert recipe.game.cycle / unit == pytest.approx(10)
    assert recipe.game.identity is None  # half of it
    assert isinstance(pix2pix().game, Pix2Pix)
    assert_close(pix2pix().loss.g(None, y), -torch.sigmoid(y).log().mean())
    assert pix2pix().game == Pix2Pix(l1=100.0)
    for published in (recipe, pix2pix()):
        for optim in (published.g_optim, published.d_optim):
            assert optim.schedule is not None
            schedule = replace(optim.schedule, images=published.images)
            shares = [schedule.at(int(published.images * t)) for t in (0, 0.5, 0.75, 1)]
            assert shares == pytest.approx([1, 1, 0.5, 0])


class Centred(Scaled):
    """w (a - the mean of the batch): what it makes of an image depends on the others."""

    mixes = True

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        return super().forward(z - z.mean())


@pytest.mark.parametrize("kind", [Scaled, Centred])
def test_two_batches_in_one_pass_change_nothing(kind):
    """Cycle and identity share a pass where G bears it: in float64 both are what they were."""
    rng = torch.Generator().manual_seed(0)
    a, x = torch.randn(2, 3, 1, 4, 4, generator=rng, dtype=torch.float64).unbind()
    G, back = kind(1).double(), kind(1).double()
    batch = Batch(x=x, a=a)
    players = {"G": G, "G_back": back, "D": nn.Identity(), "D_back": nn.Identity()}
    game = CycleGAN(cycle=1.0, identity=1.0)
    passes = []
    G.register_forward_hook(lambda module, args, made: passes.append(len(made)))
    pairs = game.pairs(players, batch, lambda name: Draws(0, name))
    found = game.terms(players, pairs)
    assert passes == ([3, 6] if kind is Scaled else [3, 3, 3])
    cycle = (back(G(a)) - a).abs().mean() + (G(back(x)) - x).abs().mean()
    assert_close(found["cycle"], cycle)
    assert_close(found["identity"], (G(x) - x).abs().mean() + (back(a) - a).abs().mean())


def test_identity_is_half_of_cycle(tmp_path):
    data = two_sets(tmp_path)
    for given, same in ((CycleGAN(), 5.0), (CycleGAN(cycle=3.0), 1.5)):
        ours, theirs = (
            walk(recipe(tmp_path, data=data, game=game))[0].stats["g_identity"]
            for game in (given, replace(given, identity=same))
        )
        assert ours == theirs > 0


def test_what_a_trick_notes_is_told_apart_by_discriminator(tmp_path):
    setup = set_up(
        recipe(tmp_path, data=two_sets(tmp_path), game=CycleGAN(), tricks=(ADA(interval=1),))
    )
    stats = setup.advance(0)
    for name in setup.recipe.game.discriminators:
        assert_close(stats[f"ada_p_{name}"], setup.step.states[name]["ADA0"]["p"])
    assert "ada_p" not in stats


@pytest.mark.parametrize("game", [CycleGAN(), CycleGAN(identity=0.0), cyclegan().game])
def test_the_channels_may_differ(game, tmp_path):
    """A grey image and a coloured one are never the same: that is asked of none but by hand."""
    data = two_sets(tmp_path, (1, 3))
    asked = replace(game, cycle=3.0, identity=2.0)
    with pytest.raises(RecipeError, match=r'never the same.* Fix: .*"CycleGAN\(cycle=3.0\)"'):
        set_up(recipe(tmp_path, data=data, game=asked))
    (step,) = walk(recipe(tmp_path, data=data, game=game))
    assert "g_identity" not in step.stats
    assert step.stats["g_cycle"] > 0
    assert step.before["D.v"].shape == (3,)
    assert step.before["D_back.v"].shape == (1,)


def test_each_way_has_a_pool_of_its_own(tmp_path):
    game, tricks = CycleGAN(identity=0.0), (Replay(size=50, share=0.5),)
    data = two_sets(tmp_path, (1, 3))
    steps = walk(recipe(tmp_path, data=data, game=game, tricks=tricks), steps=3)
    states = steps[-1].setup.step.states
    assert states["D"]["Replay0"]["pool"].shape == (50, 3, 8, 8)
    assert states["D_back"]["Replay0"]["pool"].shape == (50, 1, 8, 8)
    assert int(states["D"]["Replay0"]["filled"]) == 12


def test_made_inputs_are_no_second_set():
    with pytest.raises(RecipeError, match="both sets are those of the data"):
        CycleGAN(inputs=Greyscale())


def test_a_batch_holds_what_the_feed_gives():
    x = torch.zeros(2, 1, 4, 4)
    assert Batch(x).a is None
