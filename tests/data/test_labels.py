"""Labels files: classes, several labels and numbers per image, and every way to get one wrong."""

from __future__ import annotations

import json
import zipfile

import pytest
import torch

from sparring.data import Folder, Zip, inspect, source, split, take
from sparring.errors import DataError

NAMES = ("a.png", "b.png", "sub/c.png")


@pytest.fixture
def labelled(write, tmp_path):
    """labelled(text, name): the folder with three images and this labels file."""
    for i, name in enumerate(NAMES):
        write(name, 10 * i)

    def one(text, name="labels.csv"):
        (tmp_path / name).write_text(text)
        return tmp_path

    return one


def opened(folder, **fields):
    return Folder(path=str(folder), **fields).open()


def refusal(folder, **fields):
    with pytest.raises(DataError) as error:
        opened(folder, **fields)
    assert "\n" not in str(error.value)
    return str(error.value)


def rows(*objects):
    return "\n".join(json.dumps(o) for o in objects)


def test_names_of_classes_in_any_order_of_rows(labelled):
    images = opened(labelled("file,label\nsub/c.png,dog\n./b.png,cat\na.png,dog\n"))
    assert images.classes == ("cat", "dog")
    assert images.labels.tolist() == [1, 0, 1]
    assert images.labels.dtype == torch.int64


def test_numbers_of_classes_keep_the_order_of_numbers(labelled):
    images = opened(labelled("file,label\na.png,10\nb.png,9\nsub/c.png,10\n"))
    assert images.classes == ("9", "10")
    assert images.labels.tolist() == [1, 0, 1]
    floats = opened(labelled("file,label\na.png,10.0\nb.png,9.0\nsub/c.png,10.0\n"))
    assert (floats.classes, floats.labels.tolist()) == (("9", "10"), [1, 0, 1])


def test_names_that_are_written_with_digits_are_not_merged(labelled):
    images = opened(labelled("file,label\na.png,01\nb.png,1\nsub/c.png,1e0\n"))
    assert images.classes == ("01", "1", "1e0")
    assert images.labels.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "text",
    [
        "file,label\na.png,hat;red\nb.png,red\nsub/c.png,hat\n",
        "file,hat,red\na.png,1,1\nb.png,0,1\nsub/c.png,1,0\n",
    ],
)
def test_several_labels_an_image(labelled, text):
    images = opened(labelled(text))
    assert images.classes == ("hat", "red")
    assert images.labels.tolist() == [[1, 1], [0, 1], [1, 0]]
    assert images.labels.dtype == torch.float32
    assert images.vectors


def test_numbers_are_taken_as_they_are(labelled):
    images = opened(labelled("file\tage\tangle\na.png\t31\t-0.5\nb.png\t7\t2e-1\nsub/c.png\t0\t1"))
    assert images.classes == ("age", "angle")
    torch.testing.assert_close(images.labels, torch.tensor([[31, -0.5], [7, 0.2], [0, 1]]))
    one = opened(labelled("file,age\na.png,0.5\nb.png,1\nsub/c.png,2\n"))
    assert one.labels.tolist() == [[0.5], [1], [2]]


def test_json_lines(labelled):
    def made(*labels):
        text = rows(*({"file": n, "label": v} for n, v in zip(NAMES, labels)))
        return opened(labelled(text, "labels.jsonl"))

    assert made("x", "y", "x").classes == ("x", "y")
    assert made(3, 11, 3).classes == ("3", "11")
    several = made(["hat", "red"], [], ["red"])
    assert several.classes == ("hat", "red")
    assert several.labels.tolist() == [[1, 1], [0, 0], [0, 1]]
    numbers = made(*({"age": i, "size": i / 2} for i in range(3)))
    assert numbers.classes == ("age", "size")
    assert numbers.labels.tolist() == [[0, 0], [1, 0.5], [2, 1]]


def test_labels_by_a_field_beat_those_beside_and_folders(labelled, write, tmp_path):
    folder = labelled("file,label\na.png,x\nb.png,y\nsub/c.png,x\n")
    other = tmp_path.parent / "other.csv"
    other.write_text("file,label\na.png,q\nb.png,q\nsub/c.png,r\n")
    assert opened(folder, labels=str(other)).classes == ("q", "r")
    assert opened(folder, labels="none").labels is None
    part = source(f"Folder(path='{folder}', labels='{other}')")
    assert part.labels == str(other)
    for i in range(2):
        write(f"classes/{i}/{i}.png", i)
        write(f"classes/{i}/x{i}.png", 5 + i)
    assert opened(tmp_path / "classes").classes == ("0", "1")
    (tmp_path / "classes/labels.csv").write_text(
        "file,l\n0/0.png,u\n1/1.png,u\n0/x0.png,v\n1/x1.png,v\n"
    )
    assert opened(tmp_path / "classes").classes == ("u", "v")


