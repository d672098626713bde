"""However D is asked, it says the same: grouped or apart, with slopes or without."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from torch.testing import assert_close

from sparring.nets import DCGAN, MLP, Fast, Spec
from sparring.randomness import seeded
from sparring.training.judge import judge
from sparring.tricks import R1, R2, FeatureMatching, GradientPenalty, slopes

N, SHAPE = 8, (1, 16, 16)
NETS = {
    "MLP": MLP(d_widths=(12, 10), dropout=0.0),
    "DCGAN": DCGAN(width=4),
    "Fast": Fast(d_width=8),
}
TRICKS = {
    "none": (),
    "R1": (R1(),),
    "R2": (R2(),),
    "R1 R2": (R1(), R2()),
    "R1 of a quarter": (R1(share=0.25),),
    "both of half": (R1(share=0.25), R2(share=0.5)),
    "features": (FeatureMatching(),),
    "R1 of a half, features": (R1(share=0.5), FeatureMatching()),
}


def make(nets):
    with seeded(0, "weights"):
        D = nets.discriminator(Spec(SHAPE)).double().train()
    g = torch.Generator().manual_seed(1)
    return D, *(torch.randn(N, *SHAPE, generator=g, dtype=torch.float64) for _ in range(2))


def judged(D, real, fake, tricks, c=None):
    view = SimpleNamespace(D=D, real_seen=real, fake_seen=fake, c=c, fake_c=c)
    judge(view, tricks, nullcontext)
    return view


def reference(D, x):
    """D's logits and its slopes, the textbook way."""
    x = x.clone().requires_grad_()
    logits = D(x)
    return logits, torch.autograd.grad(logits.sum(), x, create_graph=True)[0]


@pytest.mark.parametrize("tricks", TRICKS.values(), ids=TRICKS.keys())
@pytest.mark.parametrize("nets", NETS.values(), ids=NETS.keys())
def test_logits_slopes_and_their_gradients(nets, tricks):
    D, real, fake = make(nets)
    twin = copy.deepcopy(D)
    view = judged(D, real, fake, tricks)
    wanted = {side for t in tricks for side in t.slopes}
    total = reference_total = 0.0
    for side, x in (("real", real), ("fake", fake)):
        logits, gradient = reference(twin, x)
        assert_close(getattr(view, f"{side}_logits"), logits)
        found = getattr(view, f"{side}_slopes")
        weights = torch.linspace(-1, 2, N, dtype=torch.float64)
        total = total + getattr(view, f"{side}_logits") @ weights
        reference_total = reference_total + logits @ weights
        if side in wanted:
            share = max(t.share for t in tricks if t.slopes)
            rows = N if D.mixes else round(share * N)
            assert len(found) == rows
            assert_close(found, gradient[:rows])
            total = total + found.square().sum()
            reference_total = reference_total + gradient[:rows].square().sum()
        else:
            assert found is None
    params = list(D.parameters())
    assert_close(
        torch.autograd.grad(total, params),
        torch.autograd.grad(reference_total, list(twin.parameters())),
        rtol=1e-8,
        atol=1e-10,
    )


@pytest.mark.parametrize("nets", NETS.values(), ids=NETS.keys())
def test_features_come_in_the_order_of_the_rows(nets):
    D, real, fake = make(nets)
    twin = copy.deepcopy(D)
    view = judged(D, real, fake, TRICKS["R1 of a half, features"])
    for side, x in (("real", real), ("fake", fake)):
        assert_close(getattr(view, f"{side}_features"), twin(x, features=True)[1])


@pytest.mark.parametrize("tricks", TRICKS.values(), ids=TRICKS.keys())
def test_running_statistics_are_those_of_two_plain_passes(tricks):
    D, real, fake = make(DCGAN(width=4))
    start = copy.deepcopy(D.state_dict())
    judged(D, real, fake, tricks)
    orders = []
    for batches in ((real, fake), (fake, real)):
        twin = copy.deepcopy(D)
        twin.load_state_dict(start)
        for x in batches:
            twin(x)
        orders.append(twin.state_dict())
    found = D.state_dict()
    match = [all(torch.allclose(found[k], o[k]) for k in found) for o in orders]
    assert any(match)
    assert not torch.allclose(
        found["layers.1.1.running_mean"], start["layers.1.1.running_mean"], atol=1e-4
    )


def test_interpolates_leave_the_running_statistics_alone():
    D, real, fake = make(DCGAN(width=4))
    before = copy.deepcopy(D.state_dict())
    slopes(D, (real + fake) / 2)
    assert_close(D.state_dict(), before, rtol=0, atol=0)


def test_conditions_follow_their_rows():
    class Conditional(torch.nn.Module):
        def forward(self, x, c=None, features=False):
            logits = x.flatten(1).sum(1) * c
            return (logits, {"layer0": x}) if features else logits

    D, (_, real, fake) = Conditional(), make(NETS["MLP"])
    c = torch.arange(1.0, N + 1, dtype=torch.float64)
    for tricks in (*TRICKS.values(), (GradientPenalty(),)):
        view = judged(D, real, fake, tricks, c)
        assert_close(view.real_logits, real.flatten(1).sum(1) * c)
        assert_close(view.fake_logits, fake.flatten(1).sum(1) * c)
        if view.real_slopes is not None:
            k = len(view.real_slopes)
            assert_close(view.real_slopes, c[:k, None, None, None].expand(k, *SHAPE))


def test_d_is_asked_no_more_than_needed():
    """All rows of a D that does not mix in one pass, or two where some bear slopes."""
    asked = []

    class Counting(torch.nn.Module):
        def __init__(self, mixes):
            super().__init__()
            self.mixes = mixes

        def forward(self, x, c=None, features=False):
            asked.append(len(x))
            logits = x.flatten(1).sum(1)
            return (logits, {"layer0": x}) if features else logits

    _, real, fake = make(NETS["MLP"])
    for mixes, tricks, rows in (
        (False, "none", [16]),
        (False, "R1 R2", [16]),
        (False, "R1", [8, 8]),
        (False, "both of half", [8, 8]),
        (False, "R1 of a quarter", [2, 14]),
        (True, "none", [8, 8]),
        (True, "R1 of a quarter", [8, 8]),
    ):
        asked.clear()
        judged(Counting(mixes), real, fake, TRICKS[tricks])
        assert asked == rows
