"""The command line: one function per command. torch is imported by the commands that need it."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import logging
import os
import sys
import textwrap
import traceback
import typing
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from sparring import __version__
from sparring.errors import DataError, RecipeError, SparringError
from sparring.parts import Part, fit, nearest, parse, show, summary

if typing.TYPE_CHECKING:
    from sparring.recipe import Recipe
    from sparring.sample import Model

SCHEMA = 1
Args = argparse.Namespace


class Parser(argparse.ArgumentParser):
    """argparse whose complaints are one line of ours."""

    def __init__(self, command: str, about: str) -> None:
        super().__init__(
            prog=f"sparring {command}",
            description=about,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self.add_argument("--debug", action="store_true", help="show the traceback of an error")
        self.add_argument(
            "--parts",
            action="append",
            default=[],
            metavar="FILE",
            type=Path,
            help="a Python file with parts of your own (may be repeated)",
        )

    def error(self, message: str) -> NoReturn:
        raise RecipeError(message, where=self.prog, fix=f"{self.prog} --help")

    def read(self, words: Sequence[str]) -> Args:
        """The arguments; RecipeError with the nearest flag for an unknown one."""
        args, unknown = self.parse_known_args(words)
        if unknown:
            flags = [f for a in self._actions for f in a.option_strings if f.startswith("--")]
            word = unknown[0].split("=")[0]
            hint = nearest(word, flags) if word.startswith("-") else ""
            raise RecipeError(
                f"{self.prog} does not know '{word}'{hint}", fix=f"{self.prog} --help"
            )
        return args


# ----------------------------------------------------------------------------------------- train


def train_command(words: Sequence[str]) -> None:
    """Train a GAN on your images or on a named set; the last line is the run's folder."""
    parser = Parser("train", train_command.__doc__ or "")
    parser.add_argument(
        "data",
        nargs="?",
        metavar="DATA",
        help="a folder, zip or npz of images, or a name: sparring list data",
    )
    parser.add_argument("--to", metavar="DATA", help="what DATA are to be translated into")
    parser.add_argument(
        "--direction",
        default="a2b",
        metavar="a2b|b2a",
        help="which of two sets, or of two images side by side, is translated (default: a2b)",
    )
    parser.add_argument(
        "--preset",
        metavar="NAME",
        help="a named recipe, or file.py:function (default: auto)",
    )
    parser.add_argument("--out", metavar="RUN", help="the run's folder (default: runs/NNNN-...)")
    parser.add_argument(
        "--init-from",
        type=Path,
        metavar="RUN",
        help="start from this run's weights; without --preset with its recipe as well",
    )
    parser.add_argument("--minutes", type=float, metavar="M", help="the budget as training time")
    _add_common(parser)
    _add_recipe(parser)
    args = parser.read(words)
    _load_parts(args)
    _offer(args)
    if args.minutes is not None and args.images is not None:
        raise RecipeError("--minutes and --images both set the budget", fix="give one of them")

    from sparring.api import train
    from sparring.data import source
    from sparring.presets import preset
    from sparring.runs import open_run
    from sparring.training.device import Device
    from sparring.training.inherit import afresh

    if args.to is not None and args.data is None:
        raise RecipeError("--to says what DATA become, and no DATA are given")
    data = source(args.data) if args.data else None
    if args.init_from is not None and args.preset is None:
        name, recipe = "finetuned", afresh(open_run(args.init_from))
    else:
        name, recipe = preset(args.preset or "auto", data, Device(args.device).kind)
        if args.preset in (None, "auto") and not args.quiet and _speaks():
            print(f"preset: {name} (chosen for this data and device)", file=sys.stderr)
    own = list(args.parts)
    if args.preset is not None and ":" in args.preset:
        own.append(Path(args.preset.rsplit(":", 1)[0]))
    if data is not None:
        recipe = dataclasses.replace(recipe, data=data)
    recipe = _apply(args, recipe)
    recipe = dataclasses.replace(recipe, data=_translated(args, recipe))
    run = train(
        recipe,
        args.out,
        name=name,
        device=args.device,
        minutes=args.minutes,
        parts=own,
        logger=args.logger,
        init_from=args.init_from,
        devices=args.devices,
        quiet=args.quiet,
    )
    _finish(run.path, args.quiet)


