"""A run that starts from another one's weights."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from toys import Pictures

import sparring.training.inherit as inherit_module
from sparring.data import Folder, Grid, Npz, Ring
from sparring.errors import RecipeError, RunError
from sparring.nets import MLP, Auxiliary, Concat, Fast, ProGAN, Projection
from sparring.optim import Adam
from sparring.recipe import Recipe
from sparring.report import write_report
from sparring.report.material import Material
from sparring.report.overview import recipe as recipe_section
from sparring.report.ranking import differences, groups
from sparring.runs import Run
from sparring.schedules import Cosine, Linear
from sparring.training import resume, train
from sparring.training.checkpoint import newest_checkpoint
from sparring.training.device import Device
from sparring.training.ema import Ema
from sparring.training.inherit import afresh, inherit
from sparring.training.setup import Setup, open_data
from sparring.tricks import AuxiliaryClassifier, Trick

RECIPE = Recipe(data=Ring(), nets=MLP(), batch=16, images=320, precision="fp32", metrics=())


@pytest.fixture(scope="module")
def parent(tmp_path_factory):
    return train(RECIPE, tmp_path_factory.mktemp("runs") / "parent", quiet=True)


def setup(recipe: Recipe) -> Setup:
    return Setup(*open_data(recipe), Device("cpu"))


def test_equal_networks_are_taken_whole(parent):
    child = setup(replace(RECIPE, data=Grid(), seed=5))
    lines = inherit(child, parent.path).lines
    saved, mine = newest_checkpoint(parent).files, child.everything.tensors()
    for name in ("G", "D", "ema_G"):
        assert mine[name].keys() == saved[name].keys()
        assert all(torch.equal(mine[name][k], saved[name][k]) for k in mine[name])
    assert [line.split(":")[0] for line in lines] == ["G", "D", "ema_G"]
    assert all("; not" not in line for line in lines)
    assert not any(mine["g_optim"].values())  # the optimisers start anew


def test_what_does_not_fit_keeps_its_own_weights_and_is_named(parent):
    recipe = replace(RECIPE, nets=MLP(g_widths=(64, 32)))
    child, same = setup(recipe), setup(recipe)
    lines = inherit(child, parent.path).lines
    assert "layers.2.weight (64x64 there, 32x64 here)" in lines[0]
    saved = newest_checkpoint(parent).files
    mine, fresh = child.everything.tensors(), same.everything.tensors()
    assert torch.equal(mine["G"]["layers.0.weight"], saved["G"]["layers.0.weight"])
    assert torch.equal(mine["G"]["layers.2.weight"], fresh["G"]["layers.2.weight"])
    assert torch.equal(mine["D"]["head.weight"], saved["D"]["head.weight"])


def test_nothing_that_fits_is_an_error(parent):
    strange = replace(RECIPE, nets=MLP(g_widths=(8,), d_widths=(8,), latent=3), data=Ring())
    child = setup(strange)
    child.everything.averages = {"G": Ema(torch.nn.Linear(9, 9), 0, 0.0)}
    with pytest.raises(RecipeError, match="fits these networks"):
        inherit(child, parent.path)


def test_networks_of_the_same_weights_and_another_meaning_are_named(parent):
    lines = inherit(setup(replace(RECIPE, nets=MLP(omega=12.0))), parent.path).lines
    assert all("; not" not in line for line in lines[:3])
    why = "omega was 1.0, is 12.0"
    assert lines[3:] == (f"warning: the networks are not those of {parent.path}: {why}",)


def test_no_run_is_an_error(tmp_path):
    with pytest.raises(RunError, match="no run at"):
        inherit(setup(RECIPE), tmp_path / "none")


def test_a_network_that_has_grown_does_not_begin_anew(tmp_path):
    data = Npz(path=Pictures.write(tmp_path / "data.npz", (30, 16, 16, 1)).path)
    nets = ProGAN(width=4, latent=4)
    recipe = replace(RECIPE, data=data, nets=nets, batch=8, images=64, held_out=4)
    run = train(recipe, tmp_path / "run", quiet=True)
    again = afresh(run).nets
    assert isinstance(again, ProGAN)
    assert again.growth == Linear(start=1.0, end=2.0)
    child = setup(replace(recipe, nets=again))
    child.advance(0)
    assert child.players["G"].level == 2  # 16 pixels
    lines = inherit(child, run.path).lines
    assert all("; not" not in line for line in lines)
    own = {k: t for k, t in child.players["G"].state_dict().items() if t.dim()}
    assert f"G: {len(own)} of {len(own)} tensors" in lines[0]
    slow = replace(nets, growth=Linear(start=0.0, end=0.5))
    half = afresh(train(replace(recipe, nets=slow), tmp_path / "half", quiet=True)).nets
    assert half.growth == Linear(start=0.5, end=2.0)  # pyright: ignore


@pytest.mark.parametrize(
    ("first", "size", "start", "level"),
    [
        (1.0, (32, 32), 2 / 3, 2),
        (0.5, (32, 32), 1 / 3, 1),
        (1.0, (8, 8), 1.0, 1),
        (1.0, None, 1.0, 2),
    ],
)
def test_a_grown_network_goes_on_at_its_size_when_another_is_wanted(
    first, size, start, level, tmp_path
):
    """Of 16 pixels: to 32 the last size is yet to fade in, to 8 there is nothing left to."""
    data = Npz(path=Pictures.write(tmp_path / "data.npz", (30, 16, 16, 1)).path)
    nets = ProGAN(width=4, latent=4, growth=Linear(start=0.0, end=first))
    recipe = replace(RECIPE, data=data, nets=nets, batch=8, images=64, held_out=4)
    run = train(recipe, tmp_path / "run", quiet=True)
    again = afresh(run, size)
    assert again.nets.growth.start == pytest.approx(start, abs=1e-6)  # pyright: ignore
    child = setup(replace(again, size=size or again.size, images=640))
    child.grow(0)
    assert child.players["G"].level == level


class InheritedAnchor(Trick):
    """Keeps D's first weights, and notes how far they are from what they are now."""

    def init(self, view, state):
        return {name.replace(".", "_"): p.clone() for name, p in view.D.named_parameters()}

    def after_step(self, view, state):
        names = [(name.replace(".", "_"), p) for name, p in view.D.named_parameters()]
        view.notes["away"] = sum((p - state[name]).abs().sum() for name, p in names).detach()


