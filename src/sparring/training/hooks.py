"""Parts called and held to their contracts, the hooks of tricks above all.

Parts are often the users' own: what is wrong with one is said in their words, not in torch's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sparring.errors import RecipeError, SparringError
from sparring.tricks import State, Trick, View


def attempt(name: str, call: Callable[[], Any], when: str = "on a batch") -> Any:
    """What the call gives; RecipeError where it fails."""
    try:
        return call()
    except (SparringError, MemoryError, torch.OutOfMemoryError):
        raise
    except NotImplementedError as e:
        why = " ".join(str(e).split()) or "a method of its contract is not written"
        raise RecipeError(f"{name} is not complete", why=why) from e
    except Exception as e:
        why = " ".join(f"{type(e).__name__}: {e}".split())
        raise RecipeError(f"{name} fails {when}", why=why[:300], fix="--debug shows where") from e


def hook(name: str, trick: Trick, view: View, state: State, *given: Any) -> Any:
    """What a hook of a trick returns; RecipeError where it fails or returns another thing."""
    what = f"{name} of {type(trick).__name__}"
    before = [x._version for x in given if isinstance(x, Tensor)]
    found = attempt(what, lambda: getattr(trick, name)(view, state, *given))
    if before != [x._version for x in given if isinstance(x, Tensor)]:
        raise RecipeError(
            f"{what} changes the tensor that it is given",
            why="others read it as well",
            fix="return a new one, images + 0.1 and not images.add_(0.1)",
        )
    if name in ("d_term", "g_term"):
        return one_number(found, what)
    if name == "init" and not (
        isinstance(found, dict) and all(isinstance(t, Tensor) for t in found.values())
    ):
        raise RecipeError(
            f"{what} gives {_kind(found)}", fix="return a dict of tensors, {} for none"
        )
    if name in ("see", "fakes") and getattr(found, "shape", None) != given[0].shape:
        wanted = _kind(given[0])
        raise RecipeError(f"{what} gives {_kind(found)}", why=f"it was given {wanted}")
    if name == "opponent" and not callable(found):
        raise RecipeError(f"{what} gives {_kind(found)}", fix="return a discriminator")
    return found


def one_number(value: Tensor | float, name: str) -> Tensor | float:
    """The value; RecipeError, with what to do, where it is no number or a tensor of many."""
    if not isinstance(value, (Tensor, int, float)):
        raise RecipeError(f"{name} gives {_kind(value)} instead of one number")
    if isinstance(value, Tensor) and value.dim():
        raise RecipeError(
            f"{name} gives {tuple(value.shape)} numbers instead of one",
            fix="end it with .mean()",
        )
    return value


def _kind(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a tensor {tuple(value.shape)}"
    return "nothing" if value is None else f"{value!r:.60}"
