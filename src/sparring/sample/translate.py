"""Images translated by a run's generator: examples of the data, or files of any size."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from sparring.data import Pairs, SideBySide, Source, Unpaired, source
from sparring.data.decode import ENDINGS, Form, Mode, RangeError, UnreadableError, decode
from sparring.data.files import Files
from sparring.data.listing import Listing, ending
from sparring.data.paths import existing, printable
from sparring.errors import DataError, RecipeError
from sparring.games import Inputs
from sparring.nets import Translator
from sparring.parts import fit
from sparring.sample.draw import Model, to_uint8
from sparring.sample.picture import grid, png, shown
from sparring.sample.tiles import cheap, large, tiled
from sparring.storage import disk_errors, replace_file

_ARCHIVES = (".zip", ".tar")
_MODES: dict[int, Mode] = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_PIXELS = 2**18  # of all inputs translated at one time
_BETWEEN = 12  # pixels from the one way to the other
_NAMED = 3  # files named in an error
_BYTE = (0, 255)
_LEAST = 16  # pixels of a tile
_IN_PYTHON = "in Python, sparring.load(RUN).make(inputs) gives them as they are"
_log = logging.getLogger("sparring")

Range = tuple[float, float]

Progress = Callable[[int, int], None]


def translations(model: Model, n: int) -> tuple[Image.Image, Tensor]:
    """The first n examples, each above its translation, its target where there is one, and what the
    way back makes of the translation where there is one; the translations."""
    shown = model.examples
    assert shown is not None
    index = torch.arange(min(n, len(shown)))
    a, made = shown.input(index), model.sample(len(index))
    target = shown.target(index)
    rows = [shown.inputs.look(a), made, *([] if target is None else [target])]
    if model.back is not None:
        rows.append(model.turned().make(made))
    return sheet([to_uint8(x) for x in rows], how_many(model.spec.shape)), made


def both_ways(model: Model, n: int) -> tuple[Image.Image, Tensor]:
    """`translations`, below them those of the way back where there is one; the translations."""
    there, made = translations(model, n)
    if model.back is None:
        return there, made
    back, _ = translations(model.turned(), n)
    size = (max(there.width, back.width), there.height + _BETWEEN + back.height)
    canvas = Image.new(there.mode, size, "white")
    canvas.paste(there, (0, 0))
    canvas.paste(back, (0, there.height + _BETWEEN))
    return canvas, made


def how_many(shape: tuple[int, ...]) -> int:
    """Examples in a sheet of images (C, H, W)."""
    return max(3, min(10, 768 // shape[2]))


def sheet(rows: list[Tensor], columns: int) -> Image.Image:
    """Sets of images uint8 (n, C, h, w) below one another, the i-th of each in one column.

    All are shown as large as those of the last set, and in colour where one of them is. Where n is
    more than `columns`, the others follow below.
    """
    height, width = rows[-1].shape[2:]
    seen = [shown(r) for r in rows]
    channels = max(r.shape[1] for r in seen)
    alike = [_as(r, channels, (height, width)).split(columns) for r in seen]
    blank = torch.full((channels, height, width), 255).to(torch.uint8)
    cells: list[Tensor] = []
    for pieces in zip(*alike, strict=True):
        for piece in pieces:
            cells += [*piece, *[blank] * (min(columns, len(rows[0])) - len(piece))]
    return grid(torch.stack(cells), columns=min(columns, len(rows[0])))


def _as(images: Tensor, channels: int, size: tuple[int, int]) -> Tensor:
    """Images with as many channels, 1 to 3 or 4, at this size, by nearest neighbours."""
    if images.shape[2:] != size:
        images = interpolate(images, size)
    if images.shape[1] == 1 and channels > 1:
        images = images.expand(-1, 3, -1, -1)
    if images.shape[1] == 3 and channels == 4:
        images = torch.cat([images, torch.full_like(images[:, :1], 255)], 1)
    return images


def refuse_noise(model: Model, run: object) -> None:
    """RecipeError where the generator makes images of noise."""
    if not model.spec.inputs:
        raise RecipeError(
            "this run translates nothing",
            where=run,
            why="its generator makes images from noise",
            fix=f"sparring sample {run}",
        )


@dataclass(frozen=True)
class Translated:
    """The files written, and (file, reason) of those that could not be read."""

    written: tuple[Path, ...]
    failed: tuple[tuple[str, str], ...]


def translate_files(
    model: Model,
    inputs: Inputs,
    given: str | Path,
    out: str | Path,
    progress: Progress = lambda done, total: None,
    tile: int | None = None,
    ranges: tuple[Range | None, Range | None] = (None, None),
    override: bool = False,
) -> Translated:
    """Translates a file, or all images of a folder or zip, into PNGs of the same names in `out`.

    Images may be of any size; they are turned upright, and are made grey or coloured as the
    generator wants them. Those of one size go through it together. tile: pixels of the side of the
    squares in which each is taken; 0 none, None where it is large and this costs little.
    progress: called with how many are done, of how many. ranges: the values of inputs and of
    translations that are -1 and 1, where they are not of 8 bits. override: whether files that are
    there already may be overwritten. Raises DataError where nothing is there or nothing can be
    read, RecipeError where `out` is where the inputs are or has files of these names, no PNG keeps
    the translations, or an argument is no path or no size of tiles.
    """
    given, folder = _path(given, "given"), _path(out, "out")
    tile = _tile(tile)
    _refuse_place(given, folder)
    _refuse_range(model.spec.shape[0], ranges[1])
    with _listing(given) as listing:
        reader = _Reader(model, inputs, listing, ranges[0])
        names, failed, written = _names(listing), reader.failed, list[Path]()
        if not override:
            _refuse_overwriting(folder, names)
        for group, pixels in reader.groups():
            for i, image in zip(group, _made(model, pixels, tile), strict=True):
                path = folder / names[i]
                with disk_errors("translations", folder):
                    path.parent.mkdir(parents=True, exist_ok=True)
                replace_file(path, png(_picture(image, ranges[1])))
                written.append(path)
            progress(len(written) + len(failed), len(names))
    if tile and cast(Translator, model.generator).reach is None:
        _log.warning(
            "this network looks at the whole image, so in pieces of %d pixels it makes another "
            "one; --tile 0 takes each whole",
            tile,
        )
    if reader.deep:
        _log.warning(
            "%d of %d images have 16 bits, such as %s; they were translated at 8 bits, for which "
            "the run was trained",
            len(reader.deep),
            len(names),
            reader.deep[0],
        )
    if not written:
        why = "; ".join(f"{name}: {reason}" for name, reason in failed[:_NAMED])
        raise DataError(
            "no image could be translated", where=given, why=why, fix=f"sparring inspect {given}"
        )
    return Translated(tuple(written), tuple(failed))


def ranges(data: Source, back: bool = False) -> tuple[Range | None, Range | None]:
    """Those of the inputs and of the translations of a run with these data."""
    if isinstance(data, (Pairs, Unpaired)):
        sides = data.input, data.target
    else:
        files = data.images if isinstance(data, SideBySide) else data
        sides = files, files
    there, home = (getattr(side, "range", None) for side in sides)
    return (home, there) if back else (there, home)


def _refuse_range(channels: int, range: Range | None) -> None:
    """RecipeError where no PNG that Pillow writes keeps such translations."""
    if channels not in _MODES:
        raise RecipeError(
            f"translations of {channels} channels cannot be written as PNG", fix=_IN_PYTHON
        )
    if range in (None, _BYTE):
        return
    low, high = range
    if channels > 1 or not (low >= 0 and 255 < high <= 65535):
        what = "16-bit colour" if channels > 1 else f"values from {low:g} to {high:g}"
        raise RecipeError(
            f"{what} cannot be written as PNG",
            why=f"the run was trained with range=({low:g}, {high:g})",
            fix=_IN_PYTHON,
        )


def _picture(image: Tensor, range: Range | None) -> Image.Image:
    """A translation (C, h, w) in [-1, 1] with 8 bits, or as 16-bit grey of this range."""
    if range is None or range == _BYTE:
        pixels = to_uint8(image).permute(1, 2, 0)
        return Image.fromarray(pixels.squeeze(2).contiguous().numpy())
    low, high = range
    values = low + (image[0].double().clamp(-1, 1) + 1) / 2 * (high - low)
    return Image.fromarray(values.round().numpy().astype(np.uint16))


def _refuse_place(given: Path, folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise RecipeError(f"--out {folder} is a file", fix="give a folder")
    if not given.exists():
        return
    place, whole = folder.resolve(), given.resolve()
    # A link is what would be overwritten, not what it points to; an archive stays as it is.
    if place == (whole if given.is_dir() else given.parent.resolve() if _single(given) else None):
        raise RecipeError(
            "--out is the folder that is translated",
            where=folder,
            why="its images would be overwritten",
            fix="give another folder",
        )
    if whole in place.parents:
        raise RecipeError(
            "--out lies in the folder that is translated",
            where=folder,
            why="the next time its images would be translated again",
            fix="give a folder beside it",
        )


def _refuse_overwriting(folder: Path, names: list[str]) -> None:
    there = [name for name in names if (folder / name).exists()]
    if there:
        raise RecipeError(
            f"{len(there)} of {len(names)} translations are there already, such as {there[0]}",
            where=folder,
            fix="give another folder, or --override",
        )


def _path(given: object, name: str) -> Path:
    """RecipeError for what is no path, or an empty one, which would be the current folder."""
    if isinstance(given, (str, os.PathLike)) and os.fspath(given):
        return Path(cast(str, given)).expanduser()
    why = f"expected a path, got {given!r}"
    raise RecipeError("bad value", where=name, why=why, fix="'.' is the current folder")


def _tile(tile: Any) -> int | None:
    tile = fit(tile, int | None, "tile")
    if tile and tile < _LEAST:
        raise RecipeError(
            "bad value",
            where="tile",
            why=f"it is 0, or at least {_LEAST} pixels",
            fix="256, or 0 for whole images",
        )
    return tile


def _single(path: Path) -> bool:
    """Whether it is one image."""
    return path.is_file() and ending(path.name) in ENDINGS


@contextmanager
def _listing(given: Path) -> Iterator[Listing]:
    """What is at a path: a file, or all images of a folder or an archive."""
    path = existing(str(given))
    if _single(path):
        yield Listing(str(path.parent), (path.name,), lambda i: path.open("rb"), lambda i: "")
        return
    if path.is_file() and path.suffix.lower() not in _ARCHIVES:
        raise DataError(
            f"files that end in '{path.suffix}' are not translated" if path.suffix else "no image",
            where=path,
            fix=f"give a folder, a {', a '.join(_ARCHIVES)}, or a file in {', '.join(ENDINGS)}",
        )
    found = source(str(path))
    if not isinstance(found, Files):
        raise DataError("no images to translate", where=path, fix="give a file or a folder")
    with found.listing() as listing:
        if not listing.names:
            raise DataError("no image found", where=path, fix=f"ls {path}")
        yield listing


def _names(listing: Listing) -> list[str]:
    """The path of each translation: that of its image as PNG, whole where two would be one, or
    where a folder has that name."""
    folders = {str(place) for name in listing.names for place in PurePosixPath(name).parents}
    whole, taken = dict[str, str](), folders.copy()
    for name in listing.names:
        made = f"{name}.png"
        while made in taken:
            made += ".png"
        whole[name] = made
        taken.add(made)
    names = {name: f"{name.rpartition('.')[0]}.png" for name in listing.names}
    while clash := {m for m, times in Counter(names.values()).items() if times > 1 or m in folders}:
        names = {n: whole[n] if made in clash else made for n, made in names.items()}
    return [names[name] for name in listing.names]


class _Reader:
    """Images as the generator takes them. failed: (file, reason) of those that cannot be read;
    deep: those of 16 bits that were made 8."""

    def __init__(self, model: Model, inputs: Inputs, listing: Listing, range: Range | None) -> None:
        channels = model.spec.inputs[0]
        if channels not in _MODES:
            raise RecipeError(f"no image file has the {channels} channels of this run's inputs")
        self.inputs, self.listing = inputs, listing
        self.form = Form(_MODES[channels], range)
        self.failed: list[tuple[str, str]] = []
        self.deep: list[str] = []

    def groups(self) -> Iterator[tuple[list[int], Tensor]]:
        """Places and inputs (n, Ca, h, w) of images of one size that follow one another."""
        group: list[int] = []
        waiting: list[Tensor] = []
        for i, name in enumerate(self.listing.names):
            try:
                read = self.read(i)
            except UnreadableError as e:
                self.failed.append((printable(name), str(e)))
                continue
            except OSError as e:
                self.failed.append((printable(name), e.strerror or str(e)))
                continue
            full = (len(waiting) + 1) * read[0].numel() > _PIXELS * read.shape[1]
            if waiting and (full or waiting[0].shape != read.shape):
                yield group, torch.cat(waiting)
                group, waiting = [], []
            group.append(i)
            waiting.append(read)
        if waiting:
            yield group, torch.cat(waiting)

    def read(self, i: int) -> Tensor:
        """The i-th image (1, Ca, h, w). Raises UnreadableError, OSError."""
        name, range = self.listing.names[i], self.form.range
        try:
            with self.listing.open(i) as file:
                pixels, facts = decode(file, ending(name), self.form)
        except RangeError:
            raise UnreadableError(
                "its values are floats or have 32 bits, and the run was trained on 8 bits: save it "
                "as a PNG of 8 bits, or give sparring.load(RUN).make a tensor from -1 to 1"
            ) from None
        if range is not None and range[1] > 255 and facts.mode[0] not in "IF":
            raise UnreadableError(
                f"it has 8 bits, and the run was trained on values up to {range[1]:g}"
            )
        if "16-bit" in facts.conversions:
            self.deep.append(printable(name))
        x = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None]
        return self.inputs.prepare(x.float().div_(127.5).sub_(1) if range is None else x)


@torch.no_grad()
def _made(model: Model, a: Tensor, tile: int | None) -> Tensor:
    """The translations of inputs of one size, on the CPU."""
    G, a = cast(Translator, model.generator), a.to(model.device)
    if tile or (tile is None and cheap(G) and large(a)):
        return tiled(G, a, tile).float().cpu()
    return G(a).float().cpu()
