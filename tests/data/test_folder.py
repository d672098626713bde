"""Folders: what is taken, in which order, size and classes, and what is refused."""

import os

import numpy as np
import pytest
import torch
from PIL import Image

from sparring.data import Folder, inspect
from sparring.errors import DataError


def first_values(images):
    """The one colour of each flat image."""
    return images.pixels[:, 0, 0, 0].tolist()


def refusal(path, size=None):
    with pytest.raises(DataError) as error:
        Folder(path=str(path)).open(size)
    assert "\n" not in str(error.value)
    assert error.value.exit_code == 3
    return str(error.value)


def test_recursive_sorted_by_path_case_of_endings_ignored(write, tmp_path):
    for i, name in enumerate(["b.PNG", "a.png", "c.Bmp", "d.tiff", "e.ppm"]):
        write(name, 10 * i)
    for name in (".hidden.png", "notes.txt", ".cache/x.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"not an image")
    images = Folder(path=str(tmp_path)).open()
    assert first_values(images) == [10, 0, 20, 30, 40]
    assert images.shape == (3, 32, 32)
    assert images.pixels.dtype == torch.uint8
    assert images.pixels.is_contiguous(memory_format=torch.channels_last)
    assert (images.labels, images.classes, images.left_out) == (None, (), ())


def test_the_folders_of_runs_are_no_data(write, tmp_path):
    """Samples would be trained on, and the data of a resumed run be others than it began with."""
    for name in ("0.png", "1.png"):
        write(f"in/{name}", 10)
    before = Folder(path=str(tmp_path / "in")).open()
    for name in ("samples/0.png", "deep/samples/0.png"):
        write(f"in/runs/one/{name}", 200)
    for name in ("recipe.py", "stats.jsonl"):
        (tmp_path / "in/runs/one" / name).touch()
    (tmp_path / "in/recipe.py").touch()  # as anyone may have one
    found = Folder(path=str(tmp_path / "in")).open()
    assert (first_values(found), found.digest) == ([10, 10], before.digest)
    assert found.left_out == (("runs/one/", "a run's folder is no data"),)
    info = inspect(Folder(path=str(tmp_path / "in")))
    assert (info["files"], info["too_small"], info["other_files"]) == (2, 0, 1)
    assert info["left_out"] == [{"file": "runs/one/", "reason": "a run's folder is no data"}]
    samples = Folder(path=str(tmp_path / "in/runs/one"))  # unless they are asked for
    assert first_values(samples.open()) == [200, 200]


def test_digest_follows_content_not_names(write, tmp_path):
    for name in ("one/a.png", "one/b.png", "two/x.png", "two/y.png", "three/a.png"):
        write(name, 5 if name.endswith(("a.png", "x.png")) else 6)
    write("three/b.png", 7)
    one, two, three = (Folder(path=str(tmp_path / n)).open() for n in ("one", "two", "three"))
    assert one.digest == two.digest != three.digest


def test_class_folders(write, tmp_path):
    for name, value in [("dog/2.png", 20), ("cat/deep/1.png", 10), ("cat/0.png", 0)]:
        write(name, value)
    images = Folder(path=str(tmp_path)).open()
    assert images.classes == ("cat", "dog")
    assert images.labels is not None
    assert images.labels.tolist() == [0, 0, 1]
    assert images.labels.dtype == torch.int64
    assert first_values(images) == [0, 10, 20]


def test_one_folder_around_everything_is_no_class(write, tmp_path):
    write("photos/a.png")
    write("photos/b.png")
    assert Folder(path=str(tmp_path)).open().labels is None
    write("photos/cat/a.png")
    assert "2 images lie beside" in Folder(path=str(tmp_path)).open().unlabelled
    (tmp_path / "photos/a.png").unlink()
    (tmp_path / "photos/b.png").unlink()
    write("photos/dog/a.png")
    assert Folder(path=str(tmp_path)).open().classes == ("cat", "dog")


def test_images_beside_folders_take_the_classes_from_all(write, tmp_path):
    for i, name in enumerate(("cat/1.png", "dog/1.png", "loose.png")):
        write(name, i)
    images = Folder(path=str(tmp_path)).open()
    assert first_values(images) == [0, 1, 2]
    assert (images.labels, images.classes) == (None, ())
    assert images.unlabelled == "an image lies beside folders such as 'cat'"
    assert Folder(path=str(tmp_path), labels="none").open().unlabelled == ""
    (tmp_path / "loose.png").unlink()
    images = Folder(path=str(tmp_path)).open()
    assert (images.classes, images.unlabelled) == (("cat", "dog"), "")


def test_a_class_without_a_usable_image_is_gone(write, tmp_path):
    for name in ("ant/1.png", "bee/1.png", "cat/1.png"):
        write(name)
    (tmp_path / "bee/1.png").write_bytes(b"")
    images = Folder(path=str(tmp_path)).open()
    assert images.classes == ("ant", "cat")
    assert images.labels is not None
    assert images.labels.tolist() == [0, 1]


def test_grey_only_if_all_are_grey(write, tmp_path):
    write("a.png", 40, grey=True)
    write("b.png", 50, grey=True)
    assert Folder(path=str(tmp_path)).open().shape == (1, 32, 32)
    write("c.png", 60)
    images = Folder(path=str(tmp_path)).open()
    assert images.shape == (3, 32, 32)
    assert images.pixels[0, :, 0, 0].tolist() == [40, 40, 40]


def test_default_size_leaves_small_images_out_and_explicit_size_enlarges(write, tmp_path):
    for i in range(19):
        write(f"{i:02}.png", i, size=(48, 60))
    write("small.png", 99, size=(60, 20))
    images = Folder(path=str(tmp_path)).open()
    assert images.shape == (3, 48, 48)
    assert first_values(images) == list(range(19))
    assert images.left_out == (("small.png", "its smaller side is below 48 pixels"),)
    images = Folder(path=str(tmp_path)).open((64, 96))
    assert images.shape == (3, 64, 96)
    assert first_values(images)[-1] == 99
    assert images.left_out == ()


def test_resize_is_the_area_mean_of_the_middle(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    for name in ("a.png", "b.png"):
        Image.fromarray(pixels).save(tmp_path / name)
    images = Folder(path=str(tmp_path)).open((16, 16))
    mean = pixels[:, 16:80].reshape(16, 4, 16, 4, 3).astype(float).mean((1, 3))
    expected = np.floor(mean + 0.5).transpose(2, 0, 1)
    np.testing.assert_array_equal(images.pixels[0].numpy(), expected)


def test_many_images_keep_their_order_in_threads(write, tmp_path):
    for i in range(200):
        write(f"{i:03}.png", i, size=(200, 200))
    assert first_values(Folder(path=str(tmp_path)).open((8, 8))) == list(range(200))


def test_broken_images_are_named_and_left_out(write, tmp_path):
    for i in range(5):
        write(f"{i}.png", i)
    whole = (tmp_path / "1.png").read_bytes()
    (tmp_path / "1.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "3.png").write_bytes(b"")
    (tmp_path / "5.jpg").write_bytes(b"<html></html>")
    (tmp_path / "6.png").symlink_to(tmp_path / "gone.png")
    images = Folder(path=str(tmp_path)).open()
    assert first_values(images) == [0, 2, 4]
    left_out = dict(images.left_out)
    assert list(left_out) == ["1.png", "3.png", "5.jpg", "6.png"]
    assert left_out["1.png"]
    assert left_out["3.png"] == "the file is empty"
    assert "no image of the formats" in left_out["5.jpg"]
    assert left_out["6.png"] == "No such file or directory"


def test_more_than_ten_broken_images_are_refused(write, tmp_path):
    for i in range(20):
        write(f"{i:02}.png")
    for i in range(10):
        (tmp_path / f"broken{i}.png").write_bytes(b"")
    assert len(Folder(path=str(tmp_path)).open().left_out) == 10
    (tmp_path / "brokenx.png").write_bytes(b"")
    message = refusal(tmp_path)
    assert "too many unreadable images" in message
    assert "11 of 31 cannot be read, such as broken0.png: the file is empty" in message
    assert f"Fix: sparring inspect {tmp_path}" in message


def test_too_many_that_only_fail_when_decoded_are_refused(write, tmp_path):
    whole = write("00.png", size=(64, 64)).read_bytes()
    write("01.png", size=(64, 64))
    for i in range(11):
        (tmp_path / f"cut{i}.png").write_bytes(whole[:-30])
    assert "11 of 13 cannot be read" in refusal(tmp_path)


def test_nothing_to_use(write, tmp_path):
    assert "no image found" in refusal(tmp_path)
    assert "it is empty" in refusal(tmp_path)
    (tmp_path / "notes.txt").write_text("words")
    assert "1 files of other kinds" in refusal(tmp_path)
    (tmp_path / "a.png").write_bytes(b"")
    assert "no usable image" in refusal(tmp_path)
    write("b.png")
    message = refusal(tmp_path)
    assert "only one usable image" in message
    assert "a.png: the file is empty" in message


def test_missing_paths_name_the_nearest(write, tmp_path):
    write("photos/a.png")
    assert f"Fix: use {tmp_path}/photos" in refusal(tmp_path / "photoss")
    assert f"{tmp_path} has no 'qqq'" in refusal(tmp_path / "qqq" / "deep")
    assert "not a folder" in refusal(tmp_path / "photos/a.png")
    assert "no path is given" in refusal("")
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    assert "broken link" in refusal(tmp_path / "link")


def test_loops_of_links_are_harmless(write, tmp_path):
    write("a/1.png", 1)
    write("b/2.png", 2)
    (tmp_path / "a/up").symlink_to(tmp_path)
    (tmp_path / "b/self").symlink_to(tmp_path / "b")
    assert first_values(Folder(path=str(tmp_path)).open()) == [1, 2]


def test_links_are_followed(write, tmp_path):
    write("elsewhere/1.png", 1)
    write("here/0.png", 0)
    (tmp_path / "here/2.png").symlink_to(tmp_path / "elsewhere/1.png")
    assert first_values(Folder(path=str(tmp_path / "here")).open()) == [0, 1]


def test_odd_names(write, tmp_path):
    write("a b\n.png", 1)
    write("é ü.png", 2)
    with open(bytes(tmp_path) + b"/\xff\xfe.png", "wb") as file:
        file.write(b"broken")
    images = Folder(path=str(tmp_path)).open()
    assert first_values(images) == [1, 2]
    [(name, _)] = images.left_out
    assert name == r"\udcff\udcfe.png"


def test_a_pipe_is_left_out_and_nobody_waits_for_it(write, tmp_path):
    for i in range(3):
        write(f"p/{i}.png", i)
    os.mkfifo(tmp_path / "p/x.png")
    images = Folder(path=str(tmp_path / "p")).open()
    assert (len(images), images.left_out[0][0]) == (3, "x.png")
