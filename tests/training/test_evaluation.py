"""Scores while training: when they come, what is kept, what never stops a run."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any, Literal

import pytest
import torch

import sparring
from sparring.cli import main
from sparring.data import Ring
from sparring.errors import DataError, RunError
from sparring.metrics import Fake, Metric, ModeCoverage, Real, Score
from sparring.nets import MLP
from sparring.recipe import Recipe
from sparring.runs import Run
from sparring.storage import read_lines

PLAN: list[Any] = []


class ToyPlanned(Metric):
    """The next of the planned values, whatever the samples are."""

    def score(self, real: Real, fake: Fake, n: int | None = None) -> list[Score]:
        return [Score("toy-planned", PLAN.pop(0))]


class ToyFails(Metric):
    """Cannot be computed, in a foreseen or unforeseen way."""

    foreseen: bool = True

    def score(self, real: Real, fake: Fake, n: int | None = None) -> list[Score]:
        raise DataError("no such thing") if self.foreseen else ZeroDivisionError("oh")


def train(out: Path, values: list[Any], *more: Metric, **changes: Any) -> Run:
    PLAN[:] = values
    recipe = Recipe(
        data=Ring(),
        nets=MLP(g_widths=(8,), d_widths=(8,), latent=2),
        metrics=(ToyPlanned(), *more),
        batch=16,
        images=64,
        evaluate_every=16,
        precision="fp32",
        ema=16,
    )
    return sparring.train(dataclasses.replace(recipe, **changes), out)


def test_the_best_and_the_last_are_both_kept_and_reported(tmp_path, capsys) -> None:
    run = train(tmp_path / "run", [5, 2, 3, 4])
    assert [(r["images"], r["value"]) for r in run.scores()] == [(16, 5), (32, 2), (48, 3), (64, 4)]
    assert run.best_score() == {"images": 32, "metric": "toy-planned", "value": 2}
    best, last = sparring.load(run, best=True), sparring.load(run)
    assert (best.images, last.images) == (32, 64)
    assert not torch.equal(best.sample(5), last.sample(5))
    assert "the best was toy-planned 2 at 32 images" in run.log.read_text()
    assert main(["evaluate", str(run.path), "--metrics", "ModeCoverage(n=50)"]) == 0
    assert "best while training: toy-planned 2 at 32 images" in capsys.readouterr().out
    assert main(["evaluate", str(run.path), "--best", "--metrics", "ModeCoverage(n=50)"]) == 0
    assert run.scores()[-1]["images"] == 32
    assert run.scores()[-1]["protocol"]["images"] == 32


def test_higher_is_better_where_the_metric_says_so(tmp_path) -> None:
    class ToyRising(ToyPlanned):
        """The planned values, the higher the better."""

        def score(self, real: Real, fake: Fake, n: int | None = None) -> list[Score]:
            (score,) = super().score(real, fake, n)
            return [dataclasses.replace(score, better="higher")]

    run = train(tmp_path / "run", [1, 7, float("nan"), 3], metrics=(ToyRising(),))
    assert run.best_score() == {"images": 32, "metric": "toy-planned", "value": 7}


class ToyNamed(Metric):
    """A planned value under a name, skipped where None is planned."""

    name: str = "first"
    better: Literal["lower", "higher", "data"] = "lower"

    def score(self, real: Real, fake: Fake, n: int | None = None) -> list[Score]:
        value = PLAN.pop(0)
        if value is None:
            raise DataError("not now")
        return [Score(self.name, value, better=self.better)]


def test_one_score_decides_which_is_best_and_it_never_changes(tmp_path) -> None:
    """The first that has a direction; where it is skipped, that evaluation keeps nothing."""
    first, second = ToyNamed(), ToyNamed(name="second")
    none = ToyNamed(name="neither", better="data")
    values = [0, 5, 90, 0, 4, 91, 0, None, 1, 0, 6, 0]
    run = train(tmp_path / "run", values, metrics=(none, first, second))
    assert run.best_score() == {"images": 32, "metric": "first", "value": 4}
    run = train(tmp_path / "other", [None, 9, 1, 8, 2, 7, 3, 8], metrics=(first, second))
    assert run.best_score() == {"images": 48, "metric": "second", "value": 7}
    assert train(tmp_path / "no", [0, 0, 0, 0], metrics=(none,)).best_score() is None


def test_a_best_generator_of_steps_that_are_done_again_is_forgotten(tmp_path) -> None:
    changes = {"checkpoint_every": 32, "keep": 5}
    run = train(tmp_path / "run", [5, 4, 1, 3], **changes)
    assert run.best_score() == {"images": 48, "metric": "toy-planned", "value": 1}
    shutil.rmtree(run.saved()[0])
    PLAN[:] = [3, 2]
    sparring.resume(run)
    assert run.best_score() == {"images": 64, "metric": "toy-planned", "value": 2}
    run = train(tmp_path / "damaged", [5, 4, 1, 3], **changes)
    shutil.rmtree(run.saved()[0])
    run.best.write_bytes(b"cut off")
    PLAN[:] = [3, 2]
    sparring.resume(run)
    assert run.best_score() == {"images": 64, "metric": "toy-planned", "value": 2}
    run = train(tmp_path / "early", [1, 4, 5, 3], **changes)
    shutil.rmtree(run.saved()[0])
    PLAN[:] = [3, 2]
    sparring.resume(run)
    assert run.best_score() == {"images": 16, "metric": "toy-planned", "value": 1}


def test_one_evaluation_at_the_end_keeps_no_second_file(tmp_path) -> None:
    run = train(tmp_path / "run", [5], evaluate_every=0)
    assert run.best_score() is None
    with pytest.raises(RunError, match="--evaluate-every"):
        sparring.load(run, best=True)


def test_a_run_that_was_not_scored_is_scored_when_asked(tmp_path) -> None:
    """By the metrics that fit the data, as its report promises."""
    run = train(tmp_path / "run", [], metrics=(), evaluate_every=0)
    assert not run.scores()
    rows, _ = sparring.evaluate(run, n=64)
    assert "modes" in {row["metric"] for row in rows}


def test_a_metric_that_fails_is_written_down_and_stops_nothing(tmp_path) -> None:
    run = train(tmp_path / "run", [1, 2, 3, 4], ToyFails(), ToyFails(foreseen=False))
    missed = read_lines(run.path / "skipped.jsonl")
    assert [(r["images"], r["metric"], r["reason"]) for r in missed[:2]] == [
        (16, "ToyFails", "no such thing"),
        (16, "ToyFails", "ZeroDivisionError: oh"),
    ]
    assert len(missed) == 8
    assert len(run.scores()) == 4


def test_the_protocol_changes_with_everything_it_names(tmp_path) -> None:
    """Another seed, other data, another number of samples or rule: another text."""
    from sparring.metrics import in_words
    from sparring.sample.evaluate import fakes

    model = sparring.load(train(tmp_path / "run", [1, 2, 3, 4]))
    real = Real("ring", points=Ring().open())

    def text(metric: Metric | None = None, against: Real = real, seed: int = 0) -> str:
        metric = metric or ModeCoverage(n=50)
        return in_words(metric.score(against, fakes(model, seed))[0].protocol)

    texts = [
        text(),
        text(seed=1),
        text(ModeCoverage(n=51)),
        text(ModeCoverage(n=50, sigmas=4)),
        text(against=Real("ring", points=Ring(modes=9).open())),
        text(against=Real("other", points=real.points)),
    ]
    assert text() == texts[0]
    assert len(set(texts)) == len(texts)