def _backwards(args: Args) -> bool:
    if args.direction not in ("a2b", "b2a"):
        raise RecipeError("bad value", where="--direction", why="it is a2b or b2a")
    return args.direction == "b2a"


def _translated(args: Args, recipe: Recipe) -> Any:
    """The recipe's data, made pairs where its game needs them."""
    from sparring.data import Files, Pairs, SideBySide, Unpaired, source
    from sparring.games import Stored, Translation

    game, data, turned = recipe.game, recipe.data, _backwards(args)
    translates = isinstance(game, Translation)
    stored = translates and isinstance(game.inputs, Stored)
    paired = translates and game.paired
    if args.to is not None:
        if not stored:
            raise RecipeError(
                "--to needs a game that translates one set into another",
                why=f"this preset plays {show(game)}",
                fix="--preset pix2pix",
            )
        both = (source(args.to), data) if turned else (data, source(args.to))
        kind = Pairs if paired else Unpaired
        return kind(input=both[0], target=both[1])
    if stored and isinstance(data, Files):
        if not paired:
            raise RecipeError("one set is not translated into itself", fix="give A/ --to B/")
        return SideBySide(images=data, input="right" if turned else "left")
    if turned:
        raise RecipeError("--direction b2a has no two sides here", fix="give A/ --to B/")
    return data


def resume_command(words: Sequence[str]) -> None:
    """Continue a run exactly where it stopped; --images sets a new total."""
    parser = Parser("resume", resume_command.__doc__ or "")
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("--override", action="store_true", help="go on with a changed recipe")
    _add_common(parser)
    _add_recipe(parser)
    args = parser.read(words)
    _load_parts(args)
    _offer(args)

    from sparring.api import resume
    from sparring.runs import open_run

    recipe = _apply(args, open_run(args.run).recipe)
    run = resume(
        args.run,
        recipe=recipe,
        override=args.override,
        device=args.device,
        logger=args.logger,
        devices=args.devices,
        quiet=args.quiet,
    )
    _finish(run.path, args.quiet)


def _add_common(parser: Parser) -> None:
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    parser.add_argument(
        "--devices",
        type=_count,
        default=1,
        metavar="N",
        help="GPUs, or CPU processes, that share each batch (default: 1)",
    )
    parser.add_argument(
        "--logger",
        nargs="+",
        default=[],
        metavar="NAME",
        help="also log to tensorboard, wandb (default: neither)",
    )
    _add_weights(parser)
    parser.add_argument("--quiet", action="store_true", help="say nothing but the last line")


def _add_recipe(parser: Parser) -> None:
    """A flag for every field of the recipe, unset by default."""
    from sparring.recipe import Recipe

    group = parser.add_argument_group("recipe (these override the preset field by field)")
    for field in dataclasses.fields(Recipe):
        if field.name == "data":
            continue
        flag = "--" + field.name.replace("_", "-")
        help = field.metadata["help"].replace("%", "%%")  # argparse formats it
        hint = _hint(field.name)
        if bool in (hint, *typing.get_args(hint)):
            group.add_argument(flag, action=argparse.BooleanOptionalAction, help=help)
        elif _many(hint):
            group.add_argument(flag, nargs="*", metavar="PART", help=help + "; none empties it")
        else:
            group.add_argument(flag, metavar=_metavar(hint), help=help)
    group.add_argument(
        "--condition",
        metavar="PART",
        help="how G and D are told the class, in nets: Concat, Projection, Auxiliary or none",
    )
    group.add_argument("--g-lr", metavar="RATE", help="G's learning rate, in its optimiser")
    group.add_argument("--d-lr", metavar="RATE", help="D's learning rate, in its optimiser")


