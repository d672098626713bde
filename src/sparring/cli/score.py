"""evaluate and score."""

from __future__ import annotations

import contextlib
import logging
import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from sparring.cli.parser import (
    Args,
    Parser,
    add_weights,
    count,
    load_parts,
    print_json,
    size_of,
)
from sparring.errors import DataError
from sparring.parts import parse


def evaluate_command(words: Sequence[str]) -> None:
    """Score a run's samples against its data; the scores are added to the run and its report."""
    parser = Parser("evaluate", evaluate_command.__doc__ or "")
    parser.add_argument("run", metavar="RUN")
    _add_metrics(parser, "the recipe's, else those fit for the data")
    parser.add_argument(
        "--best", action="store_true", help="the generator that scored best, not the last"
    )
    args = parser.read(words)
    metrics = _metrics(args)

    from sparring.api import evaluate
    from sparring.runs import open_run

    with _progress(args.quiet), _remarks() as notes:
        rows, skipped = evaluate(
            args.run,
            metrics,
            args.n,
            weights=args.weights,
            best=args.best,
            control=_control(args),
        )
    _print_scores("evaluate", args, rows, skipped, notes, run=str(args.run))
    best = open_run(args.run).best_score()
    if best and not args.json and not args.best:
        print(
            f"best while training: {best['metric']} {best['value']:.5g} at {best['images']:,} "
            "images (--best scores that one)"
        )


def score_command(words: Sequence[str]) -> None:
    """Score images against real ones: folders, zips, npz or runs; no training is needed."""
    parser = Parser("score", score_command.__doc__ or "")
    parser.add_argument("real", metavar="REAL", help="a folder, zip, npz, run or named set")
    parser.add_argument("fake", metavar="FAKE", help="the same, or an npz of points")
    _add_metrics(parser, "those fit for the data")
    parser.add_argument("--size", metavar="N", help="crop and scale all images, 64 or 48x36")
    args = parser.read(words)
    metrics = _metrics(args)
    size = size_of(args.size) if args.size else None

    from sparring.api import score

    with _progress(args.quiet), _remarks() as notes:
        rows, skipped = score(
            args.real,
            args.fake,
            metrics,
            args.n,
            size=size,
            weights=args.weights,
            control=_control(args),
        )
    _print_scores("score", args, rows, skipped, notes, inputs=[args.real, args.fake])


def _add_metrics(parser: Parser, default: str) -> None:
    parser.add_argument("--metrics", nargs="+", metavar="PART", help=f"(default: {default})")
    parser.add_argument("--n", type=count, help="samples on each side (default: the metric's own)")
    parser.add_argument(
        "--control", metavar="DATA", help="images not trained on (default: those held out)"
    )
    add_weights(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--quiet", action="store_true", help="say nothing but the scores")


def _metrics(args: Args) -> list[Any] | None:
    """The metrics that were asked for."""
    load_parts(args)
    from sparring.metrics import Metric

    return [parse(m, Metric) for m in args.metrics] if args.metrics else None


def _control(args: Args) -> Any:
    """The source that stands in for the images held out, if one is given."""
    if args.control is None:
        return None
    from sparring.data import source

    return source(args.control)


@contextlib.contextmanager
def _remarks() -> Iterator[list[str]]:
    """What the package warns of inside, such as files left out, which also goes to the terminal."""
    found: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: found.append(record.getMessage())
    logger = logging.getLogger("sparring")
    logger.addHandler(handler)
    try:
        yield found
    finally:
        logger.removeHandler(handler)


def _print_scores(
    command: str,
    args: Args,
    rows: list[Any],
    skipped: list[tuple[str, str]],
    notes: list[str],
    **inputs: Any,
) -> None:
    """The scores as a table with their protocol, or as JSON; DataError where there are none."""
    together: dict[str, list[str]] = {}
    for metric, reason in skipped:
        together.setdefault(reason, []).append(metric)
    reasons = [(", ".join(metrics), reason) for reason, metrics in together.items()]
    if not rows:
        why = "; ".join(f"{m}: {reason}" for m, reason in reasons) or "no metric fits these data"
        where = inputs.get("run") or " and ".join(inputs.get("inputs", ()))
        raise DataError("no metric could be computed", where=where, why=why)
    if args.json:
        names = ("metric", "value", "se", "better", "protocol", "detail")
        scores = [{k: row[k] for k in names} for row in rows]
        for score in scores:  # pictures are for the report
            score["detail"] = {k: v for k, v in score["detail"].items() if k != "picture"}
        missed = [{"metric": m, "reason": reason} for m, reason in skipped]
        print_json(command, **inputs, scores=scores, skipped=missed, notes=notes)
        return
    from sparring.metrics import in_words

    protocols = [row["protocol"] for row in rows]
    common = {k: v for k, v in protocols[0].items() if all(p.get(k) == v for p in protocols)}
    for row in rows:
        se = f" +- {row['se']:.3g}" if row["se"] is not None else ""
        own = {k: v for k, v in row["protocol"].items() if k not in common}
        notes = [in_words(own), row["detail"].get("biased", "")]
        print(
            f"{row['metric']:<24}{row['value']:.5g}{se}".ljust(46) + "; ".join(filter(None, notes))
        )
    print(textwrap.fill(f"protocol: {in_words(common)}", 100, subsequent_indent="  "))
    for metrics, reason in reasons:
        print(f"{metrics} skipped: {reason}")


@contextlib.contextmanager
def _progress(quiet: bool) -> Iterator[None]:
    """A bar on a terminal's standard error while features are computed."""
    if quiet or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import Progress

    from sparring.metrics.features import watching

    with Progress(console=Console(stderr=True), transient=True) as bar:
        tasks: dict[tuple[str, int], Any] = {}

        def watch(key: str, done: int, total: int) -> None:
            if (key, total) not in tasks:
                tasks[key, total] = bar.add_task(f"{key} features", total=total or None)
            bar.update(tasks[key, total], completed=done)

        with watching(watch):
            yield
