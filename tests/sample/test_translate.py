"""Files translated by a run: names, sizes, what cannot be read; examples over time."""

from __future__ import annotations

import base64
import html
import io
import re
import shutil
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from sparring.api import evaluate, train, translate
from sparring.cli import main
from sparring.data import Npz, Pairs, Unpaired
from sparring.errors import RecipeError
from sparring.games import Greyscale, Hole, Pix2Pix
from sparring.metrics import Metric, Real, Score
from sparring.metrics.metric import Fake
from sparring.nets import UNet
from sparring.presets import PRESETS, pix2pix_fast
from sparring.recipe import Recipe
from sparring.runs import Run, open_run
from sparring.sample import load, to_uint8
from sparring.sample.translate import how_many, sheet, translate_files


def noise(seed: int, height: int, width: int, channels: int = 3) -> Image.Image:
    x = np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)
    return Image.fromarray(x.squeeze())


def array(path: Path, mode: str | None = None) -> np.ndarray:
    """The pixels of a file, grey as (h, w)."""
    with Image.open(path) as picture:
        return np.array(picture.convert(mode) if mode else picture)


class Seen(Metric):
    """How many samples there are, and the mean of the first."""

    paper = ""

    def score(self, real: Real, fake: Fake, n: int | None = None) -> list[Score]:
        made = fake.draw(fake.enough(1000), real.shape)
        return [
            Score("count", len(made)),
            Score("first", made[0].float().mean().item()),
            Score("judged", float(fake.judge is not None)),
        ]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    for i in range(12):
        noise(i, 16, 16).save(_made(folder / "A") / f"{i}.png")
        noise(50 + i, 16, 16, 1).save(_made(folder / "B") / f"{i}.png")
    return folder


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def run(pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the command line that makes grey images of coloured ones."""
    out = tmp_path_factory.mktemp("run") / "run"
    words = ["train", str(pairs / "A"), "--to", str(pairs / "B"), "--preset", "pix2pix-fast"]
    words += ["--out", str(out), "--size", "16", "--images", "16", "--held-out", "3", "--quiet"]
    words += ["--nets", "UNet(width=2, d_width=2, d_layers=1)", "--metrics", "none"]
    words += ["--precision", "fp32"]
    assert main(words) == 0
    return out


def test_the_recipe_says_what_was_paired(run, pairs):
    data = Run(run).recipe.data
    assert repr(data) == (
        f"Pairs(input=Folder(path='{pairs / 'A'}'), target=Folder(path='{pairs / 'B'}'))"
    )


def test_samples_over_time_are_inputs_translations_and_targets(run, pairs):
    """Three held-out pairs in three rows; inputs and targets are the very images."""
    shown = array(run / "samples/000000016.png")
    assert shown.shape == (3 * 16 + 2 * 2, 3 * 16 + 2 * 2, 3)
    cells = {name: [array(p, "RGB") for p in (pairs / name).iterdir()] for name in "AB"}
    for k in range(3):
        column = shown[:, 18 * k : 18 * k + 16]
        assert any(np.array_equal(column[:16], x) for x in cells["A"])
        assert any(np.array_equal(column[36:], x) for x in cells["B"])
    first = array(run / "samples/000000000.png")
    assert np.array_equal(first[:16], shown[:16])
    assert not np.array_equal(first[18:34], shown[18:34])


def test_the_report_shows_translations(run):
    page = (run / "report.html").read_text()
    assert "3 inputs held out of training, none picked, each above its translation" in page
    assert "then what it should be" in page
    assert "Morph" not in page


def test_a_folder_of_any_sizes_keeps_its_names(run, tmp_path, capsys):
    for name, side in (("a.png", (20, 31)), ("x/b.jpg", (16, 16)), ("x/c.webp", (16, 16))):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        noise(1, *side).save(tmp_path / "in" / name)
    noise(2, 9, 9).save(tmp_path / "in" / "a.bmp")
    out = tmp_path / "out"
    assert main(["translate", str(run), str(tmp_path / "in"), "--out", str(out)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(out)
    found = {str(p.relative_to(out)): array(p).shape for p in out.rglob("*.png")}
    # Two that differ in their ending only keep it.
    assert found == {
        "a.png.png": (20, 31),
        "a.bmp.png": (9, 9),
        "x/b.png": (16, 16),
        "x/c.png": (16, 16),
    }


def test_which_half_becomes_which_is_said(tmp_path, capsys):
    """Whatever is wider than high can be halved, ordinary photos too."""
    for i in range(6):
        (tmp_path / "in").mkdir(exist_ok=True)
        noise(i, 16, 32).save(tmp_path / "in" / f"{i}.png")
    words = [
        "train",
        str(tmp_path / "in"),
        "--preset",
        "pix2pix-fast",
        "--nets",
        "UNet(width=2, d_width=2)",
    ]
    words += ["--images", "1", "--held-out", "2", "--metrics", "none", "--direction", "b2a"]
    assert main([*words, "--out", str(tmp_path / "run")]) == 0
    said = "pairs: the right half of each image is to become its left half"
    assert said in capsys.readouterr().err
    assert said in (tmp_path / "run" / "train.log").read_text()


@pytest.mark.parametrize("kind", ["folders", "beside", "unpaired", "part", "unpaired-part"])
def test_the_other_way_round(kind, pairs, tmp_path):
    """B is translated into A: the inputs shown are images of B, the targets are those of A."""
    a, b = str(pairs / "A"), str(pairs / "B")
    for i in range(12 if kind == "beside" else 0):
        both = Image.new("RGB", (32, 16))
        for k, name in enumerate("AB"):
            both.paste(Image.open(pairs / name / f"{i}.png"), (16 * k, 0))
        both.save(_made(tmp_path / "both") / f"{i}.png")
    data = {
        "beside": [str(tmp_path / "both")],
        "part": [f"Pairs(input=Folder(path='{a}'), target=Folder(path='{b}'))"],
        "unpaired-part": [f"Unpaired(input=Folder(path='{a}'), target=Folder(path='{b}'))"],
    }.get(kind, [a, "--to", b])
    paired = not kind.startswith("unpaired")
    words = ["--preset", "pix2pix-fast", "--nets", "UNet(width=2, d_width=2)"]
    if not paired:
        words = ["--preset", "cyclegan-fast"]
        words += ["--nets", "ResidualTranslator(width=2, blocks=1, d_width=2, d_layers=1)"]
    words += ["--size", "16", "--images", "1", "--held-out", "2", "--metrics", "none", "--quiet"]
    out = tmp_path / "run"
    assert main(["train", *data, *words, "--direction", "b2a", "--out", str(out)]) == 0
    shown = array(out / "samples/000000001.png", "RGB")
    seen = {name: [array(p, "RGB") for p in (pairs / name).iterdir()] for name in "AB"}
    for column in (shown[:, :16], shown[:, 18:34]):
        which = [i for i, x in enumerate(seen["B"]) if np.array_equal(column[:16], x)]
        assert len(which) == 1
        if paired:
            assert np.array_equal(column[36:52], seen["A"][which[0]])
    spec = load(out).spec
    assert spec.shape[0] == 3
    assert spec.inputs[0] == (3 if kind == "beside" else 1)


def test_a_set_beside_a_run_is_scaled_to_the_size_of_the_run(run, tmp_path, capsys):
    """Which is the only one that can be asked for, so the error names it."""
    for i, (height, width) in enumerate([(20, 30)] * 4 + [(24, 24)]):
        noise(i, height, width, 1).save(_made(tmp_path / "various") / f"{i}.png")
        noise(i, 20, 30, 1).save(_made(tmp_path / "large") / f"{i}.png")
    for name, says in (("various", "images of 2 sizes"), ("large", "do not compare")):
        for words in (
            ["score", str(tmp_path / name), str(run)],
            ["score", str(run), str(tmp_path / name)],
        ):
            words += ["--metrics", "SlicedFeatures(features=Pixels())"]
            assert main(words) == 3
            said = capsys.readouterr().err
            assert says in said
            assert "Fix: --size 16x16, as the run has its images" in said
            assert main([*words, "--size", "24"]) == 2
            said = capsys.readouterr().err
            assert "images of a run are not scaled. Fix: --size 16x16, as the run" in said
            assert main([*words, "--size", "16"]) == 0
            capsys.readouterr()


def test_files_that_are_there_are_not_overwritten(run, tmp_path, capsys):
    for name in ("in/a.png", "in/b.png", "targets/b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        noise(1, 8, 8).save(tmp_path / name)
    kept = (tmp_path / "targets" / "b.png").read_bytes()
    words = ["translate", str(run), str(tmp_path / "in"), "--out", str(tmp_path / "targets")]
    assert main(words) == 2
    assert "1 of 2 translations are there already, such as b.png" in capsys.readouterr().err
    assert (tmp_path / "targets" / "b.png").read_bytes() == kept
    assert not (tmp_path / "targets" / "a.png").exists()
    assert main([*words, "--override"]) == 0
    assert (tmp_path / "targets" / "b.png").read_bytes() != kept


def test_no_two_images_have_one_translation(run, tmp_path):
    for i, name in enumerate(("a.png", "a.jpg", "a.jpg.png")):
        (tmp_path / "in").mkdir(exist_ok=True)
        noise(i, 8 + i, 8).save(tmp_path / "in" / name)
    done = translate(run, tmp_path / "in", tmp_path / "out")
    assert {p.name: array(p).shape[0] for p in done.written} == {
        "a.png.png": 8,
        "a.jpg.png": 9,
        "a.jpg.png.png": 10,
    }
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_a_file_is_what_the_generator_makes_of_it(run, tmp_path):
    picture = noise(3, 21, 18)
    picture.save(tmp_path / "a.png")
    done = translate(run, tmp_path / "a.png", tmp_path / "out")
    assert done.written == (tmp_path / "out" / "a.png",)
    a = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.no_grad():
        wanted = to_uint8(load(run).generator(a))[0, 0]
    assert_close(torch.from_numpy(array(done.written[0])), wanted)


def test_images_are_turned_upright(run, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = noise(4, 12, 20)
    picture.save(_made(tmp_path / "in") / "a.png", exif=exif)
    picture.transpose(Image.Transpose.ROTATE_270).save(tmp_path / "in" / "b.png")
    translate(run, tmp_path / "in", tmp_path / "out")
    a, b = (array(tmp_path / "out" / name) for name in ("a.png", "b.png"))
    assert a.shape == (20, 12)
    assert np.array_equal(a, b)


def test_progress_is_told(run, tmp_path):
    for i in range(3):
        noise(i, 8, 8 + i % 2).save(_made(tmp_path / "in") / f"{i}.png")
    told = []
    translate(
        run,
        tmp_path / "in",
        tmp_path / "out",
        progress=lambda done, total: told.append((done, total)),
    )
    assert told[-1] == (3, 3)
    assert [d for d, _ in told] == sorted(d for d, _ in told)


def test_one_that_cannot_be_read_does_not_cost_the_others(run, tmp_path, capsys):
    for name in ("a.png", "c.png"):
        noise(1, 8, 8).save(_made(tmp_path / "in") / name)
    (tmp_path / "in" / "b.png").write_bytes(b"no image")
    words = ["translate", str(run), str(tmp_path / "in"), "--out", str(tmp_path / "out")]
    assert main(words) == 3
    said = capsys.readouterr().err
    assert said.startswith("error: 1 of 3 images could not be read in ")
    assert "b.png: no image of the formats" in said
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.png", "c.png"]


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that makes points from noise."""
    out = tmp_path_factory.mktemp("points") / "run"
    assert (
        main(["train", "ring", "--images", "64", "--batch", "32", "--out", str(out), "--quiet"])
        == 0
    )
    return out


def test_mistakes(run, points, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    (tmp_path / "empty").mkdir()
    noise(1, 8, 8).save(tmp_path / "in" / "a.png")
    (tmp_path / "in2").mkdir()
    (tmp_path / "in2" / "a.png").write_bytes(b"none")
    here, a = str(run), str(tmp_path / "in")
    for words, code, says in (
        (["translate", here, a], 2, "--out is missing"),
        (["translate", here, a, "--out", a], 2, "--out is the folder that is translated"),
        (["translate", here, a, "--out", f"{a}/a.png"], 2, "is a file"),
        (
            ["translate", here, f"{a}/a.png", "--out", a],
            2,
            "--out is the folder that is translated",
        ),
        (["translate", str(points), a, "--out", "x"], 2, "this run translates nothing"),
        (["translate", str(tmp_path), a, "--out", "x"], 4, "is no run"),
        (["translate", here, f"{a}s", "--out", "x"], 3, "nothing is there"),
        (["translate", here, str(tmp_path / "empty"), "--out", "x"], 3, "no image found"),
        (
            ["translate", here, str(tmp_path / "in2"), "--out", "x"],
            3,
            "no image could be translated",
        ),
        (["translate", here, a, "--outt", "x"], 2, "did you mean '--out'"),
        (["sample", here], 2, "this run makes nothing from noise"),
        (["morph", here], 2, "sparring translate"),
        (["train", a, "--to", a, "--preset", "fast"], 2, "--to needs a game that translates"),
        (["train", a, "--to", a, "--preset", "colorize"], 2, "this game makes its inputs of DATA"),
        (["train", a, "--direction", "b2a", "--preset", "fast"], 2, "no two sides here"),
        (["train", a, "--direction", "ab", "--preset", "pix2pix"], 2, "it is a2b or b2a"),
        (["train", "--to", a, "--preset", "pix2pix"], 2, "no DATA are given"),
        (["train", "ring", "--preset", "pix2pix"], 2, "points are not translated"),
    ):
        assert main(words) == code, words
        said = capsys.readouterr().err
        assert says in said, words
        assert said.count("\n") == 1, words


def test_a_file_and_a_folder_of_one_name(run, tmp_path):
    (tmp_path / "in" / "a.png").mkdir(parents=True)
    for name in ("a.jpg", "a.png/b.png"):
        noise(1, 8, 8).save(tmp_path / "in" / name)
    done = translate(run, tmp_path / "in", tmp_path / "out")
    found = {str(p.relative_to(tmp_path / "out")) for p in done.written}
    assert found == {"a.jpg.png", "a.png/b.png"}


def test_a_link_is_not_replaced_by_its_translation(run, tmp_path, capsys):
    noise(1, 8, 8).save(_made(tmp_path / "in") / "a.png")
    (_made(tmp_path / "links") / "a.png").symlink_to(tmp_path / "in" / "a.png")
    words = ["translate", str(run), str(tmp_path / "links" / "a.png"), "--override"]
    assert main([*words, "--out", str(tmp_path / "links")]) == 2
    assert "--out is the folder" in capsys.readouterr().err
    assert (tmp_path / "links" / "a.png").is_symlink()


def test_an_archive_is_translated_beside_itself(run, tmp_path):
    """Nothing of it would be overwritten, nor translated again."""
    noise(1, 8, 8).save(tmp_path / "a.png")
    with ZipFile(tmp_path / "in.zip", "w") as archive:
        archive.write(tmp_path / "a.png", "b.png")
    assert translate(run, tmp_path / "in.zip", tmp_path).written == (tmp_path / "b.png",)


def test_what_is_no_image_is_told_what_is(run, tmp_path, capsys):
    for name in ("photo.heic", "page.html", "noending", "x.npz"):
        (tmp_path / name).write_bytes(b"none")
        out = ["--out", str(tmp_path / "out")]
        assert main(["translate", str(run), str(tmp_path / name), *out]) == 3
        said = capsys.readouterr().err
        assert "give a folder, a .zip, a .tar, or a file in png, jpg, jpeg, webp" in said
        assert "npz" not in said or name == "x.npz"
    noise(1, 8, 8).save(tmp_path / ".hidden.png")
    assert translate(run, tmp_path / ".hidden.png", tmp_path / "out").written


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"given": ""}, "bad value in given: expected a path, got ''. Fix: '.'"),
        ({"given": ["a.png"]}, "bad value in given: expected a path"),
        ({"out": ""}, "bad value in out: expected a path, got ''"),
        ({"out": None}, "bad value in out: expected a path, got None"),
        ({"tile": -5}, "bad value in tile: it is 0, or at least 16 pixels"),
        ({"tile": 3}, "at least 16 pixels"),
        ({"tile": 16.5}, "bad value in tile: expected a whole number or none"),
        ({"tile": "32"}, "bad value in tile"),
        ({"tile": True}, "bad value in tile"),
    ],
)
def test_arguments_that_are_none(run, tmp_path, monkeypatch, change, says):
    monkeypatch.chdir(tmp_path)
    noise(1, 8, 8).save(tmp_path / "a.png")
    with pytest.raises(RecipeError, match=re.escape(says)):
        translate(run, **{"given": "a.png", "out": "out", **change})
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_inputs_that_are_none(run):
    model, a = load(run), torch.zeros(2, 3, 8, 8)
    assert model.make(a).shape == (2, 1, 8, 8)
    for given, says in (
        (a[0], "shape (3, 8, 8). Fix: inputs[None]"),
        (a[:, :1], "shape (2, 1, 8, 8)"),
        (a.to(torch.uint8), "torch.uint8. Fix: inputs / 127.5 - 1"),
        (a.numpy(), "numpy.ndarray. Fix: torch.from_numpy(inputs)"),
        ([a], "list. Fix: torch.stack"),
    ):
        with pytest.raises(RecipeError, match="floats from -1 to 1 of shape") as said:
            model.make(given)
        assert says in str(said.value)
    assert model._repr_png_() is None
    with pytest.raises(RecipeError, match="this generator makes nothing from noise"):
        model.sample(1)


