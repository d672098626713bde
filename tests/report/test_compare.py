"""Runs side by side: what may be ranked, what may not, and the page."""

from __future__ import annotations

import json
import math
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sparring.cli import main
from sparring.data import Ring
from sparring.losses import Hinge
from sparring.nets import MLP
from sparring.optim import Adam
from sparring.recipe import Recipe
from sparring.report import ranking, write_comparison
from sparring.report.material import Material
from sparring.report.ranking import compare, groups
from sparring.runs import Run
from sparring.schedules import Cosine
from sparring.training import train

TINY = Recipe(
    data=Ring(),
    nets=MLP(g_widths=(8,), d_widths=(8,)),
    batch=8,
    images=32,
    precision="fp32",
    metrics=(),
)
PROTOCOL = {"reference": "ring", "n_fake": 2000, "weights": "EMA", "generator": "at 32 images"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(TINY, tmp_path_factory.mktemp("runs") / "made", quiet=True).path


def a_run(
    made: Path, name: Path, recipe: Recipe, value: float | None, se: float | None = 0.1, **more: Any
) -> Material:
    """A copy of a run with another recipe and one score."""
    run = Run(shutil.copytree(made, name))
    run.write_recipe(replace(run.recipe, seed=recipe.seed, loss=recipe.loss, images=recipe.images))
    if value is not None:
        row = {"images": 32, "metric": "fid", "value": value, "se": se, "better": "lower"}
        run.add("scores", {**row, "protocol": PROTOCOL, **more})
    return Material(run)


def verdict(*members: Material) -> ranking.Comparison:
    (found,) = compare(groups(members))
    return found


def test_intervals_apart_and_overlapping(made: Path, tmp_path: Path) -> None:
    hinge = replace(TINY, loss=Hinge())
    a = a_run(made, tmp_path / "a", TINY, 10.0, 0.5)
    b = a_run(made, tmp_path / "b", hinge, 12.0, 0.5)  # 9.02 to 10.98 and 11.02 to 12.98
    c = a_run(made, tmp_path / "c", hinge, 11.9, 0.5)
    found = verdict(b, a)
    assert [r.group for r in found.results] == ["a", "b"]
    assert found.ranked
    assert found.verdict == "a is better than b"
    assert verdict(a, c).verdict == "no difference shown between a and c"
    assert verdict(a, a_run(made, tmp_path / "d", hinge, None)).verdict == "one value only"


def test_higher_may_be_better(made: Path, tmp_path: Path) -> None:
    hinge = replace(TINY, loss=Hinge())
    a = a_run(made, tmp_path / "a", TINY, 1.0, 0.1, better="higher")
    b = a_run(made, tmp_path / "b", hinge, 2.0, 0.1, better="higher")
    assert verdict(a, b).verdict == "b is better than a"
    c = a_run(made, tmp_path / "c", hinge, 2.0, 0.0, better=None)
    d = a_run(made, tmp_path / "d", TINY, 1.0, 0.0, better=None)
    assert "do not say which way is better" in verdict(c, d).verdict


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("n_fake", 500),
        ("reference", "other"),
        ("weights", "raw"),
        ("more", 1),
        ("features_digest", "b"),
    ],
)
def test_other_protocols_are_not_ranked_and_the_part_is_named(
    part: str, value: Any, made: Path, tmp_path: Path
) -> None:
    a = a_run(made, tmp_path / "a", TINY, 1.0)
    b = a_run(
        made, tmp_path / "b", replace(TINY, loss=Hinge()), 9.0, protocol={**PROTOCOL, part: value}
    )
    found = verdict(a, b)
    assert not found.ranked
    expected = f"{part.replace('_', ' ')} ({PROTOCOL.get(part, 'not said')} / {value})"
    fix = ". Fix: score them on one machine, with sparring evaluate RUN"
    fix = fix if part == "features_digest" else ""
    assert found.verdict == f"not ranked, since the protocols differ in {expected}{fix}"


def test_what_was_scored_is_no_protocol(made: Path, tmp_path: Path) -> None:
    a = a_run(made, tmp_path / "a", TINY, 1.0)
    other = {**PROTOCOL, "generator": "at 99 images", "images": 99}
    b = a_run(made, tmp_path / "b", replace(TINY, loss=Hinge()), 9.0, protocol=other)
    assert verdict(a, b).ranked


