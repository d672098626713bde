"""Tricks that remember: clipping, averages of past weights, old fakes."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close
from toys import ToyNets, set_up, toy, walk

from sparring.errors import RecipeError
from sparring.losses import Wasserstein
from sparring.optim import SGD
from sparring.randomness import Draws
from sparring.tricks import HistoricalAveraging, LeCam, Replay, View, WeightClipping

SIMULTANEOUS = {"loss": Wasserstein(), "updates": "simultaneous"}


# --------------------------------------------------------------------------------------- clipping


def test_clipping_clamps_d_after_its_step_and_leaves_g():
    (on,), (off,) = (
        walk(toy(tricks=tricks, g_optim=SGD(lr=10.0), **SIMULTANEOUS))
        for tricks in ((WeightClipping(limit=1.4),), ())
    )
    w = off.after["D.w"]
    assert w.max() > 1.4
    assert w.min() < 1.4
    assert_close(on.after["D.w"], w.clamp(-1.4, 1.4), rtol=0, atol=0)
    assert_close(on.after["G.theta"], off.after["G.theta"], rtol=0, atol=0)
    assert on.after["G.theta"].max() > 1.4
    assert on.stats == off.stats


def test_clipping_holds_both_ends():
    setup = set_up(toy(tricks=(WeightClipping(limit=0.5),), **SIMULTANEOUS))
    with torch.no_grad():
        setup.players["D"].w.copy_(torch.tensor([-9.0, 0.1, 9.0]))
    setup.advance(0)
    w = setup.players["D"].w.detach()
    assert w[0] == -0.5
    assert w[2] == 0.5
    assert abs(w[1]) < 0.5


# --------------------------------------------------------------------------- historical averaging


def test_historical_averaging_by_hand():
    """The term is weight |theta_k - mean(theta_0 .. theta_k)|^2 for each player."""
    path = walk(toy(tricks=(HistoricalAveraging(weight=0.5),), **SIMULTANEOUS), steps=4)
    for k, on in enumerate(path):
        past = {n: torch.stack([p.before[n] for p in path[: k + 1]]) for n in ("D.w", "G.theta")}
        pull = {n: on.before[n] - rows.mean(0) for n, rows in past.items()}
        w, theta = on.before["D.w"], on.before["G.theta"]
        gap = theta - on.real.mean(0)
        d = w @ gap + 0.5 * pull["D.w"].square().sum()
        g = -w @ theta + 0.5 * pull["G.theta"].square().sum()
        assert on.stats["d_loss"] == pytest.approx(d.item(), rel=1e-5)
        assert on.stats["g_loss"] == pytest.approx(g.item(), rel=1e-5)
        # The mean is of the past: it is held still, and the gradient is 2 weight (theta - mean).
        assert_close(on.moved("D.w"), -0.1 * (gap + 2 * 0.5 * pull["D.w"]))
        assert_close(on.moved("G.theta"), -0.1 * (-w + 2 * 0.5 * pull["G.theta"]))
    assert path[0].stats["d_loss"] == walk(toy(**SIMULTANEOUS))[0].stats["d_loss"]


def test_the_state_is_the_mean_and_no_alias_of_the_weights():
    path = walk(toy(tricks=(HistoricalAveraging(),), d_steps=2, loss=Wasserstein()), steps=3)
    state = path[-1].setup.step.states["D"]["HistoricalAveraging0"]
    assert state["d_count"] == 7
    assert state["g_count"] == 4
    thetas = torch.stack([path[0].before["G.theta"], *(p.after["G.theta"] for p in path)])
    assert_close(state["g.theta"], thetas.mean(0))
    assert state["d.w"].data_ptr() != path[-1].setup.players["D"].w.data_ptr()


# ------------------------------------------------------------------------------------------ LeCam


def test_lecam_by_hand():
    """Of one sample a side in effect: D(real) = w.E real is not, D(fake) = w.theta is constant."""
    weight, decay, averages = 0.5, 0.75, []
    path = walk(toy(tricks=(LeCam(weight=weight, decay=decay),), **SIMULTANEOUS), steps=4)
    for k, on in enumerate(path):
        w, theta = on.before["D.w"], on.before["G.theta"]
        x, y = on.real @ w, theta @ w
        d = y - x.mean()
        slope = theta - on.real.mean(0)
        if k:
            # The averages of the past with weights decay^age, which add up to one.
            age = torch.tensor([decay**a for a in range(k)], dtype=torch.float64)
            a_real, a_fake = (
                (age * torch.stack(past[::-1])).sum() / age.sum()
                for past in zip(*averages, strict=True)
            )
            d = d + weight * ((x - a_fake).square().mean() + (y - a_real).square())
            slope = slope + weight * 2 * ((x - a_fake) @ on.real / 4 + (y - a_real) * theta)
        assert on.stats["d_loss"] == pytest.approx(d.item(), rel=1e-5)
        assert on.stats["g_loss"] == pytest.approx(-y.item(), rel=1e-5)
        assert_close(on.moved("D.w"), -0.1 * slope, rtol=1e-5, atol=1e-7)
        averages.append((x.mean(), y))


# ----------------------------------------------------------------------------------------- replay


def replay(trick: Replay, n: int, calls: int):
    """(batch, what came back, pool before, pool after) of each call; all fakes differ."""
    D, G = (torch.nn.Identity() for _ in range(2))
    numbers = torch.arange(n * calls, dtype=torch.float32).view(calls, n, 1) + 1

    def view(k: int) -> View:
        return View(
            side="d",
            pair="D",
            D=D,
            G=G,
            real=numbers[k],
            fake=numbers[k],
            images=torch.tensor(k * n),
            draws=lambda name: Draws(0, name, k, "d"),
            caller="Replay0",
        )

    state = trick.init(view(0), {})
    for k in range(calls):
        before = state["pool"].clone()
        back = trick.fakes(view(k), state, numbers[k])
        yield numbers[k].flatten(), back.flatten(), before.flatten(), state["pool"].flatten()


def test_the_pool_fills_first():
    rows = list(replay(Replay(size=8, share=1.0), 4, 3))
    for batch, back, _, _ in rows[:2]:
        assert_close(back, batch)
    batch, back, before, _ = rows[2]
    assert sorted(before.tolist()) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert set(back.tolist()) <= set(range(1, 9))  # share=1: every fake was swapped
    assert len(set(back.tolist())) == 4


def test_swaps_lose_nothing_and_store_the_new():
    for k, (batch, back, before, after) in enumerate(replay(Replay(size=10, share=0.5), 4, 30)):
        if k < 2:
            continue
        pool = {x for x in before.tolist() if x}
        assert sorted(after[after != 0].tolist()) == sorted(
            (pool | set(batch.tolist())) - set(back.tolist())
        )
        old = [x for x in back.tolist() if x not in batch.tolist()]
        assert set(old) <= pool
        assert 0.0 not in back


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_the_share_of_old_fakes(share):
    old, total = 0, 0
    for k, (batch, back, _, _) in enumerate(replay(Replay(size=256, share=share), 64, 64)):
        if k >= 4:
            old += int((back != batch).sum())
            total += 64
    error = (share * (1 - share) / total) ** 0.5
    assert abs(old / total - share) <= 4 * error


def test_every_slot_is_reached():
    gone = set(range(1, 257))
    for *_, pool in replay(Replay(size=256, share=1.0), 64, 40):
        last = pool.tolist()
    assert len(gone & set(last)) < 8  # 36 draws of a quarter leave 256 * 0.75^36 = 0.01 on average


def test_old_fakes_reach_d_through_the_step_and_stay_out_of_g():
    """G is a constant that moves each step: what D is asked about shows when it was made."""
    recipe = toy(
        tricks=(Replay(size=16, share=0.5),),
        loss=Wasserstein(),
        batch=8,
        images=800,
        nets=ToyNets(),
    )
    setup, asked, thetas = set_up(recipe), [], []
    setup.players["D"].register_forward_pre_hook(
        lambda D, args: asked.append(args[0].detach().clone())
    )
    for number in range(20):
        thetas.append(setup.players["G"].theta.detach().clone())
        setup.advance(number)
    known = {tuple(t.tolist()): k for k, t in enumerate(thetas)}
    ages = []
    for number, (d, g) in enumerate(zip(asked[::2], asked[1::2], strict=True)):
        ages.append([number - known[tuple(row.tolist())] for row in d[8:]])
        assert [known[tuple(row.tolist())] for row in g] == [number] * 8
    assert all(age == 0 for row in ages[:2] for age in row)
    later = [age for row in ages[2:] for age in row]
    assert 0.35 < sum(age > 0 for age in later) / len(later) < 0.65
    assert max(later) > 2


def test_the_pool_holds_at_least_a_batch():
    with pytest.raises(RecipeError, match="at least one batch, which is 8"):
        set_up(toy(tricks=(Replay(size=7),), batch=8))
    with pytest.raises(RecipeError):
        Replay(share=1.5)
    with pytest.raises(RecipeError):
        HistoricalAveraging(weight=-1.0)
    with pytest.raises(RecipeError):
        WeightClipping(limit=0.0)
    with pytest.raises(RecipeError):
        LeCam(weight=-1.0)
    with pytest.raises(RecipeError):
        LeCam(decay=1.0)


def test_every_without_a_term_is_refused():
    """It would skip nothing."""
    with pytest.raises(RecipeError, match="every skips terms"):
        WeightClipping(every=4)
    HistoricalAveraging(every=4)
