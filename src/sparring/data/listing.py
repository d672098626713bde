"""Image files in a fixed order: what is listed, how large they are, how few are too few."""

from __future__ import annotations

import os
import shlex
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import BinaryIO

from sparring.data.decode import ENDINGS, Header, UnreadableError, header
from sparring.data.labels import Table
from sparring.data.paths import printable
from sparring.errors import DataError

Size = tuple[int, int]


@dataclass(frozen=True)
class Listing:
    """Image files in a fixed order.

    where: the folder or archive; names: paths inside it, parts divided by "/"; open: the i-th file
    as a binary stream, raising UnreadableError or OSError; stamp: text that changes when the i-th
    file does; others: how many files have no image's ending; hidden: how many files and folders are
    passed over because they are hidden; runs: folders passed over because they are runs; table: the
    labels found beside the images, to whose folder inside `prefix` its paths are relative; half: 0
    or 1 where of each file only the left or the right half is meant; patches: where an entry is a
    patch of a file, the file's number and which of its patches.
    """

    where: str
    names: tuple[str, ...]
    open: Callable[[int], BinaryIO]
    stamp: Callable[[int], str]
    others: int = 0
    hidden: int = 0
    table: Table | None = None
    prefix: str = ""
    runs: tuple[str, ...] = ()
    half: int | None = None
    patches: tuple[tuple[int, int], ...] | None = None
    last: threading.local = field(default_factory=threading.local)

    @property
    def count(self) -> int:
        """How many files there are."""
        return len(set(self.names)) if self.patches else len(self.names)


def ending(name: str) -> str:
    """The ending of a file's name, in small letters, without the dot."""
    return os.path.splitext(name)[1][1:].lower()


def is_hidden(name: str) -> bool:
    """Whether a path inside a folder or archive is hidden, or what a Mac adds to an archive."""
    return any(p.startswith(".") or p == "__MACOSX" for p in name.split("/"))


def is_image(name: str) -> bool:
    """Whether a path inside a folder or archive is an image's: by its ending, and not hidden."""
    return not is_hidden(name) and ending(name) in ENDINGS


def look(listing: Listing, i: int, ranged: bool = False) -> Header | UnreadableError:
    """The header of the i-th file, or why there is none. ranged: whether a range is given."""
    try:
        with listing.open(i) as file:
            found = header(file, ranged)
            return found if listing.half is None else replace(found, width=found.width // 2)
    except UnreadableError as e:
        return e
    except OSError as e:
        return UnreadableError(e.strerror or str(e))


def default_side(sides: Sequence[int]) -> int:
    """The side of the square that at least 90 % of the images reach; see `Files`."""
    if not sides:
        return 0
    ordered = sorted(sides)
    reached = ordered[len(ordered) // 10]  # at most a tenth lies below
    return reached if reached < 32 else min(64, reached // 8 * 8)


def refuse_none(listing: Listing) -> None:
    """DataError where there is no image."""
    if not listing.names:
        others = f"{listing.others} files of other kinds" if listing.others else "it is empty"
        raise DataError(
            "no image found",
            where=listing.where,
            why=others,
            fix=f"give files that end in {', '.join(ENDINGS)}",
        )


def refuse_many(
    listing: Listing, unreadable: dict[int, str], limit: int | None, looked: int | None = None
) -> None:
    """DataError where more than `limit` of the files looked at, or all, cannot be read."""
    total = looked or listing.count
    many = len({listing.names[i] for i in unreadable})
    if many == total or (limit is not None and many > limit):
        first = min(unreadable)
        count = f"{many} of {total}" if total > 1 else "the only one"
        raise DataError(
            "no usable image" if many == total else "too many unreadable images",
            where=listing.where,
            why=f"{count} cannot be read, such as {printable(listing.names[first])}:"
            f" {unreadable[first]}",
            fix=f"sparring inspect {shlex.quote(listing.where)}",
        )
