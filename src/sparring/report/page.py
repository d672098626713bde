"""The report: one HTML file that needs nothing else, assembled from the sections."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from sparring.data import Images, Points
from sparring.errors import DataError, RunError
from sparring.report import evidence, gallery, overview, progress, toys
from sparring.report.keeping import keeping, write_kept
from sparring.report.markup import document, paragraph
from sparring.report.material import Material
from sparring.runs import Run
from sparring.storage import disk_errors, replace_file

Section = tuple[str, str, Callable[[Material], str]]


def write_report(
    run: Run,
    out: Path | None = None,
    *,
    train: Images | Points | None = None,
    held_out: Images | None = None,
    figures: Path | None = None,
) -> Path:
    """Writes the report of a run to `out`, by default RUN/report.html; the path written.

    train, held_out: how the data were divided, for a caller that has them open; else they are
    opened from the recipe.
    figures: a folder for each figure as SVG and PNG, and for each picture as it is in the page. A
    section whose files are missing says so. Raises DiskError.
    """
    path = run.report if out is None else Path(out)
    with keeping() if figures else nullcontext([]) as kept:
        content = page(Material(run, train, held_out))
    if figures:
        write_kept(kept, figures)
    with disk_errors("the report", path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, content)
    return path


def page(m: Material) -> str:
    """The whole HTML text."""
    made = [(key, title, _attempt(build, m)) for key, title, build in sections(m)]
    return document(m.run.name, overview.head(m), made)


def sections(m: Material) -> list[Section]:
    """Key, title and builder of the sections of a run, in their order."""
    return [
        ("findings", "Findings", overview.findings),
        *_made(m),
        ("scores", "Scores", progress.scores),
        ("evidence", "What the scores saw", evidence.evidence),
        ("curves", "Curves", progress.curves),
        ("recipe", "Recipe", overview.recipe),
        ("versions", "Versions", overview.versions),
        ("papers", "Papers to cite", overview.papers),
    ]


def _made(m: Material) -> list[Section]:
    """The sections on what the run makes: images, or points on a line or in the plane."""
    try:
        shape = m.model.spec.shape
    except RunError:
        # No generator yet: what was sampled on the way can still be seen.
        suffixes = {file.suffix for _, file in m.sample_files}
        over_time = toys.samples if suffixes == {".npy"} else gallery.samples
        return [("samples", "Samples over time", over_time)]
    if m.model.spec.inputs:
        return [
            ("samples", "Translations over time", gallery.samples),
            ("translations", "Translations", gallery.translations),
            ("nearest", "Nearest training images", gallery.nearest),
        ]
    if len(shape) > 1:
        return [
            ("samples", "Samples over time", gallery.samples),
            ("beside", "Real beside generated", gallery.beside),
            ("classes", "By class", gallery.classes),
            ("nearest", "Nearest training images", gallery.nearest),
            ("morph", "Morph", gallery.walk),
            ("between", "Between latents", gallery.latents),
        ]
    if shape == (1,):
        return [
            ("samples", "Samples over time", toys.samples),
            ("line", "Real against generated, and D", toys.line),
        ]
    if shape == (2,):
        return [
            ("samples", "Samples over time", toys.samples),
            ("plane", "D over the plane", toys.plane),
        ]
    return []


def _attempt(build: Callable[[Material], str], m: Material) -> str:
    """A section, or the line that says why there is none: files may be missing or damaged."""
    try:
        return build(m)
    except (RunError, DataError, OSError) as e:
        return paragraph(f"Not shown: {e}", "missing")
