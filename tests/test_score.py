"""`sparring score` and `sparring.score`: two sets of images, and every way they can be wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import sparring
from sparring.cli import main
from sparring.errors import DataError, RecipeError
from sparring.metrics import FID, KID, Pixels, PrecisionRecall

PIXELS = "KID(features=Pixels())"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "cache"))


def images(n: int, seed: int, channels: int = 3, side: int = 12) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, side, side, channels), dtype=np.uint8)


def folder(path: Path, pixels: np.ndarray) -> str:
    path.mkdir()
    for i, image in enumerate(pixels):
        Image.fromarray(image.squeeze()).save(path / f"{i:03}.png")
    return str(path)


@pytest.fixture
def two(tmp_path: Path) -> tuple[str, str]:
    return folder(tmp_path / "real", images(20, 0)), folder(tmp_path / "fake", images(15, 1))


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["score", *words])
    out, err = capsys.readouterr()
    return code, out, err


def test_two_folders_as_json(two, capsys) -> None:
    code, out, _ = run(capsys, *two, "--metrics", PIXELS, "fid", "--json")
    assert code == 0
    found = json.loads(out)
    assert (found["schema"], found["command"], found["inputs"]) == (1, "score", list(two))
    (score,) = found["scores"]
    assert set(score) == {"metric", "value", "se", "better", "protocol", "detail"}
    assert score["metric"] == "kd-pixels"
    assert (score["protocol"]["n_real"], score["protocol"]["n_fake"]) == (15, 15)
    assert "/" not in score["protocol"]["reference"]  # not where it lies on this machine
    (missed,) = found["skipped"]
    assert missed["metric"] == "FID"
    assert "--weights weights-inception-2015-12-05-6726825d.pth" in missed["reason"]
    assert "6726825d0af5" in missed["reason"]


def test_as_a_table(two, capsys) -> None:
    code, out, _ = run(capsys, *two, "--metrics", PIXELS, "FID(features=Pixels(side=4))")
    assert code == 0
    first, second, *protocol = out.splitlines()
    assert first.startswith("kd-pixels")
    assert " +- " in first
    assert second.startswith("fd-pixels")
    assert "mean of 3x3 pixels" in second  # what differs is said beside the score
    assert protocol[0].startswith("protocol: reference real, all 20 images")


def test_a_folder_a_zip_an_npz_and_arrays_are_the_same_set(two, tmp_path) -> None:
    import shutil

    real, fake = images(20, 0), images(15, 1)
    np.savez(tmp_path / "fake.npz", arr_0=fake)
    np.save(tmp_path / "fake.npy", fake)
    shutil.make_archive(str(tmp_path / "fake"), "zip", two[1])
    expected = sparring.score(*two, [KID(features=Pixels())])[0][0]["value"]
    tensor = torch.from_numpy(fake).movedim(-1, 1)
    files = [str(tmp_path / f"fake.{ending}") for ending in ("npz", "npy", "zip")]
    for other in (*files, fake, tensor):
        found = sparring.score(real, other, [KID(features=Pixels())])[0][0]["value"]
        assert found == pytest.approx(expected, rel=1e-9)


def test_a_function_that_generates(two) -> None:
    def noise(n: int) -> torch.Tensor:
        return torch.rand(n, 3, 12, 12) * 2 - 1

    metric = [KID(features=Pixels(), n=80)]
    rows, _ = sparring.score(images(90, 0), noise, metric)
    again, _ = sparring.score(images(90, 0), noise, metric)
    other, _ = sparring.score(images(90, 0), noise, metric, seed=1)
    assert rows[0]["value"] == again[0]["value"] != other[0]["value"]
    assert rows[0]["protocol"]["generator"] == "noise"
    assert rows[0]["protocol"]["seed"] == 0
    assert rows[0]["protocol"]["n_fake"] == 80


def test_the_range_of_floats_is_that_of_all_samples() -> None:
    """One batch without a negative pixel is no reason to doubt, all of them are."""
    made: list[torch.Tensor] = []

    def bright_first(n: int) -> torch.Tensor:
        made.append(torch.rand(n, 1, 12, 12) * (1 if not made else -1))
        return made[-1]

    real, metric = images(90, 0, channels=1), [KID(features=Pixels(), n=90)]
    rows, skipped = sparring.score(real, bright_first, metric)
    assert (len(rows), skipped) == (1, [])
    rows, skipped = sparring.score(real, lambda n: torch.rand(n, 1, 12, 12), metric)
    assert rows == []
    assert "is it [0, 1] or [-1, 1]?" in skipped[0][1]
    rows, skipped = sparring.score(real, lambda n: torch.rand(n, 1, 12, 12) - 0.02, metric)
    assert "is it [0, 1] or [-1, 1]?" in skipped[0][1]  # a little below 0 is no other range


def test_floats_that_are_not_finite_are_named() -> None:
    x = torch.rand(9, 3, 12, 12) - 0.5
    x[4, 1] = torch.nan
    with pytest.raises(DataError, match="sample 4 is not finite"):
        sparring.score(images(9, 0), x, [KID(features=Pixels())])
    _, skipped = sparring.score(
        images(90, 0),
        lambda n: x[:1].repeat(n, 1, 1, 1).index_fill(0, torch.tensor(5), torch.nan),
        [KID(features=Pixels())],
    )
    assert "sample 5 is not finite" in skipped[0][1]


def test_equal_sets_are_sampled_apart() -> None:
    """A part of a set against a part of the same set is no comparison of images with themselves."""
    x = images(400, 0, channels=1, side=6)
    (row,), _ = sparring.score(x, x, [FID(features=Pixels())], n=60)
    other = images(400, 1, channels=1, side=6)
    (fresh,), _ = sparring.score(x, other, [FID(features=Pixels())], n=60)
    assert 0.5 < row["value"] / fresh["value"] < 1.5
    (whole,), _ = sparring.score(x, x, [FID(features=Pixels())])
    assert whole["value"] < 1e-9


def test_points_against_their_distribution(tmp_path, capsys) -> None:
    rng = np.random.default_rng(0)
    at = rng.integers(0, 8, 4000) * np.pi / 4
    points = np.stack([np.cos(at), np.sin(at)], 1) + 0.01 * rng.standard_normal((4000, 2))
    np.savez(tmp_path / "points.npz", arr_0=points)
    np.save(tmp_path / "points.npy", points)
    code, out, _ = run(capsys, "ring", str(tmp_path / "points.npz"), "--json")
    found = {s["metric"]: s["value"] for s in json.loads(out)["scores"]}
    assert code == 0
    code, out, _ = run(capsys, "ring", str(tmp_path / "points.npy"), "--json")
    assert {s["metric"]: s["value"] for s in json.loads(out)["scores"]} == found
    assert found["modes"] == 8
    assert found["high-quality"] == pytest.approx(0.9889, abs=0.006)


def test_classes_come_from_folders(tmp_path) -> None:
    for side, seed in (("real", 0), ("fake", 1)):
        (tmp_path / side).mkdir()
        for name in ("a", "b"):
            folder(tmp_path / side / name, images(12, seed, side=8))
    from sparring.metrics import ClassFID

    rows, skipped = sparring.score(
        tmp_path / "real", tmp_path / "fake", [ClassFID(features=Pixels())]
    )
    assert skipped == []
    assert set(rows[0]["detail"]["classes"]) == {"a", "b"}
    (tmp_path / "more").mkdir()
    for name in ("a", "aa", "b"):  # "b" has another number here
        folder(tmp_path / "more" / name, images(12, 0 if name != "aa" else 5, side=8))
    rows, _ = sparring.score(tmp_path / "real", tmp_path / "more", [ClassFID(features=Pixels())])
    assert rows[0]["value"] < 1e-9
    assert rows[0]["detail"]["unknown"] == ["aa"]


# --------------------------------------------------------------------------------------- bad input


def test_images_of_several_sizes_are_refused_and_size_mends_it(two, tmp_path, capsys) -> None:
    Image.fromarray(images(1, 5, side=14)[0]).save(Path(two[1]) / "999.png")
    code, out, err = run(capsys, *two, "--metrics", PIXELS)
    assert (code, out) == (3, "")
    assert "999.png is 14x14" in err
    assert "--size" in err
    code, out, _ = run(capsys, *two, "--metrics", PIXELS, "--size", "12")
    assert code == 0
    assert "kd-pixels" in out


def test_sets_of_different_shapes_do_not_compare_and_the_flag_is_named(
    two, tmp_path, capsys
) -> None:
    large = folder(tmp_path / "large", images(15, 1, side=16))
    grey = folder(tmp_path / "grey", images(15, 1, channels=1, side=16))
    code, out, err = run(capsys, two[0], large, "--metrics", PIXELS)
    assert (code, out) == (3, "")
    assert "large and real" in err
    assert "those are 16x16 of 3 channels, these 12x12 of 3 channels. Fix: --size 12x12" in err
    assert run(capsys, two[0], large, "--metrics", PIXELS, "--size", "12x12")[0] == 0
    code, _, err = run(capsys, two[0], grey, "--metrics", PIXELS)
    assert code == 3
    assert "those are 16x16 of 1 channel, these 12x12 of 3 channels" in err
    assert """--size 12x12 scales and crops both, and write FAKE as "Folder(path=""" in err
    colour = f"Folder(path='{grey}', channels='rgb')"
    assert run(capsys, two[0], colour, "--metrics", PIXELS, "--size", "12")[0] == 0


