"""Writes the tables of tricks.md that are the catalogue's: `python docs/tables.py`."""

from __future__ import annotations

import re
from pathlib import Path

from sparring.losses import Loss
from sparring.parts import Part, catalogue, summary
from sparring.tricks import Trick

PAGE = Path(__file__).parent / "tricks.md"
PLACES = {
    "see": "what D sees",
    "fakes": "the fakes D meets",
    "d_term": "D's loss",
    "g_term": "G's loss",
    "opponent": "the D that G meets",
    "after_step": "after a step",
}


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


def tables() -> dict[str, str]:
    """Each table of the page by its name."""
    losses = [f"| `{c.__name__}` | {said(c)} | {cite(c)} |" for c in ours(Loss)]
    tricks = [f"| `{c.__name__}` | {said(c)} | {acts(c)} | {cite(c)} |" for c in ours(Trick)]
    return {
        "losses": "\n".join(["| loss | what it is | paper |", "| --- | --- | --- |", *losses]),
        "tricks": "\n".join(
            ["| trick | what it does | acts on | paper |", "| --- | --- | --- | --- |", *tricks]
        ),
    }


def filled(page: str) -> str:
    """The page with its tables as they should be."""
    for name, rows in tables().items():
        start, end = f"<!-- {name} -->\n", f"\n<!-- end of {name} -->"
        before, rest = page.split(start)
        page = before + start + rows + end + rest.split(end)[1]
    return page


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text()))
