"""Samples by class: who is asked for, who is drawn, and what the command line makes of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.testing import assert_close

from sparring.cli import main
from sparring.errors import RecipeError
from sparring.nets import Fast, Generator, Projection, Spec
from sparring.nets.condition import Embedding, Given
from sparring.runs import Run, open_run
from sparring.sample import Model, in_rows, load
from sparring.sample.morph import walk

SPEC = Spec((1, 4, 4), ("cat", "big dog", "7", "owl"), shares=(0.5, 0.0, 0.2, 0.3))
ROWS = ((0.0, 1.0), (1.0, 3.0), (1.0, 2.0))


class Told(Given):
    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.embedding = Embedding(spec, 1)
        with torch.no_grad():
            self.embedding.weight.copy_(torch.arange(len(spec.classes))[:, None] / 10)


class Coded(Generator):
    """Every pixel is a tenth of the class, but for the first, which is a hundredth of z."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.latent, self.told, self.shape = 1, Told(spec), spec.shape

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        x = self.told.embedding(c)[:, :, None, None].expand(-1, *self.shape).clone()
        x[:, 0, 0, 0] = z[:, 0] / 100
        return x


@pytest.fixture
def model() -> Model:
    return Model(Coded(SPEC).requires_grad_(False), SPEC)


def made(model: Model, **how: object) -> list[int]:
    x = model.sample(how.pop("n", 8), **how)  # pyright: ignore
    return (x[:, 0, 1, 1] * 10).round().long().tolist()


@pytest.mark.parametrize(
    ("classes", "wanted"),
    [
        (["owl"], [3]),
        (["OWL", "Big-Dog"], [3, 1]),
        ([0, 3, 1], [0, 3, 1]),
        (["0", "3"], [0, 3]),
        (["7"], [2]),  # the name, not an index
        ("cat", [0]),
        (2, [2]),
        ("all", [0, 1, 2, 3]),
        (torch.tensor([3, 0]), [3, 0]),
    ],
    ids=str,
)
def test_classes_take_turns(model, classes, wanted):
    assert made(model, n=130, classes=classes) == [wanted[i % len(wanted)] for i in range(130)]


@pytest.mark.parametrize(
    ("classes", "hint"),
    [
        (["oul"], "did you mean 'owl'"),
        (["9"], "below 4"),
        ([-1], "-1"),
        (["dog cat"], "classes are"),
    ],
)
def test_no_such_class(model, classes, hint):
    with pytest.raises(RecipeError, match="no class is called") as caught:
        model.sample(2, classes=classes)
    assert hint in str(caught.value)


def test_without_classes_they_are_spread_as_in_training(model):
    n = 6400
    counts = torch.tensor(made(model, n=n)).bincount(minlength=4)
    shares = torch.tensor(SPEC.shares)
    assert counts[1] == 0
    error = (shares * (1 - shares) * n).sqrt()
    assert ((counts - n * shares).abs() <= 4 * error).all()


def test_sample_i_depends_on_seed_and_i_alone(model):
    whole = model.sample(200, seed=5)
    assert_close(model.sample(70, seed=5), whole[:70], rtol=0, atol=0)
    assert_close(model.conditions(30, 5, 90), model.conditions(200, 5)[90:120])
    assert not torch.equal(model.conditions(200, 6), model.conditions(200, 5))
    # The latents are those of any other class.
    asked = model.sample(70, seed=5, classes=["owl"])
    assert_close(asked[:, 0, 0, 0], whole[:70, 0, 0, 0], rtol=0, atol=0)


def test_old_generators_know_no_shares():
    spec = Spec(SPEC.shape, SPEC.classes)
    assert set(made(Model(Coded(spec), spec), n=200)) == {0, 1, 2, 3}


def test_numbers_instead_of_classes():
    spec = Spec((1, 8, 8), ("glasses", "age"), vectors=True, rows=ROWS)
    model = Model(Fast(g_width=4, condition=Projection()).generator(spec), spec)
    drawn = model.conditions(300)
    assert {tuple(row) for row in drawn.tolist()} == set(ROWS)
    one = model.conditions(3, classes=[[1.0, 2.5]])
    assert_close(one, torch.tensor([[1.0, 2.5]] * 3))
    assert model.sample(3, classes=[[1.0, 2.5], [0.0, 1.0]]).shape == (3, 1, 8, 8)
    assert_close(model.asked(["1", "2.5", "0", "3"]), torch.tensor([[1.0, 2.5], [0.0, 3.0]]))
    for wrong in ("glasses", ["glasses", "1"], [1.0], [[1.0, 2.0, 3.0]], 1, [1, "nan"], []):
        with pytest.raises(RecipeError, match=r"numbers, not classes.*glasses, age"):
            model.sample(2, classes=wrong)


def test_a_run_that_ignores_classes_says_so():
    G = Fast(g_width=4).generator(Spec((1, 8, 8), ("a", "b")))
    model = Model(G, Spec((1, 8, 8), ("a", "b")))
    assert model.conditions(3) is None
    assert model.every_class(9) is None
    with pytest.raises(RecipeError, match=r"knows no classes.*--condition"):
        model.sample(2, classes=["a"])


# -------------------------------------------------------------------------------- morphs and grids


def test_a_morph_keeps_a_class(model):
    steps = walk(model, stops=2, frames=3, tracks=5, classes=["owl"])
    assert steps.shape == (6, 5, 1, 4, 4)
    assert (steps[:, :, 0, 1, 1] == steps[0, 0, 0, 1, 1]).all()
    assert len(steps[:, 0, 0, 0, 0].unique()) > 1  # the latents move


