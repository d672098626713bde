"""A set of images as it is, for scores: nothing cropped, nothing resized unless asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sparring.data.decode import Form, UnreadableError, decode
from sparring.data.files import Files, Loaded, load
from sparring.data.listing import Listing, ending
from sparring.data.opened import opened
from sparring.data.paths import printable
from sparring.data.source import Images, Points, Source
from sparring.errors import DataError

_LISTED = 5  # files that are named one by one
_IN_WORDS = {"alpha": "with alpha, laid on white", "16-bit": "of 16 bits, scaled to 8"}


@dataclass(frozen=True)
class Whole:
    """The images; names: what each is called (empty: by number); remarks: what a user should know
    of the files: which were left out, what was done to others (`decode.py` lists it)."""

    images: Images
    names: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def label(self, i: int) -> str:
        """What the i-th image is called."""
        return self.names[i] if self.names else str(i)


def whole(source: Source, size: tuple[int, int] | None = None, fix: str = "") -> Whole | Points:
    """All images of a source at their own size, or scaled to cover `size` and cropped; or points.

    Raises DataError when its images differ in size and `size` is None; fix: what it proposes.
    """
    if not isinstance(source, Files) or source.keep == "stream":
        found = opened(source, size)
        return found if isinstance(found, Points) else Whole(found)
    with source.listing() as listing:
        own = next((found for _, found in _sizes(listing)), None)
        loaded = load(source, listing, size or own)
        if size is None and len(loaded.tally.sizes) > 1:
            other, found = next((n, s) for n, s in _sizes(listing) if s != own)
            raise DataError(
                f"images of {len(loaded.tally.sizes)} sizes",
                where=source.path,
                why=f"{other} is {found[0]}x{found[1]}, the first {own and f'{own[0]}x{own[1]}'}",
                fix=fix or "--size HEIGHTxWIDTH to crop and scale them all to one",
            )
        names = tuple(printable(listing.names[i]) for i in loaded.kept)
    return Whole(loaded.images, names, tuple(_remarks(listing, loaded)))


def _remarks(listing: Listing, loaded: Loaded) -> Iterator[str]:
    left_out = loaded.images.left_out
    for name, why in left_out[:_LISTED]:
        yield f"left out {name}: {why}"
    if len(left_out) > _LISTED:
        yield f"left out {len(left_out) - _LISTED} more, listed by: sparring inspect"
    if loaded.images.unlabelled:
        yield f"{loaded.images.unlabelled}: all are taken, none has a class"
    if listing.hidden:
        yield f"passed over {listing.hidden} hidden files or folders"
    if listing.others:
        yield f"passed over {listing.others} files that are no images"
    names = [printable(listing.names[i]) for i in loaded.kept]
    first = dict(zip(map(str.lower, reversed(names)), reversed(names)))
    alike = [(first[name.lower()], name) for name in names if first[name.lower()] != name]
    for pair in alike[:_LISTED]:
        yield f"took both {' and '.join(pair)}, which differ in the case of letters alone"
    if len(alike) > _LISTED:
        yield f"took {len(alike) - _LISTED} more that differ from others in case alone"
    if loaded.tally.conversions:
        done = sorted(loaded.tally.conversions.items())
        yield "converted: " + ", ".join(f"{count} {_IN_WORDS.get(k, k)}" for k, count in done)


def _sizes(listing: Listing) -> Iterator[tuple[str, tuple[int, int]]]:
    """Name, height and width of each image that can be read."""
    for i, name in enumerate(listing.names):
        try:
            with listing.open(i) as file:
                _, facts = decode(file, ending(name), Form())
        except (UnreadableError, OSError):
            continue
        yield printable(name), (facts.height, facts.width)
