"""The source that a user means by a word on the command line."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import cast

from sparring.data.archive import Zip
from sparring.data.arrays import Npz
from sparring.data.folder import Folder, walk
from sparring.data.listing import is_image
from sparring.data.paths import absolute, existing, is_nearer, nearest, printable
from sparring.data.shards import Shards
from sparring.data.source import Source
from sparring.errors import DataError, RecipeError
from sparring.parts import Part, catalogue, map_parts, parse
from sparring.parts import nearest as nearest_part

ACCEPTED = "a folder of images, a .zip or .tar of images, a .npz or a .npy"


def source(text: str) -> Source:
    """A catalogue name (ring), a part ("Ring(modes=8)") or a path (photos/, faces.zip, x.npz).

    A catalogue name beats a folder of that name, which is then written ./ring. Paths become
    absolute. Raises RecipeError for a name that is none, DataError for a path with nothing there
    or of a kind that cannot be read.
    """
    text = text.strip()
    if not text:
        raise RecipeError("no data are named", fix=f"give {ACCEPTED}, or: sparring list data")
    if re.fullmatch(r"[\w-]+", text):
        return _word(text)
    if re.fullmatch(r"[\w-]+\s*\(.*\)", text, re.DOTALL) and not os.path.exists(text):
        part = parse(text, Source)
        return anchored(part)
    return _path(text)


def _word(text: str) -> Source:
    names = [cls.__name__ for cls in catalogue(Source)]
    if _key(text) in map(_key, names):
        return anchored(parse(text, Source))
    if os.path.exists(text):
        return _path(text)
    hint = nearest_part(text, map(str.lower, names))
    near = nearest(text, Path.cwd())
    if near and (not hint or is_nearer(text, near.name, re.findall(r"'(.+)'", hint)[0])):
        hint = f", did you mean './{near.name}'?"
    raise RecipeError(
        f"no data are called '{text}'{hint}",
        why="it is neither a named source nor a path",
        fix="sparring list data",
    )


def _key(name: str) -> str:
    return re.sub("[-_]", "", name).lower()


def anchored(part: Source) -> Source:
    """The part with absolute paths, so that a run finds its data from anywhere."""
    return map_parts(part, _anchored)


def _anchored(part: Part) -> Part:
    given = {name: getattr(part, name, None) for name in ("path", "labels", "attributes")}
    texts = {name: p for name, p in given.items() if isinstance(p, str) and p}
    paths = {name: absolute(p) for name, p in texts.items() if p.lower() != "none"}
    return replace(cast(Source, part), **paths) if paths else part


def _folder(path: Path) -> Source:
    """Images or tar archives; DataError where both are there."""
    tar = min((p.name for p in path.glob("*.tar")), default=None)
    if tar is None:
        return Folder(path=str(path))
    image = next((name for name in walk(path) if is_image(name)), None)
    if image is not None:
        raise DataError(
            "images and tar archives in one folder",
            where=path,
            why=f"'{printable(image)}' and '{printable(tar)}', and either may be meant",
            fix=f"say which: \"Folder(path='{path}')\" or \"Shards(path='{path}')\"",
        )
    return Shards(path=str(path))


def _path(text: str) -> Source:
    path = existing(text)
    if path.is_dir():
        return _folder(path)
    if path.suffix.lower() == ".tar":
        return Shards(path=str(path))
    if path.suffix.lower() == ".zip":
        return Zip(path=str(path))
    if path.suffix.lower() in (".npz", ".npy"):
        return Npz(path=str(path))
    raise DataError(
        f"a file that ends in '{path.suffix}' is no data" if path.suffix else "no data",
        where=path,
        why=f"data are {ACCEPTED}",
        fix="put the images into a folder",
    )
