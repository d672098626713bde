"""What can befall a run folder: damage, a full disk, a kill in the middle, a second process."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toys import ToyOrigin, flip_a_bit, toy

from sparring import storage
from sparring.errors import DiskError, DivergedError, RunError
from sparring.losses import LeastSquares
from sparring.optim import SGD
from sparring.runs import Run, read_checkpoint
from sparring.training import resume, train


def weights(run: Run) -> dict[str, torch.Tensor]:
    return read_checkpoint(run.saved()[0])[0]["G"]


def assert_whole(run: Run, whole: Run) -> None:
    """The run has arrived where the undisturbed one did."""
    assert run.saved()[0].name == "000000080"
    for name, t in weights(whole).items():
        assert torch.equal(t, weights(run)[name])
    assert [r["images"] for r in run.stats()] == list(range(8, 81, 8))
    assert [r["d_loss"] for r in run.stats()] == [r["d_loss"] for r in whole.stats()]
    leftovers = [p for p in run.path.rglob("*") if p.name.endswith(".tmp")]
    assert leftovers == []


def test_keep_is_the_number_of_checkpoints(runs):
    whole, stopped = runs
    assert [p.name for p in whole.saved()] == ["000000080", "000000064", "000000048"]
    assert [p.name for p in stopped.saved()] == ["000000048", "000000032", "000000016"]
    state = read_checkpoint(stopped.saved()[0])[1]
    assert (state["step"], state["images"]) == (6, 48)


def test_a_billion_images_come_after_fewer(tmp_path):
    for name in ("999999999", "1000000000", "000000000"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    assert [p.name for p in Run(tmp_path).saved()] == ["1000000000", "999999999", "000000000"]


# ----------------------------------------------------------------------------------------- damage

DAMAGE = {
    "a flipped bit in G": lambda c: flip_a_bit(c / "G.safetensors"),
    "a flipped bit in an optimiser": lambda c: flip_a_bit(c / "d_optim.safetensors"),
    "a flipped bit in the state": lambda c: flip_a_bit(c / "state.json"),
    "a flipped bit in the manifest": lambda c: flip_a_bit(c / "manifest.json"),
    "a truncated file": lambda c: os.truncate(c / "ema_G.safetensors", 100),
    "an empty file": lambda c: os.truncate(c / "D.safetensors", 0),
    "a missing file": lambda c: (c / "tricks.safetensors").unlink(),
    "no manifest": lambda c: (c / "manifest.json").unlink(),
    "an empty manifest": lambda c: os.truncate(c / "manifest.json", 0),
    "a manifest of nothing": lambda c: (c / "manifest.json").write_text('{"sha256": {}}'),
    "a manifest that is no object": lambda c: (c / "manifest.json").write_text("[]"),
    "a manifest of a number": lambda c: (c / "manifest.json").write_text('{"sha256": 3}'),
    "a manifest that is no text": lambda c: (c / "manifest.json").write_bytes(b"\xff\xfe"),
    "an empty folder": lambda c: [p.unlink() for p in c.iterdir()],
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_checkpoint_is_named_and_an_older_one_used(damage, cut, runs):
    damage(cut.saved()[0])
    resume(cut.path, device="cpu", quiet=True)
    assert_whole(cut, runs[0])
    log = cut.log.read_text()
    assert "warning: checkpoint 000000048: " in log
    assert "resuming" in log
    assert "at 32 images" in log


def test_the_newest_that_verifies_is_used(cut, runs):
    flip_a_bit(cut.saved()[0] / "G.safetensors")
    flip_a_bit(cut.saved()[1] / "D.safetensors")
    resume(cut.path, device="cpu", quiet=True)
    assert_whole(cut, runs[0])
    log = cut.log.read_text()
    assert "checkpoint 000000048: G.safetensors is damaged" in log
    assert "checkpoint 000000032: D.safetensors is damaged" in log


def test_none_that_verifies_is_an_error_naming_each(cut):
    for folder in cut.saved():
        flip_a_bit(folder / "G.safetensors")
    before = {p: p.read_bytes() for p in cut.path.rglob("*") if p.is_file()}
    with pytest.raises(RunError) as caught:
        resume(cut.path, device="cpu", quiet=True)
    assert caught.value.exit_code == 4
    for name in ("000000048", "000000032", "000000016"):
        assert f"{name}: G.safetensors is damaged" in str(caught.value)
    before.pop(cut.path / "lock", None)
    assert all(p.read_bytes() == data for p, data in before.items())


def test_no_checkpoint_at_all(cut):
    shutil.rmtree(cut.checkpoints)
    with pytest.raises(RunError, match="there is none"):
        resume(cut.path, device="cpu", quiet=True)


def test_a_checkpoint_of_another_schema_says_which_version_reads_it(cut):
    folder = cut.saved()[0]
    state = json.loads((folder / "state.json").read_text()) | {"schema": 99, "sparring": "7.8"}
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["sha256"]["state.json"] = storage.write_new(
        folder / "state.json", json.dumps(state).encode()
    )
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(RunError, match=r"sparring 7\.8 wrote it"):
        resume(cut.path, device="cpu", quiet=True)


def test_a_line_that_a_crash_cut_off_is_dropped_and_no_other(cut, runs):
    with open(cut.path / "stats.jsonl", "a") as f:
        f.write('{"images": 56, "d_lo')
    resume(cut.path, device="cpu", quiet=True)
    assert_whole(cut, runs[0])


def test_rows_beyond_the_checkpoint_are_written_anew(cut, runs):
    cut.add("stats", {"images": 56, "d_loss": 1.0})
    cut.add("scores", {"images": 56, "metric": "x"})
    cut.add("scores", {"images": 40, "metric": "x"})
    resume(cut.path, device="cpu", quiet=True)
    assert_whole(cut, runs[0])
    assert cut.scores() == [{"images": 40, "metric": "x"}]


# -------------------------------------------------------------------------- a kill in the middle

KILLED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from sparring import storage
from sparring.training import resume

real, calls = storage.{function}, 0

def kill(*args):
    global calls
    calls += 1
    if calls == {nth}:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*args)

storage.{function} = kill
import sparring.training.checkpoint as checkpoint
if hasattr(checkpoint, {function!r}):
    checkpoint.{function} = kill
resume({run!r}, device="cpu", quiet=True)
"""


