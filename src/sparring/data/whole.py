"""A set of images as it is, for scores: nothing cropped, nothing resized unless asked."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from sparring.data.decode import UnreadableError, decode
from sparring.data.files import Files, Listing, ending, load
from sparring.data.source import Images, Points, Source
from sparring.errors import DataError
from sparring.parts import show


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


def whole(source: Source, size: tuple[int, int] | None = None) -> Whole:
    """All images of a source at their own size, or scaled to cover `size` and cropped.

    Raises DataError when it yields points, or when its images differ in size and `size` is None.
    """
    if not isinstance(source, Files):
        images = source.open(size)
        if isinstance(images, Points):
            raise DataError("points are no images", where=show(source))
        return Whole(images)
    with source.listing() as listing:
        loaded = load(listing, size or _first(listing))
    images = loaded.images
    sizes = {(f.height, f.width): name for f, name in zip(loaded.facts, loaded.names)}
    if size is None and len(sizes) > 1:
        examples = [f"{name} is {h}x{w}" for (h, w), name in list(sizes.items())[:2]]
        raise DataError(
            f"images of {len(sizes)} sizes",
            where=source.path,
            why=", ".join(examples),
            fix="--size HEIGHTxWIDTH to crop and scale them all to one",
        )
    counts = Counter(c for f in loaded.facts for c in f.conversions)
    return Whole(images, loaded.names, tuple(sorted(counts.items())))


def _first(listing: Listing) -> tuple[int, int] | None:
    """Height and width of the first image that can be read."""
    for i, name in enumerate(listing.names):
        try:
            with listing.open(i) as file:
                _, facts = decode(file, ending(name), False)
                return facts.height, facts.width
        except (UnreadableError, OSError):
            continue
    return None  # `load` says what is wrong with them
