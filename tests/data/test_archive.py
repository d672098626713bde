"""Zips: read in place, by the rules of folders; those made to do harm are refused."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from sparring.data import Folder, Zip
from sparring.errors import DataError


def png(value, size=32):
    file = io.BytesIO()
    Image.fromarray(np.full((size, size, 3), value, np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def pack(tmp_path):
    def one(members, compression=zipfile.ZIP_STORED):
        path = tmp_path / "images.zip"
        with zipfile.ZipFile(path, "w", compression) as archive:
            for name, content in members:
                archive.writestr(name, content)
        return path

    return one


def refusal(path):
    with pytest.raises(DataError) as error:
        Zip(path=str(path)).open()
    return str(error.value)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_equals_the_folder_it_was_made_of(write, tmp_path, pack, compression):
    names = ["cat/1.png", "cat/2.png", "dog/1.png"]
    members = [(f"data/{n}", write(f"data/{n}", 10 * i).read_bytes()) for i, n in enumerate(names)]
    members += [
        ("data/readme.txt", b""),
        ("__MACOSX/data/._1.png", b""),
        ("data/dir/", b""),
    ]
    images = Zip(path=str(pack(members[::-1], compression))).open()
    folder = Folder(path=str(tmp_path / "data")).open()
    assert images.digest == folder.digest
    assert images.classes == folder.classes == ("cat", "dog")
    assert images.labels is not None
    assert images.labels.tolist() == [0, 0, 1]


def test_one_common_folder_is_no_class(pack):
    images = Zip(path=str(pack([("photos/a.png", png(1)), ("photos/b.png", png(2))]))).open()
    assert images.labels is None
    assert images.pixels[:, 0, 0, 0].tolist() == [1, 2]


def test_images_beside_folders_take_the_classes_from_all(pack):
    path = pack([("top/cat/a.png", png(1)), ("top/dog/a.png", png(1)), ("top/b.png", png(2))])
    images = Zip(path=str(path)).open()
    assert (len(images), images.labels) == (3, None)
    assert images.unlabelled == "an image lies beside folders such as 'cat'"


@pytest.mark.parametrize(
    "name", ["../evil.png", "a/../../evil.png", "/etc/evil.png", "..\\evil.png", "C:\\evil.png"]
)
def test_members_that_point_outside_are_refused(pack, tmp_path, name):
    path = pack([("a.png", png(1)), ("b.png", png(2)), (name, png(3))])
    message = refusal(path)
    assert message.startswith("unsafe archive")
    assert "points outside" in message
    assert "evil.png" in message
    assert list(tmp_path.iterdir()) == [path]


def test_encrypted_members_are_refused(pack):
    path = pack([("a.png", png(1)), ("b.png", png(2))])
    content = bytearray(path.read_bytes())
    content[content.rindex(b"PK\x01\x02") + 8] |= 1  # the flag in the central directory
    path.write_bytes(content)
    assert "encrypted archive" in refusal(path)
    assert "'b.png' needs a password" in refusal(path)


def test_bombs_are_refused_before_they_are_unpacked(pack):
    bomb = [("a.png", png(1)), ("b.png", png(2)), ("boom.bmp", bytes(20 * 2**20))]
    message = refusal(pack(bomb, zipfile.ZIP_DEFLATED))
    assert "its member 'boom.bmp' unpacks from" in message
    assert "20,971,520 bytes" in message


def test_a_blank_bitmap_is_no_bomb(pack):
    file = io.BytesIO()
    Image.new("RGB", (512, 512)).save(file, "BMP")
    path = pack([("a.bmp", file.getvalue()), ("b.bmp", file.getvalue())], zipfile.ZIP_DEFLATED)
    assert len(Zip(path=str(path)).open()) == 2


def test_a_promise_of_gigabytes_is_refused(pack):
    path = pack([("a.png", png(1)), ("b.png", png(2))])
    content = bytearray(path.read_bytes())
    at = content.rindex(b"PK\x01\x02") + 24
    content[at : at + 4] = (2**31).to_bytes(4, "little")
    path.write_bytes(content)
    assert "its member 'b.png' unpacks from" in refusal(path)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_damaged_member_is_left_out(pack, compression):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "BMP")
    path = pack([(f"{name}.bmp", file.getvalue()) for name in "abc"], compression)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    images = Zip(path=str(path)).open()
    assert len(images) == 2
    [(name, why)] = images.left_out
    assert name == "b.bmp"
    assert why.startswith("damaged in the archive")


def test_what_is_no_zip_is_refused(tmp_path, pack):
    path = tmp_path / "images.zip"
    path.write_bytes(b"<html>not found</html>")
    assert "not a zip archive" in refusal(path)
    path.write_bytes(b"")
    assert "not a zip archive" in refusal(path)
    assert "no image found" in refusal(pack([]))
    assert "only one usable image" in refusal(pack([("a.png", png(1))]))
    assert f"Fix: use {path}" in refusal(tmp_path / "image.zip")
    whole = pack([("a.png", png(1)), ("b.png", png(2))]).read_bytes()
    path.write_bytes(whole[:-30])
    assert "not a zip archive" in refusal(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_labels_of_a_name_that_is_there_twice_go_to_both(pack):
    names = ["a.png", "b.png", "a.png", "c.png"]
    table = ("labels.csv", b"file,label\na.png,x\nb.png,y\nc.png,z\n")
    images = Zip(path=str(pack([*((n, png(50 * i)) for i, n in enumerate(names)), table]))).open()
    said = [images.classes[i] for i in images.labels.tolist()]
    values = images.pixels[:, 0, 0, 0].tolist()
    assert dict(zip(values, said)) == {0: "x", 50: "y", 100: "x", 150: "z"}
