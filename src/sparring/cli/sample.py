"""What a run makes: sample, morph, translate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparring.cli.parser import Args, Parser, backwards, bar, count, load_parts
from sparring.errors import DataError, RecipeError

if TYPE_CHECKING:
    from sparring.sample import Model


def sample_command(words: Sequence[str]) -> None:
    """Draw samples from a run; sample i depends on the seed and i only."""
    parser = Parser("sample", sample_command.__doc__ or "")
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("--n", type=count, default=64, help="how many (default: 64)")
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
    load_parts(args)
    if args.n < 1:
        why = "at least one sample must be asked for"
        raise RecipeError("bad value", where="--n", why=why, fix="--n 64")

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
    parser.add_argument("--override", action="store_true", help="overwrite PNGs that are there")
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
        type=count,
        metavar="N",
        help="translate squares of N pixels at a time, for images that memory does not hold; the "
        "result is the same; 0 never (default: large images of networks without norms)",
    )
    args = parser.read(words)
    load_parts(args)

    back = backwards(args)
    if args.out is None:
        raise RecipeError("where to? --out is missing", fix="--out DIR")

    from sparring.api import translate

    with bar("translating", args.quiet) as progress:
        done = translate(
            args.run,
            args.input,
            args.out,
            best=args.best,
            back=back,
            tile=args.tile,
            override=args.override,
            progress=progress,
        )
    print(args.out)
    if done.failed:
        total = len(done.written) + len(done.failed)
        raise DataError(
            f"{len(done.failed)} of {total} images could not be read",
            where=args.input,
            why="; ".join(f"{name}: {reason}" for name, reason in done.failed),
        )


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
    parser.add_argument("--stops", type=count, default=6, help="latents on the way (default: 6)")
    parser.add_argument(
        "--frames", type=count, default=12, help="pictures from one to the next (default: 12)"
    )
    _add_truncation(parser)
    args = parser.read(words)
    load_parts(args)

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