def test_tricks_begin_with_the_weights_that_are_inherited_or_restored(parent, tmp_path):
    still = replace(RECIPE, tricks=(InheritedAnchor(),), d_optim=Adam(lr=1e-9), images=16)
    child = train(replace(still, images=16), tmp_path / "child", init_from=parent.path, quiet=True)
    assert child.stats()[-1]["away"] == pytest.approx(0, abs=1e-4)
    shutil.copytree(parent.path, tmp_path / "longer")
    seen = parent.stats()[-1]["images"]
    recipe = replace(parent.recipe, tricks=(InheritedAnchor(),), images=seen + 16)
    recipe = replace(recipe, d_optim=replace(recipe.d_optim, lr=1e-9))
    longer = resume(tmp_path / "longer", recipe=recipe, override=True, quiet=True)
    assert longer.stats()[-1]["away"] == pytest.approx(0, abs=1e-4)


class InheritedSize(Trick):
    """Notes how large the fakes were that it began with."""

    def init(self, view, state):
        return {"side": torch.tensor(float(view.fake.shape[-1]))}

    def after_step(self, view, state):
        view.notes["began_at"] = state["side"]


def test_a_trick_that_comes_later_begins_at_the_size_that_the_networks_have_grown_to(tmp_path):
    data = Npz(path=Pictures.write(tmp_path / "data.npz", (30, 16, 16, 1)).path)
    nets = ProGAN(width=4, latent=4)
    recipe = replace(RECIPE, data=data, nets=nets, batch=8, images=64, held_out=4)
    run = train(recipe, tmp_path / "run", quiet=True)
    with_it = replace(run.recipe, tricks=(InheritedSize(),), images=72)
    longer = resume(run.path, recipe=with_it, override=True, quiet=True)
    assert longer.stats()[-1]["began_at"] == 16


def test_a_recipe_taken_afresh_forgets_what_its_data_and_budget_decided(
    parent, tmp_path, monkeypatch
):
    curve = Cosine(start=1.0, end=0.1)
    opened, _ = open_data(replace(RECIPE, g_optim=Adam(schedule=curve), held_out=None))
    run = Run(tmp_path)
    monkeypatch.setattr(inherit_module, "newest_checkpoint", lambda run: newest_checkpoint(parent))
    run.write_recipe(opened)
    again = afresh(run)
    assert again.g_optim == Adam(schedule=curve)
    assert again.metrics is None
    assert again.held_out is None
    assert again.sample_every is None
    assert again.nets == RECIPE.nets