def test_a_morph_walks_between_classes_with_its_latents(model):
    steps = walk(model, frames=4, tracks=3, classes=["cat", "owl"]).int()
    assert steps.shape == (8, 3, 1, 4, 4)
    shares = torch.tensor([0, 1, 2, 3, 4, 3, 2, 1]) / 4
    wanted = (shares * 0.3 * 127.5 + 128).int()
    assert_close(steps[:, :, 0, 1, 1], wanted[:, None].expand(8, 3), rtol=0, atol=1)
    assert_close(steps[:, :, 0, 0, 0], steps[:1, :, 0, 0, 0].expand(8, 3))


def test_without_classes_each_track_of_a_morph_keeps_its_own(model):
    steps = walk(model, stops=2, frames=2, tracks=8)
    assert len(steps[0, :4, 0, 1, 1].unique()) == 4
    assert_close(steps[:, :, 0, 1, 1], steps[:1, :, 0, 1, 1].expand(4, 8))


def test_a_grid_has_a_row_for_each_class():
    labels = torch.tensor([2, 0, 2, 0, 2])
    images = labels[:, None, None, None].expand(5, 1, 2, 2).to(torch.uint8) * 10
    sheet = np.asarray(in_rows(images, labels, gap=1))
    assert sheet.shape == (5, 8)
    assert (sheet[:2, [0, 3, 6]] == 20).all()
    assert (sheet[3:, [0, 3]] == 0).all()
    assert (sheet[3:, 6] == 255).all()  # a class with fewer samples ends in white


# -------------------------------------------------------------------------------- the command line


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A conditional run of a few steps on a npz with names."""
    folder = tmp_path_factory.mktemp("classes")
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (60, 8, 8), dtype=np.uint8)
    labels = np.array([0] * 30 + [1] * 20 + [2] * 10)
    np.savez(folder / "data.npz", arr_0=pixels, arr_1=labels, classes=["shoe", "bag", "a/b"])
    words = ["train", str(folder / "data.npz"), "--preset", "cgan", "--images", "64"]
    words += ["--nets", "Fast(g_width=4, d_width=4, latent=4)", "--condition", "concat"]
    words += ["--precision", "fp32", "--metrics", "none", "--held-out", "0", "--quiet"]
    assert main([*words, "--balance-classes", "--out", str(folder / "run")]) == 0
    return open_run(folder / "run")


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


def test_a_run_keeps_the_shares_of_its_classes(run):
    spec = load(run).spec
    assert spec.classes == ("shoe", "bag", "a/b")
    assert_close(spec.shares, (1 / 2, 1 / 3, 1 / 6))
    assert "condition=Concat(width=16)" in (run.path / "recipe.py").read_text()


def test_sample_by_class(run, tmp_path, capsys):
    sample = ["sample", str(run.path), "--n", "5"]
    out = tmp_path / "s.npz"
    assert main([*sample, "--out", str(out), "--classes", "bag", "SHOE"]) == 0
    with np.load(out) as arrays:
        assert arrays["arr_1"].tolist() == [1, 0, 1, 0, 1]
        assert arrays["classes"].tolist() == ["shoe", "bag", "a/b"]
        pixels = arrays["arr_0"]
    assert main([*sample, "--out", str(out), "--classes", "0", "1"]) == 0
    with np.load(out) as arrays:
        assert arrays["arr_1"].tolist() == [0, 1, 0, 1, 0]
        assert (arrays["arr_0"] != pixels).any(axis=(1, 2, 3)).all()
    assert main([*sample, "--out", str(out)]) == 0
    with np.load(out) as arrays:
        assert arrays["arr_1"].tolist() == load(run).conditions(5).tolist()
    assert main([*sample, "--out", str(tmp_path / "f"), "--classes", "all"]) == 0
    found = sorted(p.relative_to(tmp_path / "f").as_posix() for p in tmp_path.glob("f/*/*.png"))
    assert found == [
        f"{k}/00000{i}.png"
        for k, i in (("a_b", 2), ("bag", 1), ("bag", 4), ("shoe", 0), ("shoe", 3))
    ]
    assert main([*sample, "--out", str(tmp_path / "g.png"), "--classes", "bag", "shoe"]) == 0
    assert size(tmp_path / "g.png") == (28, 18)
    capsys.readouterr()


def test_one_line_for_what_cannot_be_asked(run, tmp_path, capsys):
    for words, code, hint in (
        (["--classes", "shoo"], 2, "did you mean 'shoe'"),
        (["--classes", "3"], 2, "an index below 3"),
        (["--classes"], 2, "sparring sample --help"),
    ):
        assert main(["sample", str(run.path), *words]) == code
        out, err = capsys.readouterr()
        assert out == ""
        assert len(err.splitlines()) == 1
        assert hint in err


def test_morph_and_report_by_class(run, tmp_path, capsys):
    out = str(tmp_path / "m.png")
    assert main(["morph", str(run.path), "--out", out, "--classes", "shoe", "bag"]) == 0
    assert size(Path(out)) == (11 * 10 - 2, 8 * 10 - 2)
    page = Path(run.path / "report.html").read_text()
    assert '<section id="classes">' in page
    assert '<th scope="row">a/b</th>' in page
    capsys.readouterr()
