"""Writes the tables of the pages that are the catalogue's: `python docs/tables.py`.

A page holds the table of a kind of parts between `<!-- KIND -->` and `<!-- end of KIND -->`, where
KIND is what `sparring list` calls it; `elsewhere` is the table of other names.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import sparring.recipe  # noqa: F401  (importing the recipe registers all parts)
from sparring.glossary import ELSEWHERE
from sparring.parts import Part, catalogue, kinds, show, summary
from sparring.tricks import Trick

HERE = Path(__file__).parent
PLACES = {
    "see": "what D sees",
    "fakes": "the fakes D meets",
    "d_term": "D's loss",
    "g_term": "G's loss",
    "opponent": "the D that G meets",
    "after_step": "after a step",
}
Column = Callable[[type[Part]], str]


def ours(kind: type[Part]) -> list[type[Part]]:
    """The parts of a kind that come with sparring."""
    return [c for c in catalogue(kind) if c.__module__.startswith("sparring.")]


def acts(cls: type[Part]) -> str:
    """Where a trick acts: the hooks it fills, in words."""
    hooks = [hook for hook in PLACES if getattr(cls, hook) is not getattr(Trick, hook)]
    return ", ".join(PLACES[hook] for hook in hooks)


def cite(cls: type[Part]) -> str:
    """The papers of a part, as links where they are on arXiv."""
    link = r"[arXiv:\1](https://arxiv.org/abs/\1)"
    return re.sub(r"arXiv:(\d{4}\.\d{4,5})", link, cls.paper)


def said(cls: type[Part]) -> str:
    """The sentence that says what a part is, fit for a cell."""
    return summary(cls).replace("|", r"\|")


def given(cls: type[Part]) -> str:
    """The fields of a part with their defaults."""
    pairs = [(f.name, f.default) for f in dataclasses.fields(cls)]  # pyright: ignore
    texts = [n if d is dataclasses.MISSING else f"{n}={show(d)}" for n, d in pairs]
    return ", ".join(f"`{t}`" for t in texts)


COLUMNS: dict[str, dict[str, Column]] = {
    "losses": {"loss": lambda c: f"`{c.__name__}`", "what it is": said, "paper": cite},
    "tricks": {
        "trick": lambda c: f"`{c.__name__}`",
        "what it does": said,
        "acts on": acts,
        "paper": cite,
    },
}


def columns(kind: str) -> dict[str, Column]:
    """The columns of the table of a kind: those of its own, or those of any."""
    name = {"part": lambda c: f"`{c.__name__}`"}
    return COLUMNS.get(kind) or {**name, "what it is": said, "fields": given, "paper": cite}


def table(kind: str) -> str:
    """The table of a kind, without columns that would be empty."""
    parts = ours(kinds()[kind])
    used = {n: column for n, column in columns(kind).items() if any(map(column, parts))}
    rows = [list(used), ["---"] * len(used)]
    rows += [[column(part) for column in used.values()] for part in parts]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows)


def other_names() -> str:
    """The names of the literature that no part has, with what to write."""
    by_ways: dict[tuple[str, ...], list[str]] = {}
    for name, ways in ELSEWHERE.items():
        by_ways.setdefault(ways, []).append(name)
    lines = [
        f"| {', '.join(n)} | {' or '.join(f'`{w}`' for w in ways)} |" for ways, n in by_ways.items()
    ]
    return "\n".join(["| name | written |", "| --- | --- |", *lines])


def filled(page: str) -> str:
    """The page with its tables as they should be."""
    marks = r"(<!-- (\w+) -->\n).*?(<!-- end of \2 -->)"
    tables = {**dict.fromkeys(kinds(), table), "elsewhere": lambda _: other_names()}
    return re.sub(marks, lambda m: f"{m[1]}{tables[m[2]](m[2])}\n{m[3]}", page, flags=re.S)


if __name__ == "__main__":
    for file in sorted(HERE.rglob("*.md")):
        file.write_text(filled(file.read_text()))
