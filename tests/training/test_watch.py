"""Who looks on: watchers, and the loggers with their real packages, offline."""

from __future__ import annotations

import io
import json
import math
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from toys import Pictures

from sparring.cli import main
from sparring.data import Npz, Ring
from sparring.errors import RecipeError
from sparring.metrics import Metric, ModeCoverage, Pixels
from sparring.nets import MLP
from sparring.recipe import Recipe
from sparring.runs import Run
from sparring.training import Stopped, resume, train, watch
from sparring.training.terminal import Terminal, describe, left, spark
from sparring.training.watch import Careful, Watcher, loggers

TINY = Recipe(
    nets=MLP(g_widths=(8,), d_widths=(8,)),
    batch=8,
    images=64,
    held_out=0,
    precision="fp32",
    metrics=(),
    sample_every=32,
    checkpoint_every=32,
)


class Notes(Watcher):
    """Writes down all it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    def begin(self, run: Run, images: int) -> None:
        self.heard.append(("begin", images))

    def tick(self, row: dict[str, Any]) -> None:
        self.heard.append(("tick", row["images"]))

    def sample(self, images: int, x: Tensor, file: Path) -> None:
        assert file.exists()
        self.heard.append(("sample", images, tuple(x.shape)))

    def score(self, row: dict[str, Any]) -> None:
        self.heard.append(("score", row["images"], row["metric"]))

    def end(self, run: Run) -> None:
        self.heard.append(("end",))


@pytest.fixture
def pictures(tmp_path: Path) -> Recipe:
    """A recipe on 16 x 16 grey images."""
    made = Pictures.write(tmp_path / "a.npz")
    return replace(TINY, data=Npz(path=made.path))


def test_a_watcher_hears_of_everything_in_order(tmp_path: Path) -> None:
    notes = Notes()
    recipe = replace(TINY, data=Ring(), metrics=(ModeCoverage(),))
    run = train(recipe, tmp_path / "run", watch=[notes], quiet=True)
    names = [h[0] for h in notes.heard]
    assert notes.heard[:2] == [("begin", 0), ("sample", 0, (2000, 2))]
    assert names[-1] == "end"
    assert [h[1] for h in notes.heard if h[0] == "tick"] == [r["images"] for r in run.stats()]
    assert [h[1] for h in notes.heard if h[0] == "sample"] == [0, 32, 64]
    scored = [(r["images"], r["metric"]) for r in run.scores()]
    assert [h[1:] for h in notes.heard if h[0] == "score"] == scored != []
    again = Notes()
    resume(run.path, images=96, watch=[again], quiet=True)
    assert again.heard[0] == ("begin", 64)


def test_a_watcher_that_raises_ends_training_and_the_others_hear_of_the_end(
    tmp_path: Path,
) -> None:
    class Stop(Watcher):
        def tick(self, row: dict[str, Any]) -> None:
            raise KeyError("enough")

    notes = Notes()
    with pytest.raises(KeyError, match="enough"):
        train(replace(TINY, data=Ring()), tmp_path / "run", watch=[notes, Stop()], quiet=True)
    assert notes.heard[-1] == ("end",)


def test_a_logger_that_fails_is_said_once_and_never_stops_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(Notes):
        def tick(self, row: dict[str, Any]) -> None:
            super().tick(row)
            raise OSError("the server\nis gone")

    broken = Broken()
    monkeypatch.setattr("sparring.training.start.loggers", lambda names: [broken])
    run = train(replace(TINY, data=Ring()), tmp_path / "run", logger=["any"], quiet=True)
    assert run.stats()[-1]["images"] == 64
    said = [row for row in run.log.read_text().splitlines() if "warning" in row]
    assert said == [
        "warning: Broken has failed and gets no more; training goes on: OSError: the server is gone"
    ]
    assert [h[0] for h in broken.heard].count("tick") == 1


def test_an_interrupt_is_no_failure_of_a_logger() -> None:
    class Impatient(Watcher):
        def tick(self, row: dict[str, Any]) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Careful(Impatient(), print).tick({})


def test_names_of_loggers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert loggers([]) == []
    assert [type(x).__name__ for x in loggers(["wandb", "tensorboard", "wandb"])] == [
        "WandB",
        "TensorBoard",
    ]
    with pytest.raises(RecipeError, match="did you mean 'tensorboard'"):
        loggers(["tensorbord"])
    monkeypatch.setattr(watch.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RecipeError, match="pip install wandb"):
        loggers(["wandb"])


def test_loggers_are_no_part_of_the_recipe(pictures: Recipe, tmp_path: Path) -> None:
    plain = train(pictures, tmp_path / "plain", quiet=True)
    logged = train(pictures, tmp_path / "logged", logger=["tensorboard"], quiet=True)
    assert (plain.path / "recipe.py").read_bytes() == (logged.path / "recipe.py").read_bytes()
    assert plain.weights.read_bytes() == logged.weights.read_bytes()
    assert not (plain.path / "tensorboard").exists()


# ------------------------------------------------------------------------------------ real packages


def test_tensorboard_holds_the_scalars_the_grids_and_the_recipe(
    pictures: Recipe, tmp_path: Path
) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = train(pictures, tmp_path / "run", logger=["tensorboard"], quiet=True)
    score = {"images": 64, "metric": "m", "value": 1.5}
    logger = watch.TensorBoard()
    logger.begin(run, 64)
    logger.score(score)
    logger.score({**score, "value": None})
    logger.end(run)
    events = EventAccumulator(str(run.path / "tensorboard"), size_guidance={"images": 0})
    events.Reload()
    for column in ("d_loss", "g_loss", "img_per_s"):
        written = [(e.step, e.value) for e in events.Scalars(f"train/{column}")]
        rows = [(r["images"], pytest.approx(r[column], rel=1e-6)) for r in run.stats()]
        assert written == rows
    grids = events.Images("samples")
    assert [g.step for g in grids] == [0, 32, 64]
    for event, file in zip(grids, sorted(run.samples.iterdir()), strict=True):
        with Image.open(io.BytesIO(event.encoded_image_string)) as a, Image.open(file) as b:
            assert np.array_equal(np.asarray(a.convert("RGB")), np.asarray(b.convert("RGB")))
    text = events.Tensors("recipe/text_summary")[0].tensor_proto.string_val[0].decode()
    assert str(run.recipe) in text
    assert [(e.step, e.value) for e in events.Scalars("score/m")] == [(64, 1.5)]


def test_tensorboard_takes_points_and_forgets_what_a_crash_left(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = train(replace(TINY, data=Ring()), tmp_path / "run", quiet=True)
    for start, value in ((0, 1.0), (64, 2.0)):
        logger = watch.TensorBoard()
        logger.begin(run, start)
        for images in (start + 64, start + 128):
            logger.tick({"images": images, "d_loss": value})
        logger.sample(start, torch.zeros(10, 2), Path("unused.npy"))
        logger.end(run)
    events = EventAccumulator(str(run.path / "tensorboard"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("train/d_loss")] == [
        (64, 1.0),
        (128, 2.0),
        (192, 2.0),
    ]
    assert set(events.Tags()["histograms"]) == {"samples/x1", "samples/x2"}


def test_wandb_works_offline_without_an_account(
    pictures: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb = pytest.importorskip("wandb")
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    made: list[Any] = []
    init = wandb.init

    def spy(**options: Any) -> Any:
        made.append((options, init(**options)))
        return made[-1][1]

    logged: list[dict[str, Any]] = []
    log = wandb.Run.log

    def listen(self: Any, data: dict[str, Any], *more: Any, **options: Any) -> None:
        logged.append(data)
        log(self, data, *more, **options)

    monkeypatch.setattr(wandb, "init", spy)
    monkeypatch.setattr(wandb.Run, "log", listen)
    run = train(pictures, tmp_path / "run", logger=["wandb"], quiet=True)
    (options, handle) = made[0]
    assert options["mode"] == "offline"
    assert handle.config["recipe"] == str(run.recipe)
    assert handle.config["batch"] == "8"
    assert "warning" not in run.log.read_text()
    losses = [(row["images"], row["train/d_loss"]) for row in logged if "train/d_loss" in row]
    assert losses == [(r["images"], r["d_loss"]) for r in run.stats()]
    assert [row["images"] for row in logged if "samples" in row] == [0, 32, 64]
    (folder,) = (run.path / "wandb").glob("offline-run-*")
    (file,) = folder.glob("run-*.wandb")
    assert handle.id in file.name
    deadline = time.monotonic() + 30  # a process of its own writes it
    while b"train/d_loss" not in file.read_bytes() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert b"train/d_loss" in file.read_bytes()
    assert len(list(folder.rglob("*.png"))) == 3
    resume(run.path, images=96, logger=["wandb"], quiet=True)
    assert made[1][1].id == handle.id
    assert "warning" not in run.log.read_text()


def test_an_account_is_known_by_its_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    assert not watch._account()
    (tmp_path / ".netrc").write_text("machine api.wandb.ai login user password 0")
    (tmp_path / ".netrc").chmod(0o600)
    assert watch._account()
    (tmp_path / ".netrc").unlink()
    monkeypatch.setenv("WANDB_API_KEY", "0")
    assert watch._account()


# ------------------------------------------------------------------------------------- the terminal


def test_a_spark_shows_the_course() -> None:
    assert spark([0, 1, 2, 3, 4, 5, 6, 7]) == "▁▂▃▄▅▆▇█"
    assert spark([7, 0]) == "█▁"
    assert spark([2.0, 2.0]) == "▄▄"
    assert spark([1, math.nan, 2, math.inf]) == "▁ █ "
    assert spark([]) == ""


def test_scoring_is_said_while_it_takes_long(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line at once, another ten seconds later; none where one is quiet, none in the log."""
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    for quiet in (False, True):
        with Terminal(tmp_path / "log.txt", 640, quiet=quiet) as terminal:
            for now in (100.0, 105.0, 111.0):
                terminal.scoring("inception", int(now), 2048)
            now = 122.0
            terminal.scoring("inception", 122, 0)
        said = capsys.readouterr().err.splitlines()
        assert said == (
            []
            if quiet
            else [
                "scoring: inception features of 100 of 2,048 images",
                "scoring: inception features of 111 of 2,048 images, 32:17 left",
                "scoring: inception features of 122 images",
            ]
        )
    assert not (tmp_path / "log.txt").exists()


