"""`--devices 2`: two processes of the command line that train one run together."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.testing import assert_close

from sparring.cli import main
from sparring.runs import Run

WORDS = ["ring", "--batch", "32", "--device", "cpu", "--metrics", "none", "--quiet"]


def two(*words: str, **options) -> subprocess.Popen[str]:
    """The command as two processes of one thread."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "sparring", *words, "--devices", "2"]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, env=environment, stdout=pipe, stderr=pipe, text=True, **options
    )


def test_two_processes_write_what_one_would(tmp_path: Path) -> None:
    words = [*WORDS, "--images", "640", "--tricks", "R1"]
    assert main(["train", *words, "--out", str(tmp_path / "one")]) == 0
    process = two("train", *words, "--out", str(tmp_path / "two"))
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert out.splitlines() == [str(tmp_path / "two")]
    assert err == ""
    one, other = Run(tmp_path / "one"), Run(tmp_path / "two")
    assert_close(load_file(other.weights), load_file(one.weights), rtol=1e-4, atol=1e-6)
    assert [r["images"] for r in other.stats()] == [r["images"] for r in one.stats()]
    for mine, theirs in zip(one.stats(), other.stats(), strict=True):
        assert theirs["d_loss"] == pytest.approx(mine["d_loss"], rel=1e-4)
        assert theirs["d_acc_real"] == pytest.approx(mine["d_acc_real"], abs=1e-6)
    assert other.report.exists()


def test_every_process_keeps_its_old_fakes(tmp_path: Path) -> None:
    """Stopped and resumed with Replay, of which each process has a pool of its own."""
    more = ["--images", "640", "--checkpoint-every", "320", "--tricks", "Replay(size=64)"]
    run, other = Run(tmp_path / "run"), Run(tmp_path / "other")
    process = two("train", *WORDS, *more, "--out", str(run.path))
    assert process.communicate(timeout=120)[1] == ""
    shutil.copytree(run.path, other.path)
    last, middle = other.saved()[:2]
    pools = [load_file(middle / f"{name}.safetensors") for name in ("tricks", "tricks_1")]
    assert pools[0].keys() == pools[1].keys()
    assert any(not torch.equal(pools[0][k], pools[1][k]) for k in pools[0])
    shutil.rmtree(last)
    process = two("resume", str(other.path), "--device", "cpu", "--quiet")
    assert process.communicate(timeout=120)[1] == ""
    for name in ("G", "D", "tricks", "tricks_1"):
        mine, theirs = (load_file(r.saved()[0] / f"{name}.safetensors") for r in (run, other))
        assert all(torch.equal(mine[k], theirs[k]) for k in mine), name


@pytest.mark.slow
def test_two_processes_stop_together_and_go_on(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    process = two("train", *WORDS, "--images", "8000000", "--out", str(run.path))
    deadline = time.monotonic() + 90
    while not run.stats() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 75, err
    assert len(err.splitlines()) == 1
    assert "all saved" in err
    seen = int(run.saved()[0].name)
    process = two("resume", str(run.path), "--images", str(seen + 320), "--quiet")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert run.stats()[-1]["images"] >= seen + 320


def test_devices_that_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *WORDS, "--devices", "0", "--out", str(tmp_path / "run")]) == 2
    assert "--devices must be at least 1" in capsys.readouterr().err
    assert main(["train", *WORDS, "--devices", "3", "--out", str(tmp_path / "run")]) == 2
    assert "3 processes cannot share a batch of 32" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
