"""Tar shards: read in place, labels beside the images, streams whose order is that of memory."""

from __future__ import annotations

import io
import json
import os
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image

from sparring.data import Folder, Images, Shards, source, split, take
from sparring.errors import DataError, RecipeError
from sparring.training.feed import Feed


def png(value: int, side: int = 32) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), value, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def pack(path, members) -> None:
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


@pytest.fixture
def shards(tmp_path):
    """Three shards of four samples: image i has the value i and the class i % 3."""
    folder = tmp_path / "shards"
    folder.mkdir()
    for s in range(3):
        members = {}
        for i in range(4 * s, 4 * s + 4):
            members[f"{i:06}.png"] = png(i)
            members[f"{i:06}.cls"] = str(i % 3).encode()
        pack(folder / f"train-{s:03}.tar", members)
    return folder


def values(images: Images) -> list[int]:
    return images.uint8(slice(0, len(images)))[:, 0, 0, 0].tolist()


@pytest.mark.parametrize("keep", ["memory", "stream"])
def test_images_and_classes_of_all_shards(shards, keep):
    images = Shards(path=str(shards), keep=keep).open()
    assert values(images) == list(range(12))
    assert images.classes == ("0", "1", "2")
    assert images.labels.tolist() == [i % 3 for i in range(12)]
    assert images.shape == (3, 32, 32)


def test_one_archive_of_class_folders(tmp_path):
    pack(tmp_path / "all.tar", {f"{c}/{i}.png": png(i) for i in range(4) for c in "ab"})
    images = source(str(tmp_path / "all.tar")).open()
    assert images.classes == ("a", "b")
    assert values(images) == [0, 1, 2, 3] * 2


def test_several_labels_and_numbers_by_json(tmp_path):
    members = {}
    for i in range(3):
        members[f"{i}.png"], members[f"{i}.json"] = png(i), json.dumps({"u": i, "v": -i}).encode()
    pack(tmp_path / "x.tar", members)
    images = Shards(path=str(tmp_path / "x.tar")).open()
    assert (images.classes, images.labels.tolist()) == (("u", "v"), [[0, 0], [1, -1], [2, -2]])
    assert Shards(path=str(tmp_path / "x.tar"), labels="none").open().labels is None


def test_a_stream_has_the_batches_of_memory_whatever_came_before(shards):
    def feed(keep):
        images = Shards(path=str(shards), keep=keep).open()
        return Feed(take(images, split(12, 2)[0]), batch=4, seed=3, flip=True)

    memory, stream, late = feed("memory"), feed("stream"), feed("stream")
    for turn in range(6):
        torch.testing.assert_close(stream(turn).x, memory(turn).x, rtol=0, atol=0)
        assert torch.equal(stream(turn).c, memory(turn).c)
    torch.testing.assert_close(late(5).x, memory(5).x, rtol=0, atol=0)
    one = torch.cat([stream(t).x[:, 0, 0, 0] for t in range(5)]).view(2, 10)
    assert len(one[0].unique()) == len(one[1].unique()) == 10
    assert not torch.equal(one[0], one[1])


def test_a_zip_and_a_folder_stream_as_well(tmp_path):
    import zipfile

    (tmp_path / "f").mkdir()
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for i in range(5):
            archive.writestr(f"{i}.png", png(i))
            (tmp_path / f"f/{i}.png").write_bytes(png(i))
    from sparring.data import Zip

    streams = [c(path=str(tmp_path / p), keep="stream") for c, p in ((Zip, "x.zip"), (Folder, "f"))]
    for part in streams:
        images = take(part.open(), torch.tensor([4, 0, 2]))
        assert values(images) == [4, 0, 2]


def test_a_broken_image_in_a_stream_is_replaced_always_by_the_same(shards, caplog):
    members = {f"{i:02}.png": png(i) for i in range(20)}
    members["07.png"] = members["07.png"][:60]
    pack(shards / "x.tar", members)
    images = Shards(path=str(shards / "x.tar"), keep="stream").open()
    index = torch.tensor([7, 3, 7])
    first = images.uint8(index)[:, 0, 0, 0].tolist()
    assert first[1] == 3
    assert first[0] == first[2] != 7
    assert caplog.text.count("left out 07.png") == 1
    again = Shards(path=str(shards / "x.tar"), keep="stream").open()
    assert again.uint8(index)[:, 0, 0, 0].tolist() == first


