"""Parts: frozen values that each name one choice, and the text that is the same value.

A part is a keyword-only dataclass. Subclassing `Part` (through its kind) is all there is to
registering one; its text form is the Python expression that makes it::

    >>> parse("r1(gamma=2)", Part)
    R1(gamma=2.0)

Nothing is ever evaluated: `parse` walks the syntax tree and accepts calls of known parts, literals
and tuples of these.
"""

from __future__ import annotations

import ast
import difflib
import math
import numbers
import os
import re
import sys
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from typing import Any, ClassVar, TypeGuard, TypeVar, dataclass_transform

from sparring.errors import RecipeError, SparringError
from sparring.glossary import ELSEWHERE

T = TypeVar("T")
P = TypeVar("P", bound="Part")

_KINDS: dict[str, type[Part]] = {}
_PARTS: dict[str, type[Part]] = {}


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Part:
    """One choice of a recipe.

    A subclass says ``kind="losses"`` to open a new kind, ``abstract=True`` to be no part itself;
    any other subclass is a part. Values are checked against the annotations when a part is made
    (an int becomes a float where a float is asked), then by the part's own `check`. `yields`: what
    it gives that users may take for a part, such as the names of a metric's scores. `ending`: of a
    part around another one, its first field, what it puts after the names of what that one gives.
    """

    kind: ClassVar[str] = ""
    paper: ClassVar[str] = ""
    yields: ClassVar[tuple[str, ...]] = ()
    ending: ClassVar[str] = ""

    def __init_subclass__(cls, *, kind: str = "", abstract: bool = False) -> None:
        super().__init_subclass__()
        dataclass(frozen=True, kw_only=True, repr=False)(cls)
        if kind:
            cls.kind = kind
            _KINDS[kind] = cls
        elif not abstract:
            _register(cls)

    def __post_init__(self) -> None:
        conform(self)
        try:
            self.check()
        except ValueError as e:
            raise RecipeError("bad value", where=show(self), why=str(e)) from None

    def check(self) -> None:
        """Raises ValueError when the fields do not make sense together."""

    def __repr__(self) -> str:
        return show(self)


def _register(cls: type[Part]) -> None:
    known = _PARTS.get(key(cls.__name__))
    same = known and (known.__module__, known.__qualname__) == (cls.__module__, cls.__qualname__)
    if known and not same:
        raise RecipeError(
            f"two parts are called {cls.__name__}",
            why=f"{known.__module__} has one already",
            fix="give yours another name",
        )
    _PARTS[key(cls.__name__)] = cls


def key(name: str) -> str:
    """What a name is known by: case, - and _ do not matter."""
    return name.lower().replace("-", "").replace("_", "")


def require(condition: bool, message: str) -> None:
    """For `check` methods: ValueError with `message` unless the condition holds."""
    if not condition:
        raise ValueError(message)


# ------------------------------------------------------------------------------- values and types


@cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def conform(value: Any) -> None:
    """Fits every field of a frozen dataclass to its annotation, in place, or RecipeError."""
    hints = _hints(type(value))
    for f in fields(value):
        new = fit(getattr(value, f.name), hints[f.name], f"{type(value).__name__}({f.name})")
        object.__setattr__(value, f.name, new)


