"""The page that shows runs side by side: what differs, scores, curves, samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from sparring.errors import DataError, RunError
from sparring.report import figures, toys
from sparring.report.figures import Series, series
from sparring.report.markup import document, figure, grid, paragraph, table, text
from sparring.report.material import Material
from sparring.report.overview import clock
from sparring.report.pictures import embed_file
from sparring.report.ranking import (
    Comparison,
    Group,
    Result,
    compare,
    differences,
    groups,
    names,
)
from sparring.runs import Run
from sparring.storage import disk_errors, replace_file

Members = Sequence[Material]
_MOST = 8  # lines in a figure, and runs whose samples are shown
_SAMPLES = 2_000_000  # bytes of all grids, before base64 adds a third


def write_comparison(runs: Sequence[Run], out: Path) -> Path:
    """Writes the page that compares runs; the path written. RunError, DiskError."""
    content = comparison_page([Material(run) for run in runs])
    with disk_errors("the comparison", out):
        out.parent.mkdir(parents=True, exist_ok=True)
    replace_file(out, content)
    return out


def comparison_page(members: Members) -> str:
    """The whole HTML text."""
    called = names(members)
    builders: list[tuple[str, str, Callable[[Members, list[str]], str]]] = [
        ("runs", "Runs", _runs),
        ("recipe", "What differs in the recipes", _differences),
        ("scores", "Scores", _scores),
        ("samples", "Samples side by side", _samples),
        ("curves", "Curves", _curves),
    ]
    made = [(key, title, build(members, called)) for key, title, build in builders]
    head = f'<h1>{len(members)} runs compared</h1><p class="subject">{text(", ".join(called))}</p>'
    return document(f"{len(members)} runs compared", head, made)


def _runs(members: Members, called: list[str]) -> str:
    rows = []
    for m, name in zip(members, called, strict=True):
        last = m.stats[-1] if m.stats else {}
        seconds = last.get("seconds")
        spent = clock(seconds) if isinstance(seconds, (int, float)) else "–"
        rows.append((name, m.state, f"{m.images:,}", spent, m.subject()))
    return table(("run", "state", "images seen", "training time", "what"), rows)


def _differences(members: Members, called: list[str]) -> str:
    found = differences(members)
    if not found:
        return paragraph("Nothing: these runs have one recipe, one seed and one start.")
    rows = [(name, *values) for name, values in found]
    same = "All other fields that decide what is trained are the same in all runs."
    return table(("field", *called), rows, "plain wide") + paragraph(same, "note")


# ------------------------------------------------------------------------------------------ scores


def _scores(members: Members, called: list[str]) -> str:
    found = groups(members)
    compared = compare(found)
    said = paragraph(
        "Values are means with 95 % intervals: over the seeds where a recipe was run with several, "
        "else from the standard error of the one score, which says nothing of other seeds. Where "
        "two intervals overlap, no difference is shown.",
        "note",
    )
    return _seeds(found) + "".join(map(_score, compared)) + (said if compared else _none())


def _none() -> str:
    return paragraph("No run has scores: sparring evaluate RUN computes them.", "missing")


def _seeds(found: list[Group]) -> str:
    """What became of the runs of each recipe that was run more than once."""
    said = []
    for group in found:
        if len(group.runs) > 1:
            lost = [f"{name}: {state}" for name, state in group.failures]
            words = f"{group.name}: {len(group.runs)} runs, {len(lost)} of them not finished"
            said.append(words + (f" ({'; '.join(lost)})" if lost else ""))
    return "".join(paragraph(line + ".") for line in said)


def _score(c: Comparison) -> str:
    """One metric: the figure, its numbers and what may be said."""
    rows = [(r.group, value(r), interval(r), seeds(r)) for r in c.results]
    head = ("run" if c.ranked else "run, not ranked", "value", "95 % interval", "seeds")
    drawn = figures.intervals(
        [(r.group, r.value, r.low, r.high, r.values) for r in c.results],
        f"{c.metric} of each run with its interval",
    )
    way = f", {c.way}" if c.way else ""
    shown = figure(drawn, f"{c.metric}{way}.", "narrow") if drawn and len(c.results) > 1 else ""
    verdict = f'<p class="verdict">{text(c.verdict)}.</p>'
    verdict += "".join(paragraph(f"{line}.", "note") for line in c.notes)
    numbers = table(head, rows, "numbers whole") if rows else ""
    return f"<h3>{text(c.metric)}</h3>{verdict}{shown}{numbers}"


def value(r: Result) -> str:
    """A group's value as one reads it."""
    return f"{r.value:.4g}"


