"""Images with what they are to be made of: pairs, in one file or two, and two sets without pairs.

The image that is wanted is an image like any other; its input rides along in `Images.inputs`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction
from typing import Literal
from unicodedata import normalize

import torch
from torch import Tensor

from sparring.data.decode import Header, UnreadableError
from sparring.data.files import Files, load
from sparring.data.folder import Folder
from sparring.data.listing import Listing, Size, look
from sparring.data.opened import opened
from sparring.data.patches import patch_size, patched, patches
from sparring.data.paths import printable
from sparring.data.source import Images, Points, Source
from sparring.data.split import take, with_inputs
from sparring.data.stream import keep_open
from sparring.errors import DataError

_NAMED = 5  # files named in an error


class SideBySide(Source):
    """Pairs in one file each: two images of one size beside each other, A on the left, B right.

    input: which half is translated into the other. The size is that of a half.
    """

    images: Files = Folder()
    input: Literal["left", "right"] = "left"

    def open(self, size: Size | None = None) -> Images:
        """The wanted halves with the others as their inputs. Raises DataError."""
        with ExitStack() as stack:
            listing = stack.enter_context(self.images.listing())
            _refuse_upright(listing)
            halves = [_half(self.images, listing, half, size) for half in (0, 1)]
            if self.images.keep == "stream":
                keep_open(listing, stack.pop_all())
        return _joined(*(halves if self.input == "left" else halves[::-1]))


class Pairs(Source):
    """Pairs in two places: the images of `input` and of `target` whose paths agree.

    Endings may differ (1.jpg, 1.png), and so may the name of one folder around everything, which
    archives have. Sets that are no files are matched by their order, and their images are all of
    one size, or of one shape where a size is asked for.
    """

    input: Source = Folder()
    target: Source = Folder()

    def open(self, size: Size | None = None) -> Images:
        """Raises DataError for an image without its counterpart, or of another size."""
        _refuse_streamed(self.input, self.target)
        if not (isinstance(self.input, Files) and isinstance(self.target, Files)):
            return self._in_order(size)
        _refuse_patches(self.input, self.target)
        with self.input.listing() as a, self.target.listing() as b:
            _refuse_empty(a, b)
            order = _matched(a, b)
            b = _listed(b, order)
            _refuse_sizes(a, b)
            if self.input.patches:  # the same of both sides, whichever cannot be read
                ranged = self.input.range is not None
                size = size or patch_size(a, ranged)
                table = patches(a, self.input.patches, size, ranged)
                a, b = patched(a, table), patched(b, table)
            first = _loaded(self.input, a, size)
            second = _loaded(self.target, b, first[0].shape[1:])
        return _joined(first, second)

    def _in_order(self, size: Size | None) -> Images:
        sides = self.input, self.target
        if any(isinstance(side, Files) and side.patches for side in sides):
            raise DataError(
                "patches are cut from two sets of image files",
                why="one of these is no files: its images would be scaled as a whole",
                fix="--patches 0, or give both as files",
            )
        own = [None if isinstance(side, Files) else _images(side, None) for side in sides]
        a, b = map(_sizes, sides, own)
        size = _one_size(a, b, size)
        inputs, targets = (
            _images(side, size) if images is None or images.shape[1:] != size else images
            for side, images in zip(sides, own, strict=True)
        )
        if len(inputs) != len(targets):
            raise DataError(
                "these are no pairs",
                why=f"{len(inputs)} inputs, {len(targets)} targets",
                fix="as many of both, in the same order, or --preset cyclegan",
            )
        return with_inputs(targets, inputs, paired=True)


class Unpaired(Source):
    """Two sets of images that belong to nobody: any of `input`, any of `target`."""

    input: Source = Folder()
    target: Source = Folder()

    def open(self, size: Size | None = None) -> Images:
        """Raises DataError where one of the sets is unusable."""
        inputs, targets = _images(self.input, size), _images(self.target, size)
        if inputs.shape[1:] != targets.shape[1:]:  # the smaller height, the smaller width
            height, width = map(min, inputs.shape[1:], targets.shape[1:])
            inputs, targets = (_images(s, (height, width)) for s in (self.input, self.target))
        return with_inputs(targets, inputs, paired=False)


def together(a: Source, b: Source) -> Pairs | Unpaired:
    """Both as pairs where every file has its counterpart by name, as two sets where none has.

    DataError where some have, and where one of the two is no files: then nothing says which it is.
    """
    if not (isinstance(a, Files) and isinstance(b, Files)):
        raise DataError(
            "pairs or two sets?",
            why="only files say by their names which they are",
            fix="--preset pix2pix for pairs, --preset cyclegan for two sets without",
        )
    with a.listing() as one, b.listing() as other:
        _refuse_empty(one, other)
        ours, theirs = _named(one, other)
        if not ours.keys() & theirs.keys():
            return Unpaired(input=a, target=b)
        _matched(one, other)
    return Pairs(input=a, target=b)


Opened = tuple[Images, Sequence[int]]


def _half(files: Files, listing: Listing, half: int, size: Size | None) -> Opened:
    """One half of every file, and which files these are."""

    def stamp(i: int) -> str:
        return f"{listing.stamp(i)} half {half}"

    return _loaded(files, replace(listing, half=half, stamp=stamp), size)


def _loaded(files: Files, listing: Listing, size: Size | tuple[int, ...] | None) -> Opened:
    whole = None if size is None else (size[0], size[1])
    found = load(replace(files, labels="none"), listing, whole)
    return found.images, found.kept


def _joined(inputs: Opened, targets: Opened) -> Images:
    """The pairs of which both could be read."""
    both = set(inputs[1]) & set(targets[1])
    a, b = (
        images if len(kept) == len(both) else take(images, _places(kept, both))
        for images, kept in (inputs, targets)
    )
    left_out = dict(inputs[0].left_out) | dict(targets[0].left_out)
    return replace(with_inputs(b, a, paired=True), left_out=tuple(left_out.items()))


def _places(kept: Sequence[int], both: set[int]) -> Tensor:
    return torch.tensor([place for place, i in enumerate(kept) if i in both])


def _sizes(source: Source, images: Images | None) -> set[Size]:
    """Heights and widths of a source's images: of those it gives unasked, else of its files."""
    if images is not None:
        return {(images.shape[1], images.shape[2])}
    assert isinstance(source, Files)
    with source.listing() as listing:
        return {(h.height, h.width) for h in _headers(listing) if h is not None}


