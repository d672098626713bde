"""A flag for every field of the recipe."""

from __future__ import annotations

import argparse
import dataclasses
import re
import typing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparring.cli.parser import Args, Parser, number, size_of
from sparring.errors import RecipeError
from sparring.parts import Part, as_word, fit, parse

if TYPE_CHECKING:
    from sparring.recipe import Recipe


def add_recipe(parser: Parser) -> None:
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


def apply(args: Args, recipe: Recipe) -> Recipe:
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
            flag = f"--{side}-lr"
            lr = number(rate, flag)
            if not 0 < lr < float("inf"):
                raise RecipeError(
                    "bad value", where=flag, why=f"{rate} is not positive", fix=f"{flag} 2e-4"
                )
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
        if any(w.lower() == "none" for w in words):
            raise RecipeError(
                "none and parts do not go together",
                where=flag,
                why="none empties the list, and the parts given replace it anyway",
                fix="leave none out",
            )
        return tuple(_one_of_many(w, kind, flag) for w in words)
    if kind is not None:
        return parse(given, kind)
    if name == "size":
        return size_of(given)
    if typing.get_origin(hint) is typing.Literal:
        return fit(given, hint, flag)
    if given.lower() == "none":
        return fit(None, hint, flag)
    return fit(number(given, flag), hint, flag)


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
        apart = re.split(r",\s*(?![^()]*\))", word.strip("[] "))  # at commas outside of brackets
        if len(apart) > 1:
            raise RecipeError(
                f"'{word}' is not one of the {kind.kind}",
                where=flag,
                why="several are written apart, without commas",
                fix=f"{flag} {' '.join(map(as_word, apart))}",
            ) from None
        raise
