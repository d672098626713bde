"""Parts that break their contracts are refused, by name, before the run exists."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from toys import toy

from sparring.data import Ring
from sparring.errors import RecipeError
from sparring.losses import Loss
from sparring.nets import MLP, Discriminator, Nets
from sparring.optim import Adam, Optimiser
from sparring.schedules import Schedule
from sparring.training import train
from sparring.training.device import Device
from sparring.training.setup import Setup, open_data
from sparring.tricks import Trick


class RehearsedLoss(Loss):
    """A loss that forgets the mean."""

    def d(self, real, fake, rng=None):
        return fake - real

    def g(self, real, fake, rng=None):
        return -fake


class RehearsedHalf(Loss):
    """A loss without its half for G."""

    def d(self, real, fake, rng=None):
        return (fake - real).mean()


class RehearsedReader(Loss):
    """A loss whose half for G reads D(real) without saying so."""

    def d(self, real, fake, rng=None):
        return (fake - real).mean()

    def g(self, real, fake, rng=None):
        return (real - fake).mean()


class RehearsedTrick(Trick):
    """A trick whose term forgets the mean."""

    def d_term(self, view, state):
        return view.real_logits


class Plain(Discriminator):
    """A D with one answer, whatever it is asked."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.layer = kind, nn.Linear(2, 1)

    def forward(self, x, c=None, features=False):
        logits = self.layer(x).squeeze(1)
        answers = {"no dict": logits, "scalar": (logits.mean(), {}), "row": (logits[None], {})}
        return answers[self.kind]


class RehearsedNets(Nets):
    """Networks that are wrong in one of several ways."""

    wrong: str = "no dict"

    def generator(self, spec):
        G = MLP().generator(spec).requires_grad_(self.wrong != "nothing to train")
        inner = G.forward
        if self.wrong == "one sample":
            G.forward = lambda z, c=None: inner(z[:1])
        if self.wrong == "width":
            G.forward = lambda z, c=None: inner(z)[:, :1]
        if self.wrong == "raises":
            G.forward = lambda z, c=None: z @ torch.zeros(3, 3)
        return G

    def discriminator(self, spec):
        judges = self.wrong in ("no dict", "scalar", "row")
        if self.wrong == "no D":
            return None
        if self.wrong == "typo":
            return MLP().discriminatr(spec)  # pyright: ignore
        return Plain(self.wrong) if judges else MLP().discriminator(spec)


def start(**fields) -> Setup:
    recipe, material = open_data(toy(data=Ring(), batch=8, **{"nets": MLP(), **fields}))
    return Setup(recipe, material, Device("cpu"))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("no dict", "with features=True it must return"),
        ("scalar", "not ()"),
        ("row", "not (1, 8)"),
        ("no D", "gives no network for D"),
        ("typo", "fails to build its networks: AttributeError"),
        ("nothing to train", "has no weights to train"),
        ("one sample", "makes 1x2, the real batch is 8x2"),
        ("width", "makes 8x1, the real batch is 8x2"),
        ("raises", "fails on a batch: RuntimeError"),
    ],
)
def test_wrong_networks_are_named(wrong, said):
    with pytest.raises(RecipeError, match="RehearsedNets") as e:
        start(nets=RehearsedNets(wrong=wrong))
    assert said in str(e.value)


class Together(Discriminator):
    """A D that looks at the mean of its batch."""

    def __init__(self, mixes: bool, noise: float) -> None:
        super().__init__()
        self.mixes, self.noise, self.layer = mixes, noise, nn.Linear(2, 1)

    def forward(self, x, c=None, features=False):
        h = x + self.noise * torch.randn_like(x) if self.noise else x - x.mean(0)
        logits = self.layer(h).squeeze(1)
        return (logits, {}) if features else logits


class RehearsedTogether(Nets):
    """Networks whose D judges samples by each other, said or not, or by chance."""

    mixes: bool = False
    noise: float = 0.0

    def generator(self, spec):
        return MLP().generator(spec)

    def discriminator(self, spec):
        return Together(self.mixes, self.noise)


def test_a_d_that_looks_at_its_whole_batch_must_say_so():
    with pytest.raises(RecipeError, match="judges a sample by the others of its batch") as e:
        start(nets=RehearsedTogether())
    assert "RehearsedTogether" in str(e.value)
    assert "mixes = True" in str(e.value)
    start(nets=RehearsedTogether(mixes=True))
    start(nets=RehearsedTogether(noise=1.0))  # by chance, and not by the others


class RehearsedSchedule(Schedule):
    """A schedule without its curve."""


def test_a_schedule_without_a_curve_is_named():
    with pytest.raises(RecipeError, match=r"RehearsedSchedule\(images=\d+\) is not complete"):
        start(g_optim=Adam(schedule=RehearsedSchedule()), images=16)


class RehearsedOptimiser(Optimiser):
    """An optimiser that is wrong in one of several ways."""

    wrong: str = "typo"

    def build(self, parameters):
        first, *others = parameters
        if self.wrong == "groups":
            return torch.optim.Adam([{"params": [first]}, {"params": others, "lr": 1.0}])
        if self.wrong == "typo":
            return torch.optim.Adam([first], rate=1.0)  # pyright: ignore
        return None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("groups", "makes 2 groups of weights: a run has one rate for each side"),
        ("typo", "fails over the weights: TypeError"),
        ("nothing", "gives no optimiser"),
    ],
)
def test_wrong_optimisers_are_named(wrong, said):
    with pytest.raises(RecipeError, match=r"RehearsedOptimiser\.build") as e:
        start(d_optim=RehearsedOptimiser(wrong=wrong))
    assert said in str(e.value)


def test_a_loss_of_many_numbers_is_refused():
    with pytest.raises(RecipeError, match=r"RehearsedLoss\.d gives") as e:
        start(loss=RehearsedLoss())
    assert ".mean()" in str(e.value)


def test_a_loss_without_a_half_is_refused():
    with pytest.raises(RecipeError, match=r"RehearsedHalf\.g is not complete"):
        start(loss=RehearsedHalf())


def test_a_loss_that_reads_reals_unsaid_is_told_what_to_write():
    """Else D is not asked about them in G's turn, and the loss has nothing to read."""
    with pytest.raises(RecipeError, match=r"Reader\.g reads D\(real\)\. Fix: .*needs_real = True"):
        start(loss=RehearsedReader())


def test_a_term_of_many_numbers_is_refused():
    setup = start(tricks=(RehearsedTrick(),))
    with pytest.raises(RecipeError, match="d_term of RehearsedTrick"):
        setup.advance(0)


def test_nothing_of_the_networks_changes():
    """BatchNorm's statistics and dropout's mode are as if nobody had asked."""
    nets = MLP(batchnorm=True, dropout=0.5)
    setup = start(nets=nets)
    assert all(net.training for net in setup.players.values())
    counts = [float(b) for k, b in setup.players["G"].named_buffers() if "tracked" in k]
    assert counts == [1.0] * len(counts)  # the first batch of the tricks, in train mode
    assert counts


def test_no_run_is_left_behind(tmp_path):
    out = tmp_path / "run"
    with pytest.raises(RecipeError):
        train(toy(data=Ring(), nets=MLP(), loss=RehearsedLoss(), batch=8), out, quiet=True)
    assert not out.exists()