def test_the_end_of_a_run_says_that_it_is_scored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "ring", "--images", "640", "--batch", "64", "--evaluate-every", "320"]
    assert main([*words, "--out", str(tmp_path / "run")]) == 0
    lines = capsys.readouterr().err.splitlines()
    said = [line for line in lines if line.startswith("scoring by")]
    assert said == ["scoring by ModeCoverage; Ctrl-C leaves it out"]


class WatchedFeatures(Metric):
    """Asks to stop, as Ctrl-C does, while it makes features."""

    def score(self, real, fake, n=None):
        extractor = Pixels().open(real)
        for _ in extractor.stream(fake.take(64), 64):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.05)
            list(extractor.stream(fake.take(64), 64))
        return []


@pytest.mark.parametrize("every", [0, 32])
def test_who_asks_to_stop_while_it_is_scored_gets_no_scores(every, tmp_path: Path) -> None:
    """At the end the run is whole, with its report; in the middle it stops and can go on."""
    data = Npz(path=Pictures.write(tmp_path / "data.npz").path)
    recipe = Recipe(data=data, nets=MLP(), batch=16, images=64, precision="fp32")
    recipe = replace(recipe, metrics=(WatchedFeatures(), WatchedFeatures()), evaluate_every=every)
    run = Run(tmp_path / "run")
    if every:
        with pytest.raises(Stopped, match="stopped after 48 images, all saved"):
            train(recipe, run.path, quiet=True)
    else:
        train(recipe, run.path, quiet=True)
        assert run.saved()[0].name == "000000064"
    assert "scores left out: sparring evaluate" in run.log.read_text()
    assert run.scores() == []


