"""The documentation is true: its code runs, its tables agree with the code, its links lead on.

In README.md and docs/: a ```python block runs; one marked `file=NAME` is written to NAME first;
every line of a ```sh block that starts with `sparring` runs. All of a page happens in one empty
folder, in the order of the page. Long commands are cut short by what `TINY` adds to them. Lines of
other commands (pip, make) do not run.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

import sparring
from sparring.data import decode
from sparring.errors import SparringError
from sparring.parts import show
from sparring.presets import PRESETS
from sparring.recipe import Recipe
from sparring.runs import Run, open_run
from sparring.training import Stopped

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TINY = {
    "train": "--images 512 --batch 32 --precision fp32 --metrics none --sample-every 512"
    " --checkpoint-every 512",
    "resume": "--images 1024",
    "evaluate": "--metrics DomainFid --n 64",
}


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block of a page: its language, the file it is to be saved as, its text."""

    language: str
    file: str
    text: str


def blocks(page: Path) -> list[Block]:
    found = re.findall(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```$", page.read_text(), re.M | re.S)
    return [Block(*groups) for groups in found]


def commands(block: Block) -> list[list[str]]:
    """The words of every command of sparring in a block, cut short."""
    found = []
    for row in block.text.splitlines():
        if block.language == "sh" and row.startswith("sparring "):
            words = shlex.split(row, comments=True)[1:]
            extra = TINY.get(words[0], "")
            if "--metrics" in words:
                extra = re.sub(r"--metrics \S+", "", extra)
            found.append(words + extra.split())
    return found


def rows(page: Path, first: str) -> list[list[str]]:
    """The cells of the table whose first heading is `first`, without the marks of code."""
    table = re.search(rf"^\| {first} \|.*\n\|[ -|]*\n((?:\|.*\n)+)", page.read_text(), re.M)
    assert table, f"{page.name} has no table that begins with {first}"
    split = [row.strip("|").split(" | ") for row in table[1].splitlines()]
    return [[cell.strip().strip("`") for cell in row] for row in split]


Task = dict[str, str | list[str]]


def tasks(page: Path) -> Iterator[Task]:
    """What a page says, in order: a file to write, code to run, or the words of a command."""
    for block in blocks(page):
        if block.file:
            yield {"file": block.file, "text": block.text}
        elif block.language == "python":
            yield {"code": block.text}
        yield from ({"words": words} for words in commands(block))


# Runs tasks one after the other, each in a process of its own, so that a command knows of a user's
# parts only if it is told. They are forked from one that has imported everything, to save time.
DRIVER = """
import json, os, sys
import sparring.api, sparring.cli, sparring.presets

for task in json.load(sys.stdin):
    if "file" in task:
        open(task["file"], "w").write(task["text"])
        continue
    child = os.fork()
    if child == 0:
        code = 1
        try:
            sys.path.insert(0, "")
            if "code" in task:
                exec(compile(task["code"], "<page>", "exec"), {"__name__": "__main__"})
                code = 0
            else:
                code = sparring.cli.main(task["words"])
        except BaseException:
            import traceback
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code != 0:
        print("FAILED", code, task, file=sys.stderr)
        sys.exit(code)
"""


def drive(work: Sequence[Task], folder: Path) -> subprocess.CompletedProcess[str]:
    """Does the tasks in `folder`; the exit code is that of the first that fails."""
    return subprocess.run(
        [sys.executable, "-c", DRIVER],
        input=json.dumps(work),
        cwd=folder,
        env={**os.environ, "SPARRING_CACHE": str(folder / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )


def follow(page: Path, folder: Path) -> None:
    """Does what a page says, in `folder`."""
    photos(folder / "photos")
    done = drive(list(tasks(page)), folder)
    assert done.returncode == 0, done.stderr


def photos(folder: Path) -> None:
    """Forty small images in each of two class folders."""
    rng = np.random.default_rng(0)
    for name, colour in (("red", (255, 0, 0)), ("blue", (0, 0, 255))):
        (folder / name).mkdir(parents=True)
        for i in range(40):
            noise = rng.integers(0, 256, (36, 40, 3))
            pixels = ((noise + np.array(colour)) / 2).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")


# ----------------------------------------------------------------------------------- what pages do


def test_the_readme(tmp_path: Path) -> None:
    follow(ROOT / "README.md", tmp_path)
    run = open_run(tmp_path / "my-run")
    assert run.stats()[-1]["images"] == 1024
    assert {row["metric"] for row in run.scores()} >= {"domain-fid"}
    assert (run.path / "grid.png").exists()
    assert (run.path / "morph.gif").exists()
    assert np.load(tmp_path / "fakes.npz")["arr_0"].shape == (1000, 32, 32, 3)
    table = {name.rstrip("/") for name, _ in rows(ROOT / "docs" / "run-folder.md", "file")}
    assert {path.name for path in run.path.iterdir()} - {"grid.png", "morph.gif"} <= table


def test_how_to_add_a_loss(tmp_path: Path) -> None:
    follow(ROOT / "docs" / "how-to-add-a-loss.md", tmp_path)
    assert "loss=SmoothHinge(margin=1.0)" in recipe_text(tmp_path / "hinge-run")
    assert "loss=SmoothHinge(margin=0.5)" in recipe_text(tmp_path / "half-run")
    kept = tmp_path / "hinge-run" / "parts" / "my_loss.py"
    assert kept.read_text() == (tmp_path / "my_loss.py").read_text()


def test_how_to_add_a_network(tmp_path: Path) -> None:
    follow(ROOT / "docs" / "how-to-add-a-network.md", tmp_path)
    assert "nets=Nearest(condition=None, width=32, latent=64)" in recipe_text(tmp_path / "near-run")
    assert (tmp_path / "near-run" / "grid.png").exists()
    words = shlex.split("train fashion --parts my_nets.py --nets Nearest --size 30 --out no-run")
    done = drive([{"words": words}], tmp_path)
    assert done.returncode == 2
    assert "error: Nearest cannot make 30x30 images" in done.stderr
    assert not (tmp_path / "no-run").exists()


def test_how_to_add_a_trick(tmp_path: Path) -> None:
    follow(ROOT / "docs" / "how-to-add-a-trick.md", tmp_path)
    assert "LogitDrift(every=1, weight=0.001)" in recipe_text(tmp_path / "drift-run")
    assert Run(tmp_path / "anchor-run").stats()[-1]["anchor"] != 0


def test_how_to_add_a_source(tmp_path: Path) -> None:
    follow(ROOT / "docs" / "how-to-add-a-source.md", tmp_path)
    assert "data=Waves(count=2000, longest=12.0)" in recipe_text(tmp_path / "waves-run")
    assert "size=(32, 32)" in recipe_text(tmp_path / "long-run")
    assert {row["metric"] for row in Run(tmp_path / "waves-run").scores()} >= {"domain-fid"}
    assert "data=Cross(sigma=0.05)" in recipe_text(tmp_path / "cross-run")


def test_how_to_add_a_metric(tmp_path: Path) -> None:
    follow(ROOT / "docs" / "how-to-add-a-metric.md", tmp_path)
    rows = Run(tmp_path / "bright-run").scores()
    assert [row["metric"] for row in rows] == ["brightness-gap"] * 2
    assert rows[1]["protocol"]["n_fake"] == 64
    assert all(0 < row["value"] < 255 for row in rows)


def has_code(page: Path) -> bool:
    return any(b.language in ("python", "sh") for b in blocks(page))


OWN = ("loss", "network", "trick", "source", "metric")
# Pages whose own test above looks at what they made.
LOOKED_AT = {"README", *(f"how-to-add-a-{part}" for part in OWN)}


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if has_code(page) and page.stem not in LOOKED_AT],
    ids=lambda page: page.stem,
)
def test_a_page_with_commands(page: Path, tmp_path: Path) -> None:
    follow(page, tmp_path)


LESSONS = ROOT / "docs" / "lessons"
SCRIPTS = ("game", "vanishing", "dcgan", "asking", "latent", "curves")  # latent after asking
RUN_SCRIPT = """
import runpy, sys
sys.argv = [{path!r}, "--toy", "--out", "figures", "--runs", "runs"]
sys.path.insert(0, {folder!r})
runpy.run_path({path!r}, run_name="__main__")
"""


@pytest.mark.slow
def test_the_scripts_of_the_lessons_make_their_figures(tmp_path: Path) -> None:
    """A few steps of each: every figure beside the lessons is made by one, and is on a page."""
    paths = [str(LESSONS / f"{name}.py") for name in SCRIPTS]
    work = [{"code": RUN_SCRIPT.format(path=p, folder=str(LESSONS))} for p in paths]
    done = drive(work, tmp_path)
    assert done.returncode == 0, done.stderr
    kept = {p.name for p in LESSONS.iterdir() if p.suffix in (".svg", ".png", ".gif")}
    assert {p.name for p in (tmp_path / "figures").iterdir()} == kept
    shown = re.findall(r"!\[[^]]*\]\(([^)]+)\)", "".join(page.read_text() for page in PAGES))
    assert {Path(name).name for name in shown} >= kept
    assert {p.stem for p in LESSONS.glob("*.py")} == {*SCRIPTS, "drawing"}
    assert sum((LESSONS / name).stat().st_size for name in kept) < 1_000_000


def test_the_drawings_of_the_lessons_need_no_page() -> None:
    """Viewers without CSS variables see the curves too."""
    for file in LESSONS.glob("*.svg"):
        assert "var(" not in file.read_text(), file.name


def recipe_text(run: Path) -> str:
    return (run / "recipe.py").read_text()


# ----------------------------------------------------------------------------------- what pages say


def test_the_recipe_page_lists_every_field_with_its_default() -> None:
    fields = [[f.name, show(f.default)] for f in dataclasses.fields(Recipe)]
    assert [row[:2] for row in rows(ROOT / "docs" / "recipe.md", "field")] == fields


@pytest.mark.parametrize("page", ["README.md", "docs/presets.md"])
def test_every_preset_has_a_row(page: str) -> None:
    assert [row[0] for row in rows(ROOT / page, "preset")] == list(PRESETS)


def test_a_preset_row_has_the_paper_and_the_command_of_the_preset() -> None:
    for name, paper, command, *_ in rows(ROOT / "docs" / "presets.md", "preset"):
        doc = PRESETS[name].__doc__ or ""
        assert re.findall(r"arXiv:[\d.]+\d", paper) == re.findall(r"arXiv:[\d.]+\d", doc)
        assert command in doc


def test_a_preset_has_one_score_and_one_time() -> None:
    """README, the page of presets and the docstring say the same `domain-fid` and seconds."""
    rows_of = [rows(ROOT / page, "preset") for page in ("README.md", "docs/presets.md")]
    for row, longer in zip(*rows_of, strict=True):
        name, *_, short = row
        doc = " ".join((PRESETS[name].__doc__ or "").split())
        score = re.findall(r"domain-fid\W+(\d+)", short)[:1]
        assert score == re.findall(r"domain-fid\W+(\d+)", longer[-1])[:1], name
        if score and "domain-fid" in doc:
            assert re.search(rf"\b{score[0]}\b", doc), name
        scaled = re.findall(r"(\d+) s of one core: `domain-fid", short)
        assert scaled == re.findall(r"^(\d+) s, scaled down$", longer[-2]), name
        assert not scaled or f"{scaled[0]} s of one core" in doc, name


@pytest.mark.parametrize(
    ("page", "first"), [("docs/run-folder.md", "code"), ("docs/design.md", "exit code")]
)
def test_every_exit_code_has_a_row(page: str, first: str) -> None:
    errors = {e.exit_code for e in (SparringError, Stopped, *SparringError.__subclasses__())}
    assert [int(row[0]) for row in rows(ROOT / page, first)] == sorted(errors | {0, 130})


def test_the_design_page_has_the_layers_of_the_import_contract() -> None:
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = next(c["layers"] for c in contract["contracts"] if c["id"] == "layers")
    wanted = [set(layer.replace("sparring.", "").split(" | ")) for layer in layers]
    page = (ROOT / "docs" / "design.md").read_text()
    shown = re.search(r"^```\n(cli\n.*?)^```$", page, re.M | re.S)
    assert shown
    assert [set(line.split(", ")) for line in shown[1].splitlines()] == wanted[1:]


def test_every_conversion_and_ending_is_on_the_data_page() -> None:
    page = ROOT / "docs" / "data.md"
    assert [row[0] for row in rows(page, "name")] == re.findall(
        r"^- ([\w-]+):", decode.__doc__ or "", re.M
    )
    assert ", ".join(decode.ENDINGS) in page.read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    text = page.read_text()
    heads = {
        re.sub(r"[^\w -]", "", h).replace(" ", "-").lower()
        for h in re.findall(r"^#+ (.+)$", text, re.M)
    }
    for target in re.findall(r"\]\(([^)]+)\)", text):
        inside = target.startswith("#") and target[1:] in heads
        assert inside or target.startswith("https://") or (page.parent / target).exists(), target


def test_every_page_is_in_the_table_of_contents() -> None:
    linked = re.findall(r"\]\(([^)]+)\)", (ROOT / "docs" / "index.md").read_text())
    pages = {str(p.relative_to(ROOT / "docs")) for p in (ROOT / "docs").rglob("*.md")}
    assert pages - {"index.md"} <= set(linked)


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_a_page_has_one_title(page: Path) -> None:
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    assert len(re.findall(r"^# ", prose, re.M)) == 1
    assert prose.startswith("# ")


def test_changelog_and_citation_name_this_version() -> None:
    assert f"## [{sparring.__version__}]" in (ROOT / "CHANGELOG.md").read_text()
    citation = (ROOT / "CITATION.cff").read_text()
    given = dict(re.findall(r'^([\w-]+): *"?([^"\n]*)"?$', citation, re.M))
    assert given["cff-version"] == "1.2.0"
    assert given["version"] == sparring.__version__
    assert given["license"] == "MIT"
    assert {"message", "title", "authors"} <= set(given)
    assert '  - name: "The sparring authors"' in citation


def script(path: Path) -> ModuleType:
    """A script of the pages as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_of_parts_are_the_catalogues() -> None:
    """`python docs/tables.py` would change nothing, and changes a table that is wrong."""
    tables, found = script(ROOT / "docs" / "tables.py"), set()
    for page in PAGES:
        text = page.read_text()
        assert tables.filled(text) == text
        found |= set(re.findall(r"^<!-- end of (\w+) -->$", text, re.M))
    assert found >= {"losses", "tricks", "nets", "metrics", "features", "optimisers", "schedules"}
    row = "| `Hinge` | Logits pushed beyond a margin of one and no further |"
    filled = tables.filled("<!-- losses -->\n| nonsense |\n<!-- end of losses -->\n")
    assert row in filled
    assert "nonsense" not in filled


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    """`make docs`; every page is reached from the navigation."""
    words = ["-W", "--keep-going", "-q", "-b", "html", str(ROOT / "docs"), str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    sidebar = (tmp_path / "index.html").read_text().split('class="sidebar-tree"')[1]
    sidebar = sidebar.split("</aside>")[0]
    for page in PAGES[1:]:
        target = page.relative_to(ROOT / "docs").with_suffix(".html")
        assert target.name == "index.html" or f'href="{target}"' in sidebar, page