def test_channels_that_inception_does_not_read_are_said(tmp_path, monkeypatch) -> None:
    from sparring.metrics import inception

    monkeypatch.setattr(inception, "pretrained", lambda: (torch.nn.Identity(), "d"))
    for channels in (2, 4):
        x = images(6, 0, channels)
        rows, skipped = sparring.score(x, x, [FID(), KID(features=Pixels())])
        assert len(rows) == 1
        assert skipped[0][0] == "FID"
        assert "channels of 1 or 3" in skipped[0][1] or f"these have {channels}" in skipped[0][1]


def test_alpha_is_laid_on_white_and_sixteen_bits_are_scaled(two, tmp_path) -> None:
    """As in training, and `inspect` counts them."""
    clear = np.concatenate([images(15, 1), np.zeros((15, 12, 12, 1), np.uint8)], axis=3)
    alpha = folder(tmp_path / "alpha", clear)
    white = np.full((15, 12, 12, 3), 255, np.uint8)
    metric = [KID(features=Pixels())]
    found = sparring.score(two[0], alpha, metric)[0][0]["value"]
    assert found == pytest.approx(sparring.score(two[0], white, metric)[0][0]["value"])
    deep = tmp_path / "deep"
    deep.mkdir()
    grey = images(15, 2, channels=1)
    for i, image in enumerate(grey):
        Image.fromarray(image.squeeze().astype(np.uint16) * 257).save(deep / f"{i:03}.png")
    against = images(15, 3, channels=1)
    found = sparring.score(against, deep, metric)[0][0]["value"]
    assert found == pytest.approx(sparring.score(against, grey, metric)[0][0]["value"])


