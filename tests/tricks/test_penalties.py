"""Penalties: a step with one differs from the step without it by the term worked by hand.

D(x) = w.x with w = (1, 1.5, 2) has the slope w everywhere: |w|^2 = 7.25. D(x) = x.A x / 2 with
A = I has the slope x at x. Wasserstein losses, so that without a trick
d = w.(E fake - E real) and g = -w.E fake.
"""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest
import torch
from torch.testing import assert_close
from toys import Pictures, ToyCloud, ToyNets, ToyOrigin, set_up, toy, walk

from sparring.data import Npz, Ring
from sparring.errors import RecipeError
from sparring.losses import Wasserstein
from sparring.nets import DCGAN, MLP, Fast
from sparring.schedules import Linear
from sparring.tricks import DRAGAN, R1, R2, Drift, FeatureMatching, GradientPenalty, Trick, View

LR = 0.1
W = torch.tensor([1.0, 1.5, 2.0], dtype=torch.float64)
SIMULTANEOUS = {"loss": Wasserstein(), "updates": "simultaneous"}


def with_and_without(*tricks: Trick, **changes):
    changes = SIMULTANEOUS | changes
    return walk(toy(tricks=tricks, **changes))[0], walk(toy(**changes))[0]


def quadratic(recipe_changes=None, **data):
    """A recipe whose D is |x|^2 / 2."""
    return toy(nets=ToyNets(quadratic=True), **SIMULTANEOUS, **(recipe_changes or {}), **data)


def identity(setup):
    """Makes the quadratic D's matrix the identity: its slope at x is x."""
    with torch.no_grad():
        a = setup.players["D"].a
        a.copy_(torch.eye(len(a)))
    return setup


def test_drift():
    """weight E (w.x)^2 over the reals, whose gradient is 2 weight E (w.x) x."""
    on, off = with_and_without(Drift(weight=0.5))
    logits = on.real @ W
    term = 0.5 * logits.square().mean()
    assert on.stats["d_loss"] - off.stats["d_loss"] == pytest.approx(term.item(), rel=1e-5)
    slope = (logits[:, None] * on.real).mean(0)
    assert_close(on.moved("D.w") - off.moved("D.w"), -LR * slope)
    assert on.stats["g_loss"] == off.stats["g_loss"]


@pytest.mark.parametrize("cls", [R1, R2])
def test_the_slope_of_a_linear_d(cls):
    on, off = with_and_without(cls(gamma=3.0))
    assert on.stats["d_loss"] - off.stats["d_loss"] == pytest.approx(1.5 * 7.25, rel=1e-5)
    assert on.stats["g_loss"] == off.stats["g_loss"]
    # The term's gradient is gamma w.
    assert_close(on.moved("D.w") - off.moved("D.w"), -LR * 3 * W)
    assert_close(on.moved("G.theta"), off.moved("G.theta"))


def test_two_penalties_add_up():
    on, off = with_and_without(R1(gamma=3.0), R2(gamma=1.0))
    assert on.stats["d_loss"] - off.stats["d_loss"] == pytest.approx(2 * 7.25, rel=1e-5)
    assert_close(on.moved("D.w") - off.moved("D.w"), -LR * 4 * W)


@pytest.mark.parametrize("cls", [R1, R2])
def test_the_slope_of_a_quadratic_d_and_its_gradient(cls):
    """The term is gamma/2 E |Ax|^2, its gradient in A the symmetric gamma/2 E (Axx' + xx'A)."""
    nets = ToyNets(quadratic=True, shift=True)
    on, off = with_and_without(cls(gamma=2.0), nets=nets)
    a = on.before["D.a"]
    if cls is R1:
        x = on.real
    else:
        z = on.setup.players["G"].noise(4, on.setup.step.draws(0, "d", "z"))
        x = z.double() + 0.5
    ax = x @ a
    assert on.stats["d_loss"] - off.stats["d_loss"] == pytest.approx(
        ax.square().sum(1).mean().item(), rel=1e-4
    )
    outer = ax.T @ x / 4
    assert_close(on.moved("D.a") - off.moved("D.a"), -LR * (outer + outer.T), rtol=1e-6, atol=1e-9)


def test_r1_takes_the_reals_and_r2_the_fakes():
    """With D = |x|^2 / 2, R1 = gamma/2 |real|^2 = 4.5 gamma and R2 = gamma/2 |fake|^2 = 0.125."""
    for trick, term in ((R1(), 4.5), (R2(), 0.125), (R1(gamma=4.0), 18.0)):
        losses = []
        for tricks in ((trick,), ()):
            recipe = quadratic(data=ToyOrigin(at=(3.0,)), recipe_changes={"tricks": tricks})
            losses.append(identity(set_up(recipe)).advance(0)["d_loss"])
        assert_close((losses[0] - losses[1]).item(), term)