def test_beyond_the_first_budget_a_schedule_holds_its_last_value(tmp_path):
    """A run extended to twice its images goes on at the rate it ended with."""
    adam = Adam(lr=1e-3, schedule=Cosine(start=1.0, end=0.1))
    run = train(replace(RECIPE, g_optim=adam, images=160), tmp_path / "run", quiet=True)
    longer = resume(run.path, images=320, quiet=True)
    kept = longer.recipe.g_optim.schedule
    assert kept is not None
    assert kept.images == 160
    rates = [longer.recipe.g_optim.rate(images) for images in (0, 160, 176, 320)]
    assert rates == pytest.approx([1e-3, 1e-4, 1e-4, 1e-4])
    assert longer.stats()[-1]["images"] == 320
    # What starts from it spans its own budget again, and not half of it.
    assert afresh(longer).g_optim == adam


def test_a_run_says_what_it_started_from_wherever_it_is_read(parent, tmp_path):
    alone = train(RECIPE, tmp_path / "alone", quiet=True)
    begun = train(RECIPE, tmp_path / "begun", init_from=parent.path, quiet=True)
    told = begun.origin
    assert told is not None
    assert (told["run"], told["images"]) == (str(parent.path.resolve()), 320)
    assert told["weights"] == parent.fingerprint()
    assert told["taken"]["G"] == [6, 6]
    assert alone.origin is None
    members = [Material(run) for run in (alone, begun)]
    assert len(groups(members)) == 2  # not two seeds of one recipe
    ((field, (first, second)),) = differences(members)
    assert (field, first) == ("started from", "nothing")
    assert second.startswith(f"the weights {told['weights']} of parent at 320 images")
    assert f"--init-from {parent.path.resolve()}" in recipe_section(members[1])
    assert "--init-from" not in recipe_section(members[0])
    assert "Started from the weights" in write_report(begun).read_text()


# ---------------------------------------------------------------------------------------- classes


def coloured(folder: Path, *names: str) -> Folder:
    for i, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for k in range(4):
            Image.new("RGB", (16, 16), (40 * i, 9 * k, 0)).save(folder / f"{name}/{k}.png")
    return Folder(path=str(folder))


@pytest.mark.parametrize("condition", [Projection(), Concat(), Auxiliary()])
def test_what_was_learnt_of_a_class_goes_to_the_class_of_its_name(tmp_path, condition):
    tricks = (AuxiliaryClassifier(),) if condition.guesses else ()
    recipe = replace(RECIPE, nets=Fast(condition=condition), images=16, tricks=tricks)
    data = coloured(tmp_path / "old", "blue", "green", "red")
    old = train(replace(recipe, data=data), tmp_path / "run", quiet=True)
    data = coloured(tmp_path / "new", "apple", "blue", "red")
    child, same = (setup(replace(recipe, data=data)) for _ in range(2))
    found = inherit(child, old.path)
    assert f"classes: known from {old.path}: blue, red; new: apple" in found.lines
    saved, mine = newest_checkpoint(old).files, child.everything.tensors()
    fresh = same.everything.tensors()
    changed = 0
    for net in ("G", "D"):
        for key, tensor in mine[net].items():
            if any(part in key for part in ("embedding", ".gain.", ".shift.", "verdict.head.")):
                changed += 1
                assert torch.equal(tensor[0], fresh[net][key][0])
                assert torch.equal(tensor[1:], saved[net][key][[0, 2]])
    assert changed


def test_classes_without_a_common_name_start_anew(tmp_path):
    recipe = replace(RECIPE, nets=Fast(condition=Projection()), images=16)
    data = coloured(tmp_path / "old", "a", "b")
    old = train(replace(recipe, data=data), tmp_path / "run", quiet=True)
    child = setup(replace(recipe, data=coloured(tmp_path / "new", "c", "d")))
    lines = inherit(child, old.path).lines
    assert "verdict.embedding.weight (of other classes)" in lines[1]
    assert lines[-1] == f"classes: known from {old.path}: none; new: c, d"


def test_a_resume_on_other_classes_says_what_differs(tmp_path):
    recipe = replace(RECIPE, nets=Fast(condition=Projection()), images=16)
    data = coloured(tmp_path / "in", "a", "b")
    run = train(replace(recipe, data=data), tmp_path / "run", quiet=True)
    coloured(tmp_path / "in", "c")
    with pytest.raises(RecipeError, match=r"does not fit.*size mismatch.*--init-from"):
        resume(run.path, images=32, quiet=True)


def test_a_report_on_data_that_have_changed_says_so(tmp_path):
    recipe = replace(RECIPE, nets=Fast(), images=16, held_out=0)
    run = train(replace(recipe, data=coloured(tmp_path / "in", "a")), tmp_path / "run", quiet=True)
    said = "Not the data it was trained on"
    assert said not in write_report(run).read_text()
    Image.new("RGB", (16, 16), "white").save(tmp_path / "in/a/0.png")
    assert said in write_report(run).read_text()