def test_hidden_thumbnails_and_files_that_differ_in_case_count_once(two, tmp_path) -> None:
    path = Path(two[1])
    Image.fromarray(images(1, 9)[0]).save(path / ".thumb.png")
    (path / ".thumbs").mkdir()
    Image.fromarray(images(1, 9)[0]).save(path / ".thumbs" / "a.png")
    Image.fromarray(images(1, 8)[0]).save(path / "UPPER.PNG")
    rows, _ = sparring.score(images(40, 0), path, [KID(features=Pixels())])
    assert rows[0]["protocol"]["n_fake"] == 16


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (np.random.default_rng(0).random((9, 12, 12, 3)), r"\[0, 1\] or \[-1, 1\]"),
        (np.full((9, 12, 12, 3), 200.0), r"from 200 to 200"),
        (np.zeros((9, 12, 12, 3), np.int64), "images of torch.int64"),
        (np.zeros((9, 12), np.uint8), r"\(9, 12\) is not"),
        ([1, 2], "a list is not"),
        (torch.zeros(9, 12, 12, dtype=torch.uint8), r"\(N, C, H, W\)"),
    ],
)
def test_arrays_that_are_no_images(values, why) -> None:
    with pytest.raises(DataError, match=why):
        sparring.score(images(9, 0), values, [KID(features=Pixels())])


def test_floats_in_the_packages_range_are_images() -> None:
    x = images(9, 0)
    floats = torch.from_numpy(x).movedim(-1, 1) / 127.5 - 1
    rows, _ = sparring.score(x, floats, [FID(features=Pixels())])
    assert rows[0]["value"] < 1e-9


def test_one_image_no_image_and_no_folder(two, tmp_path, capsys) -> None:
    one = folder(tmp_path / "one", images(1, 0))
    empty = folder(tmp_path / "empty", images(0, 0))
    for bad, why in ((one, "only one usable image"), (empty, "no image found")):
        code, _, err = run(capsys, two[0], bad, "--metrics", PIXELS)
        assert code == 3
        assert why in err
        assert err.count("\n") == 1
    code, _, err = run(capsys, two[0], str(tmp_path / "fakes"), "--metrics", PIXELS)
    assert code == 3
    assert f"use {two[1]}" in err


def test_typing_errors_name_the_right_word(two, capsys) -> None:
    for words, hint in (
        (("--metrics", "fit"), "did you mean 'FID'?"),
        (("--metrics", "kid-of-inputs"), 'Fix: write "OfInputs(metric=KID())"'),
        (("--metrics", "KID(subset=3)"), "did you mean 'subsets'?"),
        (("--metric", "fid"), "did you mean '--metrics'?"),
        (("--size", "big"), "'big' is no size"),
        (("--n", "1"), "at least two"),
    ):
        code, out, err = run(capsys, *two, *words)
        assert (code, out) == (2, "")
        assert hint in err


