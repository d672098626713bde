"""Paths as users give them, and what to say when nothing is there."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from sparring.errors import DataError


def absolute(path: str) -> str:
    """`path` with ~ expanded, from the root, links untouched."""
    return os.path.abspath(os.path.expanduser(path))


def existing(path: str) -> Path:
    """The path, if something is there.

    Raises DataError that names the nearest existing name, or the part of the path that exists.
    """
    if not path:
        raise DataError("no path is given", fix="write the path of a folder, a .zip or a .npz")
    found = Path(absolute(path))
    if found.exists():
        return found
    if found.is_symlink():
        raise DataError("broken link", where=found, why=f"it points to {os.readlink(found)}")
    parent = found.parent
    missing = found.name
    while not parent.exists():
        parent, missing = parent.parent, parent.name
    near = nearest(missing, parent)
    fix = f"use {near}" if near else f"look at what is there: ls {parent}"
    raise DataError("nothing is there", where=found, why=f"{parent} has no '{missing}'", fix=fix)


def nearest(name: str, folder: Path) -> Path | None:
    """What in `folder` is called most like `name`, if anything is."""
    try:
        names = os.listdir(folder)
    except OSError:
        return None
    by_lower = {n.lower(): n for n in sorted(names)}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return folder / by_lower[found[0]] if found else None


def is_nearer(name: str, one: str, other: str) -> bool:
    """Whether the one is more like the name than the other is."""
    a, b = (difflib.SequenceMatcher(None, name.lower(), s.lower()).ratio() for s in (one, other))
    return a > b


def printable(name: str) -> str:
    """A file's name on one line, whatever bytes it is made of."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name)
