"""The sections that frame the others: the head, findings, recipe, versions, papers."""

from __future__ import annotations

import platform
import re
import shlex
from dataclasses import fields, replace
from importlib.metadata import version

from sparring import __version__
from sparring.errors import RunError
from sparring.parts import show, walk
from sparring.presets import PRESETS
from sparring.recipe import Recipe, fill_schedules
from sparring.report.markup import code, pairs, paragraph, text
from sparring.report.material import Material
from sparring.report.progress import error, latest, value

_TILES = 3


def head(m: Material) -> str:
    """Name, subject, state, and the numbers one looks for first."""
    try:
        subject, state, budget = m.subject(), m.state, f"of {m.recipe.images:,}"
    except RunError as e:
        subject, state, budget = str(e), "recipe unreadable", ""
    tiles = [("images seen", f"{m.images:,}", budget)]
    if m.stats and isinstance(m.stats[-1].get("seconds"), (int, float)):
        tiles.append(("training time", clock(m.stats[-1]["seconds"]), _speed(m)))
    for row in latest(m.scores)[:_TILES]:
        se = error(row)
        detail = row.get("detail") or {}
        whole = detail.get("of") or detail.get("classes")
        small = f"of {whole}" if whole else "" if se == "–" else f"± {se}"
        tiles.append((row["metric"], value(row), small))
    shown = "".join(
        f'<div class="tile"><dt>{text(name)}</dt><dd>{text(number)}</dd>'
        f'<dd class="small">{text(small)}</dd></div>'
        for name, number, small in tiles
    )
    told = m.trained_with()
    words = [f"on {told.pop('device')}"] if "device" in told else []
    words += ["with " + ", ".join(f"{k} {v}" for k, v in told.items())] if told else []
    trained = paragraph(f"Trained {' '.join(words)}.", "note") if words else ""
    begun = paragraph(f"Started from {m.origin}.", "note") if m.run.origin else ""
    changed = paragraph(f"Not the data it was trained on: {m.changed}.", "missing")
    kind = re.split(r"\W", state)[0]
    return (
        f'<p class="state {text(kind)}">{text(state)}</p><h1>{text(m.run.name)}</h1>'
        f'<p class="subject">{text(subject)}</p><dl class="tiles">{shown}</dl>{trained}'
        f"{begun}{changed if m.changed else ''}"
    )


def _speed(m: Material) -> str:
    seconds = m.stats[-1]["seconds"]
    return f"{m.stats[-1]['images'] / seconds:,.0f} images per second" if seconds else ""


def clock(seconds: float) -> str:
    """42 -> 42 s, 65 -> 1 min 5 s, 3700 -> 1 h 2 min."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
    return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} min"


def findings(m: Material) -> str:
    """What the doctor found; nothing where it found nothing."""
    pieces = []
    for row in m.run.findings():
        since = row.get("images")
        certainty = row.get("certainty")
        if isinstance(certainty, float):
            certainty = f"{certainty:.0%} certain"
        facts = [f"since {since:,} images" if isinstance(since, int) else "", certainty or ""]
        lines = [paragraph(row[k], k) for k in ("evidence", "remedy") if row.get(k)]
        title = f"<h3>{text(row.get('code', 'finding'))}</h3>"
        said = paragraph(", ".join(str(f) for f in facts if f), "note")
        pieces.append(f'<article class="finding">{title}{said}{"".join(lines)}</article>')
    return "".join(pieces)


def recipe(m: Material) -> str:
    """The full recipe and the command that trains it again."""
    line = command(m.recipe)
    origin = m.run.origin
    if origin:
        line += f" --init-from {shlex.quote(origin['run'])}"
    own = sorted((m.run.path / "parts").glob("*.py"))
    if own:
        line += " --parts " + " ".join(shlex.quote(str(p)) for p in own)
    return (
        "<h3>Command</h3>"
        + code(line, "the command")
        + paragraph("It repeats this run; on a CPU of the same kind bit for bit.", "note")
        + "<h3>Full recipe</h3>"
        + code(str(m.recipe), "the recipe")
    )


def command(recipe: Recipe) -> str:
    """The shortest `sparring train` that gives this recipe: the nearest preset and what differs."""
    recipe = fill_schedules(recipe)
    found = {name: _differing(recipe, make()) for name, make in PRESETS.items()}
    name = min(found, key=lambda n: sum(len(show(getattr(recipe, f))) for f in found[n]))
    words = ["sparring", "train", show(recipe.data), "--preset", name]
    for field in found[name]:
        words += _flag(field, getattr(recipe, field))
    return " ".join(map(_quoted, words))


def _quoted(word: str) -> str:
    """A word as a shell reads it, in the quotes that are easier to read."""
    plain = "'" in word and not set(word) & set('"$`\\!')
    return f'"{word}"' if plain else shlex.quote(word)


def _differing(recipe: Recipe, preset: Recipe) -> list[str]:
    """The fields, but `data`, in which a recipe differs from a preset of its budget."""
    every = max(1, recipe.images // 20)
    full = replace(preset, images=recipe.images, sample_every=every, checkpoint_every=2 * every)
    full = replace(fill_schedules(full), images=preset.images)
    names = (f.name for f in fields(Recipe) if f.name != "data")
    return [n for n in names if getattr(recipe, n) != getattr(full, n)]


def _flag(field: str, value: object) -> list[str]:
    """A field as words of the command line."""
    flag = "--" + field.replace("_", "-")
    if isinstance(value, bool):
        return [flag if value else flag.replace("--", "--no-", 1)]
    if field == "size" and isinstance(value, tuple):
        return [flag, "x".join(map(str, value))]
    if isinstance(value, tuple):
        return [flag, *([show(v) for v in value] or ["none"])]
    return [flag, value if isinstance(value, str) else "none" if value is None else show(value)]


def versions(m: Material) -> str:
    """What wrote this page."""
    names = {"sparring": __version__, "python": platform.python_version()}
    names |= {n: version(n) for n in ("torch", "numpy")}
    names["system"] = f"{platform.system()} {platform.machine()}"
    return paragraph("Of the program that wrote this page:") + pairs(names.items())


def papers(m: Material) -> str:
    """The papers of every part of the recipe."""
    found: dict[str, list[str]] = {}
    for part in walk(m.recipe):
        for paper in filter(None, (p.strip() for p in part.paper.split("; "))):
            names = found.setdefault(paper, [])
            if type(part).__name__ not in names:
                names.append(type(part).__name__)
    if not found:
        return ""
    items = (
        f'<li>{_linked(paper)} <span class="note">{text(", ".join(names))}</span></li>'
        for paper, names in sorted(found.items())
    )
    return f'<ul class="papers">{"".join(items)}</ul>'


def _linked(paper: str) -> str:
    """A paper with its arXiv number as a link."""
    number = re.search(r"arXiv:(\d{4}\.\d{4,5})", paper)
    if not number:
        return text(paper)
    before, after = paper[: number.start()], paper[number.end() :]
    link = f'<a href="https://arxiv.org/abs/{number[1]}">arXiv:{number[1]}</a>'
    return text(before) + link + text(after)