def fit(value: Any, hint: Any, where: str) -> Any:
    """`value` as the annotation `hint` wants it; RecipeError, naming `where`, if it cannot be."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        if isinstance(value, float) and not math.isfinite(value):
            raise RecipeError("bad value", where=where, why="the number is not finite")
        for option in typing.get_args(hint):
            try:
                return fit(value, option, where)
            except RecipeError:
                continue
    elif origin is typing.Literal:
        if value in typing.get_args(hint):
            return value
    elif origin is tuple and isinstance(value, (tuple, list)):
        inner = typing.get_args(hint)
        if len(inner) == 2 and inner[1] is Ellipsis:
            inner = (inner[0],) * len(value)
        if len(inner) == len(value):
            return tuple(fit(v, h, where) for v, h in zip(value, inner, strict=True))
    elif hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        if not abs(value) <= sys.float_info.max:
            raise RecipeError("bad value", where=where, why="the number is not finite")
        return float(value)
    elif hint is int and (
        (isinstance(value, float) and value.is_integer())
        or (isinstance(value, numbers.Integral) and not isinstance(value, bool))
    ):
        return int(value)
    elif hint is str and isinstance(value, os.PathLike):
        return os.fspath(value)
    elif (
        hint is Any
        or hint is type(value)
        or (hint is None and value is None)
        or (_is_part(hint) and isinstance(value, hint))
    ):
        return value
    got = f"the class {value.__name__}" if isinstance(value, type) else repr(value)
    why = f"expected {_words(hint)}, got {got}"
    raise RecipeError("bad value", where=where, why=why, fix=_meant(value, hint))


def _meant(value: Any, hint: Any) -> str:
    """What to write where a part is only named, or one value stands for a list; else what lists the
    parts that fit, if any do."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return next(filter(None, (_meant(value, h) for h in inner)), "")
    if hint in (int, float, bool) and isinstance(value, str):
        return _unquoted(value, hint)
    several = origin is tuple and Ellipsis in inner and not isinstance(value, (tuple, list))
    wanted = inner[0] if several else hint
    try:
        if _is_part(value):
            value = value()
        elif isinstance(value, str) and _is_part(wanted):
            value = parse(value, wanted)
        elif not several:
            raise TypeError
        made = fit(value, wanted, "")
        return f"write {show((made,) if several else made)}"
    except (RecipeError, TypeError):
        return f"sparring list {wanted.kind}" if _is_part(wanted) and wanted.kind else ""


def _unquoted(text: str, hint: Any) -> str:
    """What to write for a number, True or False in quotes."""
    try:
        value = ast.literal_eval(text.strip())
        fit(value, hint, "")
    except (ValueError, SyntaxError, RecipeError):
        return ""
    return f"write {text.strip()}, without quotes"


def _is_part(value: Any) -> TypeGuard[type[Part]]:
    return isinstance(value, type) and issubclass(value, Part)


def _words(hint: Any) -> str:
    """An annotation as a user reads it: 'a number', 'one of alternating, simultaneous', ..."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_words(h) for h in inner)
    if origin is typing.Literal:
        return "one of " + ", ".join(map(str, inner))
    if origin is tuple:
        if Ellipsis in inner:
            return f"a list of {_plural(inner[0])}"
        return f"{len(inner)} {_plural(inner[0])}"
    if _is_part(hint):
        return f"one of the {hint.kind}" if hint.kind else "a part"
    words = {int: "a whole number", float: "a number", bool: "True or False", str: "text"}
    return words.get(hint, "none" if hint in (None, type(None)) else str(hint))


def _plural(hint: Any) -> str:
    one = _words(hint)
    return f"{one[2:]}s" if one.startswith("a ") else one.removeprefix("one of the ")


# ---------------------------------------------------------------------------------- text -> value


def parse(text: str, kind: type[P]) -> P:
    """The part that `text` names, by name alone or as a call.

    Raises RecipeError with the nearest right name for an unknown one.
    """
    asked = text.strip()
    text = re.sub(r"^[\w-]+(?=\()", lambda name: name[0].replace("-", "_"), asked)
    name, names = re.split(r"[^\w-]", asked)[0], [c.__name__ for c in catalogue(kind)]
    if (
        kind.kind
        and name
        and key(name) not in _PARTS
        and re.fullmatch(r"[\w-]+(\(.*)?", text, re.S)
    ):
        _refuse_known(name)
        hint, fix = nearest(name, names), f"sparring list {kind.kind}"
        raise RecipeError(f"'{name}' is not one of the {kind.kind}{hint}", fix=fix)
    value = _class(text)() if re.fullmatch(r"[\w-]+", text) else read(text)
    if not isinstance(value, kind):
        fix = (
            f"use one of {', '.join(names)}" if kind.kind else "sparring list"
        )  # all parts are too many
        why = f"it is one of the {value.kind}" if isinstance(value, Part) else ""
        raise RecipeError(f"'{asked}' is not one of the {kind.kind or 'parts'}", why=why, fix=fix)
    return value


def _refuse_known(name: str) -> None:
    """RecipeError, with what to write, where `name` is no part but is here by another name."""
    if elsewhere(name):
        raise RecipeError(f"no part is called '{name}'", fix=elsewhere(name))
    found = _yielding(key(name))
    if found:
        these = " and ".join(c.__name__ for c, _ in found)
        raise RecipeError(
            f"'{name}' is not one of the {found[0][0].kind}",
            why=f"{these} {'yields' if len(found) == 1 else 'yield'} it",
            fix=f"write {found[0][1]}",
        )


def elsewhere(name: str) -> str:
    """What to write for a name of the literature that is no part's, or nothing."""
    known = {key(n): ways for n, ways in ELSEWHERE.items()}
    ways = known.get(key(name), ())
    return f"write {', or '.join(ways)}" if ways else ""