@pytest.mark.parametrize(
    ("function", "nth"), [("write_new", 6), ("sync_folder", 4)], ids=["writing", "moving"]
)
def test_kill_9_in_the_middle_of_a_save(function, nth, cut, runs):
    code = KILLED.format(
        tests=str(Path(__file__).parent.parent), run=str(cut.path), function=function, nth=nth
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    saved = [p.name for p in cut.saved()]
    assert "000000048" in saved
    read_checkpoint(cut.saved()[0])  # whatever is there by name is whole
    resume(cut.path, device="cpu", quiet=True)  # and no lock is left behind
    assert_whole(cut, runs[0])


# ---------------------------------------------------------------------------------- a full disk


def full(monkeypatch, after: int):
    """Every fsync beyond the first `after` says that the disk is full."""
    real, calls = os.fsync, []

    def fsync(descriptor):
        calls.append(descriptor)
        if len(calls) > after:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(storage.os, "fsync", fsync)


@pytest.mark.parametrize(
    ("after", "what"),
    [
        (4, "cannot write"),
        (10, "cannot write checkpoint 000000064"),
        (16, "cannot write checkpoint 000000064"),
        (18, "cannot write generator.safetensors"),
    ],
)
def test_a_full_disk_says_what_is_intact_and_leaves_nothing_behind(
    after, what, cut, runs, monkeypatch
):
    full(monkeypatch, after)
    with pytest.raises(DiskError) as caught:
        resume(cut.path, device="cpu", quiet=True)
    assert caught.value.exit_code == 5
    assert "no space left" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert what in str(caught.value)
    if "checkpoint" in what:
        assert "000000048 is intact" in str(caught.value)
    monkeypatch.undo()
    assert not [p for p in cut.path.rglob("*") if p.name.endswith(".tmp")]
    read_checkpoint(cut.saved()[0])
    resume(cut.path, device="cpu", quiet=True)
    assert_whole(cut, runs[0])


def test_a_really_full_disk(tmp_path, runs):
    """The same on a small file system in memory, where the machine lets us mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        return  # not ours to mount: the simulated disk above has to do
    try:
        shutil.copytree(runs[1].path, disk / "run")
        run = Run(disk / "run")
        room = shutil.disk_usage(disk).free
        (disk / "filler").write_bytes(b"x" * (room - 24_000))
        with pytest.raises(DiskError, match="no space left") as caught:
            resume(run.path, images=8_000, device="cpu", quiet=True)
        assert caught.value.exit_code == 5
        assert not [p for p in run.path.rglob("*") if p.name.endswith(".tmp")]
        read_checkpoint(run.saved()[0])
        (disk / "filler").unlink()
        done = resume(run.path, images=run_images(run) + 16, device="cpu", quiet=True)
        read_checkpoint(done.saved()[0])
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def run_images(run: Run) -> int:
    return read_checkpoint(run.saved()[0])[1]["images"]


# ------------------------------------------------------------------------------------- divergence


def test_a_loss_that_is_not_finite_stops_the_run_and_is_never_saved(tmp_path, runs):
    recipe = replace(runs[0].recipe, g_optim=SGD(lr=1e30), d_optim=SGD(lr=1e30))
    with pytest.raises(DivergedError) as caught:
        train(recipe, tmp_path / "run", device="cpu", quiet=True)
    assert caught.value.exit_code == 6
    assert "is not finite after" in str(caught.value)
    assert "Fix: lower the rates" in str(caught.value)
    run = Run(tmp_path / "run")
    assert run.saved()
    for folder in run.saved():
        for tensors in read_checkpoint(folder)[0].values():
            assert all(torch.isfinite(t).all() for t in tensors.values())
    _, _, images = run.load_generator()
    assert images == run_images(run)


def test_a_weight_that_is_not_finite_is_never_saved(tmp_path):
    """One step: its losses are still finite, the weights it leaves are not."""
    # Labels so far off that the gradient times the rate overflows.
    far = LeastSquares(real=1e6)
    recipe = toy(data=ToyOrigin(at=(1.0,)), images=4, loss=far, d_optim=SGD(lr=1e308))
    recipe = replace(recipe, updates="simultaneous")
    with pytest.raises(DivergedError, match="not finite"):
        train(recipe, tmp_path / "run", device="cpu", quiet=True)
    assert [p.name for p in Run(tmp_path / "run").saved()] == ["000000000"]


def test_a_second_interrupt_stops_at_once(tmp_path, runs):
    def tick(row):
        if row["images"] == 24:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(runs[0].recipe, tmp_path / "run", device="cpu", quiet=True, on_tick=tick)
    assert signal.getsignal(signal.SIGINT) is before
    resume(tmp_path / "run", device="cpu", quiet=True)
    assert Run(tmp_path / "run").saved()[0].name == "000000080"
