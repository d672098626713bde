"""Many image files made into one set: which are classes, which size, what is left out."""

from __future__ import annotations

import hashlib
import os
import shlex
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import BinaryIO, Literal, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sparring.data import labels as tables
from sparring.data import mapped
from sparring.data.decode import ENDINGS, Facts, Form, Header, UnreadableError, decode, header
from sparring.data.digest import digest
from sparring.data.labels import Labels, Table
from sparring.data.mapped import Entry
from sparring.data.paths import absolute, printable
from sparring.data.resize import fit
from sparring.data.rows import Rows
from sparring.data.source import Images, Source
from sparring.data.stream import Reader
from sparring.data.tally import Tally
from sparring.errors import DataError
from sparring.parts import require
from sparring.randomness import generator

T = TypeVar("T")
Size = tuple[int, int]

IN_MEMORY = 2 * 2**30  # bytes of pixels; larger sets stay in a file
_BLOCK = 64  # files per task of the thread pool
_GROUP = 32 * 2**20  # bytes of pixels decoded before they are handed on
_SAMPLED = 1000  # files whose headers decide for a stream, which has too many to open them all
_WORTH = 200  # pixels of the smaller side from which threads gain more than they wait for the lock
_MODES: dict[str, Literal["L", "RGB", "RGBA"]] = {"grey": "L", "rgb": "RGB", "rgba": "RGBA"}


@dataclass(frozen=True)
class Listing:
    """Image files in a fixed order.

    where: the folder or archive; names: paths inside it, parts divided by "/"; open: the i-th file
    as a binary stream, raising UnreadableError or OSError; stamp: text that changes when the i-th
    file does; others: how many files have no image's ending; hidden: how many files and folders are
    passed over because they are hidden; table: the labels found beside the images, to whose folder
    inside `prefix` its paths are relative; half: 0 or 1 where of each file only the left or the
    right half is meant; patches: where an entry is a patch of a file, the file's number and which
    of its patches.
    """

    where: str
    names: tuple[str, ...]
    open: Callable[[int], BinaryIO]
    stamp: Callable[[int], str]
    others: int = 0
    hidden: int = 0
    table: Table | None = None
    prefix: str = ""
    half: int | None = None
    patches: tuple[tuple[int, int], ...] | None = None
    last: threading.local = field(default_factory=threading.local)

    @property
    def count(self) -> int:
        """How many files there are."""
        return len(set(self.names)) if self.patches else len(self.names)


@dataclass(frozen=True)
class Loaded:
    """The images, and what is known of their files.

    kept: for each image its file's place in the listing; tally: what the files were; unreadable:
    how many could not be read, of `limit` that training allows.
    """

    images: Images
    kept: Sequence[int]
    tally: Tally
    unreadable: int
    limit: int


class Files(Source, abstract=True):
    """Images in many files at `path`.

    With size None they become square, with the largest multiple of 8 up to 64 that at least 90 %
    of them reach with their smaller side (below 32: with that side itself); those that do not are
    left out, for nothing is enlarged unasked. An explicit size enlarges. Images that cannot be
    read are left out, up to 10 or 0.1 % of all.

    labels: a CSV or JSON-lines file of labels; None takes labels.csv or labels.jsonl beside the
    images, else folders; "none" takes none. channels: auto is grey if all images are, else rgb;
    rgba keeps transparency. range: the file's values that become -1 and 1, such as (0, 65535), kept
    whole as float32; None is 8 bits. keep: where the decoded pixels are: in memory, in a file of
    the cache, or nowhere (stream: decoded each time they are shown); auto is memory up to 2 GB.
    patches: not whole images but up to so many patches of each, at its own scale and at places that
    are always the same; as many as would lie side by side, at least one, and none of an image that
    is smaller. 0 takes whole images, scaled.
    """

    path: str = ""
    labels: str | None = None
    channels: Literal["auto", "grey", "rgb", "rgba"] = "auto"
    range: tuple[float, float] | None = None
    keep: Literal["auto", "memory", "cache", "stream"] = "auto"
    patches: int = 0

    def check(self) -> None:
        require(self.patches >= 0, "patches must not be negative")
        low, high = self.range or (0, 1)
        require(low < high, "the range goes from a lower to a higher value")

    def open(self, size: Size | None = None) -> Images:
        """Raises DataError if nothing, one image only or too little can be read."""
        with ExitStack() as stack:
            images = load(self, stack.enter_context(self.listing()), size).images
            if self.keep == "stream":
                Reader.of(images).keep_open(stack.pop_all())
            return images

    def table(self, content: Callable[[], bytes | None], where: str) -> Table | None:
        """The labels beside the images, unless others are asked for or none."""
        data = content() if self.labels is None else None
        return None if data is None else tables.read(data, where)

    def given(self, names: tuple[str, ...]) -> Labels | None:
        """Labels that the source itself knows for the files of these names."""
        return None

    def listing(self) -> AbstractContextManager[Listing]:
        """What is at `path`, closed by the end of the block. Raises DataError."""
        raise NotImplementedError