def test_without_a_standard_error_nothing_is_shown(made: Path, tmp_path: Path) -> None:
    a = a_run(made, tmp_path / "a", TINY, 1.0, None)
    b = a_run(made, tmp_path / "b", replace(TINY, loss=Hinge()), 9.0)
    assert verdict(a, b).verdict == "no difference shown: no interval is known for a"
    c = a_run(made, tmp_path / "c", TINY, math.nan)
    assert "c" not in [r.group for r in verdict(b, c).results]


def test_seeds_of_one_recipe_are_one_group(made: Path, tmp_path: Path) -> None:
    seeds = [
        a_run(made, tmp_path / f"s{i}", replace(TINY, seed=i), v) for i, v in enumerate((1, 2, 6))
    ]
    unfinished = a_run(made, tmp_path / "s3", replace(TINY, seed=3), None)
    with (unfinished.run.path / "stats.jsonl").open("a") as f:
        f.write(json.dumps({"images": 32, "d_loss": None, "g_loss": 1.0}) + "\n")
    (group,) = groups([*seeds, Material(unfinished.run)])
    assert group.runs == ("s0", "s1", "s2", "s3")
    assert group.failures == (("s3", "diverged at 32 images"),)
    (result,) = compare([group])[0].results
    assert result.value == 3
    assert result.sd == pytest.approx(math.sqrt(7))
    assert result.values == (1, 2, 6)
    half = 4.303 * math.sqrt(7 / 3)  # Student's t, two degrees of freedom
    assert (result.low, result.high) == (pytest.approx(3 - half), pytest.approx(3 + half))


def test_the_quantiles_of_t_are_right() -> None:
    t = pytest.importorskip("scipy.stats").t
    for n, quantile in enumerate(ranking._T, 1):
        assert quantile == pytest.approx(t.ppf(0.975, n), abs=6e-4)


