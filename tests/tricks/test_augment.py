"""Changes of images by hand, and ADA's controller."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close
from toys import Pictures, ToyPixels, set_up, toy

from sparring.data import Npz
from sparring.errors import RecipeError
from sparring.losses import LeastSquares, NonSaturating, RelativisticPaired, Wasserstein
from sparring.optim import SGD
from sparring.randomness import Draws
from sparring.tricks import ADA, DiffAugment, View, augment

SHAPES = [(1, 12, 12), (3, 8, 16), (5, 9, 7)]


def images(n: int, shape=(3, 8, 16), dtype=torch.float64) -> torch.Tensor:
    return torch.rand((n, *shape), generator=torch.Generator().manual_seed(0), dtype=dtype) * 2 - 1


def draws(number: int = 0) -> Draws:
    return Draws(0, "augment", number)


def view_of(x: torch.Tensor, number: int = 0, sides: tuple[int, ...] = ()) -> View:
    D = torch.nn.Identity()
    return View(
        side="d",
        pair="D",
        D=D,
        G=D,
        real=x,
        fake=x,
        images=torch.tensor(0),
        draws=lambda name: Draws(0, name, number),
        caller="augment",
        sides=sides,
    )


def see(trick, x: torch.Tensor, number: int = 0, sides: tuple[int, ...] = ()) -> torch.Tensor:
    view = view_of(x, number, sides)
    return trick.see(view, trick.init(view, {}), x)


# ------------------------------------------------------------------------------------------ colour


def test_brightness_saturation_contrast_by_hand():
    x = images(2)
    by = torch.tensor([0.25, -0.5])
    assert_close(augment.brighten(x, by), x + by.view(2, 1, 1, 1))
    grey = augment.saturate(x, torch.tensor([0.0, 1.0]))
    assert_close(grey[0], x[0].mean(0, keepdim=True).expand_as(x[0]))
    assert_close(grey[1], x[1])
    flat = augment.contrast(x, torch.tensor([0.0, 2.0]))
    assert_close(flat[0], x[0].mean().expand_as(x[0]))
    assert_close(flat[1] - x[1].mean(), 2 * (x[1] - x[1].mean()))
    assert_close(augment.contrast(x, torch.tensor([0.5, 2.0]), about_mean=False)[1], 2 * x[1])


def test_one_channel_has_no_saturation():
    x = images(4, (1, 5, 5))
    assert_close(augment.saturate(x, torch.tensor([0.0, 0.5, 2.0, 9.0])), x)


def test_inversion_of_grey_keeps_the_colours():
    x = images(2)
    y = augment.invert_grey(x, torch.tensor([True, False]))
    assert_close(y[0].mean(0), -x[0].mean(0))
    assert_close(y[0] - y[0].mean(0), x[0] - x[0].mean(0))
    assert_close(y[1], x[1])


def test_a_third_of_a_turn_of_hue_permutes_the_channels():
    x = images(2)
    y = augment.rotate_hue(x, torch.tensor([2 * math.pi / 3, 0.0], dtype=torch.float64))
    assert_close(y[0], x[0].roll(1, 0))
    assert_close(y[1], x[1])
    half = augment.rotate_hue(x, torch.full((2,), math.pi, dtype=torch.float64))
    assert_close(half, 2 * x.mean(1, keepdim=True) - x)


# ---------------------------------------------------------------------------------------- geometry


def test_shifts_are_whole_pixels_over_a_ground_of_zero():
    n, h, w = 4096, 8, 16
    x = torch.ones(n, 1, h, w)
    x[:, :, 3, 5] = 7.0
    y = augment.shift(x, 0.25, draws())
    row, column = (
        (y == 7).flatten(1).long().argmax(1) // w,
        (y == 7).flatten(1).long().argmax(1) % w,
    )
    assert ((y == 7).flatten(1).sum(1) == 1).all()
    for at, start, reach in ((row, 3, 2), (column, 5, 4)):
        counts = torch.bincount(at - start + reach, minlength=2 * reach + 1)
        assert len(counts) == 2 * reach + 1
        due = n / (2 * reach + 1)
        assert ((counts - due).abs() < 4 * due**0.5).all()
    # The ground that comes in: |dy| rows and |dx| columns of zeros.
    kept = (h - (row - 3).abs()) * (w - (column - 5).abs())
    assert torch.equal((y != 0).flatten(1).sum(1), kept)
    # Rows and columns are drawn apart.
    assert abs(torch.corrcoef(torch.stack([row, column]).float())[0, 1]) < 4 / n**0.5


def test_cutout_is_a_rectangle_with_its_centre_in_the_image():
    n, h, w = 4096, 8, 12
    y = augment.cut(torch.ones(n, 2, h, w), 0.5, draws())
    gone = y[:, 0] == 0
    assert torch.equal(y[:, 0], y[:, 1])
    tall, wide = gone.any(2).sum(1), gone.any(1).sum(1)
    assert torch.equal(tall * wide, gone.flatten(1).sum(1))
    assert (tall.min(), tall.max()) == (2, 4)
    assert (wide.min(), wide.max()) == (3, 6)
    assert_close(tall.float().mean().item(), (2 + 3 + 4 * 5 + 3) / 8, atol=0.1, rtol=0)
    assert torch.equal(augment.cut(torch.ones(3, 1, 4, 4), 0.0, draws()), torch.ones(3, 1, 4, 4))


def maps(*rows: list[list[float]]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def test_warps_that_need_no_interpolation():
    x = images(1, (2, 6, 6))
    one = torch.ones(1, dtype=torch.float64)
    assert_close(augment.warp(x, maps([[1, 0, 0], [0, 1, 0]])), x)
    mirrored = augment.linear(-one, 0 * one, 0 * one, one)
    assert_close(augment.warp(x, mirrored[:, :2]), x.flip(3))
    quarter = augment.turn(math.pi / 2 * one)
    assert_close(augment.warp(x, quarter[:, :2]), x.rot90(1, (2, 3)))
    right = augment.warp(x, augment.move(2 * one, 0 * one)[:, :2])
    assert_close(right[..., :-2], x[..., 2:])
    # What comes in at the border is the image mirrored.
    assert_close(right[..., -2:], x[..., -2:].flip(3))


def test_a_shift_by_half_a_pixel_is_the_mean_of_two():
    x = images(1, (2, 6, 9))
    half = torch.full((1,), 0.5, dtype=torch.float64)
    y = augment.warp(x, augment.move(0 * half, half)[:, :2])
    assert_close(y[..., :-1, :], (x[..., :-1, :] + x[..., 1:, :]) / 2)


# ------------------------------------------------------------------------------------- DiffAugment


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("trick", [DiffAugment(flip=True), ADA(p=1.0)], ids=str)
def test_every_channel_count_and_shape(trick, shape):
    x = images(16, shape).requires_grad_()
    y = see(trick, x)
    assert y.shape == x.shape
    assert y.dtype == x.dtype
    assert torch.isfinite(y).all()
    changed = (y != x).flatten(1).any(1)
    assert changed.all()
    (slope,) = torch.autograd.grad(y.sum(), x)
    assert (slope.flatten(1).abs().sum(1) > 0).all()
    assert torch.equal(see(trick, x), y)
    assert not torch.equal(see(trick, x, number=1), y)
    # Each sample has its own draw.
    same = see(trick, x[:1].expand(16, -1, -1, -1)).detach()
    assert len({s.numpy().tobytes() for s in same}) == 16


def test_what_is_left_out_does_nothing():
    x = images(8)
    mirrored = see(DiffAugment(colour=False, translation=0.0, cutout=0.0, flip=True), x)
    kept = (mirrored == x).flatten(1).all(1)
    assert torch.equal(mirrored[~kept], x[~kept].flip(3))
    assert 0 < kept.sum() < 8


def test_the_colours_lie_in_their_ranges():
    """Of a flat grey image brightness alone changes anything."""
    y = see(DiffAugment(translation=0.0, cutout=0.0), torch.full((4096, 3, 2, 2), 0.25))
    shift = y[:, 0, 0, 0] - 0.25
    assert_close(y, y[:, :1, :1, :1].expand_as(y))
    assert (shift.min(), shift.max()) == pytest.approx((-0.5, 0.5), abs=0.01)
    assert_close(shift.mean().item(), 0.0, atol=4 * (1 / 12 / 4096) ** 0.5, rtol=0)


COLOURS = [DiffAugment(translation=0.0, cutout=0.0), ADA(p=1.0, geometry=False)]


@pytest.mark.parametrize("trick", COLOURS, ids=lambda t: type(t).__name__)
def test_the_colours_of_a_pair_are_those_of_each_side(trick):
    """By the same draws, and without a look at the other side: each as if it were alone."""
    x, other = images(16, (3, 4, 6)), images(16, (3, 4, 6)).flip(0) * 0.3
    alone, both = see(trick, x), see(trick, torch.cat([x, other], 1), sides=(3, 3))
    assert_close(both, torch.cat([alone, see(trick, other)], 1))
    assert not torch.allclose(alone, x)
    # As one image of six channels the sides would change each other.
    assert not torch.allclose(see(trick, torch.cat([x, other], 1))[:, :3], alone)


@pytest.mark.parametrize("trick", COLOURS, ids=lambda t: type(t).__name__)
@pytest.mark.parametrize("channels", [2, 4])
def test_transparency_and_holes_are_no_colours(trick, channels):
    x = images(16, (channels, 4, 6))
    y = see(trick, x)
    assert torch.equal(y[:, -1], x[:, -1])
    assert_close(y[:, :-1], see(trick, x[:, :-1]))
    beside = torch.cat([x, images(16, (3, 4, 6))], 1)
    assert torch.equal(see(trick, beside, sides=(channels, 3))[:, channels - 1], x[:, -1])


def test_both_players_see_it_and_g_learns_through_it(tmp_path):
    """D(x) = w.x with a Wasserstein loss: G's gradient is -w where its pixels are not cut out."""
    trick = DiffAugment(colour=False, translation=0.0, cutout=0.5)
    data = Npz(path=Pictures.write(tmp_path / "data.npz", (40, 8, 8, 2)).path)
    recipe = toy(
        data=data,
        nets=ToyPixels(),
        tricks=(trick,),
        held_out=0,
        loss=Wasserstein(),
        updates="simultaneous",
        g_optim=SGD(lr=1.0),
        d_optim=SGD(lr=1.0),
    )
    setup, asked = set_up(recipe), []
    D, G = setup.players["D"], setup.players["G"]
    w, theta, real = D.w.detach().clone(), G.theta.detach().clone(), setup.feed(0).x
    D.register_forward_pre_hook(lambda D, args: asked.append(args[0].detach().clone()))
    setup.advance(0)
    rng = setup.step.draws(0, "d", "DiffAugment0")
    assert torch.equal(asked[0][:4], augment.cut(real, 0.5, rng))
    assert torch.equal(asked[0][4:], augment.cut(theta.expand(4, -1, -1, -1), 0.5, rng))
    kept = augment.cut(torch.ones(4, 2, 8, 8), 0.5, setup.step.draws(0, "g", "DiffAugment0"))
    assert torch.equal(asked[1], kept * theta)
    assert_close(G.theta.detach() - theta, w * kept.mean(0))
    assert_close(D.w.detach() - w, asked[0][:4].mean(0) - asked[0][4:].mean(0))


