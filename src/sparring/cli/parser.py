"""What all commands share: how words are read and what is printed."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from sparring.errors import RecipeError
from sparring.parts import nearest

SCHEMA = 1
# Flags of other tools, and what says it here.
_ELSEWHERE = {
    "--epochs": "--images, counted over all epochs",
    "--steps": "--images, steps times the batch",
    "--iterations": "--images, steps times the batch",
    "--lr": "--g-lr and --d-lr",
    "--learning-rate": "--g-lr and --d-lr",
    "--gpu": "--device cuda",
    "--gpus": "--devices",
    "--resolution": "--size",
    "--outdir": "--out",
}
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
        # What argparse takes for a number and not for a flag: -2e-4 as well.
        self._negative_number_matcher = re.compile(r"-\d*\.?\d+(e[-+]?\d+)?$", re.IGNORECASE)
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
            other = _ELSEWHERE.get(word, "")
            hint = f": here it is {other}" if other.split(",")[0].split(" ")[0] in flags else hint
            raise RecipeError(
                f"{self.prog} does not know '{word}'{hint}", fix=f"{self.prog} --help"
            )
        return args


def count(text: str) -> int:
    """'1000' or '1e3' as a whole number, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = 0.5
    if not value.is_integer():
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number")
    return int(value)


def size_of(text: str) -> tuple[int, int]:
    """'64' or '48x36' (height x width) as a pair."""
    pieces = text.lower().split("x")
    if len(pieces) > 2 or not all(p.isdigit() for p in pieces):
        fix = "--size 64, or HEIGHTxWIDTH as in --size 48x36"
        raise RecipeError("bad value", where="--size", why=f"'{text}' is no size", fix=fix)
    return int(pieces[0]), int(pieces[-1])


def number(text: str, flag: str) -> float:
    """'100000', '100_000', '1e5' or '2e-4' as a number."""
    try:
        return int(text)  # a seed may have more digits than a float keeps
    except ValueError:
        pass
    try:
        value = float(text)
    except ValueError:
        fix = f"{flag} 2e-4" if flag.endswith("-lr") else "write 1000 or 1e3"
        why = f"'{text}' is not a number"
        raise RecipeError("bad value", where=flag, why=why, fix=fix) from None
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def load_parts(args: Args) -> None:
    if args.parts:
        from sparring.presets import load_parts

        for path in args.parts:
            load_parts(path)


def offer_weights(args: Args) -> None:
    if args.weights:
        from sparring.metrics import offer

        for file in args.weights:
            offer(file)


def add_weights(parser: Parser) -> None:
    parser.add_argument(
        "--weights",
        nargs="+",
        default=[],
        metavar="FILE",
        help="files of the networks that metrics and losses use, where they cannot be fetched",
    )


def backwards(args: Args) -> bool:
    if args.direction not in ("a2b", "b2a"):
        raise RecipeError(
            "bad value", where="--direction", why="it is a2b or b2a", fix="--direction b2a"
        )
    return args.direction == "b2a"


def speaks() -> bool:
    """Whether this process is the first of those that train together: the others are silent."""
    return os.environ.get("LOCAL_RANK", "0") == "0" and os.environ.get("RANK", "0") == "0"


@contextlib.contextmanager
def bar(what: str, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal's standard error, moved by calls with how many are done of how many."""
    if quiet or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def print_json(command: str, **fields: Any) -> None:
    from sparring.storage import to_json

    print(to_json({"schema": SCHEMA, "command": command, **fields}))