@pytest.mark.parametrize("prefix", ["", "top/"])
def test_labels_in_a_zip(labelled, tmp_path, prefix):
    folder = labelled("file,label\na.png,x\nb.png,y\nsub/c.png,x\n")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for name in (*NAMES, "labels.csv"):
            archive.write(folder / name, prefix + name)
    images = Zip(path=str(tmp_path / "all.zip")).open()
    assert (images.classes, images.labels.tolist()) == (("x", "y"), [0, 1, 0])


def test_labels_follow_their_images_past_those_left_out(labelled, write, tmp_path):
    folder = labelled("file,size\na.png,1.5\nb.png,2.5\nsub/c.png,3.5\n")
    (folder / "b.png").write_bytes(b"broken")
    images = opened(folder)
    assert images.labels.tolist() == [[1.5], [3.5]]
    part = take(images, split(2, 0)[0][1:])
    assert part.labels.tolist() == [[3.5]]
    assert part.classes == ("size",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "file,l\na.png,x\nb.png,y\nsub/c.png,x\nd.png,x\n",
            "a row names no image in {where}: line 5 has 'd.png'. Fix: take",
        ),
        (
            "file,l\na.png,x\nb.png,y\nsub/c.png,x\n1,x\n2,x\n",
            "2 rows name no image in {where}: line 5 has '1'",
        ),
        (
            "file,l\na.png,x\nb.png,y\nsub/c.png,x\na.png,x\n",
            "line 5 names 'a.png' again in {where}: line 2 has it already",
        ),
        ("file,l\na.png,x\n", "2 of 3 images have no label in {where}: such as 'b.png'"),
        ("file,l\na.png,x\nb.png\nsub/c.png,x\n", "line 3 has 1 cells, the first has 2"),
        ("file,l\na.png,x\nb.png,\nsub/c.png,x\n", "line 3 has no 'l'"),
        ("a.png,x\nb.png,y\nsub/c.png,x\n", "no line of column names in {where}: the first line"),
        ("file,u,u\na.png,1,1\nb.png,1,0\nsub/c.png,1,1\n", "two columns are called 'u'"),
        ("file,u,\na.png,1,\nb.png,1,\nsub/c.png,1,\n", "column 3 has no name"),
        ("file,u,v\na.png,1,1\nb.png,x,1\nsub/c.png,1,1\n", "line 3 has 'x' in the column 'u'"),
        ("file,u,v\na.png,1,1\nb.png,1,nan\nsub/c.png,1,1\n", "line 3 has 'nan'"),
        ("", "the labels have no column of labels"),
        ("file,l\n", "the labels have no rows"),
        ("file\na.png\n", "the labels have no column of labels"),
    ],
)
def test_each_bad_table_has_its_line(labelled, text, said):
    folder = labelled(text)
    assert said.format(where=folder / "labels.csv") in refusal(folder)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"file": "a.png"', "line 1 names no file"),
        ('{"name": "a.png", "label": 1}', "line 1 names no file"),
        ("[1]", "line 1 names no file"),
        (
            rows({"file": "a.png", "label": 1}, {"file": "b.png", "x": 1}),
            "line 2 has the columns x",
        ),
        (rows({"file": "a.png"}), "no column of labels"),
        (rows(*({"file": n, "label": None} for n in NAMES)), "line 1 has no 'label'"),
    ],
)
def test_each_bad_json_line_has_its_line(labelled, text, said):
    assert said in refusal(labelled(text, "labels.jsonl"))


def test_a_missing_or_binary_labels_file(labelled, tmp_path):
    folder = labelled("file,label\na.png,x\nb.png,y\nsub/c.png,x\n")
    assert "no labels file 'gone.csv'" in refusal(folder, labels="gone.csv")
    (folder / "labels.csv").write_bytes(b"\xff\xfe\x00")
    assert "the labels are no text" in refusal(folder)


def test_inspect_says_what_labels_there_are(labelled, write):
    folder = labelled("file,label\na.png,x\nb.png,y\nsub/c.png,x\n")
    info = inspect(Folder(path=str(folder)))
    assert info["classes"] == {"x": 2, "y": 1}
    assert "the class 'y' has one image: nothing" in " ".join(info["problems"])
    info = inspect(Folder(path=str(labelled("file,age,x\na.png,31,1\nb.png,7,0\nsub/c.png,0,0\n"))))
    assert info["classes"] is None
    assert info["labels"]["age"] == {"min": 0, "mean": pytest.approx(38 / 3), "max": 31}
    assert "the numbers age reach beyond 3" in " ".join(info["problems"])
    one_hot = labelled("file,u,v\na.png,1,0\nb.png,0,1\nsub/c.png,1,0\n")
    assert "a single 1" in " ".join(inspect(Folder(path=str(one_hot)))["problems"])
