"""Pairs: side by side, in two folders, and two sets without pairs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from unicodedata import normalize
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from PIL import Image

from sparring.data import (
    Folder,
    Images,
    Npz,
    Pairs,
    Ring,
    SideBySide,
    Unpaired,
    Zip,
    anchored,
    divide,
    take,
)
from sparring.errors import DataError, RecipeError


def pixels(i: int, height: int = 12, width: int = 16, channels: int = 3) -> np.ndarray:
    """An image of its own for each i."""
    return np.random.default_rng(i).integers(0, 256, (height, width, channels), dtype=np.uint8)


def write(folder: Path, name: str, array: np.ndarray) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array.squeeze()).save(path)


def folders(root: Path, n: int = 6) -> tuple[Folder, Folder]:
    """A/ in colour and B/ in grey, with other endings, named alike but for the order on disk."""
    for i in range(n):
        write(root / "A", f"x/{i}.png", pixels(i))
        write(root / "B", f"x/{i}.bmp", pixels(100 + i, channels=1))
    return Folder(path=str(root / "A")), Folder(path=str(root / "B"))


def as_array(images: Images) -> np.ndarray:
    return images.uint8(slice(None)).permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("input", ["left", "right"])
def test_the_halves_are_the_two_images(tmp_path, input):
    for i in range(4):
        write(tmp_path, f"{i}.png", np.concatenate([pixels(i), pixels(50 + i)], 1))
    source = SideBySide(images=Folder(path=str(tmp_path)), input=input)
    images = source.open((12, 16))
    assert images.paired
    assert images.inputs is not None
    halves = np.stack([pixels(i) for i in range(4)]), np.stack([pixels(50 + i) for i in range(4)])
    wanted = halves if input == "left" else halves[::-1]
    assert np.array_equal(as_array(images.inputs), wanted[0])
    assert np.array_equal(as_array(images), wanted[1])


def test_each_half_is_cropped_around_its_own_middle(tmp_path):
    """To a square of another shape, where cropping the whole would take the outer sides of both."""
    for i in range(2):
        write(tmp_path, f"{i}.png", np.concatenate([pixels(i), pixels(50 + i)], 1))
    images = SideBySide(images=Folder(path=str(tmp_path))).open((12, 12))
    assert images.inputs is not None
    assert np.array_equal(as_array(images.inputs)[0], pixels(0)[:, 2:14])
    assert np.array_equal(as_array(images)[0], pixels(50)[:, 2:14])


def test_of_an_odd_width_the_middle_column_is_nobodys(tmp_path):
    whole = pixels(0, 8, 21)
    write(tmp_path, "a.png", whole)
    write(tmp_path, "b.png", whole)
    images = SideBySide(images=Folder(path=str(tmp_path))).open((8, 10))
    assert images.inputs is not None
    assert np.array_equal(as_array(images.inputs)[0], whole[:, :10])
    assert np.array_equal(as_array(images)[0], whole[:, 11:])


def test_the_default_size_is_that_of_a_half(tmp_path):
    for i in range(2):
        write(tmp_path, f"{i}.png", pixels(i, 40, 66))
    assert SideBySide(images=Folder(path=str(tmp_path))).open().shape == (3, 32, 32)


def test_upright_images_are_no_two_side_by_side(tmp_path):
    for i in range(2):
        write(tmp_path, f"{i}.png", pixels(i, 16, 12))
    with pytest.raises(DataError, match=r"no two images side by side.*16x12.*--to B/"):
        SideBySide(images=Folder(path=str(tmp_path))).open((8, 8))


def test_one_upright_image_among_pairs_is_named(tmp_path):
    """Its left and right half would be taken for a pair."""
    for i in range(3):
        write(tmp_path, f"{i}.png", pixels(i, 12, 24))
    write(tmp_path, "stray.png", pixels(9, 16, 16))
    with pytest.raises(DataError, match=r"1 of 4 are not wider than high: stray.png is 16x16"):
        SideBySide(images=Folder(path=str(tmp_path))).open((8, 8))


def test_two_folders_are_matched_by_name(tmp_path):
    a, b = folders(tmp_path)
    images = Pairs(input=a, target=b).open((12, 16))
    assert images.shape == (1, 12, 16)
    assert images.inputs is not None
    assert images.inputs.shape == (3, 12, 16)
    assert np.array_equal(as_array(images.inputs), np.stack([pixels(i) for i in range(6)]))
    wanted = np.stack([pixels(100 + i, channels=1) for i in range(6)])
    assert np.array_equal(as_array(images), wanted)


def test_what_cannot_be_read_is_left_out_on_both_sides(tmp_path):
    a, b = folders(tmp_path)
    (tmp_path / "A/x/2.png").write_bytes(b"none")
    (tmp_path / "B/x/4.bmp").write_bytes(b"none")
    images = Pairs(input=a, target=b).open((12, 16))
    left = [0, 1, 3, 5]
    assert images.inputs is not None
    assert np.array_equal(as_array(images.inputs), np.stack([pixels(i) for i in left]))
    assert np.array_equal(as_array(images), np.stack([pixels(100 + i, channels=1) for i in left]))
    assert sorted(name for name, _ in images.left_out) == ["x/2.png", "x/4.bmp"]


def test_a_folder_around_everything_is_no_part_of_the_name(tmp_path):
    for i in range(4):
        write(tmp_path, f"A/{i}.png", pixels(i))
        write(tmp_path, f"B/{i}.png", pixels(100 + i))
    for name in "AB":
        with ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            for file in sorted((tmp_path / name).iterdir()):
                archive.write(file, f"{name}/{file.name}")
    a, b = (Zip(path=str(tmp_path / f"{name}.zip")) for name in "AB")
    for target in (b, Folder(path=str(tmp_path / "B"))):
        images = Pairs(input=a, target=target).open((12, 16))
        assert images.inputs is not None
        assert np.array_equal(as_array(images.inputs), np.stack([pixels(i) for i in range(4)]))
        assert np.array_equal(as_array(images), np.stack([pixels(100 + i) for i in range(4)]))


def test_accents_match_however_they_are_written(tmp_path):
    for i, name in enumerate(("é", "o")):
        write(tmp_path / "A", f"{normalize('NFC', name)}.png", pixels(i))
        write(tmp_path / "B", f"{normalize('NFD', name)}.png", pixels(100 + i))
    images = Pairs(
        input=Folder(path=str(tmp_path / "A")), target=Folder(path=str(tmp_path / "B"))
    ).open((12, 16))
    assert images.inputs is not None
    got = {
        tuple(x[:2, 0, 0]): tuple(y[:2, 0, 0])
        for x, y in zip(as_array(images.inputs), as_array(images))
    }
    assert got == {tuple(pixels(i)[:2, 0, 0]): tuple(pixels(100 + i)[:2, 0, 0]) for i in range(2)}


def test_unmatched_names_are_named(tmp_path):
    a, b = folders(tmp_path)
    for i in range(7):
        write(tmp_path / "A", f"only{i}.png", pixels(i))
    (tmp_path / "B/x/3.bmp").rename(tmp_path / "B/x/three.bmp")
    with pytest.raises(DataError) as said:
        Pairs(input=a, target=b).open()
    text = str(said.value)
    assert "8 only in" in text
    assert "only0, only1, only2, only3, only4 and 3 more" in text
    assert "1 only in" in text
    assert "x/three" in text


def test_two_files_of_one_name_are_refused(tmp_path):
    a, b = folders(tmp_path)
    write(tmp_path / "A", "x/3.bmp", pixels(3))
    with pytest.raises(DataError, match=r"two images of one name.*x/3\.bmp and x/3\.png"):
        Pairs(input=a, target=b).open()


def test_sizes_that_differ_in_a_pair_are_named(tmp_path):
    a, b = folders(tmp_path)
    write(tmp_path / "B", "x/1.bmp", pixels(1, 24, 32, 1))
    with pytest.raises(DataError, match=r"sizes of 1 of 6.*x/1.* is 12x16 and 24x32"):
        Pairs(input=a, target=b).open((8, 8))


def test_an_empty_folder(tmp_path):
    a, _ = folders(tmp_path)
    (tmp_path / "empty").mkdir()
    for both in (
        (a, Folder(path=str(tmp_path / "empty"))),
        (Folder(path=str(tmp_path / "empty")), a),
    ):
        with pytest.raises(DataError, match="no image found"):
            Pairs(input=both[0], target=both[1]).open()


def arrays(path: Path, n: int, seed: int, shape: tuple[int, ...] = (8, 8, 3)) -> Npz:
    x = np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)
    np.savez(path, arr_0=x)
    return Npz(path=str(path))


def test_sets_that_are_no_files_are_matched_by_order(tmp_path):
    a, b = arrays(tmp_path / "a.npz", 5, 1, (8, 8, 1)), arrays(tmp_path / "b.npz", 5, 2)
    images = Pairs(input=a, target=b).open()
    assert images.inputs is not None
    assert images.inputs.shape == (1, 8, 8)
    assert np.array_equal(as_array(images), np.load(tmp_path / "b.npz")["arr_0"])
    c = arrays(tmp_path / "c.npz", 6, 3)
    with pytest.raises(DataError, match="6 inputs, 5 targets"):
        Pairs(input=c, target=b).open()


@pytest.mark.parametrize(
    ("one", "other", "asked", "fix"),
    [
        ((8, 8), (16, 16), None, "--size 8x8, which scales both"),
        ((16, 8), (8, 4), None, "--size 8x4, which scales both"),
        ((16, 8), (8, 16), None, "scale the images of a pair to one size"),
        ((16, 8), (8, 16), (8, 8), "scale the images of a pair to one size"),
    ],
)
def test_pairs_by_order_of_two_sizes_are_refused(tmp_path, one, other, asked, fix):
    """Cropped each to a shape of its own they would no longer match, place by place."""
    a, b = arrays(tmp_path / "a.npz", 5, 1, (*one, 1)), arrays(tmp_path / "b.npz", 5, 2, other)
    said = "the sizes of the two sides differ.*inputs are {}x{}, targets {}x{}".format(*one, *other)
    with pytest.raises(DataError, match=f"{said}. Fix: {fix}"):
        Pairs(input=a, target=b).open(asked)


def test_pairs_by_order_of_two_sizes_are_scaled_alike_where_that_is_asked(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (5, 8, 4, 3), dtype=np.uint8)
    np.savez(tmp_path / "small.npz", arr_0=x)
    np.savez(tmp_path / "large.npz", arr_0=x.repeat(2, 1).repeat(2, 2))
    a, b = (Npz(path=str(tmp_path / f"{name}.npz")) for name in ("large", "small"))
    for size in ((8, 4), (4, 4)):
        images = Pairs(input=a, target=b).open(size)
        assert images.inputs is not None
        assert images.shape == images.inputs.shape == (3, *size)
        assert np.array_equal(as_array(images.inputs), as_array(images))


def test_files_that_are_matched_by_order_have_the_size_of_the_others(tmp_path):
    """Neither a square nor a multiple of eight, as files without an order have by themselves."""
    a, _ = folders(tmp_path)
    b = arrays(tmp_path / "b.npz", 6, 1, (12, 16, 3))
    images = Pairs(input=a, target=b).open()
    assert images.inputs is not None
    assert images.shape == images.inputs.shape == (3, 12, 16)
    write(tmp_path / "A", "x/3.png", pixels(3, 12, 12))
    with pytest.raises(DataError, match=r"inputs are 12x12 and 12x16, targets 12x16. Fix: scale"):
        Pairs(input=a, target=b).open((12, 12))


def test_sets_without_pairs_are_never_enlarged(tmp_path):
    a, b = arrays(tmp_path / "a.npz", 5, 1, (16, 8, 3)), arrays(tmp_path / "b.npz", 5, 2, (8, 16))
    images = Unpaired(input=a, target=b).open()
    assert images.inputs is not None
    assert images.shape[1:] == images.inputs.shape[1:] == (8, 8)


def test_streamed_pairs_are_refused(tmp_path):
    """Each side would put another image in the place of one that turns out to be broken."""
    a, b = folders(tmp_path)
    stream = replace(a, keep="stream")
    for pair in (
        Pairs(input=stream, target=b),
        Pairs(input=b, target=stream),
        Pairs(input=stream, target=arrays(tmp_path / "b.npz", 6, 1, (12, 16, 3))),
    ):
        with pytest.raises(DataError, match=r"pairs are not streamed.*Fix: keep='cache'"):
            pair.open((12, 16))


@pytest.mark.parametrize("archived", [False, True])
def test_halves_that_are_streamed_stay_pairs(tmp_path, archived):
    """The place of a broken file is taken by one other, on both sides."""
    for i in range(6):
        write(tmp_path / "in", f"{i}.png", np.concatenate([pixels(i), pixels(i)], 1))
    (tmp_path / "in/3.png").write_bytes((tmp_path / "in/3.png").read_bytes()[:300])
    with ZipFile(tmp_path / "in.zip", "w") as archive:
        for file in sorted((tmp_path / "in").iterdir()):
            archive.write(file, file.name)
    path = str(tmp_path / "in")
    files = Zip(path=f"{path}.zip", keep="stream") if archived else Folder(path=path, keep="stream")
    images = SideBySide(images=files).open((12, 16))
    assert images.inputs is not None
    everything = torch.arange(6)
    assert torch.equal(images.uint8(everything), images.inputs.uint8(everything))


def test_both_sides_are_cut_into_the_same_patches(tmp_path):
    a, b = folders(tmp_path)
    for one, other in ((4, 0), (0, 4), (4, 2)):
        with pytest.raises(DataError, match=f"input has patches={one}, target patches={other}"):
            Pairs(input=replace(a, patches=one), target=replace(b, patches=other)).open((4, 4))


def test_points_are_not_translated(tmp_path):
    with pytest.raises(DataError, match="points are not translated"):
        Unpaired(input=arrays(tmp_path / "a.npz", 5, 1), target=Ring()).open()


def test_a_subset_keeps_pairs_together(tmp_path):
    a, b = arrays(tmp_path / "a.npz", 9, 1, (8, 8, 1)), arrays(tmp_path / "b.npz", 9, 2)
    images = Pairs(input=a, target=b).open()
    some = take(images, torch.tensor([7, 0, 3]))
    assert some.inputs is not None
    assert images.inputs is not None
    assert np.array_equal(as_array(some.inputs), as_array(images.inputs)[[7, 0, 3]])
    assert np.array_equal(as_array(some), as_array(images)[[7, 0, 3]])
    assert some.digest != images.digest
    train, held = divide(images, 3)
    assert held is not None
    assert held.inputs is not None
    assert (len(train), len(held), len(held.inputs)) == (6, 3, 3)


def test_sets_without_pairs_are_divided_apart(tmp_path):
    a, b = arrays(tmp_path / "a.npz", 40, 1), arrays(tmp_path / "b.npz", 20, 2)
    images = Unpaired(input=a, target=b).open()
    assert not images.paired
    train, held = divide(images, 4)
    assert held is not None
    assert train.inputs is not None
    assert held.inputs is not None
    assert [len(x) for x in (train, held, train.inputs, held.inputs)] == [16, 4, 36, 4]
    both = np.concatenate([as_array(train.inputs), as_array(held.inputs)])
    assert images.inputs is not None
    assert sorted(x.tobytes() for x in both) == sorted(x.tobytes() for x in as_array(images.inputs))
    one, none = divide(images, 0)
    assert none is None
    assert len(one) == 20


@pytest.mark.parametrize(
    ("inputs", "targets", "asked", "held"),
    [
        (340, 100, None, 20),  # a fifth of the smaller set
        (100, 340, None, 20),
        (2_000, 700, None, 64),
        (340, 400, 80, 68),  # no more than a fifth of the inputs
        (4, 100, None, 0),
        (100, 4, None, 0),
    ],
)
def test_what_is_held_out_of_two_sets_is_so_again(tmp_path, inputs, targets, asked, held):
    """A run opens its data by the number that came out: training, resuming and scoring agree."""
    a, b = (arrays(tmp_path / f"{n}.npz", n, n) for n in (inputs, targets))
    images = Unpaired(input=a, target=b).open()
    train, first = divide(images, asked)
    assert first is None or first.inputs is not None
    counts = (0, 0) if first is None else (len(first), len(first.inputs or ()))
    assert counts == (asked or held, held)
    again, second = divide(images, counts[0])
    assert again.digest == train.digest
    assert (second and second.digest) == (first and first.digest)


def patches_of(root: Path, **photos: int) -> Images:
    """Two sets without pairs of six patches of 8 pixels of each photo."""
    for side, n in photos.items():
        for i in range(n):
            write(root / side, f"{i}.png", pixels(i, 24, 24))
    a, b = (Folder(path=str(root / side), patches=6) for side in photos)
    return Unpaired(input=a, target=b).open((8, 8))


def test_photos_of_two_sets_are_held_out_whole_and_so_again(tmp_path):
    images = patches_of(tmp_path, A=17, B=31)
    train, held = divide(images)
    assert held is not None
    assert held.inputs is not None
    assert (len(held), len(held.inputs)) == (24, 24)
    again, same = divide(images, len(held))
    assert same is not None
    assert (again.digest, same.digest) == (train.digest, held.digest)


def test_one_photo_of_many_patches_beside_a_set_is_trained_on_whole(tmp_path):
    images = patches_of(tmp_path, A=1, B=20)
    train, held = divide(images)
    assert held is None
    assert (len(train), len(train.inputs or ())) == (120, 6)
    with pytest.raises(RecipeError, match="patches of one photo alone cannot be held out"):
        divide(images, 12)


def test_too_few_inputs_to_hold_any_out(tmp_path):
    a, b = arrays(tmp_path / "a.npz", 4, 1), arrays(tmp_path / "b.npz", 100, 2)
    said = r"cannot hold out 20 of each set: there are 4 inputs, .* Fix: --held-out 0"
    with pytest.raises(RecipeError, match=said):
        divide(Unpaired(input=a, target=b).open(), 20)


def test_sets_without_pairs_need_no_classes(tmp_path):
    """Images beside folders of images are refused only where the folders are classes."""
    a, b = folders(tmp_path)
    write(tmp_path / "A", "loose.png", pixels(9))
    write(tmp_path / "B", "y/0.bmp", pixels(8, channels=1))
    images = Unpaired(input=a, target=b).open((12, 16))
    assert images.inputs is not None
    assert (len(images.inputs), len(images)) == (7, 7)


def test_sets_of_two_sizes_take_the_smaller(tmp_path):
    for i in range(3):
        write(tmp_path / "A", f"{i}.png", pixels(i, 24, 24))
        write(tmp_path / "B", f"{i}.png", pixels(i, 16, 40))
    a, b = (Folder(path=str(tmp_path / name)) for name in "AB")
    images = Unpaired(input=a, target=b).open()
    assert images.inputs is not None
    assert images.shape == images.inputs.shape == (3, 16, 16)


def test_a_change_of_either_side_changes_the_digest(tmp_path):
    a, b = arrays(tmp_path / "a.npz", 5, 1), arrays(tmp_path / "b.npz", 5, 2)
    known = {Pairs(input=x, target=y).open().digest for x in (a, b) for y in (a, b)}
    assert len(known) == 4


def test_paths_inside_are_anchored(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = anchored(SideBySide(images=Zip(path="pairs.zip"), input="right"))
    assert found == SideBySide(images=Zip(path=str(tmp_path / "pairs.zip")), input="right")


def test_too_many_held_out(tmp_path):
    a, b = arrays(tmp_path / "a.npz", 5, 1), arrays(tmp_path / "b.npz", 5, 2)
    with pytest.raises(RecipeError, match="cannot hold out 4 of 5"):
        divide(Pairs(input=a, target=b).open(), 4)


@pytest.mark.realdata
def test_facades(test_data):
    source = SideBySide(images=Zip(path=str(test_data / "facades_pairs_500.zip")), input="right")
    images = source.open((16, 16))
    assert images.inputs is not None
    assert images.shape == images.inputs.shape == (3, 16, 16)
    assert len(images) == 500
    # Label maps are saturated, photos are not.
    spread = [
        x.float(slice(None)).amax(1) - x.float(slice(None)).amin(1) for x in (images.inputs, images)
    ]
    assert spread[0].mean() > 3 * spread[1].mean()
