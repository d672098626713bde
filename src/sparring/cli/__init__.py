"""The command line: a function for each command. torch is imported by those that need it."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable, Sequence

from sparring import __version__
from sparring.cli.parser import speaks
from sparring.cli.sample import morph_command, sample_command, translate_command
from sparring.cli.score import evaluate_command, score_command
from sparring.cli.show import compare_command, inspect_command, list_command, report_command
from sparring.cli.train import resume_command, train_command
from sparring.errors import RecipeError, SparringError
from sparring.parts import nearest

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
        if not speaks():  # the first process meets it too, and says so
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