def _hint(name: str) -> Any:
    from sparring.recipe import Recipe

    return typing.get_type_hints(Recipe)[name]


def _kind(hint: Any) -> type[Part] | None:
    """The kind of part that a field holds, if it holds parts."""
    if isinstance(hint, type) and issubclass(hint, Part):
        return hint
    inner = (_kind(h) for h in typing.get_args(hint))
    return next((kind for kind in inner if kind), None)


def _many(hint: Any) -> bool:
    return _kind(hint) is not None and any(
        typing.get_origin(h) is tuple for h in (hint, *typing.get_args(hint))
    )


def _metavar(hint: Any) -> str:
    if typing.get_origin(hint) is typing.Literal:
        return "|".join(typing.get_args(hint))
    return "PART" if _kind(hint) else "N"


def _apply(args: Args, recipe: Recipe) -> Recipe:
    """The recipe with the fields that were given as flags."""
    changes = {}
    for field in dataclasses.fields(recipe):
        given = getattr(args, field.name, None)
        if given is not None and field.name != "data":
            changes[field.name] = _value(given, field.name)
    if args.condition is not None:
        from sparring.nets import Condition

        none = args.condition.lower() == "none"
        condition = None if none else parse(args.condition, Condition)
        nets = changes.get("nets", recipe.nets)
        changes["nets"] = dataclasses.replace(nets, condition=condition)
    for side in ("g", "d"):
        rate = getattr(args, f"{side}_lr")
        if rate is not None:
            optim = changes.get(f"{side}_optim", getattr(recipe, f"{side}_optim"))
            lr = _number(rate, f"--{side}-lr")
            changes[f"{side}_optim"] = dataclasses.replace(optim, lr=lr)
    return dataclasses.replace(recipe, **changes)


def _value(given: Any, name: str) -> Any:
    """A flag's text as the value of the recipe's field."""
    flag, hint = "--" + name.replace("_", "-"), _hint(name)
    kind = _kind(hint)
    if isinstance(given, bool):
        return given
    if kind is not None and _many(hint):
        words = [] if [w.lower() for w in given] == ["none"] else given
        return tuple(_one_of_many(w, kind, flag) for w in words)
    if kind is not None:
        return parse(given, kind)
    if name == "size":
        return _size(given)
    if typing.get_origin(hint) is typing.Literal:
        return fit(given, hint, flag)
    if given.lower() == "none":
        return fit(None, hint, flag)
    return fit(_number(given, flag), hint, flag)


def _one_of_many(word: str, kind: type[Part], flag: str) -> Part:
    """A word after a flag that takes several; RecipeError says where DATA belongs."""
    try:
        return parse(word, kind)
    except RecipeError:
        if Path(word).exists():
            raise RecipeError(
                f"'{word}' is not one of the {kind.kind}",
                where=flag,
                why="it is a path, and this flag takes every word after it",
                fix="write DATA before the flags that take several values",
            ) from None
        raise