# -------------------------------------------------------------------------------------------- ADA


def test_ada_changes_nothing_at_zero_and_each_image_with_probability():
    x = images(2048, (3, 8, 8), torch.float32)
    assert torch.equal(see(ADA(p=0.0), x), x)
    colour = see(ADA(p=0.1, geometry=False), x)
    # Left alone: four changes not drawn, and an inversion not drawn or a coin on its other side.
    share = (colour == x).flatten(1).all(1).float().mean().item()
    alone = 0.9**4 * (1 - 0.1 / 2)
    assert share == pytest.approx(alone, abs=4 * (alone * (1 - alone) / 2048) ** 0.5)
    geometry = see(ADA(p=0.1, colour=False), x)
    same = (geometry == x).flatten(1).all(1).float().mean().item()
    # Halves of the flips and a quarter of the turns are none; (0, 0) is 1 of 9 shifts of a pixel
    # at most, whose ends are half as likely: 1 / 4 in each of two axes.
    alone = (1 - 0.05) * (1 - 0.075) * (1 - 0.1 * 3 / 4) * 0.9 * 0.9 * 0.9 * 0.9
    assert same == pytest.approx(alone, abs=4 * (alone * (1 - alone) / 2048) ** 0.5)


def controlled(**fields):
    """ADA's state after each of eight D steps with logits of these signs."""
    trick = ADA(speed=64, interval=2, **fields)
    view = view_of(images(4, (1, 4, 4)))
    state = {k: t.clone() for k, t in trick.init(view, {}).items()}
    path = []
    for signs in ([1, 1, 1, 1],) * 2 + ([1, 1, -1, -1], [1, -1, -1, -1]) + ([1, 1, 1, -1],) * 2:
        view.real_logits = torch.tensor(signs) * 3.0 + 10.0
        view.boundary = torch.tensor(10.0)
        trick.after_step(view, state)
        path.append(state["p"].item())
    view.side = "g"
    trick.after_step(view, state)
    assert state["p"].item() == path[-1]
    return path


