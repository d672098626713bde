"""Decoded images in a file of the cache, mapped into memory: resident memory stays flat.

CACHE/images/CONTENT.pixels holds the pixels (N, H, W, C) and is named by their SHA-256, so equal
sets share one. CACHE/images/KEY.json says which it is for files of certain names, sizes and dates
at a certain place: so a set is decoded once, and a start with nothing changed reads no image. Both
appear in one move.
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sparring.data.rows import Rows
from sparring.data.tally import Tally
from sparring.errors import DiskError
from sparring.storage import cache_folder, disk_errors, replace_file, sync_folder, to_json

# Raise it with any change to decoding or resizing: it is part of the key.
VERSION = 2
_TOUCHED = 32  # rows read before their pages are given back: the kernel may map 2 MB around each
_FIX = "set SPARRING_CACHE to a folder with room that can be written"


@dataclass(frozen=True)
class Entry:
    """One set in the cache.

    content: the SHA-256 of its pixels; shape: (N, H, W, C); unreadable, small: {place of a file:
    why it was left out}.
    """

    content: str
    shape: tuple[int, ...]
    dtype: str
    unreadable: dict[str, str]
    small: dict[str, str]
    tally: Tally

    @property
    def path(self) -> Path:
        return _folder() / f"{self.content}.pixels"

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    def rows(self) -> Rows:
        n, height, width, channels = self.shape
        dtype = torch.uint8 if self.dtype == "uint8" else torch.float32
        return Rows((n, channels, height, width), dtype, _Map(self))


class _Map:
    """Reads rows of the file. Pages are given back once read, so they do not add up."""

    def __init__(self, entry: Entry) -> None:
        with open(entry.path, "rb") as file:
            self.map = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        self.map.madvise(mmap.MADV_RANDOM)  # batches jump about: reading ahead would be in vain
        self.pixels = np.frombuffer(self.map, np.dtype(entry.dtype)).reshape(entry.shape)

    def __call__(self, index: Tensor) -> Tensor:
        places = index.numpy()
        found = np.empty((len(places), *self.pixels.shape[1:]), self.pixels.dtype)
        for start in range(0, len(places), _TOUCHED):
            part = slice(start, start + _TOUCHED)
            found[part] = self.pixels[places[part]]
            self.map.madvise(mmap.MADV_DONTNEED)
        return torch.from_numpy(found).permute(0, 3, 1, 2)


def _folder() -> Path:
    return cache_folder() / "images"


def key(names: Sequence[str], stamp: Callable[[int], str], options: object) -> str:
    """What a set is before it is decoded: its files' names and stamps, and what is done to them."""
    sha = hashlib.sha256(repr((VERSION, options)).encode())
    for i, name in enumerate(names):
        sha.update(f"{name}\0{stamp(i)}\n".encode(errors="surrogateescape"))
    return sha.hexdigest()[:32]


def find(key: str) -> Entry | None:
    """The entry of a key, if it is there and whole."""
    try:
        known = json.loads((_folder() / f"{key}.json").read_text())
        entry = Entry(
            content=str(known["content"]),
            shape=tuple(known["shape"]),
            dtype=str(known["dtype"]),
            unreadable=dict(known["unreadable"]),
            small=dict(known["small"]),
            tally=Tally.of_json(known["tally"]),
        )
        return entry if entry.path.stat().st_size == entry.bytes else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write(
    groups: Iterator[tuple[np.ndarray, list[int]]],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    where: str,
) -> tuple[str, tuple[int, ...], str]:
    """Writes the pixels; their SHA-256, shape and type. shape: as many as there may be.

    Raises DiskError before anything is decoded if the disk has no room or cannot be written.
    """
    need = math.prod(shape) * dtype.itemsize
    folder = _folder()
    with disk_errors(f"the decoded images of {where}", folder, fix=_FIX):
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        _refuse_full(need, folder, where)
        draft = folder / f".{os.getpid()}.tmp"
        try:
            with open(draft, "wb") as file:
                if need:
                    os.posix_fallocate(file.fileno(), 0, need)
                sha, count = hashlib.sha256(), 0
                for pixels, _ in groups:
                    data = np.ascontiguousarray(pixels).data.cast("B")
                    file.write(data)
                    sha.update(data)
                    count += len(pixels)
                file.truncate()
                file.flush()
                os.fsync(file.fileno())
            shape = (count, *shape[1:])
            sha.update(repr((shape, str(dtype))).encode())
            os.replace(draft, folder / f"{sha.hexdigest()}.pixels")
            sync_folder(folder)
        finally:
            draft.unlink(missing_ok=True)
    return sha.hexdigest(), shape, str(dtype)


def _refuse_full(need: int, folder: Path, where: str) -> None:
    free = shutil.disk_usage(folder).free
    if need > free:
        raise DiskError(
            f"no room for the decoded images of {where}",
            where=folder,
            why=f"they need {need / 1e6:,.1f} MB, {free / 1e6:,.1f} MB are free",
            fix=f"{_FIX}, choose a smaller --size, or keep='stream'",
        )


def _sweep(folder: Path) -> None:
    """Removes what processes that were killed have left."""
    for draft in folder.glob(".*.tmp"):
        name = draft.name.split(".")[1]
        if name.isdigit() and not Path(f"/proc/{name}").exists():
            draft.unlink(missing_ok=True)


def keep(
    key: str,
    written: tuple[str, tuple[int, ...], str],
    unreadable: dict[int, str],
    small: dict[int, str],
    tally: Tally,
) -> Entry:
    """Writes down which pixels belong to a key."""
    content, shape, dtype = written
    left, short = ({str(i): why for i, why in d.items()} for d in (unreadable, small))
    entry = Entry(content, shape, dtype, left, short, tally)
    about = {
        "content": content,
        "shape": shape,
        "dtype": dtype,
        "unreadable": left,
        "small": short,
        "tally": tally.to_json(),
    }
    replace_file(_folder() / f"{key}.json", to_json(about))
    return entry
