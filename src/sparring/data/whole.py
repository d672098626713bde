"""A set of images as it is, for scores: nothing cropped, nothing resized unless asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sparring.data.decode import Form, UnreadableError, decode
from sparring.data.files import Files, Listing, ending, load
from sparring.data.paths import printable
from sparring.data.source import Images, Points, Source
from sparring.errors import DataError


@dataclass(frozen=True)
class Whole:
    """The images; names: what each is called (empty: by number); conversions: how many files were
    changed in reading, by what was done (`decode.py` lists it)."""

    images: Images
    names: tuple[str, ...] = ()
    conversions: tuple[tuple[str, int], ...] = ()

    def label(self, i: int) -> str:
        """What the i-th image is called."""
        return self.names[i] if self.names else str(i)


def whole(source: Source, size: tuple[int, int] | None = None) -> Whole | Points:
    """All images of a source at their own size, or scaled to cover `size` and cropped; or points.

    Raises DataError when its images differ in size and `size` is None.
    """
    if not isinstance(source, Files) or source.keep == "stream":
        found = source.open(size)
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
                fix="--size HEIGHTxWIDTH to crop and scale them all to one",
            )
        names = tuple(printable(listing.names[i]) for i in loaded.kept)
    return Whole(loaded.images, names, tuple(sorted(loaded.tally.conversions.items())))


def _sizes(listing: Listing) -> Iterator[tuple[str, tuple[int, int]]]:
    """Name, height and width of each image that can be read."""
    for i, name in enumerate(listing.names):
        try:
            with listing.open(i) as file:
                _, facts = decode(file, ending(name), Form())
        except (UnreadableError, OSError):
            continue
        yield printable(name), (facts.height, facts.width)