def test_every_multiplies_where_it_counts_and_skips_elsewhere():
    path = walk(toy(tricks=(R1(gamma=2.0, every=3),), **SIMULTANEOUS), steps=5)
    terms = []
    for on in path:
        w = on.before["D.w"]
        plain = (w @ (on.before["G.theta"] - on.real.mean(0))).item()
        terms.append((on.stats["d_loss"] - plain) / w.square().sum().item())
    assert terms == pytest.approx([3, 0, 0, 3, 0], abs=1e-4)


def test_every_counts_ds_own_steps():
    """Two D steps for one of G: `every=2` falls on the first of each two, of which none is last."""
    recipe = toy(tricks=(R1(gamma=2.0, every=2),), d_steps=2, loss=Wasserstein())
    (on,) = walk(recipe)
    w, theta, real = on.before["D.w"], on.before["G.theta"], on.setup.feed(0).x
    first = w - LR * (theta - real.mean(0) + 2 * 2 * w)
    second = first - LR * (theta - on.setup.feed(1).x.mean(0))
    assert_close(on.after["D.w"], second)


@pytest.mark.parametrize(("share", "rows"), [(1.0, 4), (0.5, 2), (0.25, 1), (0.01, 1), (0.6, 2)])
def test_share_takes_the_first_rows(share, rows):
    recipe = quadratic(recipe_changes={"tricks": (R1(gamma=2.0, share=share),)})
    setup, plain = identity(set_up(recipe)), identity(set_up(quadratic()))
    term = setup.advance(0)["d_loss"] - plain.advance(0)["d_loss"]
    by_hand = setup.feed(0).x[:rows].square().sum(1).mean()
    assert_close(term, by_hand, rtol=1e-5, atol=1e-6)


def test_each_penalty_keeps_to_its_own_share():
    """Another trick's larger share gives this one no more rows."""
    data = {"nets": ToyNets(quadratic=True, shift=True), "data": ToyCloud(), "batch": 8}
    both = walk(toy(tricks=(R1(gamma=1.0, share=0.25), R2(gamma=1.0)), **SIMULTANEOUS, **data))[0]
    small = walk(toy(tricks=(R1(gamma=1.0, share=0.25),), **SIMULTANEOUS, **data))[0]
    large = walk(toy(tricks=(R2(gamma=1.0),), **SIMULTANEOUS, **data))[0]
    off = walk(toy(**SIMULTANEOUS, **data))[0]
    apart = small.stats["d_loss"] + large.stats["d_loss"] - off.stats["d_loss"]
    assert both.stats["d_loss"] == pytest.approx(apart, rel=1e-5)


@pytest.mark.parametrize(("side", "times"), [(0, 1), (8, 4), (16, 1), (32, 1), (12, 256 / 144)])
@pytest.mark.parametrize("trick", [R1(gamma=3.0), R2(gamma=3.0)], ids=str)
def test_gamma_grows_with_images_larger_than_its_side(trick, side, times, tmp_path):
    """Images of 16x16 have four times the pixels of 8x8; of smaller ones gamma is as it is."""
    off, plain, on = (
        d_objective(pictures(tmp_path, MLP(dropout=0.0), t)).detach()
        for t in (None, trick, replace(trick, side=side))
    )
    assert plain > off
    assert_close(on - off, times * (plain - off), rtol=1e-4, atol=1e-6)


def test_points_have_no_side():
    on, off = (walk(toy(tricks=(R1(side=n),), **SIMULTANEOUS))[0].stats["d_loss"] for n in (1, 0))
    assert on == off


def test_gamma_may_follow_a_schedule():
    gamma = Linear(start=2.0, end=0.0, images=8)
    path = walk(toy(tricks=(R1(gamma=gamma),), **SIMULTANEOUS), steps=4)
    terms = []
    for on in path:
        w = on.before["D.w"]
        plain = (w @ (on.before["G.theta"] - on.real.mean(0))).item()
        terms.append((on.stats["d_loss"] - plain) / w.square().sum().item())
    assert terms == pytest.approx([1.0, 0.5, 0.0, 0.0], abs=1e-5)


def test_the_gradient_penalty_of_a_linear_d():
    norm = 7.25**0.5
    for trick, target in ((GradientPenalty(weight=2.0), 1.0), (GradientPenalty(target=0.0), 0.0)):
        on, off = with_and_without(trick)
        term = trick.weight * (norm - target) ** 2
        assert on.stats["d_loss"] - off.stats["d_loss"] == pytest.approx(term, rel=1e-5)
        slope = 2 * trick.weight * (norm - target) / norm * W
        assert_close(on.moved("D.w") - off.moved("D.w"), -LR * slope)


