"""The section on what scores have seen: their pictures, and tables of what samples leave out."""

from __future__ import annotations

import re
from itertools import groupby
from typing import Any

from sparring.report.markup import figure, table, text
from sparring.report.material import Material
from sparring.report.progress import latest

_PICTURE = re.compile(r"data:image/(png|webp);base64,[A-Za-z0-9+/]+=*")
_ROWS = 12


def evidence(m: Material) -> str:
    """The pictures and tables of the latest scores that have any; nothing where none has."""
    pieces = []
    for row in latest(m.scores):
        detail = row.get("detail") or {}
        shown = _picture(detail.get("picture"), row["metric"])
        pieces += [f"<h3>{text(row['metric'])}</h3>{shown}"] if shown else []
        pieces += [_table(detail["table"])] if _is_table(detail.get("table")) else []
    return "".join(pieces)


def _picture(found: Any, metric: str) -> str:
    """A score's picture, at twice its size where it is small, or nothing."""
    if not isinstance(found, dict) or not _PICTURE.fullmatch(str(found.get("image"))):
        return ""
    columns = [
        name if len(list(same)) == 1 else f"{name} (several)"
        for name, same in groupby(found.get("columns") or [])
    ]
    caption = f"{found.get('caption', '')} Columns: {', '.join(columns)}."
    width, height = (int(found.get(side) or 1) for side in ("width", "height"))
    by = 2 if width <= 300 else 1
    img = (
        f'<img src="{found["image"]}" alt="{text(caption)}" width="{by * width}" '
        f'height="{by * height}" style="width:{by * width}px">'
    )
    return figure(img, caption, "evidence")


def _is_table(found: Any) -> bool:
    return isinstance(found, list) and bool(found) and all(isinstance(r, dict) for r in found)


def _table(rows: list[dict[str, Any]]) -> str:
    """Clusters with their shares of the data and of the samples, those most wanting first."""
    head = ("cluster", "share of the data", "share of the samples", "z", "")
    cells = [
        (
            row.get("cluster", ""),
            f"{row.get('data') or 0:.1%}",
            f"{row.get('samples') or 0:.1%}",
            f"{row.get('z') or 0:+.1f}",
            "missed" if row.get("missed") else "",
        )
        for row in rows[:_ROWS]
    ]
    return table(head, cells)
