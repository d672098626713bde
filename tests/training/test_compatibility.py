"""What cannot go together is refused before training, with the field to change."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from toys import Pictures, ToyNets, set_up, toy

from sparring.cli import main
from sparring.data import Npz, Ring
from sparring.errors import RecipeError
from sparring.games import Greyscale, Pix2Pix
from sparring.losses import RelativisticAverage, RelativisticPaired, Wasserstein
from sparring.nets import DCGAN, MLP, Concat, ProGAN, Projection, ResNet, UNet
from sparring.optim import Adam, Optimiser
from sparring.runs import Run
from sparring.schedules import Linear
from sparring.training import train
from sparring.tricks import (
    DRAGAN,
    R1,
    R2,
    GradientPenalty,
    LatentConsistency,
    LeCam,
    ModeSeeking,
    PathLength,
    Replay,
    Unrolled,
    WeightClipping,
)

SMALL = {"g_widths": (4,), "d_widths": (4,)}


@pytest.mark.parametrize(
    ("nets", "batch", "words", "fix"),
    [
        (MLP(pack=3, **SMALL), 64, "pack=3", "--batch 63"),
        (MLP(pack=4, **SMALL), 6, "pack=4", "--batch 8"),
        (MLP(stddev=4, **SMALL), 30, "stddev=4", "--batch 32"),
        (MLP(pack=2, stddev=4, **SMALL), 20, "stddev=4", "--batch 16"),
    ],
)
def test_groups_that_do_not_divide_the_batch(nets, batch, words, fix):
    with pytest.raises(RecipeError) as caught:
        set_up(toy(data=Ring(), nets=nets, batch=batch))
    message = str(caught.value)
    assert words in message
    assert fix in message
    set_up(toy(data=Ring(), nets=nets, batch=int(fix.split()[-1])))


@pytest.mark.parametrize(
    ("fields", "fix"), [({"pack": 3}, "--batch 9"), ({"stddev": 4}, "--batch 8")]
)
def test_groups_of_convolutional_networks(tmp_path, fields, fix):
    data = Npz(path=Pictures.write(tmp_path / "data.npz", (40, 8, 8, 1)).path)
    recipe = toy(data=data, nets=DCGAN(width=2, d_norm="none", **fields), batch=10, held_out=4)
    with pytest.raises(RecipeError, match=r"does not fit the batch.*" + fix):
        set_up(recipe)
    set_up(replace(recipe, batch=int(fix.split()[-1]))).advance(0)


def test_replay_and_networks_that_grow(tmp_path):
    data = Npz(path=Pictures.write(tmp_path / "data.npz", (40, 8, 8, 1)).path)
    recipe = toy(data=data, nets=ProGAN(width=2, latent=2), batch=8, held_out=4)
    with pytest.raises(RecipeError, match=r"ProGAN do not go together.*Fix: --tricks none"):
        set_up(replace(recipe, tricks=(Replay(size=8),)))
    set_up(recipe)


def test_packs_are_told_no_condition(tmp_path):
    data = Npz(path=Pictures.write(tmp_path / "data.npz", (40, 8, 8, 1), classes=2).path)
    nets = MLP(pack=2, condition=Projection(), **SMALL)
    with pytest.raises(RecipeError, match=r"MLP\(pack=2\) cannot be told a condition.*pack=1"):
        set_up(toy(data=data, nets=nets, batch=8, held_out=4))
    set_up(toy(data=data, nets=MLP(pack=2, **SMALL), batch=8, held_out=4))


def test_replay_and_latent_consistency():
    tricks = (Replay(size=8), LatentConsistency())
    with pytest.raises(RecipeError, match=r"Fix: --tricks LatentConsistency$"):
        set_up(toy(tricks=tricks, nets=ToyNets(shift=True)))
    for trick in tricks:
        set_up(toy(tricks=(trick,), nets=ToyNets(shift=True)))


@pytest.mark.parametrize("trick", [PathLength(), ModeSeeking(), LatentConsistency()], ids=str)
def test_steps_in_the_noise_of_a_g_that_is_shown_images(trick, tmp_path):
    """Its D sees the input beside the output, and there is no noise to step in."""
    recipe = toy(
        data=Npz(path=Pictures.write(tmp_path / "data.npz", (40, 16, 16, 3)).path),
        game=Pix2Pix(inputs=Greyscale()),
        nets=UNet(width=4, d_width=4, d_layers=2),
        held_out=4,
    )
    words = rf"{type(trick).__name__}\(\) and Pix2Pix do not go together.*Fix: --tricks none"
    with pytest.raises(RecipeError, match=words):
        set_up(replace(recipe, tricks=(trick,)))
    set_up(recipe)


class ToyMixing(MLP):
    """A D that looks at the batch; whether it says so."""

    honest: bool = False

    def discriminator(self, spec):
        D = super().discriminator(spec)
        D.layers[0].append(torch.nn.BatchNorm1d(self.d_widths[0]))
        D.mixes = self.honest
        return D


def test_a_run_does_not_go_on_where_its_rate_is_zero(tmp_path):
    fallen = Adam(schedule=Linear(end=0.0, images=80))
    recipe = toy(data=Ring(), batch=8, images=80, g_optim=fallen)
    set_up(recipe)
    set_up(replace(recipe, images=160, g_optim=Adam(schedule=Linear(end=0.1, images=80))))
    for side in ("g_optim", "d_optim"):
        longer = replace(recipe, images=160, **{"g_optim": Adam(), side: fallen})
        with pytest.raises(RecipeError, match=r"from 80 images on.*goes to 160.*--init-from"):
            set_up(longer)


def test_a_d_that_mixes_samples_must_say_so():
    """Silently, real and fake would be normalised together and slopes taken of a share."""
    with pytest.raises(RecipeError, match=r"D of ToyMixing has a BatchNorm1d.*mixes = True"):
        set_up(toy(data=Ring(), nets=ToyMixing(**SMALL)))
    set_up(toy(data=Ring(), nets=ToyMixing(honest=True, **SMALL)))


class ToyOptim(Optimiser):
    """Plain descent, which cannot be followed."""

    def build(self, parameters):
        return torch.optim.SGD(parameters, lr=self.lr)


def test_an_optimiser_that_cannot_be_unrolled():
    with pytest.raises(RecipeError, match=r"Unrolled\(\) cannot unroll ToyOptim"):
        set_up(toy(tricks=(Unrolled(),), d_optim=ToyOptim()))


def test_weights_that_are_clipped_cannot_be_unrolled():
    with pytest.raises(RecipeError, match=r"Unrolled\(\) and WeightClipping\(\) do not go"):
        set_up(toy(tricks=(Unrolled(), WeightClipping())))
    set_up(toy(tricks=(R1(),), d_optim=ToyOptim())).advance(0)


def test_one_trick_unrolls():
    """The second would look ahead from weights that no layer holds."""
    with pytest.raises(RecipeError, match=r"Unrolled\(\) and Unrolled\(steps=2\) do not go"):
        set_up(toy(tricks=(Unrolled(), Unrolled(steps=2))))


def test_nothing_is_left_behind(tmp_path, capsys):
    out = tmp_path / "run"
    words = ["train", "ring", "--nets", "MLP(pack=3)", "--batch", "64", "--precision", "fp32"]
    assert main([*words, "--images", "640", "--out", str(out)]) == 2
    (*_, last) = capsys.readouterr().err.splitlines()
    assert last.startswith("error: MLP(pack=3) does not fit the batch")
    assert last.endswith("Fix: --batch 63")
    assert not out.exists()


# ---------------------------------------------------------------------------------------- warnings


def said(tmp_path, nets, *tricks, data=None):
    data = data or Npz(path=Pictures.write(tmp_path / "data.npz").path)
    recipe = toy(data=data, nets=nets, tricks=tricks, batch=8, images=8)
    return set_up(recipe).warnings


def test_penalties_of_one_sample_where_d_looks_at_the_batch(tmp_path):
    tricks = (R1(), R2(gamma=0.5), GradientPenalty(), DRAGAN(), LeCam())
    lines = said(tmp_path, DCGAN(width=4, latent=4), *tricks)
    assert len(lines) == 4
    for line, trick in zip(lines, tricks[:4], strict=True):
        assert line.startswith(f"warning: {trick!r} is no penalty of one sample's slope here: D ")
    assert len(said(tmp_path, MLP(kernels=2, **SMALL), R1(), data=Ring())) == 1
    assert len(said(tmp_path, MLP(pack=2, stddev=2, **SMALL), R1(), data=Ring())) == 1


def test_a_share_of_a_batch_that_cannot_be_divided(tmp_path):
    (line,) = said(tmp_path, MLP(pack=2, **SMALL), R1(share=0.5), data=Ring())
    assert line.startswith("warning: R1(share=0.5) takes the slopes of the whole batch")


def test_a_critic_without_bounds(tmp_path):
    def lines(*tricks, nets=MLP(**SMALL), loss=Wasserstein()):  # noqa: B008
        recipe = toy(data=Ring(), nets=nets, loss=loss, tricks=tricks, batch=8, images=8)
        return set_up(recipe).warnings

    (line,) = lines()
    assert line.startswith("warning: Wasserstein() wants a D whose slope is bounded")
    assert "--tricks GradientPenalty" in line
    assert lines(LeCam()) == [line]
    (line,) = lines(loss=RelativisticAverage(base=Wasserstein()))
    assert line.startswith("warning: RelativisticAverage(base=Wasserstein()) wants a D")
    assert lines(loss=RelativisticAverage()) == []
    for trick in (GradientPenalty(), WeightClipping(), R1()):
        assert lines(trick) == []
    pictures = Npz(path=Pictures.write(tmp_path / "data.npz").path)
    nets = ResNet(g_width=4, d_width=4, latent=4)  # spectral norm in D
    recipe = toy(data=pictures, nets=nets, loss=Wasserstein(), batch=8, images=8)
    assert set_up(recipe).warnings == []
    (line,) = set_up(replace(recipe, tricks=(WeightClipping(),))).warnings
    assert line.startswith("warning: WeightClipping() bounds little beside spectral norm")


@pytest.mark.parametrize(
    ("nets", "layer"),
    [
        (DCGAN(width=4, latent=4, d_spectral=True), "BatchNorm2d"),
        (DCGAN(width=4, latent=4, d_spectral=True, d_norm="instance"), "InstanceNorm"),
        (DCGAN(width=4, latent=4, d_spectral=True, d_norm="none"), ""),
        (MLP(d_spectral=True, kernels=4, **SMALL), "MinibatchDiscrimination"),
    ],
    ids=str,
)
def test_spectral_norm_bounds_nothing_beside_a_layer_that_scales(nets, layer, tmp_path):
    """The slope of such a D grows as the contrast of what it sees falls; else it stays."""
    pictures = Npz(path=Pictures.write(tmp_path / "data.npz", (40, 16, 16, 3)).path)
    setup = set_up(toy(data=pictures, nets=nets, loss=Wasserstein(), batch=8, images=8))
    lines = [line for line in setup.warnings if "Wasserstein() wants a D" in line]
    assert len(lines) == bool(layer)
    assert not layer or f"spectral norm does not bound its {layer}" in lines[0]
    if isinstance(nets, MLP):
        return
    D, x = setup.players["D"].double(), torch.randn(8, 3, 16, 16, dtype=torch.float64)

    def steepest(contrast: float) -> float:
        z = (contrast * x).requires_grad_()
        (slope,) = torch.autograd.grad(D(z).sum(), z)
        return float(slope.flatten(1).norm(dim=1).max())

    ratio = steepest(0.01) / steepest(1.0)
    assert ratio > 3 if layer else ratio == pytest.approx(1, abs=0.3)


def test_pairs_of_a_loss_and_old_fakes_of_other_classes(tmp_path):
    data = Npz(path=Pictures.write(tmp_path / "classes.npz", classes=2).path)
    nets = MLP(condition=Concat(), **SMALL)
    recipe = toy(data=data, nets=nets, loss=RelativisticPaired(), batch=8, images=8)
    assert set_up(recipe).warnings == []
    (line,) = set_up(replace(recipe, tricks=(Replay(),))).warnings
    assert "may swap for one of another class" in line
    assert set_up(replace(recipe, loss=RelativisticAverage(), tricks=(Replay(),))).warnings == []


def test_a_network_that_is_never_fully_grown(tmp_path):
    def lines(end):
        growth = Linear(start=0.0, end=end)
        return said(tmp_path, ProGAN(width=4, latent=4, growth=growth))

    (line,) = lines(0.5)
    assert line.startswith("warning: ProGAN(")
    assert line.endswith("Fix: let growth end at 1 or more, not at 0.5")
    assert lines(1.0) == []


def test_no_warning_without_reason(tmp_path):
    assert said(tmp_path, MLP(**SMALL), R1(share=0.5), GradientPenalty(), data=Ring()) == []
    assert said(tmp_path, MLP(pack=2, **SMALL), R1(), GradientPenalty(), data=Ring()) == []
    assert said(tmp_path, DCGAN(width=4, latent=4), LeCam()) == []


def test_the_warning_is_said_in_the_log(tmp_path):
    recipe = toy(data=Ring(), nets=MLP(kernels=2, **SMALL), tricks=(R1(),), batch=8, images=8)
    run = train(recipe, tmp_path / "run", device="cpu", quiet=True)
    assert "warning: R1() is no penalty" in Run(run.path).log.read_text()
