"""Patches of photos at their own scale: where they are cut, and what stays together."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch.testing import assert_close

from sparring.data import Folder, Images, Npz, Pairs, SideBySide, Unpaired, divide
from sparring.data.inspect import inspect
from sparring.errors import DataError, RecipeError
from sparring.games import CycleGAN, Downscale, Pix2Pix
from sparring.nets import ResidualTranslator, SuperResolver
from sparring.recipe import Recipe
from sparring.training import Stopped, resume, train
from sparring.training.setup import open_data


def places(i: int, height: int, width: int) -> np.ndarray:
    """An image whose pixels say where they are: (row, column, number of the image)."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, np.full_like(rows, i)], axis=2).astype(np.uint8)


def write(folder: Path, sizes: list[tuple[int, int]], ending: str = "png") -> Folder:
    folder.mkdir()
    for i, (height, width) in enumerate(sizes):
        Image.fromarray(places(i, height, width)).save(folder / f"{i}.{ending}")
    return Folder(path=str(folder))


def pixels(images: Images) -> np.ndarray:
    return images.uint8(torch.arange(len(images))).permute(0, 2, 3, 1).numpy()


SIZES = [(64, 200), (40, 20), (16, 16), (15, 90)]


@pytest.mark.parametrize("keep", ["memory", "cache", "stream"])
def test_patches_are_pieces_of_the_photos_as_they_are(tmp_path, keep, monkeypatch):
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "cache"))
    folder = replace(write(tmp_path / "a", SIZES), patches=8, keep=keep)
    if keep == "stream":  # which looks at some headers only, and meets the small one later
        (tmp_path / "a" / "3.png").unlink()
    for _ in range(2):  # the second time from the cache
        images = folder.open((16, 16))
        assert images.groups is not None
        # 64x200 holds 4 * 12 side by side, 40x20 two, 16x16 itself, 15x90 none.
        assert images.groups.bincount().tolist() == [8, 2, 1]
        for patch, group in zip(pixels(images), images.groups.tolist(), strict=True):
            top, left = patch[0, 0, :2]
            whole = places(group, *SIZES[group])
            assert np.array_equal(patch, whole[top : top + 16, left : left + 16])
        corners = {tuple(p[0, 0]) for p in pixels(images)}
        assert len(corners) >= 9  # at places of their own
        if keep != "stream":
            assert images.left_out == (("3.png", "smaller than a patch of 16x16"),)


def test_places_reach_from_border_to_border(tmp_path):
    images = replace(write(tmp_path / "a", [(20, 64)] * 60), patches=8).open((16, 16))
    tops = pixels(images)[:, 0, 0, 0]
    lefts = pixels(images)[:, 0, 0, 1]
    assert set(tops.tolist()) == set(range(5))
    assert lefts.min() == 0
    assert lefts.max() == 48


def test_a_photo_is_decoded_once(tmp_path, monkeypatch):
    from sparring.data import pixels as decoding

    calls: list[str] = []
    real = decoding.decode
    monkeypatch.setattr(decoding, "decode", lambda *a: calls.append("x") or real(*a))
    images = replace(write(tmp_path / "a", [(64, 64)] * 3), patches=16).open((16, 16))
    assert (len(images), len(calls)) == (48, 3)


def test_both_sides_of_a_pair_are_cut_alike(tmp_path):
    a, b = write(tmp_path / "a", [(30, 50)] * 5), write(tmp_path / "b", [(30, 50)] * 5, "bmp")
    (tmp_path / "b" / "1.bmp").write_bytes(b"BM broken")  # whose size nobody knows
    (tmp_path / "a" / "3.png").write_bytes(b"broken")
    both = Pairs(input=replace(a, patches=4), target=replace(b, patches=4)).open((16, 16))
    assert both.inputs is not None
    assert both.groups is not None
    assert both.groups.tolist() == [0] * 3 + [2] * 3 + [4] * 3
    assert np.array_equal(pixels(both), pixels(both.inputs))
    beside = tmp_path / "beside"
    beside.mkdir()
    for i in range(3):
        whole = places(i, 30, 50)
        Image.fromarray(np.concatenate([whole, whole], 1)).save(beside / f"{i}.png")
    halves = SideBySide(images=Folder(path=str(beside), patches=4)).open((16, 16))
    assert halves.inputs is not None
    assert len(halves) == 9
    assert np.array_equal(pixels(halves), pixels(halves.inputs))


