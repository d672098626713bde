"""What there is to see: report, compare, inspect, list."""

from __future__ import annotations

import dataclasses
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path

from sparring.cli.parser import Parser, load_parts, print_json
from sparring.errors import RecipeError
from sparring.parts import Part, elsewhere, key, nearest, show, summary


def report_command(words: Sequence[str]) -> None:
    """Write a run's report anew: one HTML file that needs nothing else."""
    parser = Parser("report", report_command.__doc__ or "")
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("--out", type=Path, metavar="FILE", help="(default: RUN/report.html)")
    parser.add_argument(
        "--figures",
        type=Path,
        metavar="DIR",
        help="also each figure, as SVG and PNG",
    )
    args = parser.read(words)
    load_parts(args)

    from sparring.report import write_report
    from sparring.runs import open_run

    print(write_report(open_run(args.run), args.out, figures=args.figures))


def compare_command(words: Sequence[str]) -> None:
    """Compare runs: what differs in their recipes, scores with intervals, curves, samples."""
    parser = Parser("compare", compare_command.__doc__ or "")
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("--out", type=Path, metavar="FILE", help="a page, such as compare.html")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    args = parser.read(words)
    load_parts(args)
    if len(args.runs) < 2:
        raise RecipeError("one run alone cannot be compared", fix="sparring compare RUN RUN ...")
    if args.out and args.out.suffix not in (".html", ".htm"):
        raise RecipeError(f"cannot write a comparison to {args.out}", fix="--out compare.html")

    from sparring.report import ranking, write_comparison
    from sparring.report.material import Material
    from sparring.runs import open_run

    runs = [open_run(path) for path in args.runs]
    members = [Material(run) for run in runs]
    found = ranking.as_json(members)
    if args.out:
        write_comparison(runs, args.out)
    if args.json:
        print_json("compare", inputs=args.runs, **found)
        return
    print(ranking.as_text(members))
    if args.out:
        print(args.out)


def inspect_command(words: Sequence[str]) -> None:
    """Say what is in a set of data: counts, sizes, modes, problems. Nothing is changed."""
    parser = Parser("inspect", inspect_command.__doc__ or "")
    parser.add_argument("data", metavar="DATA")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    args = parser.read(words)
    load_parts(args)

    from sparring.data import inspect, source, table

    info = inspect(source(args.data))
    if args.json:
        print_json("inspect", inputs=[args.data], **info)
    else:
        print(table(info))


def list_command(words: Sequence[str]) -> None:
    """List the parts there are: losses, tricks, nets, presets, data, metrics, ..."""
    parser = Parser("list", list_command.__doc__ or "")
    parser.add_argument("kind", nargs="?", metavar="KIND")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    args = parser.read(words)
    load_parts(args)
    found = _everything()
    if args.kind is not None:
        kind = {key(name): name for name in found}.get(key(args.kind))
        if kind is None:
            if elsewhere(args.kind):
                raise RecipeError(f"no kind is called '{args.kind}'", fix=elsewhere(args.kind))
            hint = nearest(args.kind, found)
            raise RecipeError(
                f"no kind is called '{args.kind}'{hint}", fix=f"one of {', '.join(found)}"
            )
        found = {kind: found[kind]}
    if args.json:
        print_json("list", inputs=[args.kind] if args.kind else [], parts=found)
        return
    for kind, rows in found.items():
        print(kind)
        for row in rows:
            print(f"  {row['text']}")
            print(textwrap.indent(textwrap.fill(row["summary"], 92), "      "))
            if row["paper"]:
                print(textwrap.indent(textwrap.fill(row["paper"], 92), "      "))


def _everything() -> dict[str, list[dict[str, str]]]:
    """Every kind -> its parts with text, summary and paper."""
    import sparring.recipe  # noqa: F401  (importing the recipe registers all parts)
    from sparring.parts import catalogue, kinds
    from sparring.presets import PRESETS

    def row(cls: type[Part]) -> dict[str, str]:
        text = f"{cls.__name__}({_signature(cls)})"
        return {"name": cls.__name__, "text": text, "summary": summary(cls), "paper": cls.paper}

    found = {kind: [row(cls) for cls in catalogue(base)] for kind, base in kinds().items()}
    presets = [
        {"name": name, "text": name, "summary": summary(f), "paper": _paper(f.__doc__ or "")}
        for name, f in PRESETS.items()
    ]
    return {"presets": presets, **found}


def _paper(text: str) -> str:
    """What a preset's docstring has between "Paper:" and its command."""
    found = re.search(r"Paper: (.+?)\. Command:", " ".join(text.split()))
    return found.group(1) if found else ""


def _signature(cls: type[Part]) -> str:
    """A part's fields with their defaults, as one writes them."""
    return ", ".join(
        f.name if f.default is dataclasses.MISSING else f"{f.name}={show(f.default)}"
        for f in dataclasses.fields(cls)  # pyright: ignore[reportArgumentType]
    )