def test_the_gradient_penalty_lies_between_real_and_fake():
    """With D = |x|^2 / 2, reals at 2 and fakes at 0 its norm is 2u, and E (2u - 1)^2 = 1/3.

    The variance of (2u - 1)^2 is 1/5 - 1/9, if each pair draws its own u.
    """
    changes = {"tricks": (GradientPenalty(weight=1.0),), "batch": 4096, "images": 40_960}
    terms = []
    for tricks in (changes, changes | {"tricks": ()}):
        setup = identity(set_up(quadratic(tricks, data=ToyOrigin(at=(2.0,)))))
        with torch.no_grad():
            setup.players["G"].theta.zero_()
        terms.append(setup.advance(0)["d_loss"])
    error = (4 / 45 / 4096) ** 0.5
    assert_close((terms[0] - terms[1]).item(), 1 / 3, atol=4 * error, rtol=0)


def test_dragan_of_a_linear_d():
    norm = 7.25**0.5
    on, off = with_and_without(DRAGAN(weight=2.0))
    assert on.stats["d_loss"] - off.stats["d_loss"] == pytest.approx(2 * (norm - 1) ** 2, rel=1e-5)
    assert_close(on.moved("D.w") - off.moved("D.w"), -LR * 2 * 2 * (norm - 1) / norm * W)


@pytest.mark.parametrize(("spread", "expected"), [(0.0, 8.0), (0.5, 10.0)])
def test_dragan_lies_around_the_reals(spread, expected):
    """D = |x|^2 / 2 and target 0: E |x + n|^2, with reals at (2, -2), whose deviation is 2."""
    n = 4096
    changes = {"tricks": (DRAGAN(weight=1.0, target=0.0, spread=spread),), "batch": n}
    terms = []
    for more in (changes, changes | {"tricks": ()}):
        recipe = quadratic(more | {"images": 10 * n}, data=ToyOrigin(at=(2.0, -2.0)))
        setup = identity(set_up(recipe))
        terms.append(setup.advance(0)["d_loss"])
    # |x|^2 is 8 + 2 s (2 n1 - 2 n2) + s^2 (n1^2 + n2^2) with s = 2 spread
    error = (32 * (2 * spread) ** 2 + 4 * (2 * spread) ** 4) ** 0.5 / n**0.5
    assert_close((terms[0] - terms[1]).item(), expected, atol=4 * error + 1e-6, rtol=0)


@pytest.mark.parametrize("cls", [R1, R2])
def test_the_slope_of_a_packed_d_is_that_of_the_pack(cls):
    """D of two points is w.x1 + v.x2 in one layer: |w|^2 + |v|^2, whatever the points."""
    terms = []
    for tricks in ((cls(gamma=2.0),), ()):
        recipe = toy(nets=MLP(d_widths=(4,), g_widths=(4,), pack=2), tricks=tricks, **SIMULTANEOUS)
        setup = set_up(replace(recipe, data=Ring()))
        D = setup.players["D"]
        with torch.no_grad():
            D.layers[0][0].bias.fill_(100.0)  # all units in the linear branch
            slope = D.head.weight @ D.layers[0][0].weight
        terms.append(setup.advance(0)["d_loss"])
    assert_close(terms[0] - terms[1], slope.square().sum(), rtol=1e-3, atol=1e-4)


PENALTIES = [
    R1(),
    R2(),
    R1(share=0.5),
    GradientPenalty(weight=1.0),
    DRAGAN(weight=1.0),
]


def pictures(folder, nets, trick, **changes):
    data = Npz(path=Pictures.write(folder / "data.npz").path)
    recipe = toy(data=data, nets=nets, batch=8, held_out=4, tricks=(trick,) if trick else ())
    return set_up(replace(recipe, **changes))


@pytest.mark.parametrize("trick", PENALTIES, ids=str)
def test_penalties_under_bfloat16(trick, tmp_path):
    """The term of a bf16 D is within two percent of the float32 one, and so is its gradient."""
    found = {}
    for precision in ("fp32", "bf16"):
        terms = []
        for t in (trick, None):
            setup = pictures(tmp_path, Fast(g_width=8, d_width=8), t)
            setup.device.precision = precision
            with torch.no_grad():
                for p in setup.players["D"].parameters():
                    p.mul_(2.5)  # else the term is lost in the loss's rounding
            loss = d_objective(setup)
            gradients = setup.step.gradients("d", loss)
            terms.append(
                (loss.detach(), torch.cat([g.flatten() for g in gradients if g is not None]))
            )
        found[precision] = [a - b for a, b in zip(*terms, strict=True)]
    assert found["fp32"][0] > 0.05
    assert_close(found["bf16"][0], found["fp32"][0], rtol=0.02, atol=0.01)
    a, b = found["bf16"][1], found["fp32"][1]
    assert torch.cosine_similarity(a, b, dim=0) > 0.98


