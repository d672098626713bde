"""train and resume."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparring.cli.parser import (
    Args,
    Parser,
    add_weights,
    backwards,
    count,
    load_parts,
    offer_weights,
    size_of,
    speaks,
)
from sparring.cli.recipe import add_recipe, apply
from sparring.errors import RecipeError
from sparring.parts import show

if TYPE_CHECKING:
    from sparring.recipe import Recipe


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
    add_recipe(parser)
    args = parser.read(words)
    load_parts(args)
    offer_weights(args)
    if args.minutes is not None and args.images is not None:
        raise RecipeError("--minutes and --images both set the budget", fix="give one of them")

    from sparring.api import train
    from sparring.data import source, together
    from sparring.presets import preset
    from sparring.runs import open_run
    from sparring.training.device import Device
    from sparring.training.inherit import afresh

    if args.to is not None and args.data is None:
        raise RecipeError(
            "--to says what DATA become, and no DATA are given",
            fix=f"sparring train DATA --to {args.to}",
        )
    backwards(args)  # refused before anything is said
    data = source(args.data) if args.data else None
    if args.init_from is not None and args.preset is None:
        size = None if args.size is None else size_of(args.size)
        name, recipe = "finetuned", afresh(open_run(args.init_from), size)
    else:
        automatic = args.preset in (None, "auto")
        both = together(data, source(args.to)) if automatic and data and args.to else data
        name, recipe = preset(args.preset or "auto", both, Device(args.device).kind)
    own = list(args.parts)
    if args.preset is not None and ":" in args.preset:
        own.append(Path(args.preset.rsplit(":", 1)[0]))
    if data is not None:
        recipe = dataclasses.replace(recipe, data=data)
    recipe = apply(args, recipe)
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


def _translated(args: Args, recipe: Recipe) -> Any:
    """The recipe's data, made pairs where its game needs them."""
    from sparring.data import Files, Pairs, SideBySide, Unpaired, source
    from sparring.games import Stored, Translation

    game, data, turned = recipe.game, recipe.data, backwards(args)
    translates = isinstance(game, Translation)
    stored = translates and isinstance(game.inputs, Stored)
    paired = translates and game.paired
    if args.to is not None:
        if translates and not stored:
            raise RecipeError(
                "--to is given, and this game makes its inputs of DATA itself",
                why=f"it is {show(game)}",
                fix="leave --to out, or --preset pix2pix without --game",
            )
        if not stored:
            raise RecipeError(
                "--to needs a game that translates one set into another",
                why=f"this preset plays {show(game)}",
                fix="--preset pix2pix for pairs, --preset cyclegan for two sets without",
            )
        both = (source(args.to), data) if turned else (data, source(args.to))
        kind = Pairs if paired else Unpaired
        return kind(input=both[0], target=both[1])
    if stored and isinstance(data, Files):
        if not paired:
            raise RecipeError("one set is not translated into itself", fix="give A/ --to B/")
        return SideBySide(images=data, input="right" if turned else "left")
    if turned and stored:
        return _turned(data)
    if turned:
        raise RecipeError("--direction b2a has no two sides here", fix="give A/ --to B/")
    return data


def _turned(data: Any) -> Any:
    """Data that have two sides of their own, the other way round."""
    from sparring.data import Pairs, SideBySide, Unpaired

    if isinstance(data, (Pairs, Unpaired)):
        return dataclasses.replace(data, input=data.target, target=data.input)
    if isinstance(data, SideBySide):
        return dataclasses.replace(data, input="left" if data.input == "right" else "right")
    raise RecipeError("--direction b2a has no two sides here", fix="give A/ --to B/")


def resume_command(words: Sequence[str]) -> None:
    """Continue a run exactly where it stopped; --images sets a new total."""
    parser = Parser("resume", resume_command.__doc__ or "")
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("--override", action="store_true", help="go on with a changed recipe")
    _add_common(parser)
    add_recipe(parser)
    args = parser.read(words)
    load_parts(args)
    offer_weights(args)

    from sparring.api import resume
    from sparring.runs import open_run

    recipe = apply(args, open_run(args.run).recipe)
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
        type=count,
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
    add_weights(parser)
    parser.add_argument("--quiet", action="store_true", help="say nothing but the last line")


def _finish(path: Path, quiet: bool) -> None:
    if not speaks():
        return
    if not quiet:
        print(f"report: {path / 'report.html'}", file=sys.stderr)
    print(path)
