"""What `inspect` counts, and the problems it names."""

import json
import math

import numpy as np
import pytest
from PIL import Image

from sparring.data import Fashion, Folder, Grid, Mixture1D, Npz, inspect, table
from sparring.errors import DataError


def has(info, words):
    return any(words in problem for problem in info["problems"])


def test_a_folder_of_everything(write, tmp_path):
    write("a/1.png", 1, size=(40, 50))
    write("a/2.png", 2, size=(50, 40))
    write("a/3.png", 2, size=(100, 40))  # flat, so equal to the one before once cropped
    write("b/4.bmp", 4, size=(44, 44), grey=True)
    Image.new("CMYK", (48, 48)).save(tmp_path / "b/5.tif")
    Image.new("RGBA", (48, 48)).save(tmp_path / "b/6.png")
    Image.new("P", (48, 48)).save(tmp_path / "b/7.gif")
    Image.new("1", (48, 48)).save(tmp_path / "b/8.png")
    Image.fromarray(np.zeros((48, 48), np.uint16)).save(tmp_path / "b/9.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (48, 40)).save(tmp_path / "b/A.png", exif=exif)
    write("b/B.png", size=(8, 90))
    (tmp_path / "b/C.png").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("words")
    before = sorted(tmp_path.rglob("*"))

    info = inspect(Folder(path=str(tmp_path)))
    assert sorted(tmp_path.rglob("*")) == before
    assert json.loads(json.dumps(info)) == info
    assert info["source"] == f"Folder(path='{tmp_path}')"
    assert info["kind"] == "folder"
    assert (info["files"], info["other_files"], info["count"]) == (12, 1, 10)
    assert info["sizes"] == {
        "height": {"min": 40, "median": 48, "max": 100},
        "width": {"min": 40, "median": 48, "max": 50},
        "different": 6,
    }
    assert info["formats"] == {"PNG": 7, "BMP": 1, "TIFF": 1, "GIF": 1}
    assert info["modes"] == {
        "RGB": 4, "L": 1, "CMYK": 1, "RGBA": 1, "P": 1, "1": 1, "I;16": 1
    }  # fmt: skip
    assert info["conversions"] == {
        "grey-to-rgb": 3,
        "cmyk": 1,
        "alpha": 1,
        "palette": 1,
        "one-bit": 1,
        "16-bit": 1,
        "exif-rotated": 1,
    }
    assert info["classes"] == {"a": 3, "b": 7}
    assert (info["channels"], info["size"]) == (3, [40, 40])
    assert (info["training"], info["held_out"]) == (8, 2)
    # 6 is all white; 5 too, for CMYK 0 is no ink; the black ones are 7, 8, 9 and A.
    assert info["duplicates"] == 1 + 1 + 3
    assert ["a/3.png", "a/2.png"] in info["duplicate_examples"]
    assert info["left_out"] == [
        {"file": "b/B.png", "reason": "its smaller side is below 40 pixels"},
        {"file": "b/C.png", "reason": "the file is empty"},
    ]
    assert (info["unreadable"], info["too_small"]) == (1, 1)
    assert has(info, "10 images are few")
    assert has(info, "5 of 10 images repeat")
    assert has(info, "10 images are of one colour")
    assert has(info, "1 of 12 images cannot be read")
    assert has(info, "1 of 12 images are smaller than 40 x 40")
    assert has(info, "grey but stored in colour")
    assert "1 of 12 images have 16 bits: they are taken at 8" in info["problems"]
    assert not has(info, "classes")

    text = table(info)
    for words in ("10: 8 to train on, 2 held out", "40 x 40 pixels", "grey-to-rgb 3", "b/C.png"):
        assert words in text


def test_what_training_refuses_is_still_listed(write, tmp_path):
    for i in range(4):
        write(f"{i}.png", i)
    for i in range(30):
        (tmp_path / f"broken{i:02}.png").write_bytes(b"")
    source = Folder(path=str(tmp_path))
    with pytest.raises(DataError, match="30 of 34"):
        source.open()
    info = inspect(source)
    assert info["count"] == 4
    assert len(info["left_out"]) == 30
    assert has(info, "30 of 34 images cannot be read and are left out")
    assert has(info, "training refuses more than 10")
    assert "10 more, listed by --json" in table(info)


def test_what_can_be_done_is_a_whole_command(write, tmp_path):
    write("1.png", 1, size=(40, 40))
    write("2.png", 2, size=(40, 40), grey=True)
    Image.new("RGBA", (40, 40), (10, 200, 30, 255)).save(tmp_path / "3.png")
    info = inspect(Folder(path=str(tmp_path)))
    assert not has(info, "16 bits")
    for which, channels in (("1 of 3 images are grey", "grey"), ("transparency", "rgba")):
        (line,) = [p for p in info["problems"] if which in p]
        assert f"\"Folder(path='{tmp_path}', channels='{channels}')\"" in line
    kept = inspect(Folder(path=str(tmp_path), channels="rgba"))
    (line,) = [p for p in kept["problems"] if "no transparency" in p]
    assert f"\"Folder(path='{tmp_path}', channels='rgb')\" takes none" in line


def test_sixteen_bits_can_be_kept_where_all_have_them(tmp_path):
    for i in range(3):
        x = np.random.default_rng(i).integers(0, 65536, (40, 40)).astype(np.uint16)
        Image.fromarray(x).save(tmp_path / f"{i}.png")
    info = inspect(Folder(path=str(tmp_path)))
    kept = f"\"Folder(path='{tmp_path}', range=(0.0, 65535.0))\" keeps all"
    assert has(info, f"3 of 3 images have 16 bits: they are taken at 8; {kept}")
    whole = Folder(path=str(tmp_path), range=(0, 65535))
    assert inspect(whole)["values"] == "float32, -1 to 1"
    assert not has(inspect(whole), "16 bits")


def test_one_colour_may_be_any(tmp_path):
    """Red all over is of one colour though its channels differ; two colours are not."""
    x = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3), dtype=np.uint8)
    x[0] = (200, 10, 30)
    x[1] = 7
    x[2] = (1, 2, 3)
    x[2, 4:] = (3, 2, 1)
    np.savez(tmp_path / "x.npz", x=x)
    assert has(inspect(Npz(path=str(tmp_path / "x.npz"))), "2 images are of one colour all over")