def _number(text: str, flag: str) -> float:
    """'100000', '100_000', '1e5' or '2e-4' as a number."""
    try:
        return int(text)  # a seed may have more digits than a float keeps
    except ValueError:
        pass
    try:
        value = float(text)
    except ValueError:
        raise RecipeError("bad value", where=flag, why=f"'{text}' is not a number") from None
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _count(text: str) -> int:
    """'1000' or '1e3' as a whole number, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = 0.5
    if not value.is_integer():
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number")
    return int(value)


def _size(text: str) -> tuple[int, int]:
    """'64' or '48x36' (height x width) as a pair."""
    pieces = text.lower().split("x")
    if len(pieces) > 2 or not all(p.isdigit() for p in pieces):
        fix = "--size 64, or HEIGHTxWIDTH as in --size 48x36"
        raise RecipeError("bad value", where="--size", why=f"'{text}' is no size", fix=fix)
    return int(pieces[0]), int(pieces[-1])


def _load_parts(args: Args) -> None:
    if args.parts:
        from sparring.presets import load_parts

        for path in args.parts:
            load_parts(path)


def _offer(args: Args) -> None:
    if args.weights:
        from sparring.metrics import offer

        for file in args.weights:
            offer(file)


def _speaks() -> bool:
    """Whether this process is the first of those that train together: the others are silent."""
    return os.environ.get("LOCAL_RANK", "0") == "0" and os.environ.get("RANK", "0") == "0"


def _finish(path: Path, quiet: bool) -> None:
    if not _speaks():
        return
    if not quiet:
        print(f"report: {path / 'report.html'}", file=sys.stderr)
    print(path)


# ------------------------------------------------------------------------------- what a run made


def sample_command(words: Sequence[str]) -> None:
    """Draw samples from a run; sample i depends on the seed and i only."""
    parser = Parser("sample", sample_command.__doc__ or "")
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("--n", type=_count, default=64, help="how many (default: 64)")
    parser.add_argument("--seed", type=int, default=0, help="(default: 0)")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="OUT",
        help="grid.png, samples.npz or a folder of images (default: RUN/grid.png)",
    )
    _add_classes(parser, "these in turn, by name or index, or all; --n is the total")
    _add_truncation(parser)
    args = parser.read(words)
    _load_parts(args)
    if args.n < 1:
        raise RecipeError("bad value", where="--n", why="at least one sample must be asked for")

    from sparring.runs import open_run
    from sparring.sample import load, save_samples

    run = open_run(args.run)
    model = _truncated(load(run), args)
    _refuse_translating(model, run.path)
    default = "samples.npz" if model.spec.points else "grid.png"
    out = args.out or run.path / default
    samples = model.sample(args.n, args.seed, args.classes)
    labels = model.conditions(args.n, args.seed, classes=args.classes)
    asked = args.classes is not None
    depth = getattr(run.recipe.data, "range", None)
    save_samples(samples, out, labels, model.spec.classes, by_class=asked, range=depth)
    print(out)


def _refuse_translating(model: Any, run: Path) -> None:
    if model.spec.inputs:
        raise RecipeError(
            "this run makes nothing from noise",
            where=run,
            why="it translates images",
            fix=f"sparring translate {run} INPUT --out DIR",
        )


def _add_classes(parser: Parser, help: str) -> None:
    parser.add_argument("--classes", nargs="+", metavar="CLASS", help=help)


def _add_truncation(parser: Parser) -> None:
    parser.add_argument(
        "--truncation",
        type=float,
        metavar="PSI",
        help="pull the styles of a style-based G to their mean: 0 to it, 0.7, 1 not at all",
    )


def _truncated(model: Model, args: Args) -> Model:
    return model if args.truncation is None else model.truncate(args.truncation)


def translate_command(words: Sequence[str]) -> None:
    """Translate a file, or all images of a folder or zip, by a run that has learned to."""
    parser = Parser("translate", translate_command.__doc__ or "")
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("input", metavar="INPUT", help="a file, folder or zip of images")
    parser.add_argument("--out", metavar="DIR", help="a folder for the PNGs (needed)")
    parser.add_argument(
        "--best", action="store_true", help="the generator that scored best, not the last"
    )
    parser.add_argument("--quiet", action="store_true", help="say nothing but the folder")
    parser.add_argument(
        "--direction",
        default="a2b",
        metavar="a2b|b2a",
        help="b2a is the way back, of a run that goes both ways (default: a2b)",
    )
    parser.add_argument(
        "--tile",
        type=_count,
        metavar="N",
        help="translate squares of N pixels at a time; 0 never (default: large images, where the "
        "result is the same)",
    )
    args = parser.read(words)
    _load_parts(args)

    back = _backwards(args)
    if args.tile is not None and args.tile != 0 and args.tile < 16:
        raise RecipeError("bad value", where="--tile", why="it is 0, or at least 16 pixels")
    if args.out is None:
        raise RecipeError("where to? --out is missing", fix="--out DIR")

    from sparring.api import translate

    with _bar("translating", args.quiet) as progress:
        more = {"best": args.best, "back": back, "tile": args.tile, "progress": progress}
        done = translate(args.run, args.input, args.out, **more)
    print(args.out)
    if done.failed:
        total = len(done.written) + len(done.failed)
        raise DataError(
            f"{len(done.failed)} of {total} images could not be read",
            where=args.input,
            why="; ".join(f"{name}: {reason}" for name, reason in done.failed),
        )


@contextlib.contextmanager
def _bar(what: str, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal's standard error, moved by calls with how many are done of how many."""
    if quiet or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def morph_command(words: Sequence[str]) -> None:
    """Walk through the latent space of a run, as an animation or a contact sheet."""
    parser = Parser("morph", morph_command.__doc__ or "")
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("--seed", type=int, default=0, help="(default: 0)")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="morph.gif, .webp or .png (default: RUN/morph.gif)"
    )
    _add_classes(parser, "keep this class; walk from one to the next where there are several")
    parser.add_argument(
        "--path", default="spherical", help="spherical or linear, between latents (spherical)"
    )
    parser.add_argument("--stops", type=_count, default=6, help="latents on the way (default: 6)")
    parser.add_argument(
        "--frames", type=_count, default=12, help="pictures from one to the next (default: 12)"
    )
    _add_truncation(parser)
    args = parser.read(words)
    _load_parts(args)

    from sparring.runs import open_run
    from sparring.sample import load, save_morph

    run = open_run(args.run)
    out = args.out or run.path / "morph.gif"
    model = _truncated(load(run), args)
    _refuse_translating(model, run.path)
    save_morph(
        model,
        out,
        seed=args.seed,
        classes=args.classes,
        path=args.path,
        stops=args.stops,
        frames=args.frames,
    )
    print(out)


