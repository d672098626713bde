"""The forecast: bytes counted, time measured, and what cannot fit refused before it starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toys import Pictures

from sparring.data import Npz, Ring
from sparring.errors import DiskError, RecipeError
from sparring.nets import MLP
from sparring.optim import Adam
from sparring.presets import PRESETS
from sparring.recipe import Recipe
from sparring.schedules import Cosine
from sparring.training import forecast, resume, train
from sparring.training.device import Device
from sparring.training.forecast import Alive, Needs, check_disk, check_memory, needs, size
from sparring.training.setup import Setup, open_data
from sparring.tricks import Replay

RING = Recipe(
    data=Ring(), nets=MLP(g_widths=(64,), d_widths=(64,)), batch=32, images=320, precision="fp32"
)
NEED = Needs(np.array([[1000.0, 0.0], [0.0, 10.0]]), checkpoint=500)


def test_bytes_alive_are_counted_once_and_let_go() -> None:
    with Alive() as alive:
        a = torch.zeros(1000)
        assert (alive.now, alive.peak) == (4000, 4000)
        b = a + 1
        views = b.view(10, 100), b[3], b.add_(1)
        assert (alive.now, alive.peak) == (8000, 8000)
        del a
        assert (alive.now, alive.peak) == (4000, 8000)
        c = torch.zeros(500, dtype=torch.float64)
        assert (alive.now, alive.peak) == (8000, 8000)
        del b, c, views
    assert alive.now == 0


def test_what_the_gradient_keeps_is_alive() -> None:
    x = torch.zeros(1000, requires_grad=True)
    with Alive() as alive:
        y = x.exp()  # kept for the gradient
        z = y.sin()  # keeps y
        del y
        assert alive.now == 8000
        del z
        assert alive.now == 0


@pytest.mark.parametrize(("name", "error"), [("gan", 0.03), ("fast", 0.12)])
def test_two_small_steps_tell_a_large_one(name: str, error: float, tmp_path: Path) -> None:
    made = Pictures.write(tmp_path / "a.npz", (40, 32, 32, 1))
    data = Npz(path=made.path)
    recipe = replace(PRESETS[name](), data=data, held_out=0, precision="fp32", metrics=())
    recipe, material = open_data(replace(recipe, batch=64))
    device = Device("cpu")
    need = needs(recipe, material, device)
    with torch.random.fork_rng(devices=[]), Alive() as alive:
        setup = Setup(replace(recipe, batch=256), material, device)
        for _ in range(2):
            setup.advance(0)
    assert need.memory(256) == pytest.approx(forecast._BEYOND * alive.peak, rel=error)


def test_a_pool_that_holds_the_batch_is_enough(tmp_path: Path) -> None:
    """To see how memory grows steps of three batches are counted too, and they need not fit it."""
    made = Pictures.write(tmp_path / "a.npz", (40, 16, 16, 1))
    recipe = replace(PRESETS["gan"](), data=Npz(path=made.path), held_out=0, metrics=())
    recipe = replace(recipe, tricks=(Replay(size=4),), batch=4)
    recipe, material = open_data(recipe)
    need = needs(recipe, material, Device("cpu"))
    assert 0 < need.memory(4) < need.memory(8)
    with pytest.raises(RecipeError, match="pool must hold at least one batch, which is 5"):
        needs(replace(recipe, batch=5), material, Device("cpu"))


def test_the_size_of_a_checkpoint_is_that_of_its_files(tmp_path: Path) -> None:
    run = train(replace(RING, metrics=()), tmp_path / "run", quiet=True)
    recipe, material = open_data(run.recipe)
    need = needs(recipe, material, Device("cpu"))
    on_disk = sum(f.stat().st_size for f in run.saved()[0].glob("*.safetensors"))
    # Beyond the tensors: a header of names for each file.
    assert need.checkpoint < on_disk < need.checkpoint + 5_000
    assert need.disk(replace(recipe, keep=4)) == 5 * need.checkpoint


def test_counting_leaves_no_trace_in_the_run(tmp_path: Path) -> None:
    """The same weights, whether timed and counted or not; the caller's random numbers stay."""
    torch.manual_seed(3)
    before = torch.get_rng_state()
    heard = train(replace(RING, metrics=()), tmp_path / "heard", quiet=False)
    assert torch.equal(before, torch.get_rng_state())
    quiet = train(replace(RING, metrics=()), tmp_path / "quiet", quiet=True)
    assert heard.weights.read_bytes() == quiet.weights.read_bytes()


def test_a_batch_too_large_is_refused_with_the_largest_that_fits() -> None:
    free = NEED.memory(200)
    check_memory(replace(RING, batch=200), NEED, free)
    with pytest.raises(RecipeError, match=r"a batch of 201 does not fit.*Fix: --batch 200$"):
        check_memory(replace(RING, batch=201), NEED, free)
    with pytest.raises(RecipeError, match="smaller networks"):
        check_memory(RING, NEED, 10)


def test_a_disk_too_small_is_refused(tmp_path: Path) -> None:
    recipe = replace(RING, keep=2)
    there = tmp_path / "not" / "yet"
    assert check_disk(recipe, NEED, there, free=1500) == 1500
    with pytest.raises(DiskError, match=r"3 of 500 bytes are there at a time, 1.5 kB are free"):
        check_disk(recipe, NEED, there, free=1499)
    assert check_disk(recipe, NEED, there) > 0


def test_a_peak_is_that_of_another_moment_for_another_batch() -> None:
    need = Needs(forecast._lines([[100 + 7 * b, 11 * b] for b in (8, 24)], 8), checkpoint=0)
    assert need.memory(10) == round(1.7 * 170)
    assert need.memory(100) == round(1.7 * 1100)
    assert forecast._lines([[1, 5], [13]], 4).tolist() == [[1.0], [1.0]]


