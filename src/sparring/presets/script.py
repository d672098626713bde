"""A user's own Python file: the parts it defines and the recipes its functions return."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import FunctionType, ModuleType

from sparring.errors import RecipeError, SparringError
from sparring.parts import nearest
from sparring.recipe import Recipe


def load_parts(path: Path) -> ModuleType:
    """Runs a user's Python file, so that the parts it defines are known."""
    if not path.is_file():
        raise RecipeError(f"no file {path}", fix="--parts FILE.py or --preset FILE.py:FUNCTION")
    spec = importlib.util.spec_from_file_location(f"sparring_user_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    known = getattr(sys.modules.get(spec.name), "__file__", None)
    if known and Path(known).resolve() != path.resolve():
        raise RecipeError(
            f"two files of parts are called {path.name}",
            why=f"{known} is one already",
            fix="give one of them another name",
        )
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look up annotations that are text
    try:
        spec.loader.exec_module(module)
    except SparringError:
        raise
    except Exception as e:
        raise RecipeError(f"cannot run {path}", why=f"{type(e).__name__}: {e}") from e
    return module


def recipe_of(path: Path, function: str) -> Recipe:
    """The recipe that a function of a user's Python file returns."""
    script = load_parts(path)
    make = getattr(script, function, None)
    if not callable(make):
        own = {n: v for n, v in vars(script).items() if isinstance(v, FunctionType)}
        functions = [n for n, v in own.items() if v.__module__ == script.__name__]
        raise RecipeError(
            f"{path} has no function '{function}'{nearest(function, functions)}",
            why=f"its functions are {', '.join(functions)}" if functions else "it has none",
            fix=f"--preset {path}:{functions[0] if len(functions) == 1 else 'FUNCTION'}",
        )
    recipe = make()
    if not isinstance(recipe, Recipe):
        raise RecipeError(
            f"{function} in {path} returns {recipe!r:.40}, which is no Recipe",
            fix="return a sparring.Recipe, such as replace(sparring.PRESETS['fast'](), batch=64)",
        )
    return recipe
