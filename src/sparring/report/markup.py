"""Pieces of HTML. Whatever comes from data passes through `text`."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from importlib.resources import files

from sparring.report.keeping import keep

# Nothing may be fetched: the page holds all it shows.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def document(title: str, head: str, sections: Iterable[tuple[str, str, str]]) -> str:
    """A whole page: `head` is HTML, sections are (key, title, HTML); empty ones are left out."""
    made = [section for section in sections if section[2]]
    links = "".join(f'<a href="#{key}">{text(name)}</a>' for key, name, _ in made)
    body = "".join(
        f'<section id="{key}"><h2>{text(name)}</h2>{content}</section>'
        for key, name, content in made
    )
    here = files("sparring.report")
    style, script = ((here / name).read_text("utf-8") for name in ("page.css", "page.js"))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{text(title)} · sparring</title><style>{style}</style></head>"
        f"<body><header>{head}<nav>{links}</nav></header><main>{body}</main>"
        f"<footer>Written by sparring.</footer><script>{script}</script></body></html>\n"
    )


def text(value: object) -> str:
    """Any value as text that means nothing to HTML."""
    return html.escape(str(value), quote=True)


def paragraph(words: object, kind: str = "") -> str:
    """A paragraph of plain words."""
    return f"<p{_kind(kind)}>{text(words)}</p>"


def figure(content: str, caption: object, kind: str = "") -> str:
    """Content, already HTML, with a caption of plain words."""
    return f"<figure{_kind(kind)}>{content}<figcaption>{text(caption)}</figcaption></figure>"


def beside(content: str, caption: object, more: str = "", kind: str = "") -> str:
    """A figure whose caption, with `more` HTML above it, stands beside it where there is room."""
    side = f"<div>{more}<figcaption>{text(caption)}</figcaption></div>"
    return f'<figure class="side {kind}"><div class="stage">{content}</div>{side}</figure>'


def grid(pieces: Iterable[str], kind: str = "") -> str:
    """Pieces side by side where there is room."""
    return f'<div class="grid {kind}">{"".join(pieces)}</div>'


def table(head: Sequence[object], rows: Iterable[Sequence[object]], kind: str = "") -> str:
    """A table of plain words; on a narrow page it scrolls by itself."""
    top = "".join(f'<th scope="col">{text(h)}</th>' for h in head)
    body = "".join(
        "<tr>"
        + f'<th scope="row">{text(row[0])}</th>'
        + "".join(f"<td>{text(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    inside = f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="scroll{" " + kind if kind else ""}" tabindex="0">{inside}</div>'


def pairs(rows: Iterable[tuple[object, object]]) -> str:
    """Names with their values."""
    items = "".join(f"<div><dt>{text(k)}</dt><dd>{text(v)}</dd></div>" for k, v in rows)
    return f'<dl class="pairs">{items}</dl>'


def image(data: bytes, kind: str, alt: object, width: int, height: int, more: str = "") -> str:
    """A picture inside the page; `kind` is png or webp, `more` further attributes."""
    if "frame" not in more:  # the grids over time are files of the run as they are
        keep(str(alt), **{kind: lambda: data})
    uri = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return (
        f'<img src="{uri}" alt="{text(alt)}" width="{width}" height="{height}"'
        f"{' ' + more if more else ''}>"
    )


def slider(stage: str, count: int, name: str, last: str, caption: str) -> str:
    """A stage whose elements of class "frame" are shown one at a time.

    Each carries `data-images`; without a script the last one is seen and no control. `last` is the
    text that belongs to it.
    """
    controls = (
        '<div class="controls" hidden>'
        '<button type="button" class="play" aria-label="Play">▶</button>'
        f'<input type="range" min="0" max="{count - 1}" value="{count - 1}" step="1" '
        f'aria-label="{text(name)}"></div>'
    )
    output = f'<output class="now">{text(last)}</output>'
    caption = f"<figcaption>{output}{text(caption)}</figcaption>"
    return (
        f'<figure class="slider side"><div class="stage">{stage}</div>'
        f"<div>{controls}{caption}</div></figure>"
    )


def code(words: object, name: str) -> str:
    """Text to copy, with a button that does."""
    return (
        f'<div class="code"><button type="button" class="copy" aria-label="Copy {text(name)}">'
        f'Copy</button><pre tabindex="0"><code>{text(words)}</code></pre></div>'
    )


def _kind(kind: str) -> str:
    return f' class="{kind}"' if kind else ""
