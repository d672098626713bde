"""What a hook of a trick of one's own does wrong is said, by its name."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from toys import set_up, toy

from sparring.errors import RecipeError
from sparring.losses import LeastSquares
from sparring.tricks import Trick, View


class ToyHook(Trick):
    """Does in one of its hooks what `DONE` has under a name."""

    done: str = ""

    def _do(self, hook: str, usual: Any, *given: Any) -> Any:
        name, do, _ = DONE[self.done]
        return do(*given) if name == hook else usual

    def init(self, view, state):
        return self._do("init", {})

    def see(self, view, state, images):
        return self._do("see", images, images)

    def fakes(self, view, state, batch):
        return self._do("fakes", batch, batch)

    def d_term(self, view, state):
        return self._do("d_term", 0.0)

    def g_term(self, view, state):
        return self._do("g_term", 0.0)

    def opponent(self, view, state, D):
        return self._do("opponent", D, D)

    def after_step(self, view, state):
        self._do("after_step", None)
        if self.done in ("text noted", "number noted"):
            view.notes["mine"] = {"text noted": "x", "number noted": 2.5}[self.done]
        if self.done in ("images", "d_loss"):
            view.notes[self.done] = 1.0
        if self.done == "new state":
            state["count"] = torch.zeros(())


def fail() -> None:
    raise ValueError("no\nluck")


DONE: dict[str, tuple[str, Callable[..., Any], str]] = {
    "no dict": ("init", lambda: 3, "init of ToyHook gives 3. Fix: return a dict of tensors"),
    "no tensors": ("init", lambda: {"a": 3}, "init of ToyHook gives {'a': 3}. Fix: return a dict"),
    "nothing seen": ("see", lambda x: None, "see of ToyHook gives nothing: it was given a tensor"),
    "in place": ("see", lambda x: x.add_(1), "see of ToyHook changes the tensor that it is given"),
    "fewer": (
        "fakes",
        lambda x: x[:3],
        "fakes of ToyHook gives a tensor (3, 3): it was given",
    ),
    "no term": ("d_term", lambda: None, "d_term of ToyHook gives nothing instead of one number"),
    "many": (
        "g_term",
        lambda: torch.ones(4),
        "g_term of ToyHook gives (4,) numbers instead of",
    ),
    "no D": (
        "opponent",
        lambda D: None,
        "opponent of ToyHook gives nothing. Fix: return a",
    ),
    "fails": (
        "d_term",
        fail,
        "d_term of ToyHook fails on a batch: ValueError: no luck. Fix",
    ),
    "late": ("after_step", fail, "after_step of ToyHook fails on a batch: ValueError: no luck"),
    "text noted": ("", fail, "the note 'mine' gives 'x' instead of one number"),
    "number noted": ("", fail, ""),
    "images": ("", fail, "the note 'images' is a column of the statistics already. Fix: give it a"),
    "d_loss": ("", fail, "the note 'd_loss' is a column of the statistics already. Fix: give it a"),
    "new state": (
        "",
        fail,
        "the state of ToyHook has other names than init gave: count came or went. Fix: give all",
    ),
}


@pytest.mark.parametrize("done", [name for name, (*_, said) in DONE.items() if said])
def test_what_a_hook_does_wrong_is_said(done):
    with pytest.raises(RecipeError, match=re.escape(DONE[done][2])):
        set_up(toy(tricks=(ToyHook(done=done),))).advance(0)


class ToyReader(Trick):
    """Reads in one hook what D says, there or not, and notes it."""

    hook: str = "g_term"
    field: str = "real_logits"

    def _read(self, hook: str, view: View) -> Any:
        return getattr(view, self.field) if hook == self.hook else None

    def fakes(self, view, state, batch):
        self._read("fakes", view)
        return batch

    def d_term(self, view, state):
        return 0.0 if self._read("d_term", view) is None else self._read("d_term", view).mean()

    def g_term(self, view, state):
        return 0.0 if self._read("g_term", view) is None else self._read("g_term", view).mean()


class ToyRealReader(ToyReader):
    """Says that it reads D(real) in G's turn."""

    needs_real = True


@pytest.mark.parametrize("field", ["real_seen", "real_logits", "real_features"])
def test_reading_reals_in_the_turn_of_g_unsaid_is_told_what_to_write(field):
    said = f"g_term of ToyReader fails on a batch: AttributeError: {field} is there in G's turn "
    with pytest.raises(RecipeError, match=re.escape(said + "only with needs_real = True")):
        set_up(toy(tricks=(ToyReader(field=field),))).advance(0)


def test_reading_what_d_says_before_it_is_asked_is_said():
    with pytest.raises(RecipeError, match="fake_logits is there only once D is asked"):
        set_up(toy(tricks=(ToyReader(hook="fakes", field="fake_logits"),))).advance(0)


@pytest.mark.parametrize(
    "trick",
    [ToyRealReader(), ToyReader(field="fake_logits"), ToyReader(hook="d_term")],
    ids=str,
)
def test_what_is_there_is_read(trick):
    loss = set_up(toy(tricks=(trick,))).advance(0)["g_loss"]
    assert torch.isfinite(loss)


def test_a_view_knows_what_it_has_not():
    setup = set_up(toy())
    (view,) = setup.step.views("g", setup.step.deal(setup.feed(0), 0, "g", grad=False), 0)
    with pytest.raises(AttributeError, match="a view has no 'logits'"):
        view.logits  # noqa: B018  # pyright: ignore[reportAttributeAccessIssue]
    assert "real_logits" not in repr(view)


class ToyBoundary(Trick):
    """Notes the boundary that it is told of in each turn."""

    def d_term(self, view, state):
        view.notes["boundary_d"] = torch.as_tensor(view.boundary)
        return 0.0

    def g_term(self, view, state):
        view.notes["boundary_g"] = torch.as_tensor(view.boundary)
        return 0.0


@pytest.mark.parametrize("updates", ["alternating", "simultaneous"])
def test_the_boundary_is_that_of_d_in_the_turn_of_g_too(updates):
    setup = set_up(toy(tricks=(ToyBoundary(),), loss=LeastSquares(), updates=updates))
    stats = setup.advance(0)
    assert stats["boundary_d"] == stats["boundary_g"] == 0.5


def test_a_note_may_be_a_plain_number():
    setup = set_up(toy(tricks=(ToyHook(done="number noted"),)))
    assert setup.step(0, setup.feed)["mine"].item() == 2.5