def test_unequal_classes_splits_and_shapes(write, tmp_path):
    for i in range(22):
        write(f"train/{i:02}.png", i, size=(32, 80))
    write("test/0.png", 50, size=(32, 80))
    write("test/1.png", 51, size=(32, 80))
    info = inspect(Folder(path=str(tmp_path)))
    assert has(info, "'test' has 2 images, 'train' 22; --balance-classes shows all equally often")
    assert has(info, "the classes test, train look like parts of one set")
    assert has(info, "the square crop keeps 40% of a typical image")


def test_images_beside_folders(write, tmp_path):
    for i, name in enumerate(("a/1.png", "b/1.png", "2.png")):
        write(name, i)
    info = inspect(Folder(path=str(tmp_path)))
    assert (info["count"], info["classes"]) == (3, None)
    assert has(info, "an image lies beside folders such as 'a': all are taken, none has a class")


def test_good_images_have_no_problem(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (1200, 8, 8, 3), dtype=np.uint8)
    np.savez(tmp_path / "x.npz", x=x)
    info = inspect(Npz(path=str(tmp_path / "x.npz")))
    assert info["problems"] == []
    assert (info["count"], info["duplicates"], info["classes"]) == (1200, 0, None)
    assert "no problem found" in table(info)


def test_bundled_images():
    info = inspect(Fashion())
    assert (info["count"], info["held_out"]) == (10_000, 500)
    assert info["classes"]["sneaker"] == 1000
    assert json.loads(json.dumps(info)) == info


def test_points():
    info = inspect(Mixture1D(modes=1, sigma=0.5))
    assert (info["dimension"], info["modes"], info["sigma"]) == (1, [[0.0]], 0.5)
    exact = 0.5 * math.log(2 * math.pi * math.e * 0.25)  # of one Gaussian
    assert info["entropy"]["nats"] == pytest.approx(exact, abs=5 * info["entropy"]["se"])
    assert info["entropy"]["se"] < 0.005
    assert info["quantiles"]["0.99"][0] == pytest.approx(2.3263 * 0.5, rel=0.02)
    assert json.loads(json.dumps(info)) == info

    info = inspect(Grid())
    assert len(info["modes"]) == 25
    # Modes far apart: the entropy of one Gaussian in the plane, and that of the choice.
    exact = math.log(2 * math.pi * math.e * 0.05**2) + math.log(25)
    assert info["entropy"]["nats"] == pytest.approx(exact, abs=5 * info["entropy"]["se"])
    assert "and 5 more" in table(info)
