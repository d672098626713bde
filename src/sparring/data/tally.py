"""What many files were, counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from sparring.data.decode import Facts


@dataclass(frozen=True)
class Tally:
    """How many files had each format, Pillow mode, conversion, and (height, width) in pixels."""

    formats: Counter[str] = field(default_factory=Counter)
    modes: Counter[str] = field(default_factory=Counter)
    conversions: Counter[str] = field(default_factory=Counter)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)

    def add(self, facts: Facts) -> None:
        self.formats[facts.format] += 1
        self.modes[facts.mode] += 1
        self.conversions.update(facts.conversions)
        self.sizes[facts.height, facts.width] += 1

    def to_json(self) -> dict[str, Any]:
        sizes = [[*size, count] for size, count in self.sizes.items()]
        return {
            "formats": self.formats,
            "modes": self.modes,
            "conversions": self.conversions,
            "sizes": sizes,
        }

    @classmethod
    def of_json(cls, known: dict[str, Any]) -> Tally:
        sizes = Counter({(h, w): count for h, w, count in known["sizes"]})
        formats, modes, conversions = (
            Counter(known[k]) for k in ("formats", "modes", "conversions")
        )
        return cls(formats, modes, conversions, sizes)