def test_a_stream_of_which_nothing_can_be_read_ends(tmp_path):
    """However few the images are: no other one can take a place."""
    for i in range(3):
        Image.fromarray(np.full((8, 8, 3), i, np.uint8)).save(tmp_path / f"{i}.png")
    images = Folder(path=str(tmp_path), keep="stream").open()
    for file in tmp_path.iterdir():
        file.write_bytes(b"gone")
    with pytest.raises(DataError, match=r"too many unreadable images.*3 so far"):
        images.uint8(torch.tensor([0]))


def test_too_many_broken_images_stop_a_stream(tmp_path):
    members = {f"{i:02}.png": png(i)[: None if i < 9 else -20] for i in range(30)}
    pack(tmp_path / "x.tar", members)
    images = Shards(path=str(tmp_path / "x.tar"), keep="stream").open()
    with pytest.raises(DataError, match=r"too many unreadable images .*11 so far, such as"):
        images.uint8(slice(0, 30))


def test_a_shard_cut_after_its_index_was_read(shards):
    images = Shards(path=str(shards), keep="stream").open()
    last = shards / "train-002.tar"
    os.truncate(last, 600)
    found = images.uint8(slice(0, 12))[:, 0, 0, 0].tolist()
    assert found[:8] == list(range(8))
    assert set(found[8:]) <= set(range(8))


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("../evil.png", tarfile.REGTYPE, "its member '../evil.png' points outside"),
        ("/etc/evil.png", tarfile.REGTYPE, "its member '/etc/evil.png' points outside"),
        ("a/../../evil.png", tarfile.REGTYPE, "points outside"),
        ("link.png", tarfile.SYMTYPE, "its member 'link.png' is a link to '/etc/passwd'"),
        ("link.png", tarfile.LNKTYPE, "is a link to"),
        ("pipe.png", tarfile.FIFOTYPE, "is no plain file"),
        ("device.png", tarfile.CHRTYPE, "is no plain file"),
    ],
)
def test_a_harmful_archive_is_refused_by_name_and_nothing_is_written(tmp_path, name, kind, said):
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        for i in range(3):
            info = tarfile.TarInfo(f"{i}.png")
            info.size = len(png(i))
            tar.addfile(info, io.BytesIO(png(i)))
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, "/etc/passwd"
        tar.addfile(info)
    with pytest.raises(DataError) as error:
        Shards(path=str(tmp_path / "x.tar")).open()
    assert str(error.value).startswith(f"unsafe archive in {tmp_path}/x.tar: ")
    assert said in str(error.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.tar"]


def test_compressed_empty_and_missing(tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("a.png"))
    with pytest.raises(DataError, match=r"not a plain tar archive .*gunzip"):
        Shards(path=str(tmp_path / "x.tar")).open()
    (tmp_path / "x.tar").write_bytes(b"")
    with pytest.raises(DataError, match="not a plain tar archive"):
        Shards(path=str(tmp_path / "x.tar")).open()
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="no tar archive"):
        Shards(path=str(tmp_path / "none")).open()
    pack(tmp_path / "x.tar", {"0.cls": b"1", "readme.txt": b"words"})
    with pytest.raises(DataError, match=r"no image found .*1 files of other kinds"):
        Shards(path=str(tmp_path / "x.tar")).open()


def test_an_image_without_its_label_is_refused(tmp_path):
    pack(tmp_path / "x.tar", {"0.png": png(0), "0.cls": b"cat", "1.png": png(1)})
    with pytest.raises(DataError, match=r"1 of 2 images have no label .*such as '1.png'"):
        Shards(path=str(tmp_path / "x.tar")).open()


def test_typos_in_fields():
    with pytest.raises(RecipeError, match="did you mean 'keep'"):
        source("Shards(path='x', kep='stream')")
    with pytest.raises(RecipeError, match="one of auto, memory, cache, stream"):
        source("Shards(path='x', keep='strem')")
    with pytest.raises(RecipeError, match="from a lower to a higher"):
        source("Folder(path='x', range=(1, 0))")
