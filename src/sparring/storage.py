"""Files that are whole or absent: temporary file, fsync, rename."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor

from sparring.errors import DiskError


@contextmanager
def disk_errors(what: str, where: object, fix: str = "") -> Iterator[None]:
    """Turns an OSError of the disk into a DiskError of one line."""
    try:
        yield
    except OSError as e:
        full = e.errno in (errno.ENOSPC, errno.EDQUOT)
        why = "no space left" if full else (e.strerror or str(e)).lower()
        fix = fix or ("free some space" if full else "choose a place that can be written")
        raise DiskError(f"cannot write {what}", where=where, why=why, fix=fix) from e


def cache_folder() -> Path:
    """Where what is computed once is kept: SPARRING_CACHE, else XDG_CACHE_HOME/sparring, else
    ~/.cache/sparring."""
    own = os.environ.get("SPARRING_CACHE")
    if own:
        return Path(own)
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "sparring"


def write_new(path: Path, data: bytes) -> str:
    """Writes `data` to `path`, on disk when this returns; its SHA-256."""
    with open(path, "wb") as f:
        f.write(data)
        f.flush()
        os.fsync(f.fileno())
    return hashlib.sha256(data).hexdigest()


def replace_file(path: Path, data: bytes | str) -> None:
    """Puts `data` at `path` in one move: a reader sees the old file or the new one."""
    data = data.encode() if isinstance(data, str) else data
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with disk_errors(path.name, path.parent):
        try:
            write_new(temporary, data)
            os.replace(temporary, path)
            sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def replace_folder(path: Path, fill: Callable[[Path], None]) -> None:
    """Makes the folder `path` in one move: `fill` writes into a temporary one beside it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        fill(temporary)
        sync_folder(temporary)
        if path.exists():
            shutil.rmtree(path)
        os.replace(temporary, path)
        sync_folder(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sync_folder(path: Path) -> None:
    """Makes renames inside a folder last through a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def tensors_to_bytes(tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> bytes:
    """A safetensors file; its tensors are copied to the CPU and made contiguous."""
    ready = {k: t.detach().cpu().contiguous() for k, t in tensors.items()}
    return save(ready, metadata=metadata)


def append_line(path: Path, row: dict[str, Any]) -> None:
    """Adds one JSON line; NaN and infinities become null."""
    with disk_errors(path.name, path.parent), open(path, "a") as f:
        f.write(to_json(row) + "\n")


def to_json(value: Any, indent: int | None = None) -> str:
    """Strict JSON: NaN and infinities become null, tuples lists, unknown objects their text."""
    return json.dumps(_finite(value), indent=indent, default=str, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not (abs(value) < float("inf")):
        return None
    if isinstance(value, dict):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return value


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSON-lines file; a last line cut off by a crash is left out."""
    if not path.exists():
        return []
    rows = []
    for text in path.read_text().splitlines():
        try:
            rows.append(json.loads(text))
        except json.JSONDecodeError:
            continue
    return rows