def test_the_controller_by_hand():
    """Every two steps p moves by 2 * 4 / 64: r = 1 is over the target, -1/4 and 1/2 are below."""
    assert controlled(p=0.5) == pytest.approx([0.5, 0.625, 0.625, 0.5, 0.5, 0.375])
    assert controlled(p=0.5, target=0.4) == pytest.approx([0.5, 0.625, 0.625, 0.5, 0.5, 0.625])
    assert controlled(p=0.0) == pytest.approx([0, 0.125, 0.125, 0, 0, 0])
    assert controlled(p=1.0, target=-1.0) == pytest.approx([1.0] * 6)


@pytest.mark.parametrize("loss", [NonSaturating(), LeastSquares(), RelativisticPaired()], ids=str)
def test_the_sign_is_that_of_being_called_real(loss, tmp_path):
    """r is 2 (accuracy on reals) - 1, with the boundary that the loss has."""
    data = Npz(path=Pictures.write(tmp_path / "data.npz", (40, 8, 8, 1)).path)
    recipe = toy(data=data, nets=ToyPixels(), tricks=(ADA(speed=400),), held_out=0, loss=loss)
    setup = set_up(recipe)
    path = [setup.advance(number) for number in range(3)]
    accuracy = torch.stack([stats["d_acc_real"] for stats in path]).mean()
    assert_close(path[-1]["ada_r"].float(), 2 * accuracy - 1)
    assert path[-1]["ada_p"] == 0
    r = setup.advance(3)["ada_r"]
    p = setup.step.states["D"]["ADA0"]["p"]
    assert_close(p.item(), 4 * 4 / 400 if r > 0.6 else 0.0)


def test_bad_fields():
    for bad in (
        lambda: DiffAugment(translation=1.5),
        lambda: DiffAugment(cutout=-0.1),
        lambda: DiffAugment(colour=False, translation=0.0, cutout=0.0),
        lambda: ADA(geometry=False, colour=False),
        lambda: ADA(target=2.0),
        lambda: ADA(p=1.5),
        lambda: ADA(speed=0),
        lambda: ADA(interval=0),
    ):
        with pytest.raises(RecipeError):
            bad()
    for trick in (DiffAugment(), ADA()):
        with pytest.raises(RecipeError, match="these are points"):
            set_up(toy(tricks=(trick,)))
