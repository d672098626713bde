"""What the channels of an image are."""

from __future__ import annotations


def coloured(channels: int) -> int:
    """How many of so many are colours: of 2 or 4 the last, transparency or a hole, is none."""
    return channels - (channels in (2, 4))