def test_translations_of_two_channels_keep_their_transparency(tmp_path):
    for name, channels in (("a", 3), ("b", 2), ("many", 5)):
        x = np.random.default_rng(0).integers(0, 256, (6, 16, 16, channels), dtype=np.uint8)
        np.savez(tmp_path / f"{name}.npz", arr_0=x)
    noise(1, 20, 31).save(tmp_path / "a.png")
    runs = {}
    for target in ("b", "many"):
        a, b = (Npz(path=str(tmp_path / f"{name}.npz")) for name in ("a", target))
        recipe = small(tmp_path, data=Pairs(input=a, target=b), metrics=(), held_out=2)
        runs[target] = train(recipe, tmp_path / target, device="cpu")
    (file,) = translate(runs["b"], tmp_path / "a.png", tmp_path / "out").written
    with Image.open(file) as picture:
        assert (picture.mode, picture.size) == ("LA", (31, 20))
        found = torch.from_numpy(np.array(picture)).permute(2, 0, 1)
    a = torch.from_numpy(array(tmp_path / "a.png")).permute(2, 0, 1)[None].float() / 127.5 - 1
    assert_close(found[None], to_uint8(load(runs["b"]).make(a)), atol=1, rtol=0)
    with pytest.raises(RecipeError, match="translations of 5 channels cannot be written as PNG"):
        translate(runs["many"], tmp_path / "a.png", tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("out", ["in/out", "in/deep/out", "in/empty", "link"])
def test_what_was_translated_is_not_translated_again(run, tmp_path, capsys, out):
    """A folder in that of the inputs is refused, be it empty, not there, or called otherwise."""
    noise(1, 8, 8).save(_made(tmp_path / "in") / "a.png")
    (tmp_path / "link").symlink_to(_made(tmp_path / "in/empty"))
    words = ["translate", str(run), str(tmp_path / "in"), "--out", str(tmp_path / out)]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "--out lies in the folder that is translated" in said
    assert "Fix: give a folder beside it" in said
    assert [p.name for p in (tmp_path / "in").rglob("*.png")] == ["a.png"]
    assert main([*words[:2], str(tmp_path / "in/a.png"), *words[3:]]) == 0  # a file is that alone


def deep(seed: int, side: int = 16) -> Image.Image:
    x = np.random.default_rng(seed).integers(0, 65536, (side, side)).astype(np.uint16)
    return Image.fromarray(x)


WHOLE = "range=(0, 65535)"


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run from 16 bits to 16 bits, and a folder of such files."""
    root = tmp_path_factory.mktemp("scans")
    for i in range(6):
        deep(i).save(_made(root / "A") / f"{i}.png")
        deep(50 + i).save(_made(root / "B") / f"{i}.png")
    a, b = (f"Folder(path='{root / x}', {WHOLE})" for x in "AB")
    words = ["--preset", "pix2pix-fast", "--images", "4", "--batch", "2", "--metrics", "none"]
    nets = ["--nets", "UNet(width=2, d_width=2, d_layers=1)", "--precision", "fp32", "--quiet"]
    assert main(["train", a, "--to", b, *words, *nets, "--out", str(root / "run")]) == 0
    return root / "run", root / "A"


def test_sixteen_bits_stay_sixteen(scans, tmp_path, capsys):
    run, files = scans
    noise(1, 16, 16, 1).save(tmp_path / "byte.png")
    done = translate(run, files, tmp_path / "out")
    assert len(done.written) == 6
    values = np.array(Image.open(files / "2.png")).astype(np.float64)
    a = torch.from_numpy(values / 65535 * 2 - 1).float()[None, None]
    with torch.no_grad():
        made = load(run).generator(a)[0, 0].double()
    found = np.array(Image.open(tmp_path / "out" / "2.png")).astype(np.float64)
    assert np.abs(found - ((made + 1) / 2 * 65535).numpy()).max() < 1
    assert len(np.unique(found)) > 200  # of 256 pixels: no rounding to 8 bits
    words = ["translate", str(run), str(tmp_path / "byte.png"), "--out", str(tmp_path / "x")]
    assert main(words) == 3
    said = capsys.readouterr().err
    assert "byte.png: it has 8 bits, and the run was trained on values up to 65535" in said


def test_pieces_of_a_run_that_normalises_over_the_image_are_the_whole(run, tmp_path, caplog):
    noise(1, 150, 70).save(tmp_path / "a.png")
    translate(run, tmp_path / "a.png", tmp_path / "whole", tile=0)
    translate(run, tmp_path / "a.png", tmp_path / "pieces", tile=16)
    whole, pieces = (array(tmp_path / k / "a.png").astype(int) for k in ("whole", "pieces"))
    assert np.ptp(whole) > 20
    assert np.abs(whole - pieces).max() <= 1
    assert not caplog.records


def test_that_pieces_make_another_image_is_told(run, tmp_path, caplog):
    """A network of which nobody knows how far it looks."""
    noise(1, 48, 48).save(tmp_path / "a.png")
    model, game = load(run), open_run(run).recipe.game
    assert isinstance(game, Pix2Pix)
    model.generator.reach = None
    translate_files(model, game.inputs, tmp_path / "a.png", tmp_path / "x", tile=16)
    (line,) = (r.getMessage() for r in caplog.records)
    assert "in pieces of 16 pixels it makes another one; --tile 0" in line


def test_sixteen_bits_by_a_run_of_eight_are_told(run, tmp_path, capsys, caplog):
    deep(1).save(_made(tmp_path / "in") / "deep.png")
    noise(1, 16, 16).save(tmp_path / "in" / "flat.png")
    done = translate(run, tmp_path / "in", tmp_path / "out")
    assert len(done.written) == 2
    assert array(tmp_path / "out" / "deep.png").dtype == np.uint8
    (line,) = (r.getMessage() for r in caplog.records)
    assert line.startswith(
        "1 of 2 images have 16 bits, such as deep.png; they were translated at 8"
    )


def test_floats_by_a_run_of_eight_bits(run, tmp_path, capsys):
    """What the error proposes is possible here: the command has no range to give."""
    for name, kind in (("float.tif", np.float32), ("whole.tif", np.int32)):
        Image.fromarray(np.ones((16, 16), kind)).save(_made(tmp_path / "in") / name)
        words = ["translate", str(run), str(tmp_path / "in" / name), "--out", str(tmp_path / "out")]
        assert main(words) == 3
        said = capsys.readouterr().err
        assert f"{name}: its values are floats or have 32 bits, and the run was trained" in said
        assert "range=" not in said
        assert said.count("\n") == 1
    noise(1, 16, 16).save(tmp_path / "in" / "a.png")
    words = ["translate", str(run), str(tmp_path / "in"), "--out", str(tmp_path / "out")]
    assert main(words) == 3
    assert "save it as a PNG of 8 bits" in capsys.readouterr().err
    assert (tmp_path / "out" / "a.png").exists()


def test_ranges_of_both_sides_and_what_no_png_keeps(tmp_path):
    from sparring.data import Folder, Pairs, SideBySide
    from sparring.errors import RecipeError
    from sparring.sample.translate import _refuse_range, ranges

    a, b = Folder(path="a", range=(0, 65535)), Folder(path="b")
    assert ranges(Pairs(input=a, target=b)) == ((0, 65535), None)
    assert ranges(Pairs(input=a, target=b), back=True) == (None, (0, 65535))
    assert ranges(SideBySide(images=a)) == ((0, 65535), (0, 65535))
    assert ranges(b) == (None, None)
    _refuse_range(1, (0, 4095))
    _refuse_range(3, None)
    for channels, range, says in (
        (3, (0, 65535), "16-bit colour"),
        (1, (0, 1), "values from 0 to 1"),
        (1, (-1000, 3000), "values from -1000 to 3000"),
    ):
        with pytest.raises(RecipeError, match=f"{says} cannot be written as PNG"):
            _refuse_range(channels, range)


def small(folder: Path, channels: int = 3, **fields: object) -> Recipe:
    photos = np.random.default_rng(0).integers(0, 256, (14, 16, 16, channels), dtype=np.uint8)
    np.savez(folder / "photos.npz", arr_0=photos)
    known = replace(
        pix2pix_fast(),
        data=Npz(path=str(folder / "photos.npz")),
        nets=UNet(width=2, d_width=2, d_layers=1),
        images=8,
        held_out=4,
        precision="fp32",
        metrics=(Seen(),),
    )
    return replace(known, **fields)  # pyright: ignore[reportArgumentType]


def test_scores_are_of_held_out_inputs(tmp_path):
    run = train(small(tmp_path, game=Pix2Pix(inputs=Greyscale())), tmp_path / "run", device="cpu")
    scores = {row["metric"]: row["value"] for row in run.scores()}
    assert scores["count"] == 4
    assert scores["judged"] == 0  # this D reads the input as well
    again, _ = evaluate(run)
    assert {row["metric"]: row["value"] for row in again} == scores


@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_transparent_is_filled(tmp_path, channels):
    recipe = small(tmp_path, channels, game=Pix2Pix(inputs=Hole()), metrics=())
    run = train(recipe, tmp_path / "run", device="cpu")
    x = np.random.default_rng(1).integers(0, 256, (20, 24, 4), dtype=np.uint8)
    x[..., 1:3] = x[..., :1]  # a grey one may be kept as colour, or with its transparency alone
    x[..., 3] = 255
    Image.fromarray(x).save(_made(tmp_path / "in") / "whole.png")
    x[4:9, 5:12, 3] = 0
    Image.fromarray(x).save(tmp_path / "in" / "a.png")
    x[4:9, 5:12, :3] = 7  # what lies under the hole does not matter
    Image.fromarray(x).save(tmp_path / "in" / "b.png")
    Image.fromarray(x[..., [0, 3]]).save(tmp_path / "in" / "grey.png")
    assert not translate(run, tmp_path / "in", tmp_path / "out").failed
    whole, one, two, grey = (
        array(tmp_path / "out" / f"{name}.png") for name in ("whole", "a", "b", "grey")
    )
    assert one.shape == ((20, 24, 3) if channels == 3 else (20, 24))
    assert np.array_equal(one, two)
    assert np.array_equal(one, grey)
    assert not np.array_equal(one, whole)


def test_a_sheet_shows_sets_below_one_another():
    grey, colour = torch.zeros(3, 1, 2, 2), torch.ones(3, 3, 4, 4)
    picture = np.asarray(sheet([to_uint8(grey), to_uint8(colour)], columns=2))
    # Two columns, so two blocks of two rows; the last cell of the second block is blank.
    assert picture.shape == (4 * 4 + 3 * 2, 2 * 4 + 2, 3)
    assert (picture[0:4, 0:4] == 128).all()
    assert (picture[12:16, 6:] == 255).all()
    assert how_many((3, 64, 64)) == 10
    assert how_many((3, 256, 256)) == 3


# ------------------------------------------------------------------------------------ both ways


@pytest.fixture(scope="module")
def cycle(pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the command line that goes from colour to other colours and back."""
    out = tmp_path_factory.mktemp("cycle") / "run"
    for i in range(9):
        noise(80 + i, 16, 16).save(_made(pairs / "C") / f"other{i}.png")
    words = ["train", str(pairs / "A"), "--to", str(pairs / "C"), "--preset", "cyclegan-fast"]
    words += ["--nets", "ResidualTranslator(width=2, blocks=1, d_width=2, d_layers=1)"]
    words += ["--out", str(out), "--size", "16", "--images", "8", "--held-out", "2", "--quiet"]
    words += ["--metrics", "none", "--precision", "fp32"]
    assert main(words) == 0
    return out


def test_without_a_preset_the_names_of_the_files_decide(pairs, cycle, monkeypatch, capsys):
    """The recipe is what counts here, so nothing is trained."""
    found = []

    def stop(recipe, *_, name, **__):
        found.append((name, recipe))
        raise RecipeError("enough")

    monkeypatch.setattr("sparring.api.train", stop)
    a, b, c = (str(pairs / name) for name in "ABC")
    for words, data, name in (
        ([a, "--to", b], Pairs, "pix2pix-fast"),
        ([a, "--to", b, "--direction", "b2a"], Pairs, "pix2pix-fast"),
        ([a, "--to", c], Unpaired, "cyclegan-fast"),
    ):
        main(["train", *words, "--device", "cpu"])
        assert capsys.readouterr().err == "error: enough\n"
        chosen, recipe = found.pop()
        assert chosen == name
        assert type(recipe.data) is data
        assert recipe.game == PRESETS[name]().game
    some = _made(pairs / "D")
    for name in ("0", "1", "other"):  # a pair that is not whole is no reason to train on two sets
        noise(7, 16, 16).save(some / f"{name}.png")
    for words, says in (
        ([a, "--to", str(some)], "1 only in"),
        ([a, "--to", "digits"], "pairs or two sets?"),
        ([a, "--to", "nowhere/"], "nothing is there"),
    ):
        assert main(["train", *words]) == 3
        assert says in capsys.readouterr().err


def test_a_direction_that_is_none_is_refused_in_one_line(pairs, capsys):
    a, b = str(pairs / "A"), str(pairs / "B")
    assert main(["train", a, "--to", b, "--direction", "b2b", "--device", "cpu"]) == 2
    said = capsys.readouterr().err
    assert "it is a2b or b2a" in said
    assert said.count("\n") == 1


def test_a_run_inside_of_its_data_goes_on(pairs, tmp_path):
    """Its samples are no images of A without a counterpart in B."""
    for name in "AB":
        shutil.copytree(pairs / name, tmp_path / name)
    out = tmp_path / "A" / "run"
    words = ["train", str(tmp_path / "A"), "--to", str(tmp_path / "B"), "--out", str(out)]
    words += ["--preset", "pix2pix-fast", "--nets", "UNet(width=2, d_width=2, d_layers=1)"]
    words += ["--size", "16", "--images", "4", "--batch", "2", "--metrics", "none", "--quiet"]
    assert main([*words, "--precision", "fp32"]) == 0
    assert main(["resume", str(out), "--images", "6", "--quiet"]) == 0
    assert "the data have changed" not in (out / "train.log").read_text()


def test_the_way_back_is_kept_and_used(cycle, tmp_path):
    assert (cycle / "generator-back.safetensors").exists()
    there, back = load(cycle), load(cycle, back=True)
    assert there.back is not None
    a = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        assert_close(back.generator(a), there.back(a))
        assert not torch.equal(there.generator(a), there.back(a))
    noise(3, 10, 14).save(tmp_path / "a.png")
    for way in ("a2b", "b2a"):
        words = ["translate", str(cycle), str(tmp_path / "a.png"), "--direction", way]
        assert main([*words, "--out", str(tmp_path / way)]) == 0
    one, two = (array(tmp_path / way / "a.png") for way in ("a2b", "b2a"))
    assert one.shape == two.shape == (10, 14, 3)
    assert not np.array_equal(one, two)


def test_samples_show_the_way_back(cycle, pairs):
    """Two held-out inputs, their translations, and back: three rows; the other way below."""
    whole = array(cycle / "samples/000000008.png")
    height, between = 3 * 16 + 2 * 2, 12
    assert whole.shape == (2 * height + between, 2 * 16 + 2, 3)
    assert (whole[height : height + between] == 255).all()
    model = load(cycle)
    for name, way, shown in (
        ("A", model, whole[:height]),
        ("C", model.turned(), whole[height + between :]),
    ):
        inputs = [array(p) for p in (pairs / name).iterdir()]
        assert any(np.array_equal(shown[:16, :16], x) for x in inputs)
        a = torch.from_numpy(shown[:16, :16].copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
        assert way.back is not None
        with torch.no_grad():
            there = way.generator(a)
            home = way.back(there)
        for x, top in ((there, 18), (home, 36)):
            wanted = to_uint8(x)[0].permute(1, 2, 0).int()
            seen = torch.from_numpy(shown[top : top + 16, :16].copy()).int()
            assert (wanted - seen).abs().max() <= 1


def test_the_slider_goes_both_ways(cycle):
    """The frames of the page are the samples of the run, and the caption says what they show."""
    page = (cycle / "report.html").read_text()
    section = page[page.index('id="samples"') : page.index('id="translations"')]
    assert "Below these, the other way round." in section
    frames = re.findall(r"data:image/png;base64,([^\"]+)", section)
    files = sorted((cycle / "samples").iterdir())
    assert [base64.b64decode(frame) for frame in frames] == [f.read_bytes() for f in files]


def test_both_ways_may_be_of_other_colours(tmp_path):
    """Grey images and coloured ones: both sheets are in colour, one below the other."""
    for i in range(4):
        noise(i, 16, 24, 1).save(_made(tmp_path / "grey") / f"{i}.png")
        noise(i, 16, 24, 3).save(_made(tmp_path / "colour") / f"{i}.png")
    words = ["train", str(tmp_path / "grey"), "--to", str(tmp_path / "colour")]
    words += ["--nets", "ResidualTranslator(width=2, blocks=1, d_width=2, d_layers=1)"]
    words += ["--preset", "cyclegan-fast", "--out", str(tmp_path / "run"), "--size", "16x24"]
    words += ["--images", "4", "--quiet", "--metrics", "none"]
    assert main([*words, "--precision", "fp32"]) == 0
    shown = array(tmp_path / "run/samples/000000004.png")
    assert shown.shape == (2 * (3 * 16 + 2 * 2) + 12, 4 * 24 + 3 * 2, 3)
    grey = (shown == shown[..., :1])[:, :24].all(2)
    rows = [grey[top : top + 16].all() for top in (0, 18, 36, 64, 82, 100)]
    assert rows == [True, False, True, False, True, False]


def test_the_report_shows_what_came_back(cycle):
    page = (cycle / "report.html").read_text()
    assert "A term of G's loss: g_cycle" in html.unescape(page)
    assert "then what came back of the translation" in page
    assert "then what it should be" not in page
    held = re.findall(r"(\d) inputs held out of training, none picked, each above its", page)
    assert held == ["2", "2"]  # of A, and the other way round of C


def test_the_captions_name_every_row(tmp_path, pairs):
    """Of pairs both ways: the input, its translation, its target, and what came back."""
    a, b = pairs / "A", pairs / "B"
    words = ["train", f"Pairs(input=Folder(path='{a}'), target=Folder(path='{b}'))", "--quiet"]
    words += ["--preset", "cyclegan-fast", "--nets", "UNet(width=2, d_width=2, d_layers=1)"]
    words += ["--out", str(tmp_path / "run"), "--images", "1", "--held-out", "2", "--size", "16"]
    assert main([*words, "--metrics", "none"]) == 0
    assert array(tmp_path / "run/samples/000000001.png").shape[0] == 2 * (4 * 16 + 3 * 2) + 12
    page = (tmp_path / "run/report.html").read_text()
    assert "then what it should be, then what came back of the translation. Below" in page
    assert page.count("each above its translation, its target and what came back, at 1 im") == 2


def test_the_report_shows_both_ways(cycle, pairs):
    """Held-out images of each side above what was made of them and what came back of that."""
    page = (cycle / "report.html").read_text()
    section = page[page.index('id="translations"') :]
    data = re.findall(r"data:image/png;base64,([^\"]+)", section)[:2]
    for name, picture in zip("AC", data, strict=True):
        shown = np.array(Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB"))
        assert shown.shape[0] == 3 * 16 + 2 * 2
        inputs = [array(p) for p in (pairs / name).iterdir()]
        assert any(np.array_equal(shown[:16, :16], x) for x in inputs)
        assert not any(np.array_equal(shown[36:, :16], x) for x in inputs)


def test_both_ways_are_scored(cycle):
    rows, skipped = evaluate(cycle, [Seen()])
    assert not skipped
    found = {row["metric"]: row["value"] for row in rows}
    assert found["count"] == found["count-back"] == 2
    assert found["first"] != found["first-back"]


def test_mistakes_of_the_way_back(run, cycle, pairs, capsys):
    a = str(pairs / "A")
    for words, says in (
        (["translate", str(run), a, "--direction", "b2a", "--out", "x"], "goes one way only"),
        (["translate", str(cycle), a, "--direction", "back", "--out", "x"], "it is a2b or b2a"),
        (
            ["translate", str(cycle), a, "--direction", "b2a", "--best", "--out", "x"],
            "last generator",
        ),
        (["translate", str(cycle), a, "--tile", "3", "--out", "x"], "at least 16 pixels"),
        (["train", a, "--preset", "cyclegan"], "one set is not translated into itself"),
        (["train", a, "--to", "none/", "--preset", "cyclegan"], "nothing is there"),
    ):
        assert main(words) in (2, 3), words
        said = capsys.readouterr().err
        assert says in said, (words, said)
        assert said.count("\n") == 1