def ending(name: str) -> str:
    """The ending of a file's name, in small letters, without the dot."""
    return os.path.splitext(name)[1][1:].lower()


def is_hidden(name: str) -> bool:
    """Whether a path inside a folder or archive is hidden, or what a Mac adds to an archive."""
    return any(p.startswith(".") or p == "__MACOSX" for p in name.split("/"))


def is_image(name: str) -> bool:
    """Whether a path inside a folder or archive is an image's: by its ending, and not hidden."""
    return not is_hidden(name) and ending(name) in ENDINGS


# ------------------------------------------------------------------------------- files -> images


def load(files: Files, listing: Listing, size: Size | None = None, strict: bool = True) -> Loaded:
    """Decodes and resizes all files. `strict` refuses when too many cannot be read.

    Raises DataError, and DiskError where the cache cannot be written.
    """
    _refuse_none(listing)
    given = listing.patches is not None
    if files.patches and not given:
        size = size or patch_size(listing, files)
        listing = patched(listing, patches(listing, files, size))
    found = _load(files, listing, size, strict)
    if files.labels is None and found.images.labels is None:
        found = replace(found, images=replace(found.images, unlabelled=beside(listing)))
    if listing.patches is None:
        return found
    numbers = [listing.patches[i][0] for i in found.kept]
    left_out = tuple(dict(found.images.left_out).items())
    images = replace(found.images, groups=torch.tensor(numbers), left_out=left_out)
    # What the caller knows are the entries of its own listing.
    return replace(found, images=images, kept=found.kept if given else numbers)


