"""Which files of a listing are taken, as what, and which are not: by their headers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from sparring.data.decode import Form, Header, UnreadableError
from sparring.data.listing import Listing, Size, default_side, look, refuse_many
from sparring.data.patches import first, holds

_SAMPLED = 1000  # files whose headers decide for a stream, which has too many to open them all
_WORTH = 200  # pixels of the smaller side from which threads gain more than they wait for the lock
_MODES: dict[str, Literal["L", "RGB", "RGBA"]] = {"grey": "L", "rgb": "RGB", "rgba": "RGBA"}


@dataclass(frozen=True)
class Plan:
    """Which files are taken, as what; which are not, with the reason."""

    taken: Sequence[int]
    size: Size
    form: Form
    large: bool
    left_out: dict[int, str]
    small: dict[int, str]


def survey(
    listing: Listing,
    size: Size | None,
    limit: int | None,
    channels: str,
    values: tuple[float, float] | None,
    sampled: bool,
) -> Plan:
    """Looks at the headers of all files, or of some; channels and values (range) as of `Files`."""
    n = len(listing.names)
    step = max(1, n // _SAMPLED) if sampled else 1
    looked = range(0, n, step)
    seen = cache(lambda file, i: look(listing, i, values is not None))
    heads = {i: seen(*first(listing, i)) for i in looked}
    left_out = {i: str(h) for i, h in heads.items() if isinstance(h, UnreadableError)}
    good = {i: h for i, h in heads.items() if isinstance(h, Header)}
    refuse_many(listing, left_out, limit, len(looked))
    side = default_side([h.side for h in good.values()])
    short = f"its smaller side is below {side} pixels"
    small = {i: short for i, h in good.items() if size is None and h.side < side}
    if listing.patches is not None:
        assert size is not None
        short = f"smaller than a patch of {size[0]}x{size[1]}"
        small = {i: short for i, h in good.items() if not holds(h, size)}
    taken = [i for i in good if i not in small]
    auto = "L" if all(good[i].grey for i in taken) else "RGB"
    form = Form(_MODES.get(channels, auto), values)
    large = any(good[i].side >= _WORTH for i in taken)
    return Plan(taken, size or (side, side), form, large, left_out, small)


def bytes_each(size: Size, channels: int, range: object) -> int:
    """Of the pixels of one image; range: as of `Files`."""
    return size[0] * size[1] * channels * (1 if range is None else 4)