def interval(r: Result) -> str:
    """Its interval as one reads it."""
    return "unknown" if r.low is None else f"{r.low:.4g} to {r.high:.4g}"


def seeds(r: Result) -> str:
    """How many seeds, and how they spread."""
    if r.sd is None:
        return "1"
    least, most = min(r.values), max(r.values)
    return f"{len(r.values)}, spread {r.sd:.2g}, {least:.4g} to {most:.4g}"


# ------------------------------------------------------------------------------- samples and curves


def _samples(members: Members, called: list[str]) -> str:
    pieces = []
    for m, name in list(zip(members, called, strict=True))[:_MOST]:
        try:
            pieces.append(_sample(m, name, _SAMPLES // min(len(members), _MOST)))
        except (RunError, DataError, OSError) as e:
            pieces.append(paragraph(f"{name}: not shown: {e}", "missing"))
    return grid(pieces) + _cut(members, "shown")


def _sample(m: Material, name: str, budget: int) -> str:
    """The last samples of a run; each run's own latents."""
    if not m.sample_files:
        raise RunError("no samples", where=m.run.samples)
    images, file = m.sample_files[-1]
    caption = f"{name}, at {images:,} images."
    if file.suffix == ".png":
        return figure(embed_file(file, budget, f"Samples of {name}"), caption)
    return figure(toys.cloud(m), caption)


def _curves(members: Members, called: list[str]) -> str:
    """One figure for each curve, one line for each run."""
    panels = [
        ("d_loss", "Loss of D.", {}),
        ("g_loss", "Loss of G.", {}),
        ("d_acc_real", "Accuracy of D on real.", {"limits": (-0.03, 1.03), "percent": True}),
        ("d_acc_fake", "Accuracy of D on generated.", {"limits": (-0.03, 1.03), "percent": True}),
        ("d_grad_norm", "Norm of D's gradient.", {"log": True}),
        ("g_grad_norm", "Norm of G's gradient.", {"log": True}),
        ("img_per_s", "Images per second.", {}),
    ]
    pieces = []
    pairs = list(zip(members, called, strict=True))[:_MOST]
    for column, caption, options in panels:
        lines = [series(m.stats, column, name) for m, name in pairs]
        pieces.append((figures.curves(lines, caption, marked=True, **options), caption))
    for metric in dict.fromkeys(r["metric"] for m in members for r in m.scores):
        lines = [_course(m, metric, name) for m, name in pairs]
        if any(len(line.x) > 1 for line in lines):  # pyright: ignore[reportArgumentType]
            pieces.append((figures.curves(lines, metric, marked=True), f"{metric} over time."))
    drawn = [figure(svg, caption) for svg, caption in pieces if svg]
    return grid(drawn) + _cut(members, "drawn") if drawn else paragraph("No statistics.", "missing")


def _course(m: Material, metric: str, name: str) -> Series:
    own = [r for r in m.scores if r["metric"] == metric]
    line = series(own, "value", name)
    return line._replace(se=figures.numbers(r.get("se") for r in own))


def _cut(members: Members, done: str) -> str:
    if len(members) <= _MOST:
        return ""
    return paragraph(f"The first {_MOST} of {len(members)} runs are {done}.", "note")