def test_weights_of_a_wrong_hash_are_refused(two, tmp_path, capsys) -> None:
    bad = tmp_path / "weights.pth"
    bad.write_bytes(b"not these")
    code, out, err = run(capsys, *two, "--weights", str(bad))
    assert (code, out) == (3, "")
    assert "weights.pth" in err
    assert "nothing of it was read" in err


def test_where_nothing_can_be_computed_the_reason_is_given(two, capsys) -> None:
    code, out, err = run(capsys, *two)
    assert (code, out) == (3, "")
    assert "KID: no weights of inception-2015-12-05" in err
    assert err.count("\n") <= 3


def test_files_left_out_are_said_and_listed(two, tmp_path, capsys) -> None:
    path = Path(two[1])
    (path / "broken.png").write_bytes(b"no image")
    (path / "notes.txt").write_text("mine")
    (path / ".thumb.png").write_bytes(b"")
    (path / ".cache").mkdir()
    Image.fromarray(images(1, 8)[0]).save(path / "001.PNG")
    Image.fromarray(images(1, 8, channels=1)[0].squeeze()).save(path / "zz.png")
    (path / "old").mkdir()
    Image.fromarray(images(1, 8)[0]).save(path / "old/002.png")
    code, out, err = run(capsys, *two, "--metrics", PIXELS, "--json")
    assert code == 0
    notes = json.loads(out)["notes"]
    assert err.splitlines() == notes
    assert notes[0].startswith("fake: left out broken.png: ")
    assert notes[1] == (
        "fake: 18 images lie beside folders such as 'old': all are taken, none has a class"
    )
    assert notes[2:] == [
        "fake: passed over 2 hidden files or folders",
        "fake: passed over 1 files that are no images",
        "fake: took both 001.PNG and 001.png, which differ in the case of letters alone",
        "fake: converted: 1 grey-to-rgb",
    ]


def test_the_same_images_on_both_sides_are_said(two, tmp_path, capsys) -> None:
    _, _, err = run(capsys, two[0], two[0], "--metrics", PIXELS)
    assert "all 20 images of real are in real, all 20 images too, pixel for pixel" in err
    some = folder(tmp_path / "some", np.concatenate([images(9, 3), images(20, 0)[:2]]))
    _, _, err = run(capsys, two[0], some, "--metrics", PIXELS)
    assert "2 of the 11 images of some are in real" in err


def test_json_has_the_direction_and_the_detail_without_pictures(two, capsys) -> None:
    _, out, _ = run(capsys, *two, "--metrics", "ClusterCoverage(clusters=3)", PIXELS, "--json")
    scores = {score["metric"]: score for score in json.loads(out)["scores"]}
    assert scores["kd-pixels"]["better"] == "lower"
    table = [score["detail"]["table"] for score in scores.values() if "table" in score["detail"]]
    assert len(table[0]) == 3
    assert "data:image" not in out


def test_one_reason_of_several_metrics_is_said_once(two, capsys) -> None:
    code, out, err = run(capsys, *two, "--metrics", "FID", "KID", PIXELS)
    assert code == 0
    assert "FID, KID skipped: no weights" in out
    assert out.count("no weights") == 1
    assert "fetching" not in err  # SPARRING_OFFLINE is set
    code, _, err = run(capsys, *two, "--metrics", "FID", "KID")
    assert code == 3
    assert err.count("no weights") == 1


def test_memorisation_asks_for_a_control(two, capsys) -> None:
    code, _, err = run(capsys, *two, "--metrics", "memorisation")
    assert code == 3
    assert "Fix: give such images with --control DATA" in err


def test_a_named_set_of_points_is_told_from_a_folder(two, tmp_path, capsys, monkeypatch) -> None:
    code, _, err = run(capsys, "ring", two[1])
    assert code == 3
    assert "REAL is the named set of points ring, and FAKE is no file of points (N, 2)" in err
    monkeypatch.chdir(tmp_path)
    folder(tmp_path / "ring", images(9, 4))
    code, _, err = run(capsys, "ring", two[1])
    assert "Fix: ./ring if you mean that folder" in err
    assert run(capsys, "./ring", two[1], "--metrics", PIXELS)[0] == 0


def test_points_and_images_do_not_compare(two, capsys) -> None:
    for words in ((two[0], "ring"), ("ring", two[0])):
        code, _, err = run(capsys, *words)
        assert code == 3
        assert "points" in err


def test_a_part_that_is_wrong_in_itself() -> None:
    with pytest.raises(RecipeError, match="k must be at least 1"):
        PrecisionRecall(k=0)