def _load(files: Files, listing: Listing, size: Size | None, strict: bool) -> Loaded:
    labels = label(files, listing)
    limit = max(10, listing.count // 1000)
    options = (size, files.channels, files.range)

    @cache
    def key() -> str:  # with the place: archives give the files of several sets one date
        return mapped.key(listing.names, listing.stamp, (listing.where, *options))

    most = len(listing.names) * _bytes(size or (64, 64), 3, files.range)
    if files.keep == "cache" or (files.keep == "auto" and most > IN_MEMORY):
        entry = mapped.find(key())
        if entry and (files.keep == "cache" or entry.bytes > IN_MEMORY):
            return _cached(listing, entry, labels, limit if strict else None)
    with warnings.catch_warnings():  # around all threads: the filters are global
        warnings.simplefilter("ignore")
        Image.init()
        plan = _plan(files, listing, size, limit if strict else None)
        if files.keep == "stream":
            known = mapped.key(listing.names, listing.stamp, options)
            return _streamed(files, listing, plan, labels, limit, known)
        tally, failed = Tally(), dict[int, str]()
        groups = _decoded(listing, plan, tally, failed)
        need = len(plan.taken) * _bytes(plan.size, plan.form.channels, files.range)
        if files.keep == "cache" or (files.keep == "auto" and need > IN_MEMORY):
            shape = (len(plan.taken), *plan.size, plan.form.channels)
            written = mapped.write(groups, shape, plan.form.dtype, listing.where)
            entry = mapped.keep(key(), written, plan.left_out | failed, plan.small, tally)
            return _cached(listing, entry, labels, limit if strict else None)
        pixels, kept = _gather(listing, groups, plan)
    unreadable = plan.left_out | failed
    _refuse_many(listing, unreadable, limit if strict else None)
    images = arrange(pixels, _of(labels, kept), listing.where, _left_out(listing, plan, failed))
    return Loaded(images, kept, tally, len({listing.names[i] for i in unreadable}), limit)


@dataclass(frozen=True)
class _Plan:
    """Which files are taken, as what; which are not, with the reason."""

    taken: Sequence[int]
    size: Size
    form: Form
    large: bool
    left_out: dict[int, str]
    small: dict[int, str]


def _plan(files: Files, listing: Listing, size: Size | None, limit: int | None) -> _Plan:
    """Looks at the headers: of all files, or of some for a stream."""
    n = len(listing.names)
    step = max(1, n // _SAMPLED) if files.keep == "stream" else 1
    looked = range(0, n, step)
    seen = cache(lambda file, i: look(listing, i, files.range is not None))
    heads = {i: seen(*_first(listing, i)) for i in looked}
    left_out = {i: str(h) for i, h in heads.items() if isinstance(h, UnreadableError)}
    good = {i: h for i, h in heads.items() if isinstance(h, Header)}
    _refuse_many(listing, left_out, limit, len(looked))
    side = default_side([h.side for h in good.values()])
    short = f"its smaller side is below {side} pixels"
    small = {i: short for i, h in good.items() if size is None and h.side < side}
    if listing.patches is not None:
        assert size is not None
        short = f"smaller than a patch of {size[0]}x{size[1]}"
        small = {i: short for i, h in good.items() if not _holds(h, size)}
    taken = [i for i in good if i not in small]
    auto = "L" if all(good[i].grey for i in taken) else "RGB"
    form = Form(_MODES.get(files.channels, auto), files.range)
    large = any(good[i].side >= _WORTH for i in taken)
    return _Plan(taken, size or (side, side), form, large, left_out, small)


def _bytes(size: Size, channels: int, range: object) -> int:
    return size[0] * size[1] * channels * (1 if range is None else 4)


def _decoded(
    listing: Listing, plan: _Plan, tally: Tally, failed: dict[int, str]
) -> Iterator[tuple[np.ndarray, list[int]]]:
    """Groups of decoded images (m, H, W, C) and their files, in order; notes what failed."""
    each = _bytes(plan.size, plan.form.channels, plan.form.range)
    group = max(_BLOCK, _GROUP // each // _BLOCK * _BLOCK)

    def one(i: int) -> tuple[np.ndarray, Facts] | UnreadableError:
        return attempt(listing, i, plan.form, plan.size)

    with ThreadPoolExecutor(threads(plan.large)) as pool:
        for start in range(0, len(plan.taken), group):
            places = plan.taken[start : start + group]
            kept, pixels = [], []
            for i, found in zip(places, _each(pool, one, places)):
                if isinstance(found, UnreadableError):
                    failed[i] = str(found)
                else:
                    kept.append(i)
                    pixels.append(found[0])
                    if listing.patches is None or listing.patches[i][1] == 0:
                        tally.add(found[1])
            if kept:
                yield np.stack(pixels), kept


def attempt(
    listing: Listing, i: int, form: Form, size: Size
) -> tuple[np.ndarray, Facts] | UnreadableError:
    """The i-th file decoded and resized, or cut, (H, W, C), or why it is not."""
    found = _whole(listing, i, form) if listing.patches is None else _again(listing, i, form)
    if isinstance(found, UnreadableError):
        return found
    pixels, facts = found
    if listing.half is not None:
        width = pixels.shape[1] // 2
        pixels = pixels[:, -width:] if listing.half else pixels[:, :width]
    if listing.patches is not None:
        return _cut(pixels, size, listing.patches[i]), facts
    return fit(pixels, size, form.clear), facts


Decoded = tuple[np.ndarray, Facts] | UnreadableError


def _whole(listing: Listing, i: int, form: Form) -> Decoded:
    """All pixels of the i-th file (h, w, C), or why there are none."""
    try:
        with listing.open(i) as file:
            return decode(file, ending(listing.names[i]), form)
    except UnreadableError as e:
        return e
    except OSError as e:
        return UnreadableError(e.strerror or str(e))


# ------------------------------------------------------------------------------- files -> patches


def patch_size(listing: Listing, files: Files) -> Size:
    """That of the patches, where none is asked for: as of whole images."""
    heads = _heads(listing, files)
    side = default_side([h.side for h in heads if h is not None])
    return side, side


def patches(listing: Listing, files: Files, size: Size) -> tuple[tuple[int, int], ...]:
    """(number of a file, which of its patches) for all of them; one of a file that holds none.

    DataError where no file holds any.
    """
    found, heads = [], _heads(listing, files)
    known = [h for h in heads if h is not None]
    most = max((h.side for h in known), default=0)
    if known and not any(_holds(h, size) for h in known):
        raise DataError(
            f"no image holds a patch of {size[0]}x{size[1]}",
            where=listing.where,
            why=f"the first is {known[0].height}x{known[0].width}",
            fix=f"--size {most // 8 * 8 or most}, or --patches 0, which enlarges them",
        )
    for i, head in enumerate(heads):
        side_by_side = (head.height // size[0]) * (head.width // size[1]) if head else 0
        found += [(i, k) for k in range(max(1, min(files.patches, side_by_side)))]
    return tuple(found)


def patched(listing: Listing, table: tuple[tuple[int, int], ...]) -> Listing:
    """The listing with an entry for each of these patches."""
    return replace(
        listing,
        names=tuple(listing.names[i] for i, _ in table),
        open=lambda n: listing.open(table[n][0]),
        stamp=lambda n: f"{listing.stamp(table[n][0])} patch {table[n]}",
        patches=table,
        last=threading.local(),
    )


def _heads(listing: Listing, files: Files) -> list[Header | None]:
    found = (look(listing, i, files.range is not None) for i in range(len(listing.names)))
    return [None if isinstance(h, UnreadableError) else h for h in found]


def _first(listing: Listing, i: int) -> tuple[int, int]:
    """The number of the i-th entry's file and an entry that is that file's."""
    if listing.patches is None:
        return i, i
    file, k = listing.patches[i]
    return file, i - k


def _holds(head: Header, size: Size) -> bool:
    return head.height >= size[0] and head.width >= size[1]


def _cut(pixels: np.ndarray, size: Size, patch: tuple[int, int]) -> np.ndarray:
    """A patch of pixels (h, w, C), as they are, at a place that its number decides."""
    u = torch.rand(2, generator=generator("patch", *patch)).tolist()
    top, left = (int(x * (have - want + 1)) for x, have, want in zip(u, pixels.shape, size))
    return pixels[top : top + size[0], left : left + size[1]]


def _again(listing: Listing, i: int, form: Form) -> Decoded:
    """As `_whole`, but a file that this thread has just decoded is not decoded again."""
    assert listing.patches is not None
    last, key = listing.last, (listing.patches[i][0], form)
    if getattr(last, "key", None) != key:
        last.key, last.found = key, _whole(listing, i, form)
    return last.found


def threads(large: bool) -> int:
    """Pillow decodes large images without holding Python's lock."""
    return min(8, os.cpu_count() or 1) if large else 1


def _each(pool: ThreadPoolExecutor, work: Callable[[int], T], items: Sequence[int]) -> list[T]:
    blocks = [items[i : i + _BLOCK] for i in range(0, len(items), _BLOCK)]
    return [r for block in pool.map(lambda b: [work(i) for i in b], blocks) for r in block]


def _gather(
    listing: Listing, groups: Iterator[tuple[np.ndarray, list[int]]], plan: _Plan
) -> tuple[np.ndarray, list[int]]:
    """All groups in one array, without a second copy, which might not fit."""
    shape = (len(plan.taken), *plan.size, plan.form.channels)
    try:
        pixels = np.empty(shape, plan.form.dtype)
    except MemoryError:
        need = len(plan.taken) * _bytes(plan.size, plan.form.channels, plan.form.range) / 1e9
        raise DataError(
            "not enough memory",
            where=listing.where,
            why=f"{shape[0]} images of {shape[1]} x {shape[2]} need {need:.1f} GB",
            fix="choose a smaller --size, or keep='cache'",
        ) from None
    kept: list[int] = []
    for group, places in groups:
        pixels[len(kept) : len(kept) + len(places)] = group
        kept += places
    return pixels[: len(kept)], kept


def _cached(listing: Listing, entry: Entry, labels: Labels | None, limit: int | None) -> Loaded:
    """The set of an entry of the cache."""
    left = {int(i): why for i, why in entry.unreadable.items()}
    small = {int(i): why for i, why in entry.small.items()}
    _refuse_many(listing, left, limit)
    out = left | small
    kept = [i for i in range(len(listing.names)) if i not in out]
    left_out = [(printable(listing.names[i]), out[i]) for i in sorted(out)]
    images = arrange(entry.rows(), _of(labels, kept), listing.where, left_out, entry.content)
    limit = max(10, listing.count // 1000)
    many = len({listing.names[i] for i in left})
    return Loaded(images, kept, entry.tally, many, limit)


def _streamed(
    files: Files, listing: Listing, plan: _Plan, labels: Labels | None, limit: int, key: str
) -> Loaded:
    """Nothing is decoded now; the digest is that of names, sizes and dates of the files."""
    n = len(listing.names)
    reader = Reader(
        lambda i: attempt(listing, i, plan.form, plan.size),
        [printable(name) for name in listing.names],
        listing.where,
        limit,
        threads(plan.large),
    )
    shape = (n, plan.form.channels, *plan.size)
    dtype = torch.uint8 if files.range is None else torch.float32
    images = arrange(Rows(shape, dtype, reader), labels, listing.where, (), key)
    return Loaded(images, range(n), Tally(), len(plan.left_out), limit)


def _left_out(listing: Listing, plan: _Plan, failed: dict[int, str]) -> list[tuple[str, str]]:
    found = plan.left_out | plan.small | failed
    return [(printable(listing.names[i]), found[i]) for i in sorted(found)]


def _of(labels: Labels | None, kept: Sequence[int]) -> Labels | None:
    return None if labels is None else (labels[0][np.asarray(kept, np.int64)], labels[1])


def arrange(
    pixels: np.ndarray | Rows,
    labels: Labels | None,
    where: str,
    left_out: Sequence[tuple[str, str]] = (),
    content: str = "",
) -> Images:
    """The set of images, an array (N, H, W, C) or rows, without the classes that none of them has.

    content: the digest of rows. Raises DataError for fewer than two images.
    """
    if len(pixels) < 2:
        raise DataError(
            "only one usable image" if len(pixels) else "no usable image",
            where=where,
            why="; ".join(f"{name}: {why}" for name, why in left_out[:3]),
            fix="give at least 2 images",
        )
    if isinstance(pixels, Rows):
        values: Tensor | Rows = pixels
    else:
        values = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    found: Tensor | None = None
    classes: tuple[str, ...] = ()
    if labels is not None and labels[0].ndim == 2:
        found, classes = torch.from_numpy(labels[0].astype(np.float32)), labels[1]
    elif labels is not None:
        used, inverse = np.unique(labels[0], return_inverse=True)
        classes = tuple(labels[1][i] for i in used)
        found = torch.from_numpy(inverse.astype(np.int64))
    if isinstance(values, Rows):
        told = b"" if found is None else found.numpy().tobytes()
        known = hashlib.sha256(content.encode() + told).hexdigest()[:16]
    else:
        known = digest(values, found)
    return Images(values, found, classes, known, tuple(left_out))


# --------------------------------------------------------------------------------------- labels


def label(files: Files, listing: Listing) -> Labels | None:
    """The labels of all files of the listing: of a table, else their folders. Raises DataError."""
    if files.labels is not None and files.labels.lower() == "none":
        return None
    known = files.given(listing.names)
    if known is not None:
        return known
    table, prefix = listing.table, listing.prefix
    if files.labels is not None:
        file = Path(absolute(files.labels))
        if not file.is_file():
            raise tables.missing(files.labels, str(file.parent))
        table, prefix = tables.read(file.read_bytes(), str(file)), ""
    if table is not None:
        return tables.assign(table, listing.names, prefix)
    indices, classes = classify(listing)
    return None if indices is None else (np.array(indices, np.int64), classes)


def classify(listing: Listing) -> tuple[list[int] | None, tuple[str, ...]]:
    """Labels and class names from the first-level folders, or (None, ()) where there are none.

    One folder around everything does not count, one class alone is none, and where images lie
    beside the folders these are no classes.
    """
    firsts = _firsts(listing)
    folders = sorted(set(firsts))
    if len(folders) < 2 or "" in folders:
        return None, ()
    index = {name: i for i, name in enumerate(folders)}
    return [index[name] for name in firsts], tuple(map(printable, folders))


def beside(listing: Listing) -> str:
    """That images lie beside folders, which would be classes without them; nothing if none do."""
    firsts = _firsts(listing)
    loose, folders = firsts.count(""), set(firsts) - {""}
    if not (loose and folders):
        return ""
    many = f"{loose} images lie" if loose > 1 else "an image lies"
    return f"{many} beside folders such as '{printable(min(folders))}'"


def _firsts(listing: Listing) -> list[str]:
    """For each file the folder of the first level, "" for one that lies in none."""
    parts = [name.split("/") for name in listing.names]
    if all(len(p) > 1 for p in parts) and len({p[0] for p in parts}) == 1:
        parts = [p[1:] for p in parts]
    return [p[0] if len(p) > 1 else "" for p in parts]


def default_side(sides: Sequence[int]) -> int:
    """The side of the square that at least 90 % of the images reach; see `Files`."""
    if not sides:
        return 0
    ordered = sorted(sides)
    reached = ordered[len(ordered) // 10]  # at most a tenth lies below
    return reached if reached < 32 else min(64, reached // 8 * 8)


def _refuse_none(listing: Listing) -> None:
    if not listing.names:
        others = f"{listing.others} files of other kinds" if listing.others else "it is empty"
        raise DataError(
            "no image found",
            where=listing.where,
            why=others,
            fix=f"give files that end in {', '.join(ENDINGS)}",
        )


def _refuse_many(
    listing: Listing, unreadable: dict[int, str], limit: int | None, looked: int | None = None
) -> None:
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
