"""A zip of image files, read in place: nothing is ever extracted."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from sparring.data.decode import UnreadableError
from sparring.data.files import Files
from sparring.data.labels import NAMES
from sparring.data.listing import Listing, is_hidden, is_image
from sparring.data.paths import existing, printable
from sparring.errors import DataError

_MEMBER_LIMIT = 512 * 2**20  # bytes of one image file, unpacked
_RATIO_LIMIT, _RATIO_FROM = 200, 16 * 2**20  # a blank bitmap packs well too, so only if large


class Zip(Files):
    """The images in a zip archive, by the rules of a folder; the archive is never extracted."""

    @contextmanager
    def listing(self) -> Iterator[Listing]:
        """Raises DataError if `path` is no zip archive, or one that is made to do harm."""
        path = existing(self.path)
        try:
            archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError) as e:
            raise DataError("not a zip archive that can be read", where=path, why=str(e)) from None
        with archive:
            members = [m for m in archive.infolist() if not m.is_dir()]
            for member in members:
                _refuse_outside(member, str(path))
            named = sorted(((_name(m), i) for i, m in enumerate(members)))
            images = [(name, members[i]) for name, i in named if is_image(name)]
            hidden = sum(is_hidden(name) for name, _ in named)
            for _, member in images:
                _refuse_harmful(member, str(path))
            prefix, found = _labels([(name, members[i]) for name, i in named])
            if found:
                _refuse_harmful(found, str(path))
            yield Listing(
                where=str(path),
                names=tuple(name for name, _ in images),
                open=lambda i: _open(archive, images[i][1]),
                stamp=lambda i: f"{images[i][1].CRC} {images[i][1].file_size}",
                others=len(members) - len(images) - hidden,
                hidden=hidden,
                table=self.table(
                    lambda: _open(archive, found).read() if found else None,
                    f"{path}/{found.filename if found else ''}",
                ),
                prefix=prefix,
            )


def _labels(named: list[tuple[str, zipfile.ZipInfo]]) -> tuple[str, zipfile.ZipInfo | None]:
    """The labels file at the top, or in the one folder around everything, and that folder."""
    tops = {name.split("/")[0] for name, _ in named if not name.startswith(("__MACOSX", "."))}
    for prefix in ("", *(f"{top}/" for top in tops if len(tops) == 1)):
        for wanted in NAMES:
            for name, member in named:
                if name == prefix + wanted:
                    return prefix, member
    return "", None


def _name(member: zipfile.ZipInfo) -> str:
    return member.filename.replace("\\", "/").removeprefix("./")


def _open(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> BinaryIO:
    """The whole member, its checksum verified."""
    try:
        return io.BytesIO(archive.read(member))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as e:
        raise UnreadableError(f"damaged in the archive ({e})") from None


def _refuse_outside(member: zipfile.ZipInfo, where: str) -> None:
    name = _name(member)
    if name.startswith("/") or re.match(r"[A-Za-z]:", name) or ".." in name.split("/"):
        raise DataError(
            "unsafe archive",
            where=where,
            why=f"its member '{printable(member.filename)}' points outside",
            fix="pack the images again, with paths relative to one folder",
        )


def _refuse_harmful(member: zipfile.ZipInfo, where: str) -> None:
    name = printable(member.filename)
    if member.flag_bits & 1:
        raise DataError(
            "encrypted archive",
            where=where,
            why=f"its member '{name}' needs a password",
            fix="pack the images again without one",
        )
    ratio = member.file_size / max(member.compress_size, 1)
    if member.file_size > _MEMBER_LIMIT or (
        member.file_size > _RATIO_FROM and ratio > _RATIO_LIMIT
    ):
        raise DataError(
            "unsafe archive",
            where=where,
            why=f"its member '{name}' unpacks from {member.compress_size:,} to"
            f" {member.file_size:,} bytes",
            fix="pack the images again without it",
        )
