"""Which source a word on the command line means."""

import pytest

from sparring.data import Fashion, Folder, Grid, Mixture1D, Npz, Ring, Shards, Zip, source
from sparring.data.source import Source
from sparring.errors import DataError, RecipeError
from sparring.parts import parse, show


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("photos", "ring", "hinge", "a b(1)"):
        (tmp_path / name).mkdir()
    for name in ("faces.zip", "x.NPZ", "pack.tar.gz", "one.jpg", "README"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ring", Ring()),
        ("RING", Ring()),
        ("mixture-1d", Mixture1D()),
        (" fashion ", Fashion()),
        ("Ring(modes=6)", Ring(modes=6)),
        ("grid(side=3, sigma=0.1)", Grid(side=3, sigma=0.1)),
    ],
)
def test_names_and_parts(here, text, expected):
    assert source(text) == expected


def test_paths(here, monkeypatch):
    monkeypatch.setenv("HOME", str(here))
    assert source("./ring") == Folder(path=f"{here}/ring")
    assert source("ring/") == Folder(path=f"{here}/ring")
    assert source("photos") == Folder(path=f"{here}/photos")
    assert source(str(here / "photos")) == Folder(path=f"{here}/photos")
    assert source("~/photos") == Folder(path=f"{here}/photos")
    assert source("photos/../photos") == Folder(path=f"{here}/photos")
    assert source("faces.zip") == Zip(path=f"{here}/faces.zip")
    assert source("x.NPZ") == Npz(path=f"{here}/x.NPZ")
    assert source("a b(1)") == Folder(path=f"{here}/a b(1)")
    # The name of a part that is no source.
    assert source("hinge") == Folder(path=f"{here}/hinge")


def test_paths_inside_parts_become_absolute(here):
    assert source("Folder(path='photos')") == Folder(path=f"{here}/photos")
    assert source("Npz(path='~/x.npz')").path.startswith("/")  # pyright: ignore


def test_every_source_round_trips_through_its_text(here):
    for text in ("ring", "photos", "faces.zip", "x.NPZ", "Grid(side=2)"):
        found = source(text)
        assert parse(show(found), Source) == found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rnig", "did you mean 'ring'?"),
        ("fashon", "did you mean 'fashion'?"),
        ("photo5", "did you mean './photos'?"),
        ("qqqqqq", "neither a named source nor a path"),
        ("", "no data are named"),
        ("Rnig(modes=8)", "did you mean 'Ring'?"),
        ("Ring(mods=8)", "did you mean 'modes'?"),
        ("Ring(modes=0)", "at least one mode"),
    ],
)
def test_wrong_names(here, text, words):
    with pytest.raises(RecipeError) as error:
        source(text)
    assert words in str(error.value)
    assert error.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("./phots", "Fix: use {here}/photos"),
        ("face.zip", "Fix: use {here}/faces.zip"),
        ("pack.tar.gz", "ends in '.gz' is no data"),
        ("one.jpg", "data are a folder of images, a .zip or .tar of images, a .npz or a .npy"),
        ("README", "no data in {here}/README"),
    ],
)
def test_wrong_paths(here, text, words):
    with pytest.raises(DataError) as error:
        source(text)
    assert words.format(here=here) in str(error.value)


def test_images_beside_tar_archives_may_mean_either(here):
    (here / "photos/x.tar").touch()
    assert source("photos") == Shards(path=f"{here}/photos")
    (here / "photos/sub").mkdir()
    (here / "photos/sub/1.png").touch()
    with pytest.raises(DataError, match=r"images and tar archives.*'sub/1.png' and 'x.tar'"):
        source("photos")


def test_a_folder_that_is_nearer_than_a_part_is_meant(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "odd").mkdir()
    with pytest.raises(RecipeError) as e:
        source("od")
    assert str(e.value).startswith("no data are called 'od', did you mean './odd'? It is neither")
    with pytest.raises(RecipeError, match="did you mean 'ring'"):
        source("rign")