def evaluate_command(words: Sequence[str]) -> None:
    """Score a run's samples against its data; the scores are added to the run and its report."""
    parser = Parser("evaluate", evaluate_command.__doc__ or "")
    parser.add_argument("run", metavar="RUN")
    _add_metrics(parser, "the recipe's")
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
    size = _size(args.size) if args.size else None

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
    parser.add_argument("--n", type=_count, help="samples on each side (default: the metric's own)")
    parser.add_argument(
        "--control", metavar="DATA", help="images not trained on (default: those held out)"
    )
    _add_weights(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--quiet", action="store_true", help="say nothing but the scores")


def _add_weights(parser: Parser) -> None:
    parser.add_argument(
        "--weights",
        nargs="+",
        default=[],
        metavar="FILE",
        help="files of the networks that metrics and losses use, where they cannot be fetched",
    )


def _metrics(args: Args) -> list[Any] | None:
    """The metrics that were asked for."""
    _load_parts(args)
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
        _print_json(command, **inputs, scores=scores, skipped=missed, notes=notes)
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
    _load_parts(args)

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
    _load_parts(args)
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
        _print_json("compare", inputs=args.runs, **found)
        return
    print(ranking.as_text(members))
    if args.out:
        print(args.out)


# ------------------------------------------------------------------------------------ what there is


def inspect_command(words: Sequence[str]) -> None:
    """Say what is in a set of data: counts, sizes, modes, problems. Nothing is changed."""
    parser = Parser("inspect", inspect_command.__doc__ or "")
    parser.add_argument("data", metavar="DATA")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    args = parser.read(words)
    _load_parts(args)

    from sparring.data import inspect, source, table

    info = inspect(source(args.data))
    if args.json:
        _print_json("inspect", inputs=[args.data], **info)
    else:
        print(table(info))


def list_command(words: Sequence[str]) -> None:
    """List the parts there are: losses, tricks, nets, presets, data, metrics, ..."""
    parser = Parser("list", list_command.__doc__ or "")
    parser.add_argument("kind", nargs="?", metavar="KIND")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    args = parser.read(words)
    _load_parts(args)
    found = _everything()
    if args.kind is not None:
        if args.kind not in found:
            hint = nearest(args.kind, found)
            raise RecipeError(
                f"no kind is called '{args.kind}'{hint}", fix=f"one of {', '.join(found)}"
            )
        found = {args.kind: found[args.kind]}
    if args.json:
        _print_json("list", inputs=[args.kind] if args.kind else [], parts=found)
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
        {"name": name, "text": name, "summary": summary(f), "paper": ""}
        for name, f in PRESETS.items()
    ]
    return {"presets": presets, **found}


