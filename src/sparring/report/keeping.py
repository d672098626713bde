"""Figures as files: what a page is made of, kept while it is made."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from sparring.storage import disk_errors, replace_file

Kept = list[tuple[str, str, bytes]]
_KEPT: ContextVar[Kept | None] = ContextVar("kept", default=None)


@contextmanager
def keeping() -> Iterator[Kept]:
    """Every figure made inside is kept as (label, ending, content)."""
    kept: Kept = []
    token = _KEPT.set(kept)
    try:
        yield kept
    finally:
        _KEPT.reset(token)


def keep(label: str, **contents: Callable[[], bytes | str]) -> None:
    """Keeps a figure, given its content by ending, where any are kept; else makes none."""
    kept = _KEPT.get()
    if kept is not None:
        for ending, make in contents.items():
            data = make()
            kept.append((label, ending, data.encode() if isinstance(data, str) else data))


def write_kept(kept: Kept, folder: Path) -> list[Path]:
    """Writes figures into a folder under names made of their labels; the paths. DiskError."""
    with disk_errors("the figures", folder, fix="name a folder that can be written"):
        folder.mkdir(parents=True, exist_ok=True)
    written: dict[Path, None] = {}
    for label, ending, content in kept:
        name = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")[:60] or "figure"
        path, number = folder / f"{name}.{ending}", 2
        while path in written:
            path, number = folder / f"{name}-{number}.{ending}", number + 1
        replace_file(path, content)
        written[path] = None
    return list(written)
