"""The command line: what it prints where, its exit codes, and one clear line for every mistake."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparring.cli import main
from sparring.presets import preset
from sparring.runs import Run, locked

TINY = ["--images", "256", "--batch", "32", "--precision", "fp32"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on the ring."""
    out = tmp_path_factory.mktemp("runs") / "ring"
    assert main(["train", "ring", *TINY, "--out", str(out), "--quiet"]) == 0
    return out


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of small colour images of different sizes."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(40):
        pixels = rng.integers(0, 256, (36 + i % 5, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


def fails(capsys: pytest.CaptureFixture[str], code: int, *words: str) -> str:
    """The one line that a failing command prints; nothing on standard output."""
    capsys.readouterr()
    assert main(list(words)) == code
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("error: ")
    return lines[0]


# ------------------------------------------------------------------------------------ what works


def test_help_does_not_import_torch() -> None:
    code = (
        "import sys; from sparring.cli import main; main(['--help']); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
    assert "train" in done.stdout


def test_version_and_module() -> None:
    command = [sys.executable, "-m", "sparring", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("sparring 0.")


def test_train_prints_the_folder_last_and_keeps_the_contract(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", str(photos), *TINY, "--size", "32", "--preset", "fast", "--keep", "1"]
    assert main(words) == 0
    out, _ = capsys.readouterr()
    run = Path(out.splitlines()[-1])
    assert run == Path("runs/0001-folder-fast")
    names = {p.name for p in run.iterdir()}
    assert names >= {
        *("recipe.py", "stats.jsonl", "scores.jsonl", "findings.jsonl", "train.log", "samples"),
        *("checkpoints", "generator.safetensors", "report.html"),
    }
    assert [p.name for p in (run / "checkpoints").iterdir()] == ["000000256"]
    assert (run / "samples/000000000.png").exists()
    assert (run / "samples/000000256.png").exists()
    rows = [json.loads(r) for r in (run / "stats.jsonl").read_text().splitlines()]
    assert rows[-1]["images"] == 256
    assert set(rows[-1]) >= {
        *("images", "seconds", "d_loss", "g_loss", "d_acc_real", "d_acc_fake", "d_grad_norm"),
        *("g_grad_norm", "img_per_s", "memory"),
    }


def test_recipe_file_is_the_command(ring: Path) -> None:
    recipe = Run(ring).recipe
    assert recipe.images == 256
    assert recipe.batch == 32
    assert recipe.metrics


def test_flags_override_the_preset(tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ["train", "ring", *TINY, "--out", str(out), "--loss", "least-squares", "--quiet"]
    words += ["--tricks", "R1(gamma=2, every=2)", "instance-noise", "--g-lr", "1e-3"]
    words += ["--updates", "simultaneous", "--d-steps", "2", "--no-share-fakes", "--ema", "0"]
    assert main(words) == 0
    recipe = Run(out).recipe
    assert repr(recipe.loss) == "LeastSquares()"
    assert repr(recipe.tricks[0]) == "R1(every=2, gamma=2.0)"
    assert recipe.g_optim.lr == 1e-3
    assert recipe.d_optim.lr == 2e-4
    assert (recipe.updates, recipe.d_steps, recipe.ema) == ("simultaneous", 2, 0)


def test_tricks_none_empties(tmp_path: Path) -> None:
    words = ["train", *TINY, "--preset", "fast", "--tricks", "none", "--images", "64"]
    words += ["--metrics", "none", "--out", str(tmp_path / "run"), "--quiet"]
    assert main(words) == 0
    assert Run(tmp_path / "run").recipe.tricks == ()


def test_none_stands_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert "leave none out" in fails(capsys, 2, "train", "ring", "--tricks", "none", "R1")


def test_sample_npz_depends_on_seed_and_index_only(ring: Path, tmp_path: Path) -> None:
    for n, name in ((5, "a"), (100, "b")):
        assert main(["sample", str(ring), "--n", str(n), "--out", f"{name}.npz"]) == 0
    a, b = (np.load(f"{name}.npz")["arr_0"] for name in "ab")
    assert a.shape == (5, 2)
    np.testing.assert_array_equal(a, b[:5])


def test_sample_grid_folder_and_morph(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", str(photos), *TINY, "--size", "32", "--preset", "fast", "--out", "run"]
    assert main([*words, "--quiet"]) == 0
    assert main(["sample", "run", "--n", "9", "--out", "grid.png"]) == 0
    with Image.open("grid.png") as picture:
        assert picture.size == (3 * 34 - 2, 3 * 34 - 2)
    assert main(["sample", "run", "--n", "3", "--out", "folder"]) == 0
    assert sorted(p.name for p in Path("folder").iterdir()) == [f"{i:06d}.png" for i in range(3)]
    assert main(["sample", "run", "--n", "3", "--out", "s.npz"]) == 0
    assert np.load("s.npz")["arr_0"].shape == (3, 32, 32, 3)
    assert main(["morph", "run", "--out", "m.gif"]) == 0
    with Image.open("m.gif") as picture:
        assert getattr(picture, "n_frames", 1) > 10
    assert main(["morph", "run", "--out", "m.png"]) == 0
    assert main(["report", "run", "--out", "r.html"]) == 0
    assert "<html" in Path("r.html").read_text()
    for command in ("sample", "morph"):
        says = fails(capsys, 2, command, "run", "--truncation", "0.7")
        assert "no styles to truncate" in says
        assert "--preset stylegan2" in says


def test_truncation(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0 makes one image (the noise maps add nothing yet), 1 leaves all; others have no styles."""
    nets = "StyleGAN2(width=4, latent=4, mapping=2, mixing=0, noise=False)"
    words = ["train", str(photos), *TINY, "--size", "16", "--preset", "stylegan2", "--tricks", "R1"]
    assert main([*words, "--nets", nets, "--out", "run", "--quiet"]) == 0
    made = {}
    for psi in ("0", "0.5", "1", None):
        given = [] if psi is None else ["--truncation", psi]
        assert main(["sample", "run", "--n", "4", "--out", f"{psi}.npz", *given]) == 0
        made[psi] = np.load(f"{psi}.npz")["arr_0"].astype(float)
    assert (made["0"] == made["0"][:1]).all()
    assert (made["1"] == made[None]).all()
    assert 0 < made["0.5"].std(0).sum() < made["1"].std(0).sum()
    assert main(["morph", "run", "--truncation", "0", "--out", "m.png"]) == 0
    with Image.open("m.png") as picture:
        tiles = np.asarray(picture.convert("L"))
    assert (tiles[:16, :16] == tiles[18:34, 36:52]).all()
    assert "1.5 is not in [0, 1]" in fails(capsys, 2, "sample", "run", "--truncation", "1.5")
    assert "'x'" in fails(capsys, 2, "morph", "run", "--truncation", "x")
    assert "did you mean '--truncation'" in fails(capsys, 2, "sample", "run", "--truncate", "0.7")


def test_evaluate_json(ring: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["evaluate", str(ring), "--n", "500", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == 1
    assert found["command"] == "evaluate"
    assert {"metric", "value", "se", "protocol"} <= set(found["scores"][0])
    assert found["skipped"] == []


def test_a_control_takes_the_place_of_held_out_images(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "few")
    few = ["--images", "64", "--batch", "8", "--held-out", "0", "--metrics", "none", "--quiet"]
    assert main(["train", str(photos), *few, "--precision", "fp32", "--out", out]) == 0
    asked = ["evaluate", out, "--metrics", "memorisation", "Membership(n=30)", "--n", "20"]
    assert "none were held out. Fix: " in fails(capsys, 3, *asked)
    rng = np.random.default_rng(1)
    np.savez(tmp_path / "other.npz", images=rng.integers(0, 256, (30, 32, 32, 3), dtype=np.uint8))
    assert main([*asked, "--control", "other.npz", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["skipped"] == []
    names = {"authenticity", "copy-test", "copied", "membership-auc"}
    assert names <= {score["metric"] for score in found["scores"]}
    for score in found["scores"]:
        assert score["protocol"]["n_held_out"] == (20 if "membership" in score["metric"] else 30)
        assert "control Npz(path=" in score["protocol"]["reference"]
    assert "What the scores saw" in Path(out, "report.html").read_text()
    line = fails(capsys, 3, *asked, "--control", "./otter.npz")
    assert "nothing is there" in line
    assert "other.npz" in line
    assert "points are no control" in fails(capsys, 3, *asked, "--control", "ring")
    assert "no data are called 'rnig', did you mean 'ring'?" in fails(
        capsys, 2, *asked, "--control", "rnig"
    )


def test_inspect_and_list_json(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(photos), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["command"] == "inspect"
    assert main(["list", "losses", "--json"]) == 0
    names = [row["name"] for row in json.loads(capsys.readouterr().out)["parts"]["losses"]]
    assert "Hinge" in names
    assert main(["list"]) == 0
    assert "RelativisticPaired" in capsys.readouterr().out
    assert main(["list", "Presets", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["parts"]["presets"]
    assert all(re.search(r" \d{4}, .*arXiv:[\d.]+\d$", row["paper"]) for row in rows)


@pytest.mark.parametrize("name", ["WGAN_GP", "wgangp", "Wgan-GP"])
def test_case_and_hyphens_of_a_preset_do_not_matter(name: str) -> None:
    assert preset(name, None, "cpu")[0] == "wgan-gp"
    assert preset("Auto", None, "cpu")[0] == "fast"


def test_minutes_become_images() -> None:
    words = ["train", "ring", "--batch", "32", "--minutes", "0.02", "--precision", "fp32"]
    assert main([*words, "--out", "run", "--quiet"]) == 0
    recipe = Run("run").recipe
    assert recipe.images % 32 == 0
    assert Run("run").stats()[-1]["images"] == recipe.images


def test_the_chosen_preset_is_said_with_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "ring", *TINY, "--out", "run"]) == 0
    said = capsys.readouterr().err
    assert said.startswith("timing a few steps\nrun: preset mixture1d, MLP on Ring()")
    assert said.count("preset") == 1


def test_resume_extends(ring: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "ring", *TINY, "--out", "run", "--quiet"]) == 0
    assert "is done" in fails(capsys, 2, "resume", "run")
    assert main(["resume", "run", "--images", "512", "--quiet"]) == 0
    assert Run("run").stats()[-1]["images"] == 512


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_saves_and_exits_75(number: signal.Signals) -> None:
    words = ["train", "ring", "--images", "5000000", "--batch", "32", "--precision", "fp32"]
    process = subprocess.Popen(
        [sys.executable, "-m", "sparring", *words, "--out", "run"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: Path("run/stats.jsonl").exists() and Run("run").stats())
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 75, err
    assert err.splitlines()[-1].startswith("stopped after ")
    assert "sparring resume run" in err.splitlines()[-1]
    assert Run("run").saved()[0].name == f"{Run('run').stats()[-1]['images']:09d}"


def wait_for(condition: object, seconds: float = 60) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


# ------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("code", "words", "says"),
    [
        (2, "trian", "did you mean 'train'?"),
        (2, "train --preset dcgn", "did you mean 'dcgan'?"),
        (2, "train ring --loss Hinje", "did you mean 'Hinge'?"),
        (2, "train ring --loss R1", "is not one of the losses"),
        (2, "train ring --tricks R1(gama=1)", "did you mean 'gamma'?"),
        (2, "train ring --btach 3", "did you mean '--batch'?"),
        (2, "train ring --batch x", "'x' is not a number"),
        (2, "train ring --batch 1.5", "a whole number"),
        (2, "train ring --batch", "expected one argument"),
        (2, "train ring --images 0", "--images: 0 is less than 1. Fix: --images 1 or more"),
        (2, "train ring --ema-ramp -1", "-1.0 is less than 0. Fix: --ema-ramp 0 or more"),
        (2, "train ring --jitter 2", "--jitter: 2.0 is more than 1, the whole size. Fix: --jitter"),
        (2, "train ring --size 0x8", "--size: 0x8 has no pixels. Fix: --size 64, or 48x36"),
        (2, "train ring --tricks R1 R1", "bad value in --tricks: R1() is there twice"),
        (2, "train ring --images 5 --minutes 1", "both set the budget"),
        (2, "train ring --minutes -1", "must be positive"),
        (
            2,
            "train ring --g-lr -1e-4",
            "--g-lr: -1e-4 is not positive. Fix: --g-lr 2e-4",
        ),
        (2, "train ring --d-lr nan", "bad value in --d-lr: nan is not positive. Fix: --d-lr 2e-4"),
        (2, "train ring --g-lr slow", "'slow' is not a number. Fix: --g-lr 2e-4"),
        (2, "train ring --epochs 5", "does not know '--epochs': here it is --images"),
        (2, "sample nowhere --lr 5", "does not know '--lr'. Fix: sparring sample --help"),
        (2, "train ring --tricks R1,R2(gamma=2)", 'without commas. Fix: --tricks R1 "R2(gamma=2)"'),
        (2, "train ring --tricks GradientPenalty(lambda=1)", "its fields are every, weight"),
        (2, "train ring --tricks R1(gamma=2", "was never closed. Fix: write Name(field=value), in"),
        (2, "train ring --updates both", "one of alternating, simultaneous"),
        (2, "train ring --device tpu", "no device is called"),
        (2, "train ring --preset dcgan", "makes images, not points"),
        (2, "train ring --size 64", "points have no size"),
        (2, "train --size 30 --preset dcgan", "--size 28"),
        (2, "train --size 5x", "is no size"),
        (2, "train --preset nofile.py:f", "no file nofile.py"),
        (2, "train ring --parts nofile.py", "no file nofile.py"),
        (2, "train ring --devices 0", "at least 1, not 0"),
        (2, "train --to ring", "Fix: sparring train DATA --to ring"),
        (2, "train ring --direction ab", "it is a2b or b2a. Fix: --direction b2a"),
        (2, "sample nowhere --n 0", "at least one sample must be asked for. Fix: --n 64"),
        (2, "list loses", "did you mean 'losses'?"),
        (2, "sample", "the following arguments are required"),
        (3, "train ./nowhere", "nowhere"),
        (3, "inspect ./nowhere", "nowhere"),
        (4, "sample nowhere", "no run at nowhere"),
        (4, "resume nowhere", "no run at nowhere"),
        (4, "evaluate .", "is no run"),
        (4, "report .", "is no run"),
        (4, "morph .", "is no run"),
    ],
)
def test_mistakes(capsys: pytest.CaptureFixture[str], code: int, words: str, says: str) -> None:
    assert says in fails(capsys, code, *words.split(" "))
    assert not Path("runs").exists()


def test_unusable_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert "empty" in fails(capsys, 3, "train", "empty")
    (tmp_path / "one").mkdir()
    Image.new("RGB", (40, 40)).save(tmp_path / "one/a.png")
    assert "one" in fails(capsys, 3, "train", "one")


def test_many_corrupt_images(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(11):
        (photos / f"bad{i}.png").write_bytes(b"no image")
    assert "bad0.png" in fails(capsys, 3, "train", str(photos), *TINY)


def test_a_few_corrupt_images_are_named(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "bad.png").write_bytes(b"no image")
    words = ["train", str(photos), *TINY, "--size", "32", "--preset", "fast", "--out", "run"]
    assert main(words) == 0
    assert "bad.png" in capsys.readouterr().err
    assert "bad.png" in Path("run/train.log").read_text()


def test_out_exists(ring: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = fails(capsys, 2, "train", "ring", *TINY, "--out", str(ring))
    assert "exists" in line
    assert f"sparring resume {ring}" in line


def test_run_in_use(ring: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with locked(Run(ring)):
        line = fails(capsys, 2, "resume", str(ring), "--images", "512")
    assert f"process {os.getpid()}" in line


def test_changed_recipe_is_refused_until_override(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["train", "ring", *TINY, "--out", "run", "--quiet"]) == 0
    words = ["resume", "run", "--images", "512", "--quiet"]
    line = fails(capsys, 2, *words, "--batch", "64")
    assert "batch was 32, is 64" in line
    text = Path("run/recipe.py").read_text()
    Path("run/recipe.py").write_text(text.replace("seed=0", "seed=1"))
    assert "seed was 0, is 1" in fails(capsys, 2, *words)
    assert main([*words, "--override"]) == 0


def test_recipe_file_that_is_none(ring: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("run").mkdir()
    Path("run/recipe.py").write_text("import os")
    assert "cannot read recipe.py" in fails(capsys, 4, "sample", "run")


def test_recipe_of_parts_of_ones_own_says_one_fix(
    ring: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("run/parts").mkdir(parents=True)
    Path("run/parts/mine.py").write_text("")
    Path("run/recipe.py").write_text("Recipe(data=Mine())")
    line = fails(capsys, 4, "sample", "run")
    assert "no part is called 'Mine'" in line
    assert line.count("Fix:") == 1
    assert line.endswith("Fix: --parts run/parts/mine.py")
    Path("run/parts/mine.py").unlink()
    assert fails(capsys, 4, "sample", "run").endswith("Fix: sparring list")


def test_damaged_generator(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "ring", *TINY, "--out", "run", "--quiet"]) == 0
    Path("run/generator.safetensors").write_bytes(b"x" * 100)
    assert "cannot load the generator" in fails(capsys, 4, "sample", "run")


def test_sample_to_an_unknown_ending(ring: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "samples.npz" in fails(capsys, 2, "sample", str(ring), "--out", "a.png")
    assert "bad value" in fails(capsys, 2, "sample", str(ring), "--n", "0")


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "nowhere", "--debug"]) == 4
    assert "Traceback" in capsys.readouterr().err


def test_parts_of_ones_own(tmp_path: Path) -> None:
    Path("mine.py").write_text(
        "from sparring import Loss\n\n\n"
        "class CliTestLoss(Loss):\n"
        '    """A loss of one\'s own."""\n\n'
        "    def d(self, real, fake, rng=None):\n"
        "        return (fake - real).tanh().mean()\n\n"
        "    def g(self, real, fake, rng=None):\n"
        "        return -fake.tanh().mean()\n"
    )
    words = ["train", "ring", *TINY, "--parts", "mine.py", "--loss", "CliTestLoss"]
    assert main([*words, "--out", "run", "--quiet"]) == 0
    assert {p.name for p in Path("run/parts").iterdir()} == {"mine.py", "sha256sums"}
    assert main(["sample", "run", "--parts", "mine.py", "--out", "s.npz"]) == 0


def test_data_after_a_flag_of_several_values(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = fails(capsys, 2, "train", "--tricks", "R1", str(photos))
    assert "write DATA before the flags" in line


def test_counts_may_be_written_as_floats(ring: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", str(ring), "--n", "1e2", "--out", "x.npz"]) == 0
    assert np.load("x.npz")["arr_0"].shape == (100, 2)
    assert "'1.5' is not a whole number" in fails(capsys, 2, "sample", str(ring), "--n", "1.5")


def test_points_are_not_flipped(capsys: pytest.CaptureFixture[str]) -> None:
    assert "neither flipped" in fails(capsys, 2, "train", "ring", *TINY, "--flip")


def test_samples_under_a_file(ring: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").write_text("")
    line = fails(capsys, 5, "sample", str(ring), "--out", "file/x.npz")
    assert "choose a place that can be written" in line


def test_a_run_may_start_from_another(ring: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "grid", "--images", "64", "--init-from", str(ring), "--out", "child"]
    assert main(words) == 0
    _, err = capsys.readouterr()
    assert f"tensors taken from {ring}" in err
    assert Run(Path("child")).recipe.nets == Run(ring).recipe.nets
    assert "no run at" in fails(capsys, 4, "train", "ring", "--init-from", "nowhere")