def test_patches_of_one_photo_are_held_out_together(tmp_path):
    folder = replace(write(tmp_path / "a", [(64, 64)] * 9), patches=5)
    train, held = divide(folder.open((16, 16)), 12)
    assert held is not None
    assert held.groups is not None
    assert train.groups is not None
    assert len(held) == 15  # whole photos until there are 12
    assert not set(held.groups.tolist()) & set(train.groups.tolist())
    assert set(pixels(held)[:, 0, 0, 2]) == set(held.groups.tolist())
    apart = Unpaired(input=folder, target=folder).open((16, 16))
    train, held = divide(apart, 5)
    assert held is not None
    assert held.inputs is not None
    assert held.inputs.groups is not None
    assert train.inputs is not None
    assert train.inputs.groups is not None
    assert not set(held.inputs.groups.tolist()) & set(train.inputs.groups.tolist())
    one = replace(write(tmp_path / "one", [(64, 64)]), patches=8).open((16, 16))
    assert divide(one)[1] is None
    with pytest.raises(RecipeError, match="one photo alone cannot be held out"):
        divide(one, 3)


def test_unreadable_photos_count_once(tmp_path):
    folder = replace(write(tmp_path / "a", [(64, 64)] * 4), patches=16)
    data = (tmp_path / "a" / "2.png").read_bytes()
    (tmp_path / "a" / "2.png").write_bytes(data[: len(data) // 2])  # its header is whole
    images = folder.open((16, 16))
    assert len(images) == 48
    assert [name for name, _ in images.left_out] == ["2.png"]
    seen = inspect(folder)
    assert (seen["count"], seen["files"], seen["unreadable"]) == (3, 4, 1)
    assert seen["formats"] == {"PNG": 3}
    assert not [p for p in seen["problems"] if "crop" in p or "enlarges" in p]


def test_photos_smaller_than_a_patch(tmp_path):
    folder = replace(write(tmp_path / "a", [(20, 30)] * 3), patches=4)
    with pytest.raises(
        DataError, match=r"no image holds a patch of 32x32.*20x30.*--patches 0, .*--size 16"
    ):
        folder.open((32, 32))
    assert folder.open().shape == (3, 20, 20)


def test_the_recipe_cuts_whatever_is_files(tmp_path):
    recipe = Recipe(
        data=write(tmp_path / "a", [(40, 64)] * 6),
        size=(16, 16),
        patches=4,
        held_out=4,
        metrics=(),
        nets=SuperResolver(width=4, blocks=1, d_width=4),
        game=Pix2Pix(inputs=Downscale(factor=2), conditional=False),
    )
    filled, material = open_data(recipe)
    assert filled.data == Folder(path=str(tmp_path / "a"), patches=4)
    assert (len(material.train), material.spec.inputs) == (20, (3, 8, 8))
    again, same = open_data(filled)
    assert (again, same.digest) == (filled, material.digest)
    np.savez(tmp_path / "b.npz", images=np.zeros((9, 32, 32, 3), np.uint8))
    arrays = replace(recipe, data=Npz(path=str(tmp_path / "b.npz")))
    with pytest.raises(RecipeError, match="patches are cut from image files"):
        open_data(arrays)
    filled, material = open_data(replace(arrays, size=None))
    assert (filled.patches, filled.size, material.spec.shape) == (0, (32, 32), (3, 32, 32))
    assert open_data(filled)[0] == filled  # as a resumed run does


@pytest.mark.parametrize("kind", [Pairs, Unpaired])
def test_files_beside_an_array_are_not_cut(tmp_path, kind):
    """The one side would be cut at its own scale, the other scaled as a whole."""
    np.savez(tmp_path / "b.npz", images=np.zeros((6, 40, 64, 3), np.uint8))
    files, arrays = write(tmp_path / "a", [(40, 64)] * 6), Npz(path=str(tmp_path / "b.npz"))
    nets = ResidualTranslator(width=4, blocks=1, d_width=4, d_layers=1)
    game = Pix2Pix() if kind is Pairs else CycleGAN()
    recipe = Recipe(data=kind(input=files, target=arrays), patches=2, nets=nets, game=game)
    recipe = replace(recipe, metrics=(), batch=2)
    with pytest.raises(RecipeError, match="patches are cut from image files"):
        open_data(replace(recipe, size=(16, 16)))
    filled, material = open_data(recipe)
    assert filled.patches == 0
    assert len(material.train) == 5
    if kind is Pairs:
        with pytest.raises(DataError, match="one of these is no files"):
            Pairs(input=replace(files, patches=2), target=arrays).open((16, 16))


def test_a_resumed_run_of_patches_is_the_undisturbed_one(tmp_path):
    recipe = Recipe(
        data=write(tmp_path / "a", [(40, 64)] * 6),
        size=(16, 16),
        patches=4,
        batch=4,
        images=32,
        held_out=4,
        precision="fp32",
        flip=True,
        metrics=(),
        nets=SuperResolver(width=4, blocks=1, d_width=4),
        game=Pix2Pix(inputs=Downscale(factor=2), conditional=False),
    )
    whole = train(recipe, tmp_path / "whole", device="cpu", quiet=True)

    def stop(row: dict) -> None:
        if row["images"] == 12:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Stopped):
        train(recipe, tmp_path / "cut", device="cpu", quiet=True, on_tick=stop)
    cut = resume(tmp_path / "cut", device="cpu", quiet=True)
    assert_close(load_file(cut.weights), load_file(whole.weights), rtol=0, atol=0)
