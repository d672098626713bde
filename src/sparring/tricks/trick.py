"""The contract of a trick: seven hooks, each given what one side sees in one step, and its state.

A trick is anything but the adversarial loss that stabilises or regularises. The step calls the
hooks in the recipe's order and adds up the numbers they return; it names no trick.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from sparring.parts import Part, require
from sparring.randomness import Draws

State = dict[str, Tensor]
Weights = dict[str, Tensor]
Follow = Callable[
    [Weights, Mapping[str, Tensor | None], Mapping[str, State]],
    tuple[Weights, dict[str, State]],
]

_ANSWERS = tuple(f"{x}_{y}" for x in ("real", "fake") for y in ("seen", "logits", "features"))


@dataclass
class View:
    """What one side sees in one step of one pair of networks (`pair` is its name).

    real, fake: images (N, C, H, W) in [-1, 1] or points (N, d), as drawn; real_seen, fake_seen:
    as D sees them; real_logits, fake_logits: (N,) float32; real_features, fake_features: D's
    layers by name, filled for tricks with `features`; real_slopes, fake_slopes: the gradient of
    D's logits at the first k seen inputs, filled for tricks with `slopes`; c: conditions or None;
    fake_c: those of fake, which are c unless a trick's `fakes` has swapped some;
    sides: the channels of each of the images that D sees beside each other, () for one alone;
    z: G's noise; draw: another fake for the same conditions; images: reals shown so far (int64,
    0-d, on the device: no Python `if` on it); d_loss: D's whole objective as a function of D and
    a view; d_step: a step of D's optimiser as a function of weights, gradients and what it
    remembers, all by name ({} for what it remembers now); ask: the logits of a D, of inputs and
    their conditions, float32; boundary: the logit above which D says "real"; bf16: whether fakes
    and logits are rounded to it; mean: the mean over processes; notes: 0-d tensors, or plain
    numbers, to log or to carry to `after_step`.

    What D sees and says is there once D is asked; of real images in G's turn only where the loss or
    a trick has `needs_real`. Before, reading it is an AttributeError.

    No field refers to the view itself: such a cycle keeps a step's tensors until it is collected.
    """

    side: Literal["d", "g"]
    pair: str
    D: nn.Module
    G: nn.Module
    real: Tensor
    fake: Tensor
    images: Tensor
    draws: Callable[[str], Draws]
    c: Tensor | None = None
    fake_c: Tensor | None = None
    sides: tuple[int, ...] = ()
    z: Tensor | None = None
    draw: Callable[[], Tensor] | None = None
    d_loss: Callable[[nn.Module, View], Tensor] | None = None
    d_step: Follow | None = None
    ask: Callable[[nn.Module, Tensor, Tensor | None], Tensor] | None = None
    boundary: Tensor | float = 0.0
    bf16: bool = False
    mean: Callable[[Tensor], Tensor] = lambda x: x
    notes: dict[str, Tensor] = field(default_factory=dict)
    real_seen: Tensor = field(init=False, repr=False)
    fake_seen: Tensor = field(init=False, repr=False)
    real_logits: Tensor = field(init=False, repr=False)
    fake_logits: Tensor = field(init=False, repr=False)
    real_features: dict[str, Tensor] = field(init=False, repr=False)
    fake_features: dict[str, Tensor] = field(init=False, repr=False)
    real_slopes: Tensor | None = None
    fake_slopes: Tensor | None = None
    caller: str = ""
    _rngs: dict[str, Draws] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        """Says why a field is not there; called for no other."""
        if name not in _ANSWERS:
            raise AttributeError(f"a view has no '{name}'")
        if self.side == "g" and name.startswith("real"):
            raise AttributeError(f"{name} is there in G's turn only with needs_real = True")
        raise AttributeError(f"{name} is there only once D is asked")

    @property
    def rng(self) -> Draws:
        """The random numbers of the trick being called, and of no other."""
        if self.caller not in self._rngs:
            self._rngs[self.caller] = self.draws(self.caller)
        return self._rngs[self.caller]


class Trick(Part, kind="tricks", abstract=True):
    """A stabiliser or regulariser: overrides a few of the seven hooks.

    `every` counts steps: the loop skips the terms of a trick on all but every k-th step and
    multiplies them by k there. Class variables say what the step prepares: `slopes`, at which
    inputs D's gradients are wanted; `features`, whether D's layers are; `needs_real`, whether
    `g_term` reads D(real). `share` of the batch bears the slopes. Others say what does not go
    together: `per_sample`, whether a term is of each sample's own slope; `mixes_pairs`, whether a
    term joins real and fake row by row; `swaps`, whether `fakes` gives D others than G has just
    made (their conditions go to `fake_c`), and `own_fakes`, whether the trick needs those;
    `steps_in_noise`, whether a term asks G about other noise, which a G that translates has not;
    `follows`, whether D's optimiser must have a step as a function; `guesses`, whether D must guess
    the condition; `decodes`, whether D must decode what it sees from its layers; `clips`, whether
    `after_step` changes D's weights.

    Terms and `see` read the state; only `fakes` and `after_step` write it, in place.
    """

    slopes: ClassVar[tuple[Literal["real", "fake"], ...]] = ()
    features: ClassVar[bool] = False
    needs_real: ClassVar[bool] = False
    per_sample: ClassVar[bool] = False
    mixes_pairs: ClassVar[bool] = False
    swaps: ClassVar[bool] = False
    own_fakes: ClassVar[bool] = False
    steps_in_noise: ClassVar[bool] = False
    follows: ClassVar[bool] = False
    guesses: ClassVar[bool] = False
    decodes: ClassVar[bool] = False
    clips: ClassVar[bool] = False

    every: int = 1

    def check(self) -> None:
        require(self.every >= 1, "every must be at least 1")
        own = type(self)
        term = own.d_term is not Trick.d_term or own.g_term is not Trick.g_term
        require(self.every == 1 or term, "every skips terms of the losses, and it has none")

    def init(self, view: View, state: State) -> State:
        """The state before the first step."""
        return {}

    def see(self, view: View, state: State, images: Tensor) -> Tensor:
        """What D sees of real or fake images."""
        return images

    def fakes(self, view: View, state: State, batch: Tensor) -> Tensor:
        """The fakes D is trained on, (N, ...); what others were made for goes to `fake_c`."""
        return batch

    def d_term(self, view: View, state: State) -> Tensor | float:
        """A number added to D's loss."""
        return 0.0

    def g_term(self, view: View, state: State) -> Tensor | float:
        """A number added to G's loss."""
        return 0.0

    def opponent(self, view: View, state: State, D: nn.Module) -> nn.Module:
        """The D that G plays against."""
        return D

    def after_step(self, view: View, state: State) -> None:
        """Called after either side's step, with that side's view."""


def slopes(
    D: nn.Module, x: Tensor, c: Tensor | None = None, track: bool = False
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """D's gradient at each of the inputs x (N, ...), its logits (N,) and its features there.

    All three can be differentiated with respect to D's parameters. Buffers (BatchNorm's running
    statistics) follow x only where `track` says so: interpolates are no data.
    """

    # In-place updates of buffers are made on copies: those of interpolates are thrown away.
    buffers = {name: b.clone() for name, b in D.named_buffers()}
    with torch.enable_grad():
        x = x if x.requires_grad else x.detach().requires_grad_()
        logits, found = (
            torch.func.functional_call(D, buffers, (x, c), {"features": True})
            if buffers
            else D(x, c, features=True)
        )
        logits = logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits
        (gradient,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    if track:
        with torch.no_grad():
            for name, b in D.named_buffers():
                b.copy_(buffers[name])
    return gradient, logits, found