def _yielding(wanted: str) -> list[tuple[type[Part], str]]:
    """The parts that give what has this key, each with the text to write."""
    found = [(c, c.__name__) for c in catalogue(Part) if wanted in map(key, c.yields)]
    for c in catalogue(Part):
        if c.ending and wanted.endswith(key(c.ending)):
            inner = wanted.removesuffix(key(c.ending))
            around = fields(c)[0].name  # pyright: ignore[reportArgumentType]
            named = [p for p in catalogue(_KINDS[c.kind]) if key(p.__name__) == inner and p != c]
            for part in [p for p, _ in _yielding(inner)[:1] if p != c] or named:
                # In quotes, since a shell would take the brackets for its own.
                found.append((c, f'"{c.__name__}({around}={part.__name__}())"'))
    return found


def read(text: str, also: dict[str, Callable[..., Any]] | None = None) -> Any:
    """The value of an expression made of parts, literals, tuples and calls named in `also`."""
    try:
        # A field that the paper calls lambda is no keyword of Python here.
        tree = ast.parse(re.sub(r"\blambda\s*=", "lambda_=", text.strip()), mode="eval").body
        return _value(tree, also or {})
    except SyntaxError as e:
        raise RecipeError(
            f"cannot read '{text.strip()[:80]}'",
            why=e.msg,
            fix="write Name(field=value), in quotes",
        ) from None
    except (MemoryError, RecursionError):
        raise RecipeError(f"cannot read '{text.strip()[:80]}'", why="too deeply nested") from None


def _value(
    node: ast.expr, also: dict[str, Callable[..., Any]], hint: Any = Any, where: str = ""
) -> Any:
    """The value of an expression; hint, where: the annotation and the name of what it is for."""
    match node:
        case ast.Constant(value=value) if isinstance(value, (int, float, bool, str, type(None))):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
        case ast.Tuple(elts=items) | ast.List(elts=items):
            options = (hint, *typing.get_args(hint))
            inner = (typing.get_args(h)[0] for h in options if typing.get_origin(h) is tuple)
            one = next(inner, Any)
            return tuple(_value(item, also, one, where) for item in items)
        case ast.Name(id=name):
            _refuse_word(name, also, hint, where)
            return _class(name, (), also)()
        case ast.Call(func=ast.Name(id=name), args=[], keywords=keywords):
            if any(k.arg is None for k in keywords):
                raise RecipeError(f"cannot read '{ast.unparse(node)}'", why="** is not allowed")
            names = [str(k.arg) for k in keywords]
            cls = _class(name, names, also)
            label, hints = cls.__name__, _hints(cls)
            values = [
                _value(k.value, also, hints[n], f"{label}({n})") for n, k in zip(names, keywords)
            ]
            return cls(**dict(zip(names, values)))
        case ast.Call(func=ast.Name(id=name)):
            raise RecipeError(
                f"cannot read '{ast.unparse(node)}'",
                why="fields are given by name",
                fix=f"write {name}(field=value)",
            )
    raise RecipeError(
        f"cannot read '{ast.unparse(node)}'", why="only parts and literals are allowed"
    )


def _refuse_word(name: str, also: typing.Container[str], hint: Any, where: str) -> None:
    """RecipeError, with what to write, where `name` is no part and may be a word without quotes."""
    if name in also or key(name) in _PARTS:
        return
    _refuse_known(name)
    word = name.lower()
    if word in ("nan", "inf", "infinity"):
        raise RecipeError("bad value", where=where, why="every number here is a finite one")
    value = {"none": None, "true": True, "false": False}.get(word, name)
    kinds = tuple(h for h in (hint, *typing.get_args(hint)) if _is_part(h))
    parts = [c.__name__ for c in catalogue(Part) if hint is Any or issubclass(c, kinds)]
    near = nearest(name, parts) if value == name else ""
    if near:
        fix = f"sparring list {kinds[0].kind if kinds else ''}".strip()
        raise RecipeError(f"no part is called '{name}'{near}", fix=fix)
    fit(value, hint, where)  # says what is expected, if not this
    why = "text is quoted" if value == name else ""
    raise RecipeError(f"no part is called '{name}'", why=why, fix=f"write {value!r}")


