"""A recipe that was opened opens again as it is: a resumed run trains on the same images."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torch import equal

from sparring.data import (
    Digits,
    Fashion,
    Folder,
    Images,
    Npz,
    Pairs,
    Ring,
    Shards,
    SideBySide,
    Source,
    SwissRoll,
    Unpaired,
    Zip,
)
from sparring.games import CycleGAN, Downscale, Edges, Greyscale, Hole, Pix2Pix
from sparring.nets import MLP, Concat, ResidualTranslator, SuperResolver, UNet
from sparring.recipe import Recipe
from sparring.training.setup import open_data

PLAIN = {"nets": MLP()}
LABELLED = {"nets": MLP(condition=Concat())}
PIX2PIX = {"nets": UNet(width=4, d_width=4, d_layers=1), "game": Pix2Pix()}
CYCLE = {"nets": ResidualTranslator(width=4, blocks=1, d_width=4, d_layers=1), "game": CycleGAN()}


def made(inputs: Any, **nets: Any) -> dict[str, Any]:
    """A game whose inputs are made of the images."""
    return {"nets": UNet(width=4, d_width=4, d_layers=1), **nets, "game": Pix2Pix(inputs=inputs)}


def folder(path: Path, n: int, size: tuple[int, int] = (32, 32), seed: int = 0, **odd: bytes):
    """n pictures in two folders of classes, and files of other contents."""
    rng = np.random.default_rng(seed)
    for i in range(n):
        file = path / "ab"[i % 2] / f"{i:03}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)).save(file)
    for name, content in odd.items():
        (path / f"{name}.png").write_bytes(content)
    return Folder(path=str(path))


def zipped(at: Path) -> Source:
    files = Path(folder(at / "files", 40).path)
    with zipfile.ZipFile(at / "all.zip", "w") as archive:
        for file in sorted(files.rglob("*.png")):
            archive.write(file, str(file.relative_to(files)))
    return Zip(path=str(at / "all.zip"))


def shards(at: Path) -> Source:
    files = Path(folder(at / "files", 40).path)
    with tarfile.open(at / "all.tar", "w") as archive:
        for i, file in enumerate(sorted(files.rglob("*.png"))):
            for ending, content in (("png", file.read_bytes()), ("cls", str(i % 2).encode())):
                info = tarfile.TarInfo(f"{i:03}.{ending}")
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return Shards(path=str(at / "all.tar"))


def arrays(at: Path, n: int = 40, side: int = 32) -> Source:
    rng = np.random.default_rng(n)
    images = rng.integers(0, 256, (n, side, side, 3), np.uint8)
    np.savez(at / f"{n}.npz", images=images, labels=np.arange(n) % 2)
    return Npz(path=str(at / f"{n}.npz"))


def kept(how: Any, make: Callable[[Path], Any] = lambda at: folder(at, 40)):
    return lambda at: replace(make(at), keep=how)


def side_by_side(at: Path) -> Source:
    return SideBySide(images=folder(at, 40, (32, 64)))


def two(kind: Any, n: int = 40, m: int = 40, at_b: tuple[int, int] = (32, 32)):
    def make(at: Path) -> Source:
        return kind(input=folder(at / "A", n), target=folder(at / "B", m, at_b, seed=1))

    return make


CASES: dict[str, tuple[Callable[[Path], Any], dict[str, Any]]] = {
    "ring": (lambda at: Ring(), PLAIN),
    "swiss roll": (lambda at: SwissRoll(), PLAIN),
    "digits": (lambda at: Digits(), LABELLED),
    "fashion": (lambda at: Fashion(), LABELLED),
    "folder": (lambda at: folder(at, 40), PLAIN),
    "classes": (lambda at: folder(at, 40), LABELLED),
    "balanced": (lambda at: folder(at, 41), {**LABELLED, "balance_classes": True}),
    "of many sizes": (lambda at: folder(at, 10) and folder(at, 40, (48, 40)), PLAIN),
    "a size asked for": (lambda at: folder(at, 40), {**PLAIN, "size": (24, 16)}),
    "none held out": (lambda at: folder(at, 40), {**PLAIN, "held_out": 0}),
    "five held out": (lambda at: folder(at, 40), {**PLAIN, "held_out": 5}),
    "an unreadable file": (lambda at: folder(at, 40, torn=b"\x89PNG\r\n\x1a\n"), PLAIN),
    "streamed": (kept("stream"), PLAIN),
    "streamed, unreadable": (
        kept("stream", lambda at: folder(at, 40, torn=b"\x89PNG\r\n\x1a\n")),
        PLAIN,
    ),
    "in the cache": (kept("cache"), LABELLED),
    "patches": (lambda at: folder(at, 20, (64, 80)), {**PLAIN, "size": (16, 16), "patches": 3}),
    "streamed patches": (
        kept("stream", lambda at: folder(at, 20, (64, 80))),
        {**PLAIN, "size": (16, 16), "patches": 3},
    ),
    "zip": (zipped, LABELLED),
    "streamed zip": (kept("stream", zipped), PLAIN),
    "shards": (shards, LABELLED),
    "streamed shards": (kept("stream", shards), LABELLED),
    "npz": (arrays, LABELLED),
    "pairs": (two(Pairs), PIX2PIX),
    "pairs of arrays": (
        lambda at: Pairs(input=arrays(at), target=replace(folder(at / "b", 40))),
        PIX2PIX,
    ),
    "pairs in patches": (
        lambda at: Pairs(
            input=folder(at / "A", 20, (64, 64)), target=folder(at / "B", 20, (64, 64))
        ),
        {**PIX2PIX, "size": (32, 32), "patches": 3},
    ),
    "side by side": (side_by_side, PIX2PIX),
    "side by side, streamed": (
        lambda at: SideBySide(images=replace(folder(at, 40, (32, 64)), keep="stream")),
        PIX2PIX,
    ),
    "unpaired": (two(Unpaired), CYCLE),
    "unpaired, one larger": (two(Unpaired, 60, 400), CYCLE),
    "unpaired, the other larger": (two(Unpaired, 400, 60), CYCLE),
    "unpaired, of two sizes": (two(Unpaired, 60, 40, (48, 40)), CYCLE),
    "unpaired, held out": (two(Unpaired, 60, 200), {**CYCLE, "held_out": 7}),
    "smaller": (
        lambda at: folder(at, 40),
        made(Downscale(factor=4), nets=SuperResolver(width=4, blocks=1, d_width=4, d_layers=1)),
    ),
    "grey": (lambda at: folder(at, 40), made(Greyscale())),
    "edges": (lambda at: folder(at, 40), made(Edges())),
    "holes": (lambda at: folder(at, 40), made(Hole())),
}


@pytest.mark.parametrize("name", CASES)
def test_what_was_opened_opens_again_as_it_is(name, tmp_path):
    make, fields = CASES[name]
    recipe = Recipe(data=make(tmp_path), batch=8, images=64, metrics=(), **fields)
    opened, first = open_data(recipe)
    again, second = open_data(opened)
    assert again == opened
    assert (second.digest, second.spec) == (first.digest, first.spec)
    if not isinstance(first.train, Images):
        return
    for one, other in ((first.train, second.train), (first.real.held_out, second.real.held_out)):
        assert (one is None) == (other is None)
        while one is not None and other is not None:
            assert len(one) == len(other)
            assert equal(one.uint8(slice(0, len(one))), other.uint8(slice(0, len(other))))
            one, other = one.inputs, other.inputs


def test_what_is_held_out_is_not_trained_on(tmp_path):
    """Of every kind above: no image of one part is in the other."""
    for name, (make, fields) in CASES.items():
        at = tmp_path / name
        at.mkdir()
        if name in ("ring", "swiss roll", "none held out") or "patches" in name:
            continue
        recipe = Recipe(data=make(at), batch=8, images=64, metrics=(), **fields)
        _, material = open_data(recipe)
        train, held = material.train, material.real.held_out
        assert isinstance(train, Images)
        assert held is not None, name
        while train is not None and held is not None:
            ours, theirs = (
                {x.numpy().tobytes() for x in part.uint8(slice(0, len(part)))}
                for part in (train, held)
            )
            assert not ours & theirs, name
            train, held = train.inputs, held.inputs
