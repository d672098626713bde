"""Images in tar archives, WebDataset shards among them, read in place: nothing is extracted.

A shard of WebDataset holds the files of a sample side by side, under one name up to the first dot:
0001.jpg, and 0001.cls (a class) or 0001.json (an object with `label`, or with columns of its own).
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sparring.data.decode import UnreadableError
from sparring.data.files import Files
from sparring.data.labels import Table
from sparring.data.labels import read as read_table
from sparring.data.listing import Listing, is_image
from sparring.data.paths import existing, printable
from sparring.errors import DataError

_SMALL = 2**20  # bytes of a label
_LABELS = (".cls", ".json")


@dataclass(frozen=True, slots=True)
class _Member:
    """Where a file lies: in which archive, from which byte on, how many."""

    archive: str
    offset: int
    size: int


class Shards(Files):
    """The images in a tar archive, or in all the tar archives of a folder, in the order of names.

    Labels are the .cls or .json files beside the images (WebDataset), else folders. With
    keep="stream" a set of any size is trained on without a decoded copy: only places are kept.
    """

    @contextmanager
    def listing(self) -> Iterator[Listing]:
        """Raises DataError if there is no tar archive at `path`, or one that is made to do harm."""
        path = existing(self.path)
        archives = sorted(path.glob("*.tar")) if path.is_dir() else [path]
        if not archives:
            raise DataError("no tar archive", where=path, fix="give a .tar or a folder of them")
        images: list[tuple[str, _Member]] = []
        beside: list[tuple[str, _Member]] = []
        others = 0
        for archive in archives:
            inside = f"{archive.stem}/" if len(archives) > 1 else ""
            for name, member in _members(archive):
                if is_image(name):
                    images.append((inside + name, member))
                elif name.endswith(_LABELS) and member.size <= _SMALL:
                    beside.append((inside + name, member))
                else:
                    others += 1
        images.sort(key=lambda pair: pair[0])
        stamps = {str(a): f"{(s := a.stat()).st_size} {s.st_mtime_ns}" for a in archives}
        yield Listing(
            where=str(path),
            names=tuple(name for name, _ in images),
            open=lambda i: _open(images[i][1]),
            stamp=lambda i: f"{stamps[images[i][1].archive]} {images[i][1].offset}",
            others=others,
            table=_table(beside, images, str(path)) if beside and self.labels is None else None,
        )


def _members(archive: Path) -> Iterator[tuple[str, _Member]]:
    """The files in an archive; DataError for links, devices and names that point outside."""
    try:
        with tarfile.open(archive, "r:") as tar:
            while (member := tar.next()) is not None:
                name = member.name.removeprefix("./")
                _refuse_outside(name, member, archive)
                if not member.isdir():
                    yield name, _Member(str(archive), member.offset_data, member.size)
                tar.members.clear()  # pyright: ignore  # a million of them would fill the memory
    except (tarfile.TarError, OSError, EOFError) as e:
        why = " ".join(str(e).split())
        fix = "unpack a compressed one once: gunzip FILE" if archive.stat().st_size else ""
        raise DataError(
            "not a plain tar archive that can be read", where=archive, why=why, fix=fix
        ) from None


def _refuse_outside(name: str, member: tarfile.TarInfo, archive: Path) -> None:
    shown = printable(member.name)
    if name.startswith("/") or ".." in name.split("/"):
        why = f"its member '{shown}' points outside"
    elif member.issym() or member.islnk():
        why = f"its member '{shown}' is a link to '{printable(member.linkname)}'"
    elif member.issparse() or not (member.isreg() or member.isdir()):
        why = f"its member '{shown}' is no plain file"
    else:
        return
    fix = "pack the images again as plain files, with paths relative to one folder"
    raise DataError("unsafe archive", where=archive, why=why, fix=fix)


def _open(member: _Member) -> BinaryIO:
    descriptor = os.open(member.archive, os.O_RDONLY)
    try:
        content = os.pread(descriptor, member.size, member.offset)
    finally:
        os.close(descriptor)
    if len(content) < member.size:
        raise UnreadableError("the archive ends before it does")
    return io.BytesIO(content)


def _table(
    beside: list[tuple[str, _Member]], images: list[tuple[str, _Member]], where: str
) -> Table | None:
    """The labels beside the images as a table; an image belongs to the label of its sample."""
    found = {}
    for name, member in beside:
        text = _open(member).read().decode("utf-8", errors="replace").strip()
        found.setdefault(_sample(name), (name, text))
    lines = []
    for name, _ in images:
        label = found.get(_sample(name))
        if label is None:
            continue
        row = {"label": _plain(label[1])}
        if label[0].endswith(".json"):
            try:
                row = dict(json.loads(label[1]))
            except (json.JSONDecodeError, TypeError, ValueError):
                raise DataError(f"'{printable(label[0])}' is no JSON object", where=where) from None
            row = {"label": row["label"]} if "label" in row else row
        lines.append(json.dumps({"file": name, **row}))
    return read_table("\n".join(lines).encode(), f"{where}/labels.jsonl") if lines else None


def _sample(name: str) -> str:
    """The name of a WebDataset sample: up to the first dot of the file's name."""
    folder, _, file = name.rpartition("/")
    return f"{folder}/{file.partition('.')[0]}"


def _plain(text: str) -> str | int:
    """'7' -> 7: classes given by number keep the order of numbers."""
    return int(text) if text.isdigit() else text