@pytest.mark.parametrize(
    ("limit", "error", "match"),
    [("room", RecipeError, "does not fit in memory"), ("disk_usage", DiskError, "do not fit")],
)
def test_nothing_is_made_for_a_run_that_cannot_be(
    limit: str, error: type[Exception], match: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        free = 1000

    answer = 1000 if limit == "room" else Full()
    monkeypatch.setattr(forecast, limit, lambda *_: answer)
    with pytest.raises(error, match=match):
        train(RING, tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def counting(monkeypatch: pytest.MonkeyPatch, answer: Callable[..., float]) -> list[Any]:
    """Calls of `measure`, answered by a function instead of a clock."""
    calls: list[Any] = []

    def measure(recipe: Recipe, *more: Any) -> float:
        calls.append((recipe, *more))
        return answer(recipe, *more)

    monkeypatch.setattr(forecast, "measure", measure)
    return calls


def test_a_gpu_out_of_memory_is_told_the_largest_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure(recipe: Recipe, *_: Any) -> float:
        if recipe.batch > 21:
            raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate")
        return 100.0

    calls = counting(monkeypatch, measure)
    with pytest.raises(RecipeError, match=r"batch of 64 .*CUDA out of memory. Fix: --batch 21$"):
        train(replace(RING, batch=64), tmp_path / "run")
    assert len(calls) == 1 + 6
    assert not (tmp_path / "run").exists()


def test_nothing_is_timed_twice_or_for_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(RING, metrics=())
    calls = counting(
        monkeypatch, lambda recipe, m, d, precision, s: {"fp32": 9, "bf16": 8}[precision]
    )
    train(recipe, tmp_path / "a", quiet=True)
    assert calls == []
    train(recipe, tmp_path / "b", quiet=False)
    assert [c[3] for c in calls] == ["fp32"]
    made = Pictures.write(tmp_path / "a.npz")
    recipe = replace(recipe, data=Npz(path=made.path), held_out=0, precision="auto")
    run = train(recipe, tmp_path / "c", minutes=1, quiet=True)
    assert [c[3] for c in calls] == ["fp32", *["fp32", "bf16"] * 3]
    assert run.recipe.precision == "fp32"
    assert run.recipe.images == 480  # 0.9 * 9 images/s * 60 s, in whole batches
    log = (tmp_path / "b" / "train.log").read_text()
    assert "time: about 0:36 for 320 images at 9 img/s" in log


def test_a_busy_moment_does_not_shorten_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speeds = iter([5.0, 100.0, 7.0])
    counting(monkeypatch, lambda *_: next(speeds))
    run = train(replace(RING, metrics=()), tmp_path / "run", minutes=0.1, quiet=True)
    assert run.recipe.images == 544  # 0.9 * 100 images/s * 6 s, in whole batches


def test_a_run_that_took_far_from_its_minutes_says_so() -> None:
    recipe = replace(RING, images=600)
    for fine in (41.0, 60.0, 79.0):
        assert not forecast.astray(recipe, 1.0, fine)
    assert not forecast.astray(recipe, 0.1, 1.0)  # a few seconds are no matter
    (early,) = forecast.astray(recipe, 1.0, 15.0)
    assert early.startswith("time: 0:15 of the 1:00 asked for, as the machine was slower")
    assert early.endswith("--images 2400 would take about that long")
    (late,) = forecast.astray(recipe, 1.0, 120.0)
    assert late.startswith("time: 2:00 of the 1:00 asked for, as the machine was faster")
    assert late.endswith("--images 300 would take about that long")


def test_such_a_run_ends_with_that_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counting(monkeypatch, lambda *_: 1.0)
    run = train(replace(RING, metrics=()), tmp_path / "run", minutes=1, quiet=True)
    last = run.log.read_text().splitlines()[-1]
    assert " of the 1:00 asked for, as the machine was slower when it was timed" in last


def test_schedules_end_with_the_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counting(monkeypatch, lambda *_: 100.0)
    optim = Adam(schedule=Cosine())
    recipe = replace(RING, metrics=(), g_optim=optim, images=10**6, sample_every=1000)
    run = train(recipe, tmp_path / "run", minutes=0.1, quiet=True)
    assert run.recipe.images == 544
    assert run.recipe.g_optim.schedule == Cosine(images=544)
    assert run.recipe.sample_every == 1000
    assert run.recipe.checkpoint_every == 54
    assert not resume(run.path, images=576, quiet=True).findings()


def test_timing_takes_a_small_part_of_a_short_run(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[int] = []
    advance = Setup.advance
    monkeypatch.setattr(Setup, "advance", lambda self, n: steps.append(n) or advance(self, n))
    recipe, material = open_data(replace(RING, images=32 * 100))
    speed = forecast.measure(recipe, material, Device("cpu"), "fp32", 1000.0)
    assert steps == list(range(3 + 5))
    assert speed > 0


def test_the_forecast_is_said_and_close(tmp_path: Path) -> None:
    run = train(replace(RING, metrics=()), tmp_path / "run", quiet=False)
    log = run.log.read_text()
    assert "memory: " in log
    assert " free; disk: " in log
    assert "time: about " in log


@pytest.mark.parametrize(
    ("number", "text"),
    [(12, "12 bytes"), (1500, "1.5 kB"), (4_868_846, "4.87 MB"), (21.34e9, "21.3 GB")],
)
def test_sizes_as_one_reads_them(number: float, text: str) -> None:
    assert size(number) == text