def test_what_is_left_counts_pauses() -> None:
    row = {"images": 100, "seconds": 10.0, "img_per_s": 20.0}
    assert left([row], 300) == 10.0  # 200 images at 20 a second
    later = {"images": 200, "seconds": 30.0, "img_per_s": 20.0}
    assert left([row, later], 300) == 20.0  # 100 images at the 5 a second of both rows
    assert left([row, row], 300) == 10.0
    assert left([{**row, "img_per_s": 0.0}], 300) == 0.0


def test_a_line_draws_the_losses_when_there_is_room() -> None:
    rows = [
        {
            "images": 8 * i,
            "seconds": float(i),
            "img_per_s": 8.0,
            "d_loss": float(i),
            "g_loss": -float(i),
            "d_acc_real": 0.5,
            "d_acc_fake": 1.0,
        }
        for i in range(1, 4)
    ]
    assert describe(rows, 80) == (
        "8 img/s  0:07 left  D 3.000  G -3.000  D right on real 50%, fake 100%"
    )
    assert "D ▁▄█ 3.000  G █▄▁ -3.000" in describe(rows, 80, drawn=14).replace("▅", "▄")
    assert "D ▁█ 3.000" in describe(rows, 80, drawn=2)
    assert json.dumps(describe(rows, 80)).isascii()