def d_objective(setup):
    step = setup.step
    return step.d_total(step.views("d", step.deal(setup.feed(0), 0, "d", grad=False), 0), 0)


@pytest.mark.parametrize("trick", [R1(), GradientPenalty(weight=1.0), DRAGAN(weight=1.0)], ids=str)
def test_penalties_with_batchnorm_in_d(trick, tmp_path):
    """The slope is that of the sum of the logits, through the batch's statistics, by autograd."""
    terms = []
    for t in (trick, None):
        setup = pictures(tmp_path, DCGAN(width=4, latent=5), t)
        terms.append(d_objective(setup).detach())
    setup = pictures(tmp_path, DCGAN(width=4, latent=5), trick)
    step = setup.step
    (view,) = step.views("d", step.deal(setup.feed(0), 0, "d", grad=False), 0)
    x, D = view.real, setup.players["D"]
    if isinstance(trick, GradientPenalty):
        u = step.draws(0, "d", "GradientPenalty0").uniform(8, 1, 1, 1)
        x = u * view.real + (1 - u) * view.fake
    if isinstance(trick, DRAGAN):
        n = step.draws(0, "d", "DRAGAN0").normal(*x.shape)
        x = x + 0.5 * x.std(unbiased=False) * n
    x = x.detach().requires_grad_()
    norm = torch.autograd.grad(D(x).sum(), x)[0].flatten(1).norm(dim=1)
    by_hand = norm.square().mean() / 2 if isinstance(trick, R1) else (norm - 1).square().mean()
    assert_close(terms[0] - terms[1], by_hand, rtol=1e-4, atol=1e-6)


def test_the_running_statistics_follow_the_data_and_not_the_interpolates(tmp_path):
    counts = []
    for trick in (GradientPenalty(), DRAGAN(), R1(), None):
        setup = pictures(tmp_path, DCGAN(width=4, latent=5), trick)
        d_objective(setup)
        counts.append({k: b.clone() for k, b in setup.players["D"].named_buffers()})
    for other in counts[1:]:
        assert_close(other, counts[0], rtol=1e-5, atol=1e-6)


def test_a_penalty_at_no_slope_has_a_finite_gradient():
    changes = {"tricks": (GradientPenalty(weight=1.0),)}
    setup = set_up(toy(**SIMULTANEOUS, **changes))
    with torch.no_grad():
        setup.players["D"].w.zero_()
    setup.advance(0)
    assert torch.isfinite(setup.players["D"].w).all()


def test_feature_matching_by_hand():
    """The layer is x * w: weight |w * (E real - theta)|^2, and only G pays."""
    on, off = with_and_without(FeatureMatching(weight=0.5))
    gap = on.real.mean(0) - 0.5
    term = 0.5 * (W * gap).square().sum()
    assert on.stats["g_loss"] - off.stats["g_loss"] == pytest.approx(term.item(), rel=1e-5)
    assert on.stats["d_loss"] == off.stats["d_loss"]
    assert_close(on.moved("G.theta") - off.moved("G.theta"), LR * 2 * 0.5 * W.square() * gap)
    assert_close(on.moved("D.w"), off.moved("D.w"))


def test_feature_matching_of_a_named_layer():
    assert walk(toy(tricks=(FeatureMatching(layer="layer0"),)))[0].stats == (
        walk(toy(tricks=(FeatureMatching(),)))[0].stats
    )
    with pytest.raises(RecipeError, match=r"no layer 'layer7', did you mean 'layer0'.*Fix: use"):
        walk(toy(tricks=(FeatureMatching(layer="layer7"),)))


def test_feature_matching_without_layers():
    view = SimpleNamespace(real_features={}, fake_features={})
    with pytest.raises(RecipeError, match="needs the layers of D: this D gives none"):
        FeatureMatching().g_term(cast(View, view), {})


@pytest.mark.parametrize(
    "bad",
    [
        lambda: R1(gamma=-1.0),
        lambda: R2(gamma=Linear(start=-1.0)),
        lambda: R2(gamma=Linear(start=1.0, end=-1.0)),
        lambda: Drift(weight=-1.0),
        lambda: FeatureMatching(weight=-1.0),
        lambda: R1(share=0.0),
        lambda: R1(share=1.5),
        lambda: R1(side=-1),
        lambda: R1(every=0),
        lambda: GradientPenalty(weight=-1.0),
        lambda: GradientPenalty(target=-1.0),
        lambda: DRAGAN(weight=-1.0),
        lambda: DRAGAN(spread=-1.0),
    ],
)
def test_bad_fields(bad):
    with pytest.raises(RecipeError):
        bad()
