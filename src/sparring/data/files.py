"""Images in many files made into one set, in memory, in a file, or decoded when shown."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image

from sparring.data import labels as tables
from sparring.data import mapped
from sparring.data.assembly import arrange
from sparring.data.labels import Labels, Table
from sparring.data.listing import Listing, Size, refuse_many, refuse_none
from sparring.data.mapped import Entry
from sparring.data.patches import patch_size, patched, patches
from sparring.data.paths import absolute, printable
from sparring.data.pixels import attempt, decoded, gathered, threads
from sparring.data.plan import Plan, bytes_each, survey
from sparring.data.rows import Rows
from sparring.data.source import Images, Source
from sparring.data.stream import Reader, keep_open
from sparring.data.tally import Tally
from sparring.parts import require

IN_MEMORY = 2 * 2**30  # bytes of pixels; larger sets stay in a file


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
            listing = stack.enter_context(self.listing())
            images = load(self, listing, size).images
            if self.keep == "stream":
                keep_open(listing, stack.pop_all())
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


# ------------------------------------------------------------------------------- files -> images


def load(files: Files, listing: Listing, size: Size | None = None, strict: bool = True) -> Loaded:
    """Decodes and resizes all files. `strict` refuses when too many cannot be read.

    Raises DataError, and DiskError where the cache cannot be written.
    """
    refuse_none(listing)
    given = listing.patches is not None
    if files.patches and not given:
        ranged = files.range is not None
        size = size or patch_size(listing, ranged)
        listing = patched(listing, patches(listing, files.patches, size, ranged))
    found = _load(files, listing, size, strict)
    if listing.runs:
        runs = ((printable(run), "a run's folder is no data") for run in listing.runs)
        images = replace(found.images, left_out=(*found.images.left_out, *runs))
        found = replace(found, images=images)
    if files.labels is None and found.images.labels is None:
        said = tables.beside(listing.names)
        found = replace(found, images=replace(found.images, unlabelled=said))
    if listing.patches is None:
        return found
    numbers = [listing.patches[i][0] for i in found.kept]
    left_out = tuple(dict(found.images.left_out).items())
    images = replace(found.images, groups=torch.tensor(numbers), left_out=left_out)
    # What the caller knows are the entries of its own listing.
    return replace(found, images=images, kept=found.kept if given else numbers)


def _load(files: Files, listing: Listing, size: Size | None, strict: bool) -> Loaded:
    labels = _label(files, listing)
    limit = max(10, listing.count // 1000)
    options = (size, files.channels, files.range)

    @cache
    def key() -> str:  # with the place: archives give the files of several sets one date
        return mapped.key(listing.names, listing.stamp, (listing.where, *options))

    most = len(listing.names) * bytes_each(size or (64, 64), 3, files.range)
    if files.keep == "cache" or (files.keep == "auto" and most > IN_MEMORY):
        entry = mapped.find(key())
        if entry and (files.keep == "cache" or entry.bytes > IN_MEMORY):
            return _cached(listing, entry, labels, limit if strict else None)
    with warnings.catch_warnings():  # around all threads: the filters are global
        warnings.simplefilter("ignore")
        Image.init()
        plan = survey(
            listing,
            size,
            limit if strict else None,
            files.channels,
            files.range,
            sampled=files.keep == "stream",
        )
        if files.keep == "stream":
            known = mapped.key(listing.names, listing.stamp, (plan.size, *options[1:]))
            return _streamed(files, listing, plan, labels, limit, known)
        tally, failed = Tally(), dict[int, str]()
        groups = decoded(listing, plan, tally, failed)
        need = len(plan.taken) * bytes_each(plan.size, plan.form.channels, files.range)
        if files.keep == "cache" or (files.keep == "auto" and need > IN_MEMORY):
            shape = (len(plan.taken), *plan.size, plan.form.channels)
            written = mapped.write(groups, shape, plan.form.dtype, listing.where)
            entry = mapped.keep(key(), written, plan.left_out | failed, plan.small, tally)
            return _cached(listing, entry, labels, limit if strict else None)
        pixels, kept = gathered(listing, groups, plan)
    unreadable = plan.left_out | failed
    refuse_many(listing, unreadable, limit if strict else None)
    images = arrange(pixels, _of(labels, kept), listing.where, _left_out(listing, plan, failed))
    return Loaded(images, kept, tally, len({listing.names[i] for i in unreadable}), limit)


def _cached(listing: Listing, entry: Entry, labels: Labels | None, limit: int | None) -> Loaded:
    """The set of an entry of the cache."""
    left = {int(i): why for i, why in entry.unreadable.items()}
    small = {int(i): why for i, why in entry.small.items()}
    refuse_many(listing, left, limit)
    out = left | small
    kept = [i for i in range(len(listing.names)) if i not in out]
    left_out = [(printable(listing.names[i]), out[i]) for i in sorted(out)]
    images = arrange(entry.rows(), _of(labels, kept), listing.where, left_out, entry.content)
    limit = max(10, listing.count // 1000)
    many = len({listing.names[i] for i in left})
    return Loaded(images, kept, entry.tally, many, limit)


def _streamed(
    files: Files, listing: Listing, plan: Plan, labels: Labels | None, limit: int, key: str
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


def _left_out(listing: Listing, plan: Plan, failed: dict[int, str]) -> list[tuple[str, str]]:
    found = plan.left_out | plan.small | failed
    return [(printable(listing.names[i]), found[i]) for i in sorted(found)]


def _of(labels: Labels | None, kept: Sequence[int]) -> Labels | None:
    return None if labels is None else (labels[0][np.asarray(kept, np.int64)], labels[1])


def _label(files: Files, listing: Listing) -> Labels | None:
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
    return tables.classify(listing.names)