def _one_size(inputs: set[Size], targets: set[Size], size: Size | None) -> Size | None:
    """That of both sides of pairs, or the one asked for; DataError where it would crop each side
    in its own way."""
    both = inputs | targets
    alike = len({Fraction(*s) for s in both}) == 1
    if len(both) < 2 or (alike and size is not None):
        return size or next(iter(both), None)
    a, b = (" and ".join(f"{h}x{w}" for h, w in sorted(s)[:_NAMED]) for s in (inputs, targets))
    least = "{}x{}".format(*min(both))
    raise DataError(
        "the sizes of the two sides differ",
        why=f"inputs are {a}, targets {b}",
        fix=f"--size {least}, which scales both"
        if alike
        else "scale the images of a pair to one size",
    )


def _images(source: Source, size: Size | None) -> Images:
    # Nobody asks for their labels, so folders need not be classes.
    bare = replace(source, labels="none") if isinstance(source, Files) else source
    found = opened(bare, size)
    if isinstance(found, Points):
        raise DataError("points are not translated", where=repr(source), fix="give images")
    return found


# ------------------------------------------------------------------------------------- two folders


def _matched(a: Listing, b: Listing) -> list[int]:
    """For each file of a the place in b of the one of the same path; DataError without one."""
    ours, theirs = _named(a, b)
    only = [[k for k in x if k not in y] for x, y in ((ours, theirs), (theirs, ours))]
    if any(only):
        said = [
            f"{len(names)} only in {listing.where}: "
            + ", ".join(printable(n) for n in names[:_NAMED])
            + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
            for names, listing in zip(only, (a, b), strict=True)
            if names
        ]
        raise DataError(
            "the pairs do not match by name",
            why="; ".join(said),
            fix="give both files of a pair one name, or --preset cyclegan, which needs none",
        )
    return [theirs[k] for k in ours]


