"""The report of real runs of a few steps: whole, self-contained, and calm when files miss."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image

from sparring.data import Folder, Images, Mixture1D, Ring
from sparring.errors import RecipeError, RunError
from sparring.losses import Hinge
from sparring.nets import MLP
from sparring.presets import PRESETS
from sparring.recipe import Recipe
from sparring.report import overview, pictures, toys, write_report
from sparring.report.material import Material, evenly
from sparring.runs import Run
from sparring.training import train
from sparring.tricks import R1, InstanceNoise

TINY = Recipe(batch=8, images=64, nets=MLP(), precision="fp32", metrics=(), sample_every=16)
VOID = {"meta", "img", "input", "br", "link", "hr"}


class Page(HTMLParser):
    """What a test wants to know of a page; tags must close in order."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.sections: dict[str, str] = {}
        self.tags: Counter[str] = Counter()
        self.resources: list[str] = []
        self.links: list[str] = []
        self.ids: Counter[str] = Counter()
        self.text, self.open, self.here = "", [], ""
        self.source = path.read_text()
        self.feed(self.source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags[tag] += 1
        self.ids.update(filter(None, [given.get("id")]))
        for name in ("src", "href", "xlink:href", "srcset", "poster", "data"):
            value = given.get(name)
            if value is not None:
                (self.links if tag == "a" else self.resources).append(value)
        if tag == "section":
            self.here = given["id"] or ""
            self.sections[self.here] = ""
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag == "section":
            self.here = ""

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.here:
            self.sections[self.here] += data


def folder_of_images(path: Path, n: int = 12) -> Path:
    path.mkdir()
    rng = np.random.default_rng(0)
    for i in range(n):
        Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(path / f"{i}.png")
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs to copy from."""
    root = tmp_path_factory.mktemp("runs")
    images = Folder(path=str(folder_of_images(root / "images")))
    small = MLP(g_widths=(16,), d_widths=(16,))
    recipes = {
        "images": replace(TINY, data=images, size=(8, 8), nets=small, held_out=0),
        "line": replace(TINY, data=Mixture1D()),
        "plane": replace(TINY, data=Ring(), tricks=(R1(),)),
        "hinge": replace(TINY, data=Mixture1D(), loss=Hinge()),
    }
    return {name: train(r, root / "runs" / name, quiet=True).path for name, r in recipes.items()}


@pytest.fixture
def run(made: dict[str, Path], tmp_path: Path, request: pytest.FixtureRequest) -> Run:
    """A copy of the run that the test names."""
    return Run(shutil.copytree(made[request.param], tmp_path / "run"))


def report(run: Run, **more: Any) -> Page:
    path = write_report(run, **more)
    assert path.stat().st_size < 5_000_000
    return Page(path)


ALWAYS = {"samples", "scores", "curves", "recipe", "versions", "papers"}
KINDS = {
    "images": {"beside", "nearest", "morph", "between"},
    "line": {"line"},
    "plane": {"plane"},
    "hinge": {"line"},
}


@pytest.mark.parametrize("run", KINDS, indirect=True)
def test_a_page_has_every_section_and_needs_nothing_else(
    run: Run, request: pytest.FixtureRequest
) -> None:
    page = report(run)
    kind = request.node.callspec.params["run"]
    assert set(page.sections) == ALWAYS | KINDS[kind]
    assert "Not shown" not in page.text
    assert all(r.startswith(("data:image/", "#")) for r in page.resources)
    assert all(h.startswith(("#", "https://arxiv.org/abs/")) for h in page.links)
    assert "@import" not in page.source
    assert not re.search(r"url\((?!#)", page.source)
    assert set(page.ids.values()) == {1}
    assert {h[1:] for h in page.links if h[0] == "#"} == set(page.sections)
    assert "finished" in page.text
    assert "64 images" in page.sections["samples"]
    assert str(run.recipe) in page.sections["recipe"]


@pytest.mark.parametrize("run", ["images"], indirect=True)
def test_a_second_report_is_the_same_and_out_is_taken(run: Run, tmp_path: Path) -> None:
    first = write_report(run)
    assert first == run.report
    second = write_report(run, tmp_path / "elsewhere" / "page.html")
    assert second.read_bytes() == first.read_bytes()
    assert sorted(p.name for p in second.parent.iterdir()) == ["page.html"]


@pytest.mark.parametrize("run", ["images"], indirect=True)
def test_what_comes_from_data_is_text(run: Run) -> None:
    bad = "<img src=x onerror=alert(1)>\"'&"
    run = Run(run.path.rename(run.path.with_name(bad.replace("/", ""))))
    shares = {"names": [bad, "b"], "counts": [1, 3], "shares": [0.25, 0.75]}
    row = {"images": 64, "metric": bad, "value": 1.5, "se": None, "protocol": {bad: bad}}
    run.add("scores", {**row, "detail": {**shares, "data_shares": [0.5, 0.5]}})
    run.add("findings", {"code": bad, "images": 64, "evidence": bad, "remedy": bad})
    run.add("stats", {"images": 64, "d_loss": 1.0, bad: 2.0})
    page = report(run)
    assert "<img src=x" not in page.source
    for section in ("findings", "scores"):
        assert bad in page.sections[section]
    assert set(page.sections) == ALWAYS | KINDS["images"] | {"findings"}


@pytest.mark.parametrize("run", ["images"], indirect=True)
def test_data_that_have_moved_are_said_to_be_gone(run: Run, tmp_path: Path) -> None:
    gone = replace(run.recipe, data=Folder(path=str(tmp_path / "gone")))
    run.write_recipe(gone)
    page = report(run)
    assert "cannot be shown" in page.sections["beside"]
    assert "Generated: 64 samples" in page.sections["beside"]
    assert "Not shown" not in page.text


@pytest.mark.parametrize("run", ["images"], indirect=True)
def test_data_already_open_are_not_opened_again(run: Run, tmp_path: Path) -> None:
    train_split = Material(run).train
    run.write_recipe(replace(run.recipe, data=Folder(path=str(tmp_path / "gone"))))
    assert "12 training images" in report(run, train=train_split).sections["beside"]


@pytest.mark.parametrize("run", ["images", "line"], indirect=True)
def test_a_run_without_weights_samples_or_statistics_still_has_a_page(run: Run) -> None:
    run.weights.unlink()
    shutil.rmtree(run.checkpoints)
    page = report(run)
    assert "64 images" in page.sections["samples"]
    shutil.rmtree(run.samples)
    for table in ("stats", "scores", "findings"):
        (run.path / f"{table}.jsonl").unlink()
    page = report(run)
    assert "not started" in page.text
    for section in ("samples", "curves"):
        assert "Not shown" in page.sections[section]


@pytest.mark.parametrize("run", ["images", "line"], indirect=True)
def test_damaged_files_are_left_out(run: Run) -> None:
    files = sorted(run.samples.iterdir())
    files[0].write_bytes(files[0].read_bytes()[:60])
    files[1].write_bytes(b"")
    for folder in run.saved():
        (folder / "manifest.json").unlink()
    page = report(run)
    assert page.source.count('class="frame"') == len(files) - 2
    if "line" in page.sections:
        assert "no checkpoint verifies" in page.sections["line"]


@pytest.mark.parametrize("run", ["line"], indirect=True)
def test_a_recipe_that_cannot_be_read_is_named(run: Run) -> None:
    (run.path / "recipe.py").write_text("Recipe(loss=MyOwn())")
    page = report(run)
    assert "MyOwn" in page.text
    assert "<svg" in page.source  # the curves need no recipe


@pytest.mark.parametrize("run", ["images"], indirect=True)
def test_statistics_of_one_row_or_with_nulls(run: Run) -> None:
    table = run.path / "stats.jsonl"
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    table.write_text(json.dumps(rows[0]) + "\n")
    assert "Not shown" not in report(run).sections["curves"]
    table.write_text(json.dumps({"images": 8, "d_loss": None, "g_loss": 1.0}) + "\n{bro")
    page = report(run)
    assert "diverged" in page.text
    assert "Losses" in page.sections["curves"]
    table.write_text('{"images": 8, "d_loss": null}\n')
    assert "no number" in report(run).sections["curves"]


@pytest.mark.parametrize("run", ["images"], indirect=True)
def test_an_unfinished_run_says_how_far_it_is(run: Run) -> None:
    run.write_recipe(replace(run.recipe, images=256))
    assert "at 25% of the budget" in report(run).text


@pytest.mark.parametrize("run", ["images"], indirect=True)
def test_many_big_grids_stay_below_the_limit(run: Run) -> None:
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 255, (600, 600, 3), dtype=np.uint8))
    for i in range(100, 130):
        noise.save(run.samples / f"{i:09d}.png", compress_level=0)
    page = report(run)
    assert page.source.count('class="frame"') == 24
    assert "24 of 35 grids" in page.sections["samples"]


@pytest.mark.parametrize("run", ["images"], indirect=True)
def test_scores_show_their_error_their_protocol_and_their_course(run: Run) -> None:
    for images, value in ((32, 9.0), (64, 4.0)):
        row = {"images": images, "metric": "m", "value": value, "se": 0.5}
        run.add("scores", {**row, "protocol": {"n_fake": 2000}, "detail": {"perfect": 0.125}})
    run.add("scores", {"images": 64, "metric": "lost", "value": None, "se": None})
    said = report(run).sections["scores"]
    assert "4 ± 0.5" in said
    assert "0.125 for a perfect sampler" in said
    assert "n fake" in said
    assert "2,000" in said
    assert "not finite" in said
    assert "m, ± 2 standard errors" in said


@pytest.mark.parametrize("run", ["images", "plane", "line"], indirect=True)
def test_figures_are_saved_as_files_that_need_no_page(run: Run, tmp_path: Path) -> None:
    write_report(run)
    alone = run.report.read_bytes()
    folder = tmp_path / "figures"
    write_report(run, figures=folder)
    assert run.report.read_bytes() == alone
    drawn = {f.stem for f in folder.glob("*.svg")}
    assert "losses-of-d-and-g" in drawn
    assert drawn <= {f.stem for f in folder.glob("*.png")}
    assert len(drawn) == alone.count(b"<svg")
    for file in folder.iterdir():
        if file.suffix == ".svg":
            text = file.read_text()
            assert ElementTree.fromstring(text).get("width")
            assert "var(" not in text
        else:
            with Image.open(file) as picture:
                picture.load()
    with Image.open(folder / "losses-of-d-and-g.png") as picture:
        colours = {c for _, c in picture.convert("RGB").getcolors(10**6) or []}
        assert {(0x0B, 0x62, 0xA4), (0xBC, 0x4A, 0x10), (255, 255, 255)} <= colours


@pytest.mark.parametrize("run", ["images"], indirect=True)
def test_nearest_images_are_not_looked_for_without_data(run: Run, tmp_path: Path) -> None:
    run.write_recipe(replace(run.recipe, data=Folder(path=str(tmp_path / "gone"))))
    assert "nearest" not in report(run).sections


# ------------------------------------------------------------------------------------------ pieces


def test_the_nearest_images_are_the_nearest() -> None:
    rng = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (3000, 1, 4, 4), generator=rng, dtype=torch.uint8)
    x = torch.cat([pixels[[7, 2999]], 255 - pixels[:3]])
    found, looked = pictures.neighbours(Images(pixels), x, 4, 0)
    assert looked == 3000
    far = (x[:, None].double() - pixels[None].double()).flatten(2).square().sum(2)
    expected = far.sort().values[:, :4]
    got = (x[:, None].double() - found.double()).flatten(2).square().sum(2)
    torch.testing.assert_close(got, expected)
    assert torch.equal(found[:2, 0], x[:2])


def test_of_a_large_set_a_share_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "_LOOKED", 16 * 50)
    pixels = torch.arange(100, dtype=torch.uint8).view(100, 1, 1, 1).expand(-1, 1, 4, 4)
    found, looked = pictures.neighbours(Images(pixels), pixels[:10], 2, 0)
    assert looked == 50
    assert len(set(found[:, :, 0, 0, 0].flatten().tolist())) > 2


def test_d_beside_the_optimal_d() -> None:
    d, optimal = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5]), torch.full((5,), 0.5)
    said = toys.best(d, optimal, 0.0625)
    cells = re.findall(r"<t[dh][^>]*>([^<]*)</t", said)
    assert cells[4:12] == ["−3", "0.100", "0.500", "0.400", "−2", "0.200", "0.500", "0.300"]
    assert "0.0625" in said


@pytest.mark.parametrize("run", ["line"], indirect=True)
def test_the_table_of_d_is_right_for_a_known_q(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    # G samples the data themselves and D says 1/2: D* is 1/2 up to the error of the estimate.
    m = Material(run)
    monkeypatch.setattr(Material, "logits", lambda self, x, slopes=False: torch.zeros(len(x)))
    data = Mixture1D().open()
    drawn = data.sample(100_000, torch.Generator().manual_seed(0))
    monkeypatch.setattr(m, "many", lambda n: drawn[:n])
    table = toys.line(m)
    at_modes = re.findall(r'"row">−?2</th><td>0.500</td><td>([\d.]+)</td>', table)
    assert [abs(float(v) - 0.5) < 0.02 for v in at_modes] == [True, True]
    error = re.search(r"<dd>(0\.\d+)</dd>", table)
    assert error
    assert float(error[1]) < 0.02


@pytest.mark.parametrize("run", ["plane"], indirect=True)
def test_slopes_are_the_gradient_of_the_logits(run: Run) -> None:
    m = Material(run)
    x = torch.tensor([[0.3, -0.2], [1.0, 0.5]])
    slope = m.logits(x, slopes=True)
    h = 1e-2
    for axis in range(2):
        step = torch.zeros(2)
        step[axis] = h
        numeric = (m.logits(x + step) - m.logits(x - step)) / (2 * h)
        torch.testing.assert_close(slope[:, axis], numeric, atol=1e-3, rtol=1e-2)
    m.discriminator.forward = lambda x, *_: torch.zeros(1)  # pyright: ignore
    with pytest.raises(RunError):
        m.logits(x)


class PageGroups(torch.nn.Module):
    """Logits that hang on the other points of a batch, or of groups that do not divide it."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.kind == "pack":
            raise RecipeError("pack=2 does not divide")
        return x[:, 0] * (float("nan") if self.kind == "not finite" else x.std())


@pytest.mark.parametrize("run", ["plane"], indirect=True)
@pytest.mark.parametrize("kind", ["pack", "minibatch"])
def test_a_d_that_looks_at_several_points_is_not_drawn(run: Run, kind: str) -> None:
    """Asked about a grid it would judge the grid, not its points."""
    m = Material(run)
    m.discriminator = PageGroups(kind)  # pyright: ignore
    for slopes in (False, True):
        with pytest.raises(RunError, match="judges several points at once"):
            m.logits(torch.tensor([[0.3, -0.2], [1.0, 0.5], [2.0, 0.1]]), slopes=slopes)


@pytest.mark.parametrize("run", ["plane"], indirect=True)
def test_a_d_that_is_not_finite_is_not_taken_for_one(run: Run) -> None:
    m = Material(run)
    m.discriminator = PageGroups("not finite")  # pyright: ignore
    assert m.logits(torch.tensor([[0.3, -0.2], [1.0, 0.5], [2.0, 0.1]])).isnan().all()


@pytest.mark.parametrize("name", PRESETS)
def test_the_command_of_a_preset_is_its_name(name: str) -> None:
    recipe = PRESETS[name]()
    words = overview.command(recipe).split()
    assert words[3:5] == ["--preset", name]
    assert "--tricks" not in words
    assert "--nets" not in words


def test_the_command_writes_what_differs() -> None:
    noise = InstanceNoise(sigma=0.2)
    recipe = replace(PRESETS["fast"](), tricks=(noise,), size=(48, 36), flip=True, images=5000)
    line = overview.command(recipe)
    assert line.startswith("sparring train 'Fashion()' --preset fast ")
    assert f"--tricks '{noise}'" in line
    assert "--size 48x36 --flip" in line
    assert "--images 5000" in line
    line = overview.command(replace(recipe, data=Folder(path="/a b/$c")))
    assert shlex.split(line)[2] == "Folder(path='/a b/$c')"
    line = overview.command(replace(recipe, data=Folder(path="/photos")))
    assert "\"Folder(path='/photos')\"" in line
    assert "--tricks none" in overview.command(replace(recipe, tricks=()))


def test_evenly_keeps_the_first_and_the_last() -> None:
    assert evenly(list(range(100)), 5) == [0, 25, 50, 74, 99]
    assert evenly([1, 2], 5) == [1, 2]


def test_a_picture_fits_its_budget() -> None:
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 255, (400, 300, 3), dtype=np.uint8))
    assert len(pictures.embed(noise, 30_000, "noise")) < 30_000 * 4 / 3 + 200
    assert 'width="300" height="400"' in pictures.embed(noise, 30_000, "noise")
    assert "image/png" in pictures.embed(noise, 10**6, "noise")
