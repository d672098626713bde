"""Decoded images in a file of the cache: decoded once, as in memory, whole or absent."""

from __future__ import annotations

import errno
import os
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sparring.data import Folder, Images, Rows, inspect, listing, mapped, take
from sparring.data import files as files_module
from sparring.data import pixels as decoding
from sparring.errors import DataError, DiskError

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "images"


@pytest.fixture
def photos(tmp_path):
    """Two classes of coloured noise, one broken image, one too small."""
    rng = np.random.default_rng(0)
    for i in range(40):
        folder = tmp_path / "photos" / "ab"[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        side = 20 if i == 7 else 40
        Image.fromarray(rng.integers(0, 256, (side, 48, 3), np.uint8)).save(folder / f"{i:02}.png")
    (tmp_path / "photos/a/08.png").write_bytes(b"broken")
    return tmp_path / "photos"


def opened(folder, keep="cache", size=None, **fields) -> Images:
    return Folder(path=str(folder), keep=keep, **fields).open(size)


def pixels(images: Images) -> torch.Tensor:
    return images.uint8(slice(0, len(images)))


def same(a: Images, b: Images) -> bool:
    parts = (torch.equal(pixels(a), pixels(b)), torch.equal(a.labels, b.labels))
    return all(parts) and (a.classes, a.left_out, a.shape) == (b.classes, b.left_out, b.shape)


def test_it_equals_what_is_in_memory(cache, photos):
    memory, first = opened(photos, "memory"), opened(photos)
    assert isinstance(first.pixels, Rows)
    assert isinstance(memory.pixels, torch.Tensor)
    assert first.shape == (3, 40, 40)
    assert [why for _, why in first.left_out][1] == "its smaller side is below 40 pixels"
    assert same(memory, first)
    again = opened(photos)
    assert same(first, again)
    assert first.digest == again.digest
    index = torch.tensor([30, 2, 2])
    assert torch.equal(first.pixels[index], memory.pixels[index])
    assert torch.equal(pixels(take(first, index)), memory.pixels[index])
    assert first.pixels[index].is_contiguous(memory_format=torch.channels_last)


def test_the_second_start_opens_no_image(cache, photos, monkeypatch):
    before = opened(photos)
    monkeypatch.setattr(decoding, "decode", None)
    monkeypatch.setattr(listing, "header", None)
    assert same(opened(photos), before)
    info = inspect(Folder(path=str(photos), keep="cache"))
    assert (info["kept"], info["count"], info["unreadable"]) == ("in a file", 38, 1)
    assert info["formats"] == {"PNG": 38}
    assert info["sizes"]["width"]["max"] == 48


def test_it_is_keyed_by_content(cache, photos, tmp_path):
    first = opened(photos)
    assert len(list(cache.glob("*.pixels"))) == 1
    os.rename(photos, tmp_path / "moved")
    moved = opened(tmp_path / "moved")
    assert moved.digest == first.digest
    for file in (tmp_path / "moved").rglob("*.png"):
        os.utime(file, (1, 1))
    assert opened(tmp_path / "moved").digest == first.digest
    assert len(list(cache.glob("*.pixels"))) == 1
    assert opened(tmp_path / "moved", size=(16, 16)).digest != first.digest
    Image.new("RGB", (40, 40), "red").save(tmp_path / "moved/a/00.png")
    changed = opened(tmp_path / "moved")
    assert changed.digest != first.digest
    assert pixels(changed)[0, :, 0, 0].tolist() == [255, 0, 0]
    assert len(list(cache.glob("*.pixels"))) == 3


def test_large_sets_go_there_by_themselves(cache, photos, monkeypatch):
    assert isinstance(opened(photos, "auto").pixels, torch.Tensor)
    assert not cache.exists()
    monkeypatch.setattr(files_module, "IN_MEMORY", 38 * 40 * 40 * 3)
    assert isinstance(opened(photos, "auto").pixels, torch.Tensor)
    monkeypatch.setattr(files_module, "IN_MEMORY", 38 * 40 * 40 * 3 - 1)
    large = opened(photos, "auto")
    assert isinstance(large.pixels, Rows)
    assert same(large, opened(photos, "memory"))
    assert isinstance(opened(photos, "auto").pixels, Rows)


def test_a_damaged_entry_is_made_anew(cache, photos):
    opened(photos)
    first = opened(photos, "memory")
    [file] = cache.glob("*.pixels")
    with open(file, "ab") as f:
        f.truncate(file.stat().st_size - 1)
    assert same(opened(photos), first)
    [entry] = cache.glob("*.json")
    entry.write_text("{}")
    assert same(opened(photos), first)
    entry.write_text("")
    assert same(opened(photos), first)


def test_nothing_half_written_is_left(cache, photos, monkeypatch):
    cache.mkdir(parents=True)
    dead = cache / ".999999999.tmp"
    dead.write_bytes(b"x")
    monkeypatch.setattr(decoding, "fit", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        opened(photos)
    assert list(cache.iterdir()) == []


def test_no_room_is_said_before_anything_is_decoded(cache, photos, monkeypatch):
    monkeypatch.setattr(mapped.shutil, "disk_usage", lambda _: Usage(10**6, 0, 10**5))
    monkeypatch.setattr(decoding, "decode", None)
    with pytest.raises(DiskError) as error:
        opened(photos)
    assert str(error.value) == (
        f"no room for the decoded images of {photos} in {cache}: they need 0.2 MB, 0.1 MB are"
        " free. Fix: set SPARRING_CACHE to a folder with room that can be written, choose a"
        " smaller --size, or keep='stream'"
    )


def test_a_disk_that_fills_up_is_one_line(cache, photos, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(mapped.os, "posix_fallocate", full)
    with pytest.raises(DiskError, match=r"cannot write the decoded images .*: no space left. Fix"):
        opened(photos)
    assert list(cache.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_one_line(photos, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "file"))
    with pytest.raises(DiskError, match=r"cannot write the decoded images .*: not a directory"):
        opened(photos)
    monkeypatch.setenv("SPARRING_CACHE", "/proc/sparring")
    with pytest.raises(DiskError, match=r"cannot write the decoded images .*Fix: set SPARRING_CAC"):
        opened(photos)


def test_too_many_broken_images_are_refused_from_the_cache_too(cache, photos):
    for i in range(11):
        (photos / f"a/broken{i}.png").write_bytes(b"")
    for _ in range(2):
        with pytest.raises(DataError, match="too many unreadable images"):
            opened(photos)
    assert inspect(Folder(path=str(photos), keep="cache"))["unreadable"] == 12


def test_sixteen_bits_are_kept_there_too(cache, tmp_path):
    values = np.arange(65536, dtype=np.uint16).reshape(4, 128, 128)
    (tmp_path / "deep").mkdir()
    for i, image in enumerate(values):
        Image.fromarray(image).save(tmp_path / f"deep/{i}.png")
    for keep in ("cache", "memory", "stream"):
        images = opened(tmp_path / "deep", keep, (128, 128), range=(0, 65535))
        x = images.float(slice(0, 4))
        assert x.dtype == torch.float32
        back = ((x.double() + 1) / 2 * 65535).round().flatten()
        assert torch.equal(back, torch.arange(65536).double())


def test_pages_are_given_back(cache, tmp_path):
    (tmp_path / "many").mkdir()
    for i in range(64):
        Image.fromarray(np.full((256, 256, 3), i, np.uint8)).save(tmp_path / f"many/{i:02}.bmp")
    images = opened(tmp_path / "many", size=(256, 256))

    def resident() -> int:
        text = Path("/proc/self/status").read_text()
        return int(text.split("RssFile:")[1].split()[0]) * 1024

    before = resident()
    for i in range(64):
        assert images.pixels[torch.tensor([i])].float().mean() == i
    assert resident() - before < 6 * 2**20  # the file has 12.6 MB


def test_sets_of_equal_names_sizes_and_dates_are_two(cache, tmp_path):
    for folder, value in (("one", 10), ("two", 200)):
        (tmp_path / folder).mkdir()
        for i in range(3):
            file = tmp_path / folder / f"{i}.bmp"
            Image.new("L", (16, 16), value).save(file)
            os.utime(file, (1e9, 1e9))  # as an archive gives them
    assert pixels(opened(tmp_path / "one")).unique().tolist() == [10]
    assert pixels(opened(tmp_path / "two")).unique().tolist() == [200]
