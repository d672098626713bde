"""A folder of image files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sparring.data.files import Files
from sparring.data.labels import NAMES
from sparring.data.listing import Listing, is_hidden, is_image
from sparring.data.paths import existing
from sparring.errors import DataError

_RUN = {"recipe.py", "stats.jsonl"}  # which every run has from its beginning


class Folder(Files):
    """The images in a folder and its sub-folders, which are classes where all images lie in them.

    Taken in the order of their paths; hidden files and the folders of runs are ignored, links are
    followed, each folder is visited once.
    """

    @contextmanager
    def listing(self) -> Iterator[Listing]:
        """Raises DataError if `path` is no folder that can be read."""
        root = existing(self.path)
        if not root.is_dir():
            raise DataError("not a folder", where=root, fix="give a folder, a .zip or a .npz")
        everything = sorted(walk(root))
        runs = tuple(name for name in everything if name.endswith("/"))
        names = [name for name in everything if not is_hidden(name) and name[-1] != "/"]
        images = tuple(name for name in names if is_image(name))
        found = next((root / name for name in NAMES if name in names), None)
        yield Listing(
            where=str(root),
            names=images,
            open=lambda i: open(root / images[i], "rb", opener=_at_once),  # noqa: SIM115
            stamp=lambda i: _stamp(root / images[i]),
            others=len(names) - len(images),
            hidden=len(everything) - len(names) - len(runs),
            runs=runs,
            table=self.table(lambda: found.read_bytes() if found else None, str(found)),
        )


def _at_once(path: str, flags: int) -> int:
    """Opens a file without waiting, as one would for a pipe that nobody writes to."""
    return os.open(path, flags | os.O_NONBLOCK)


def _stamp(file: Path) -> str:
    try:
        stat = file.stat()
    except OSError:
        return "gone"
    return f"{stat.st_size} {stat.st_mtime_ns}"


def walk(root: Path) -> Iterator[str]:
    """The files below `root`, relative to it, and hidden folders and those of runs, these with a
    "/" at the end, into which it does not look: what a run writes is no part of its data.

    Loops of links end where they close.
    """
    seen = set[tuple[int, int]]()

    def refuse(error: OSError) -> None:
        why = error.strerror or str(error)
        raise DataError("cannot read a folder", where=error.filename, why=why)

    for folder, below, files in os.walk(root, followlinks=True, onerror=refuse):
        stat = os.stat(folder)
        if (stat.st_dev, stat.st_ino) in seen:
            below.clear()
            continue
        seen.add((stat.st_dev, stat.st_ino))
        inside = Path(folder).relative_to(root)
        if set(files) >= _RUN and inside.parts:
            yield f"{inside.as_posix()}/"
            below.clear()
            continue
        hidden = [name for name in below if name.startswith(".")]
        yield from ((inside / name).as_posix() for name in (*files, *hidden))
        below[:] = sorted(set(below) - set(hidden))
