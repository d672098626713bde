"""Errors a user can act on: one line that says what, where, why and how to mend it.

Each class carries the exit code of the command line (see docs/design.md, "The command line").
"""

from __future__ import annotations


class SparringError(Exception):
    """One line: ``<what> in <where>: <why>. Fix: <fix>``; every piece but `what` may be absent."""

    exit_code = 1

    def __init__(self, what: str, *, where: object = "", why: str = "", fix: str = "") -> None:
        self.what, self.why, self.fix = what, why, fix
        line = what
        if str(where):
            line += f" in {where}"
        if why:
            line += f" {why[0].upper()}{why[1:]}" if line.endswith("?") else f": {why}"
        line = line.rstrip(".")
        if fix:
            line += f"{'' if line.endswith('?') else '.'} Fix: {fix}"
        super().__init__(" ".join(line.split()))


class RecipeError(SparringError):
    """The command or the recipe is wrong: unknown name, bad value, parts that do not fit."""

    exit_code = 2


class DataError(SparringError):
    """The data are missing or unusable, or no metric can be computed on them."""

    exit_code = 3


class RunError(SparringError):
    """The run folder is missing, is no run, or holds no checkpoint that verifies."""

    exit_code = 4


class DiskError(SparringError):
    """The disk is full or not writable."""

    exit_code = 5


class DivergedError(SparringError):
    """A loss or a weight is no longer finite."""

    exit_code = 6