def _named(a: Listing, b: Listing) -> tuple[dict[str, int], dict[str, int]]:
    """The places of both by their names; without folders around everything where none agree so."""
    ours, theirs = _stems(a), _stems(b)
    if ours.keys() & theirs.keys():
        return ours, theirs
    return _bare(ours), _bare(theirs)


def _stems(listing: Listing) -> dict[str, int]:
    """Path without its ending -> place; accents as one character, which a Mac writes as two.
    DataError where two files share one."""
    found: dict[str, int] = {}
    for i, name in enumerate(listing.names):
        stem = normalize("NFC", name.rpartition(".")[0])
        if stem in found:
            raise DataError(
                "two images of one name",
                where=listing.where,
                why=f"{printable(listing.names[found[stem]])} and {printable(name)}",
                fix="rename one of them",
            )
        found[stem] = i
    return found


def _bare(stems: dict[str, int]) -> dict[str, int]:
    """The same without the one folder around everything, where there is one."""
    parts = {stem: stem.partition("/") for stem in stems}
    one = len({top for top, _, _ in parts.values()}) == 1 and all(b for _, _, b in parts.values())
    return {parts[stem][2] if one else stem: i for stem, i in stems.items()}


def _listed(listing: Listing, order: Sequence[int]) -> Listing:
    """The listing in another order."""
    return replace(
        listing,
        names=tuple(listing.names[i] for i in order),
        open=lambda k: listing.open(order[k]),
        stamp=lambda k: listing.stamp(order[k]),
    )


def _refuse_empty(*listings: Listing) -> None:
    for listing in listings:
        if not listing.names:
            raise DataError("no image found", where=listing.where, fix=f"ls {listing.where}")


def _refuse_streamed(*sides: Source) -> None:
    """DataError for sides that are decoded when shown: each by itself would put another image in
    the place of one that cannot be read."""
    if any(isinstance(side, Files) and side.keep == "stream" for side in sides):
        raise DataError(
            "pairs are not streamed",
            why="a pair is left out as a whole, which is known once both images are decoded",
            fix="keep='cache', which decodes them once and holds none in memory",
        )


def _refuse_patches(a: Files, b: Files) -> None:
    if a.patches != b.patches:
        raise DataError(
            "both images of a pair are cut at the same places",
            where=f"{a.path} and {b.path}",
            why=f"input has patches={a.patches}, target patches={b.patches}",
            fix="give both the same patches",
        )


def _refuse_upright(listing: Listing) -> None:
    """DataError for images that are no two side by side."""
    upright = [
        f"{printable(name)} is {h.height}x{h.width}"
        for name, h in zip(listing.names, _headers(listing), strict=True)
        if h is not None and h.width <= h.height
    ]
    if upright:
        raise DataError(
            "these are no two images side by side",
            where=listing.where,
            why=f"{len(upright)} of {len(listing.names)} are not wider than high: "
            + "; ".join(upright[:_NAMED]),
            fix="give two folders, matched by name: sparring train A/ --to B/ --preset pix2pix",
        )


def _refuse_sizes(a: Listing, b: Listing) -> None:
    """DataError where the images of a pair differ in size."""
    pairs = zip(a.names, _headers(a), _headers(b))
    differ = [
        f"{printable(name)} is {x.height}x{x.width} and {y.height}x{y.width}"
        for name, x, y in pairs
        if x is not None and y is not None and (x.height, x.width) != (y.height, y.width)
    ]
    if differ:
        raise DataError(
            f"the sizes of {len(differ)} of {len(a.names)} pairs differ",
            where=f"{a.where} and {b.where}",
            why="; ".join(differ[:_NAMED]),
            fix="scale the images of a pair to one size",
        )


def _headers(listing: Listing) -> Iterator[Header | None]:
    """What is known of each file before decoding, None where it cannot be read."""
    for i in range(len(listing.names)):
        found = look(listing, i, ranged=True)
        yield None if isinstance(found, UnreadableError) else found