def _signature(cls: type[Part]) -> str:
    """A part's fields with their defaults, as one writes them."""
    return ", ".join(
        f.name if f.default is dataclasses.MISSING else f"{f.name}={show(f.default)}"
        for f in dataclasses.fields(cls)  # pyright: ignore[reportArgumentType]
    )


def _print_json(command: str, **fields: Any) -> None:
    from sparring.storage import to_json

    print(to_json({"schema": SCHEMA, "command": command, **fields}))


# ------------------------------------------------------------------------------------------- main

COMMANDS: dict[str, Callable[[Sequence[str]], None]] = {
    "train": train_command,
    "resume": resume_command,
    "sample": sample_command,
    "morph": morph_command,
    "translate": translate_command,
    "evaluate": evaluate_command,
    "score": score_command,
    "report": report_command,
    "compare": compare_command,
    "inspect": inspect_command,
    "list": list_command,
}


def usage() -> str:
    """What `sparring --help` prints."""
    rows = [f"  {name:<10}{(f.__doc__ or '').strip()}" for name, f in COMMANDS.items()]
    head = "usage: sparring COMMAND ...\n\nTrain generative adversarial networks.\n"
    tail = "\nsparring COMMAND --help says more. sparring --version prints the version."
    return "\n".join([head, *rows, tail])


def _speak(quiet: bool) -> None:
    """What the package logs, such as a classifier being trained, goes to standard error."""
    logger = logging.getLogger("sparring")
    logger.handlers = [logging.StreamHandler()]
    logger.setLevel(logging.WARNING if quiet else logging.INFO)


def main(words: Sequence[str] | None = None) -> int:
    """Runs a command; its exit code (docs/design.md lists them)."""
    words = list(sys.argv[1:] if words is None else words)
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage())
        return 0 if words else 2
    if words[0] == "--version":
        print(f"sparring {__version__}")
        return 0
    try:
        _speak("--quiet" in words)
        if words[0] not in COMMANDS:
            hint = nearest(words[0], COMMANDS)
            raise RecipeError(f"no command is called '{words[0]}'{hint}", fix="sparring --help")
        COMMANDS[words[0]](words[1:])
    except SparringError as e:
        if not _speaks():  # the first process meets it too, and says so
            return 0
        if "--debug" in words:
            traceback.print_exc()
        prefix = "" if e.exit_code == 75 else "error: "
        print(f"{prefix}{e}", file=sys.stderr)
        return e.exit_code
    except KeyboardInterrupt:
        print("stopped at once; what was saved before is intact", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except Exception as e:  # noqa: BLE001  (the last line of defence: one line, code 1)
        if "--debug" in words:
            traceback.print_exc()
        line = " ".join(f"{type(e).__name__}: {e}".split())
        print(
            f"error: internal error in sparring {words[0]}: {line}. Fix: run it again with "
            "--debug and report what it prints",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
