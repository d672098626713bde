"""Terms of G by hand: G(z) = theta z, so a step in z moves x by theta times it."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close
from toys import Pictures, ToyNets, set_up, toy, walk

from sparring.data import Npz
from sparring.errors import RecipeError
from sparring.losses import Wasserstein
from sparring.nets import Fast, Spec, StyleGAN
from sparring.optim import Adam
from sparring.schedules import Linear
from sparring.tricks import ModeSeeking, PathLength, Trick
from sparring.tricks.variety import _pull_back

LR = 0.1
CHANGES = {"loss": Wasserstein(), "updates": "simultaneous", "nets": ToyNets(scale=True)}


def pair(*tricks: Trick, steps: int = 1):
    return tuple(walk(toy(tricks=t, **CHANGES), steps) for t in (tricks, ()))


def test_mode_seeking_by_hand():
    (on,), (off,) = pair(ModeSeeking(weight=2.0))
    step, theta = on.setup.step, on.before["G.theta"]
    first = on.setup.players["G"].noise(4, step.draws(0, "g", "z")).double()
    second = on.setup.players["G"].noise(4, step.draws(0, "g", "ModeSeeking0")).double()
    away = (first - second).abs()
    share = away / away.sum(1, keepdim=True)
    ratio = (share @ theta.abs()).mean()
    assert on.stats["g_loss"] - off.stats["g_loss"] == pytest.approx(2 / ratio.item(), rel=1e-3)
    assert_close(
        on.moved("G.theta") - off.moved("G.theta"),
        LR * 2 / ratio.square() * share.mean(0),
        rtol=1e-3,
        atol=1e-6,
    )
    assert on.stats["d_loss"] == off.stats["d_loss"]


@pytest.mark.parametrize(("share", "rows"), [(1.0, 4), (0.5, 2)])
def test_path_length_by_hand(share, rows):
    """J' y = theta y: lengths |theta y|, pulled to the average of those of the steps before."""
    trick = PathLength(weight=3.0, decay=0.75, share=share)
    path, plain = pair(trick, steps=3)
    average = 0.0
    for k, on in enumerate(path):
        theta = on.before["G.theta"]
        y = on.setup.step.draws(k, "g", "PathLength0").normal(rows, 3).double()
        lengths = (theta * y).norm(dim=1)
        term = 3 * (lengths - average).square().mean()
        slope = 3 * 2 * ((1 - average / lengths)[:, None] * theta * y.square()).mean(0)
        w, z = on.before["D.w"], on.setup.step.draws(k, "g", "z").normal(4, 3).double()
        g = -(theta * z @ w).mean()
        assert on.stats["g_loss"] == pytest.approx((g + term).item(), rel=1e-4)
        assert_close(on.moved("G.theta"), LR * ((z * w).mean(0) - slope), rtol=1e-4, atol=1e-5)
        assert on.stats["path_length"] == pytest.approx(lengths.mean().item(), rel=1e-4)
        average += 0.25 * (lengths.mean().item() - average)
    assert path[0].stats["d_loss"] == plain[0].stats["d_loss"]


def test_the_average_moves_only_where_a_length_was_taken():
    path, _ = pair(PathLength(every=2), steps=4)
    lengths = [on.stats.get("path_length") for on in path]
    assert lengths[1] is None
    assert lengths[3] is None
    state = path[-1].setup.step.states["D"]["PathLength0"]["length"].item()
    assert state == pytest.approx(0.99 * 0.01 * lengths[0] + 0.01 * lengths[2], rel=1e-4)


def test_the_noise_of_images_is_scaled_by_their_pixels():
    """A G that repeats z over h x w pixels has |J' y| = |z-sum of y| = sqrt(hw) / sqrt(hw) each."""

    class Repeat(torch.nn.Module):
        def forward(self, z, c=None):
            return z[:, :1, None, None].expand(-1, 1, 6, 7)

    y = torch.randn(4096, 1, 6, 7, generator=torch.Generator().manual_seed(0)) / 42**0.5
    slope = _pull_back(Repeat(), torch.zeros(4096, 1), None, y)
    assert_close(slope.std().item(), 1.0, atol=0.05, rtol=0)


def test_styles_of_several_layers_count_as_one():
    """|J' y|^2 is the mean over the layers: the weight does not hang on how many there are."""

    class Styled(torch.nn.Module):
        def __init__(self, layers):
            super().__init__()
            self.layers = layers

        def styles(self, z, c=None):
            return z[:, None].expand(-1, self.layers, -1)

        def forward(self, z, c=None, styles=None):
            return 3 * styles

    for layers in (1, 4):
        y = torch.ones(2, layers, 5)
        lengths = _pull_back(Styled(layers), torch.zeros(2, 5), None, y).flatten(1).norm(dim=1)
        assert_close(lengths, torch.full((2,), 3 * 5**0.5))


@pytest.mark.parametrize("trick", [ModeSeeking(), PathLength()], ids=str)
def test_images_batchnorm_and_bfloat16(trick, tmp_path):
    recipe = toy(
        data=Npz(path=Pictures.write(tmp_path / "data.npz").path),
        nets=Fast(g_width=8, d_width=8),
        batch=8,
        held_out=4,
        tricks=(trick,),
        g_optim=Adam(),
        d_optim=Adam(),
    )
    losses = []
    for precision in ("fp32", "bf16"):
        setup = set_up(recipe)
        setup.device.precision = precision
        losses.append(torch.stack([setup.advance(k)["g_loss"] for k in range(2)]))
    assert_close(*losses, rtol=0.02, atol=0.02)


def test_path_length_leaves_gs_statistics_alone(tmp_path):
    counts = []
    for tricks in ((PathLength(),), ()):
        recipe = toy(
            data=Npz(path=Pictures.write(tmp_path / "data.npz").path),
            nets=Fast(g_width=8, d_width=8),
            tricks=tricks,
            batch=8,
            held_out=4,
        )
        setup = set_up(recipe)
        setup.advance(0)
        counts.append({k: b.clone() for k, b in setup.players["G"].named_buffers()})
    assert_close(*counts)


def test_path_length_is_the_mean_over_the_layers_there_are():
    nets = StyleGAN(width=4, latent=4, mapping=2, growth=Linear(start=0.0, end=1.0, images=100))
    G = nets.generator(Spec((1, 16, 16))).double()
    for seen, layers in ((0, 2), (40, 4), (100, 6)):
        G.at(seen)
        z = torch.randn(3, G.latent, dtype=torch.float64)
        y, w = torch.randn_like(G(z)), G.styles(z).detach().requires_grad_()
        (slope,) = torch.autograd.grad((G(z, None, w) * y).sum(), w)
        squares = slope[:, :layers].square().sum(2).mean(1)
        assert_close(_pull_back(G, z, None, y).square().sum((1, 2)), squares)


def test_bad_fields():
    for bad in (
        lambda: ModeSeeking(weight=-1.0),
        lambda: PathLength(share=0.0),
        lambda: PathLength(decay=1.0),
        lambda: PathLength(weight=-1.0),
    ):
        with pytest.raises(RecipeError):
            bad()