def test_only_differences_of_the_recipes_are_told(made: Path, tmp_path: Path) -> None:
    def scheduled(images: int) -> Recipe:
        optim = Adam(schedule=Cosine(images=images))
        return replace(TINY, g_optim=optim, images=images, sample_every=images // 2)

    a, b = (a_run(made, tmp_path / name, TINY, 1.0) for name in "ab")
    a.run.write_recipe(scheduled(32))
    b.run.write_recipe(replace(scheduled(64), loss=Hinge(), seed=4, keep=5))
    assert ranking.differences([a, b]) == [
        ("loss", ["NonSaturating()", "Hinge()"]),
        ("images", ["32", "64"]),
        ("seed", ["0", "4"]),
    ]


def test_the_page_has_it_all_and_needs_nothing(made: Path, tmp_path: Path) -> None:
    a = a_run(made, tmp_path / "a", TINY, 1.0)
    b = a_run(made, tmp_path / "<b>&", replace(TINY, loss=Hinge()), 2.0)
    out = write_comparison([a.run, b.run], tmp_path / "new" / "page.html")
    page = out.read_text()
    assert len(page) < 5_000_000
    assert "<b>&" not in page
    for words in ("What differs in the recipes", "Hinge()", "a is better than &lt;b&gt;&amp;"):
        assert words in page
    assert page.count("<svg") >= 2 + 6 + 1  # samples, curves, intervals
    links = re.findall(r"""(?:src|href)=["']([^"']+)""", page)
    assert links
    assert all(link.startswith(("#", "data:image/")) for link in links)
    assert page == write_comparison([a.run, b.run], tmp_path / "again.html").read_text()


def test_the_command(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = str(a_run(made, tmp_path / "a", TINY, 1.0).run.path)
    b = str(a_run(made, tmp_path / "b", replace(TINY, loss=Hinge()), 2.0).run.path)
    out = tmp_path / "c.html"
    assert main(["compare", a, b, "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "a is better than b" in said
    assert said.splitlines()[-1] == str(out)
    assert out.exists()
    assert main(["compare", a, b, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["schema"], found["command"], found["inputs"]) == (1, "compare", [a, b])
    assert [s["value"] for s in found["scores"]] == [1.0, 2.0]
    assert found["comparisons"][0]["results"][0]["group"] == "a"
    for words, code, line in (
        ([a], 2, "one run alone"),
        ([a, str(tmp_path / "none")], 4, "no run at"),
        ([a, b, "--out", "x.png"], 2, "Fix: --out compare.html"),
    ):
        assert main(["compare", *words]) == code
        printed = capsys.readouterr()
        assert printed.out == ""
        assert line in printed.err


def test_what_is_best_as_the_data_have_it_is_not_ranked(made: Path, tmp_path: Path) -> None:
    a = a_run(made, tmp_path / "a", TINY, 1.0, better="data")
    b = a_run(made, tmp_path / "b", replace(TINY, loss=Hinge()), 2.0, better="data")
    found = verdict(a, b)
    assert not found.ranked
    assert "best as the data have it" in found.verdict
    assert "fid (best as the data have it)" in ranking.as_text([a, b])


def test_equal_data_of_another_name_compare(made: Path, tmp_path: Path) -> None:
    """By their digest; without one the name is all there is."""
    here = {**PROTOCOL, "data_digest": "d", "reference": "folder a, all 20 images"}
    there = {**here, "reference": "folder b, training split", "generator_digest": "other"}
    a = a_run(made, tmp_path / "a", TINY, 1.0, protocol=here)
    b = a_run(made, tmp_path / "b", replace(TINY, loss=Hinge()), 9.0, protocol=there)
    assert verdict(a, b).ranked
    c = a_run(made, tmp_path / "c", TINY, 1.0, protocol={**there, "data_digest": "e"})
    assert "differ in data digest (e / d)" in verdict(c, b).verdict


def test_seeds_count_where_they_were_scored_at_one_length(made: Path, tmp_path: Path) -> None:
    """A seed that stopped early is left out of the mean, and said to be."""
    long = replace(TINY, images=64)
    done = [
        a_run(made, tmp_path / f"s{i}", replace(long, seed=i), v, images=64)
        for i, v in enumerate((1.0, 3.0))
    ]
    short = a_run(made, tmp_path / "s2", replace(long, seed=2), 100.0, images=32)
    found = verdict(*done, short)
    assert found.results[0].values == (1.0, 3.0)
    assert found.notes == ("s2 is left out, scored at 32 images and not at 64",)
    alone = verdict(short, a_run(made, tmp_path / "a", replace(TINY, loss=Hinge()), 9.0))
    assert alone.notes == ("s2 is scored at 32 of its 64 images",)
    said = ranking.as_text([*done, short])
    assert "s2 is left out, scored at 32 images and not at 64" in said
    assert ranking.as_json([*done, short])["comparisons"][0]["notes"] == list(found.notes)


def test_seeds_of_other_protocols_are_no_mean(made: Path, tmp_path: Path) -> None:
    a = a_run(made, tmp_path / "a", TINY, 1.0)
    b = a_run(
        made, tmp_path / "b", replace(TINY, seed=1), 2.0, protocol={**PROTOCOL, "n_fake": 500}
    )
    assert "differ in n fake (2000 / 500)" in verdict(a, b).verdict


def test_an_interval_without_width_is_none(made: Path, tmp_path: Path) -> None:
    """Seeds that agree by chance, or an error of 0: neither shows a difference."""
    hinge = replace(TINY, loss=Hinge())
    seeds = [a_run(made, tmp_path / f"s{i}", replace(TINY, seed=i), 8.0, None) for i in range(2)]
    other = a_run(made, tmp_path / "o", hinge, 7.0, 0.0)
    found = verdict(*seeds, other)
    assert [r.low for r in found.results] == [None, None]
    assert found.verdict.startswith("no difference shown: no interval is known for")
    known = [a_run(made, tmp_path / f"k{i}", replace(TINY, seed=i), 8.0, 0.25) for i in range(2)]
    (result, _) = verdict(*known, other).results
    wanted = result if result.group.startswith("k0") else verdict(*known, other).results[1]
    assert wanted.high - 8 == pytest.approx(1.96 * 0.25 / math.sqrt(2), rel=1e-3)  # pyright: ignore
