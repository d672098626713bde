"""What conditions the data have, and what is refused before training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close
from toys import Pictures, set_up

from sparring.data import Folder, Images, Npz, Ring, StackedMnist
from sparring.errors import DataError, RecipeError
from sparring.losses import Wasserstein
from sparring.nets import MLP, Auxiliary, Concat, Condition, Fast, Nets, Projection
from sparring.optim import SGD
from sparring.recipe import Recipe, without
from sparring.training.conditions import describe
from sparring.training.setup import open_data
from sparring.training.start import _left_out
from sparring.tricks import DRAGAN, R1, AuxiliaryClassifier, GradientPenalty, Replay

SMALL = Fast(g_width=4, d_width=4, latent=4)


@pytest.fixture
def labelled(tmp_path) -> Recipe:
    """24 images of 3 classes, 8 in a batch."""
    path = Pictures.write(tmp_path / "labelled.npz", (24, 16, 16, 1), classes=3).path
    return Recipe(
        data=Npz(path=path), nets=SMALL, batch=8, held_out=0, precision="fp32", metrics=()
    )


def with_condition(recipe: Recipe, condition: Condition | None, **changes) -> Recipe:
    return replace(recipe, nets=replace(recipe.nets, condition=condition), **changes)


def test_what_the_data_have():
    pixels = torch.zeros(5, 1, 2, 2, dtype=torch.uint8)
    classes = Images(pixels, torch.tensor([0, 0, 2, 2, 2]), ("a", "b", "c"))
    assert describe(classes).shares == (0.4, 0.0, 0.6)
    rows = torch.tensor([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0], [6.0, 7.0], [8.0, 9.0]])
    numbers = describe(Images(pixels, rows, ("a", "b")))
    assert numbers.vectors
    assert sorted(numbers.rows) == [tuple(row) for row in rows.tolist()]
    assert describe(Images(pixels)).classes == ()


@pytest.mark.parametrize("condition", [Concat(), Projection(), Auxiliary()])
def test_labels_are_needed(condition, tmp_path):
    path = Pictures.write(tmp_path / "plain.npz").path
    tricks = (AuxiliaryClassifier(),) if condition.guesses else ()
    recipe = Recipe(data=Npz(path=path), nets=SMALL, tricks=tricks)
    out = " --tricks none" if tricks else ""
    with pytest.raises(RecipeError, match=rf"needs labelled data.*--condition none{out}, or"):
        open_data(with_condition(recipe, condition))
    with pytest.raises(RecipeError, match=r"points have no classes"):
        open_data(Recipe(data=Ring(), nets=MLP(condition=condition), tricks=tricks))


def test_images_beside_folders_do_without_labels(tmp_path):
    """They are taken where nobody asks for classes; else it is said why there are none."""
    for i, name in enumerate(("cat/1.png", "dog/1.png", "2.png", "3.png")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (8, 8), 50 * i).save(tmp_path / name)
    recipe = Recipe(data=Folder(path=str(tmp_path)), nets=SMALL, batch=2, held_out=0)
    _, material = open_data(recipe)
    assert len(material.train) == 4
    why = "2 images lie beside folders such as 'cat'"
    assert _left_out(material) == [f"{why}: all are taken, none has a class"]
    for asked in (
        with_condition(recipe, Concat()),
        replace(recipe, balance_classes=True),
    ):
        with pytest.raises(RecipeError, match=f"needs .*{why}"):
            open_data(asked)
    with pytest.raises(DataError, match=f"with classes, and {why}"):
        StackedMnist(path=str(tmp_path)).open()


@pytest.mark.parametrize(
    ("condition", "changes", "says"),
    [
        (Auxiliary(), {}, r"teaches nobody.*--tricks AuxiliaryClassifier"),
        (
            Projection(),
            {"tricks": (AuxiliaryClassifier(),)},
            r"it is told.*, or --tricks none",
        ),
        (None, {"tricks": (AuxiliaryClassifier(),)}, r"ignores it.*, or --tricks none"),
        (Concat(), {"tricks": (Replay(), GradientPenalty())}, r"two classes.*R1 and R2"),
    ],
    ids=str,
)
def test_impossible_pairs(condition, changes, says, labelled):
    with pytest.raises(RecipeError, match=says):
        open_data(with_condition(labelled, condition, **changes))


def test_the_same_pairs_without_a_class(labelled):
    open_data(replace(labelled, tricks=(Replay(), GradientPenalty())))
    nets = replace(labelled.nets, condition=Concat())
    open_data(replace(labelled, nets=nets, tricks=(Replay(), DRAGAN())))  # of real images alone


def test_balance_needs_classes(tmp_path):
    path = Pictures.write(tmp_path / "plain.npz").path
    with pytest.raises(RecipeError, match=r"balance_classes.*--no-balance-classes"):
        open_data(Recipe(data=Npz(path=path), balance_classes=True))


class ToyDeaf(Nets):
    """Networks that forget their condition."""

    def generator(self, spec):
        return SMALL.generator(spec)

    def discriminator(self, spec):
        return SMALL.discriminator(spec)


def test_networks_that_do_not_read_their_condition(labelled):
    with pytest.raises(RecipeError, match="G and D of ToyDeaf do not read the condition"):
        set_up(replace(labelled, nets=ToyDeaf(condition=Concat())))


def test_without_a_condition_labels_reach_nobody(labelled):
    assert set_up(labelled).feed(0).c is None
    assert set_up(with_condition(labelled, Concat())).feed(0).c is not None


# ------------------------------------------------------------------------------ the real step


def logged(setup):
    """The class logits of each time D is asked."""
    asked = []
    setup.players["D"].verdict.head.register_forward_hook(
        lambda m, args, out: asked.append(out.detach().clone())
    )
    return asked


@pytest.mark.parametrize("vectors", [False, True])
def test_the_auxiliary_term_by_hand(vectors, labelled, tmp_path):
    """Both sides pay the cross entropy of D's guesses; of numbers half their squared error,
    in standard units."""
    if vectors:
        with np.load(labelled.data.path) as file:
            pixels = torch.from_numpy(file["arr_0"]).permute(0, 3, 1, 2)
        labels = torch.randn(24, 2, generator=torch.Generator().manual_seed(0))
    stats = {}
    for weight in (0.0, 1.0):
        trick = AuxiliaryClassifier(d_weight=2 * weight, g_weight=3 * weight)
        recipe = with_condition(
            labelled,
            Auxiliary(width=3),
            tricks=(trick,),
            loss=Wasserstein(),
            updates="simultaneous",
            g_optim=SGD(lr=0.1),
            d_optim=SGD(lr=0.1),
        )
        if vectors:
            recipe = replace(recipe, data=ToyNumbers.of(pixels, labels))
        setup = set_up(recipe)
        asked = logged(setup)
        c = setup.feed(0).c
        stats[weight] = {k: v.item() for k, v in setup.advance(0).items()}
    both, fake = asked
    assert len(both) == 16

    def wrong(guess):
        if vectors:
            wanted = (c - labels.mean(0)) / labels.std(0, correction=0)
            return (guess - wanted).square().mean() / 2
        return -guess.log_softmax(1)[torch.arange(8), c].mean()

    d, g = (stats[1.0][k] - stats[0.0][k] for k in ("d_loss", "g_loss"))
    assert d == pytest.approx(2 * (wrong(both[:8]) + wrong(both[8:])).item(), rel=1e-4)
    assert g == pytest.approx(3 * wrong(fake).item(), rel=1e-4)
    assert stats[1.0]["g_grad_norm"] != stats[0.0]["g_grad_norm"]


class ToyNumbers(Npz):
    """Images with two numbers each, held by the class."""

    @classmethod
    def of(cls, pixels, labels):
        cls.content = Images(pixels, labels, ("tall", "old"), "numbers")
        return cls(path="numbers")

    def open(self, size=None):
        return self.content


def test_a_penalty_on_a_share_sees_the_right_conditions(labelled):
    """R1 on a quarter of the batch leaves the logits as they are without it."""
    stats = []
    for gamma in (1e-12, 0.0):
        tricks = (R1(gamma=gamma, share=0.25),) if gamma else ()
        recipe = with_condition(labelled, Projection(), tricks=tricks, loss=Wasserstein())
        stats.append(set_up(recipe).advance(0)["d_loss"])
    assert_close(stats[0], stats[1], rtol=1e-5, atol=1e-6)


def test_a_replayed_fake_is_judged_by_its_own_class(labelled):
    """The pool gives back pairs of image and class that were once made together."""
    recipe = with_condition(
        labelled, Projection(), tricks=(Replay(size=16, share=0.5),), images=800
    )
    setup, made, judged = set_up(recipe), [], []
    setup.players["G"].register_forward_hook(
        lambda m, args, out: made.extend(zip(out.detach().clone(), args[1].tolist(), strict=True))
    )
    setup.players["D"].register_forward_pre_hook(
        lambda m, args: judged.append((args[0].detach().clone(), args[1].clone()))
    )
    for number in range(8):
        setup.advance(number)
    swapped = 0
    for number, (x, c) in enumerate(judged[::2]):
        real = setup.feed(number).c
        assert torch.equal(c[:8], real)
        swapped += int((c[8:] != real).sum())
        for image, label in zip(x[8:], c[8:].tolist(), strict=True):
            assert any(k == label and torch.equal(image, fake) for fake, k in made)
    assert swapped > 5


def test_the_flag_that_leaves_a_trick_out_keeps_the_others():
    """As one writes it: what a preset put there must not come back."""
    out, quoted = AuxiliaryClassifier(), GradientPenalty(weight=2)
    recipe = Recipe(tricks=(Replay(), out, quoted))
    assert without(recipe, out) == '--tricks Replay "GradientPenalty(weight=2.0)"'
    assert without(recipe, *recipe.tricks) == "--tricks none"