def _class(
    name: str,
    given: typing.Sequence[str] = (),
    also: dict[str, Callable[..., Any]] | None = None,
) -> Any:
    """The class called `name`; RecipeError where there is none, or it lacks one of these fields."""
    cls: Any = (also or {}).get(name) or _PARTS.get(key(name))
    if cls is None:
        _refuse_known(name)
        names = [part.__name__ for part in _PARTS.values()]
        raise RecipeError(f"no part is called '{name}'{nearest(name, names)}", fix="sparring list")
    label, known = cls.__name__, [f.name for f in fields(cls)]
    for n, field in enumerate(given):
        if field in given[:n]:
            raise RecipeError(f"{label} is given '{field}' twice", fix="leave one of them out")
        if field not in known:
            raise RecipeError(
                f"{label} has no field '{field}'{nearest(field, known)}",
                why=f"its fields are {', '.join(known)}" if known else "it has no fields",
            )
    return cls


def nearest(word: str, words: typing.Iterable[str], say: str = ", did you mean '{}'?") -> str:
    """A hint naming the word of `words` most like `word`, or nothing."""
    by_key = {key(w): w for w in words}
    found = difflib.get_close_matches(key(word), by_key, n=1, cutoff=0.5)
    if not found:
        return ""
    return say.format(by_key[found[0]])


# ---------------------------------------------------------------------------------- value -> text


def as_word(text: str) -> str:
    """A part's text as one writes it on a command line, in quotes where a shell needs them."""
    bare = text.removesuffix("()")
    return f'"{bare}"' if "(" in bare else bare


def show(value: Any, full: bool = False) -> str:
    """The Python expression that makes `value`; `full` writes fields at their default too."""
    if isinstance(value, Part):
        inner = ", ".join(
            f"{f.name}={show(getattr(value, f.name), full)}"
            for f in fields(value)  # pyright: ignore[reportArgumentType]
            if full or getattr(value, f.name) != f.default
        )
        return f"{type(value).__name__}({inner})"
    if isinstance(value, tuple):
        items = ", ".join(show(v, full) for v in value)
        return f"({items},)" if len(value) == 1 else f"({items})"
    return repr(value)


# --------------------------------------------------------------------------------------- catalogue


def catalogue(kind: type[P]) -> list[type[P]]:
    """All parts of a kind, by name."""
    found = [cls for cls in _PARTS.values() if issubclass(cls, kind)]
    return sorted(found, key=lambda cls: cls.__name__.lower())


def kinds() -> dict[str, type[Part]]:
    """Every kind of part by the plural that users say: losses, tricks, nets, ..."""
    return dict(_KINDS)


def walk(value: Any) -> Iterator[Part]:
    """Every part inside `value`, itself included, outermost first."""
    if isinstance(value, tuple):
        for v in value:
            yield from walk(v)
    elif is_dataclass(value) and not isinstance(value, type):
        if isinstance(value, Part):
            yield value
        for f in fields(value):
            yield from walk(getattr(value, f.name))


def map_parts(value: T, change: Callable[[Part], Part]) -> T:
    """`value` with `change` applied to every part inside it, innermost first."""
    if isinstance(value, tuple):
        return tuple(map_parts(v, change) for v in value)  # pyright: ignore[reportReturnType]
    if is_dataclass(value) and not isinstance(value, type):
        new = {f.name: map_parts(getattr(value, f.name), change) for f in fields(value)}
        old = {f.name: getattr(value, f.name) for f in fields(value)}
        result = value if new == old else replace(value, **new)
        return change(result) if isinstance(result, Part) else result  # pyright: ignore
    return value


def summary(cls: object) -> str:
    """The first sentence of a part's docstring."""
    text = " ".join((cls.__doc__ or "").split("\n\n")[0].split())
    return text.split(". ")[0].rstrip(".")


__all__ = [
    "Part",
    "SparringError",
    "catalogue",
    "conform",
    "fit",
    "kinds",
    "map_parts",
    "nearest",
    "parse",
    "read",
    "require",
    "show",
    "summary",
    "walk",
]
