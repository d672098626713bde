"""Layers that look at several samples at once, by hand."""

from __future__ import annotations

from math import exp, sqrt

import pytest
import torch
from torch.testing import assert_close

from sparring.errors import RecipeError
from sparring.nets import DCGAN, MLP, Spec
from sparring.nets.minibatch import MinibatchDiscrimination, MinibatchStddev, packed
from sparring.randomness import seeded


def test_packing_joins_neighbours_along_the_channels():
    x = torch.arange(12.0).view(6, 2)
    assert packed(x, 3).tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]
    images = torch.randn(4, 3, 5, 6)
    pairs = packed(images, 2)
    assert pairs.shape == (2, 6, 5, 6)
    assert torch.equal(pairs[1, :3], images[2])
    assert torch.equal(pairs[1, 3:], images[3])
    assert torch.equal(packed(images, 1), images)
    with pytest.raises(RecipeError, match="pack=4 does not divide 6 samples"):
        packed(x, 4)


def test_minibatch_discrimination_by_hand():
    """One feature, two kernels of one dimension: M = f (1, 2)."""
    layer = MinibatchDiscrimination(1, 2, dim=1).double()
    with torch.no_grad():
        layer.T.copy_(torch.tensor([[1.0, 2.0]]))
    f = torch.tensor([[0.0], [1.0], [3.0]], dtype=torch.float64)
    out = layer(f)
    assert_close(out[:, :1], f)
    by_hand = [
        [exp(-1) + exp(-3), exp(-2) + exp(-6)],
        [exp(-1) + exp(-2), exp(-2) + exp(-4)],
        [exp(-3) + exp(-2), exp(-6) + exp(-4)],
    ]
    assert_close(out[:, 1:], torch.tensor(by_hand, dtype=torch.float64))


def test_minibatch_discrimination_takes_the_l1_norm_over_a_kernel():
    layer = MinibatchDiscrimination(2, 1, dim=2).double()
    with torch.no_grad():
        layer.T.copy_(torch.eye(2))
    f = torch.tensor([[0.0, 0.0], [1.0, -2.0]], dtype=torch.float64)
    assert_close(layer(f)[:, 2].tolist(), [exp(-3), exp(-3)])


@pytest.mark.parametrize(("group", "each"), [(2, [1.0, 1.0, 3.0, 3.0]), (4, None)])
def test_minibatch_stddev_by_hand(group, each):
    """Two features a sample: deviations 1 and 1 in one pair, 4 and 2 in the other."""
    f = torch.tensor([[0.0, 0.0], [2.0, 2.0], [0.0, 1.0], [8.0, 5.0]], dtype=torch.float64)
    out = MinibatchStddev(group)(f)
    assert_close(out[:, :2], f)
    if each is None:
        # variances of (0, 2, 0, 8) and (0, 2, 1, 5): 17 - 6.25 and 7.5 - 4
        each = [(sqrt(10.75) + sqrt(3.5)) / 2] * 4
    assert_close(out[:, 2].float(), torch.tensor(each))


def test_minibatch_stddev_of_images_is_a_channel():
    f = torch.randn(6, 3, 4, 5)
    out = MinibatchStddev(3)(f)
    assert out.shape == (6, 4, 4, 5)
    by_hand = torch.stack([g.var(0, unbiased=False).sqrt().mean() for g in f.split(3)])
    assert_close(out[:, 3], by_hand.repeat_interleave(3)[:, None, None].expand(6, 4, 5))


def test_a_group_that_does_not_divide_takes_the_greatest_common_divisor():
    f = torch.randn(6, 2)
    assert_close(MinibatchStddev(4)(f), MinibatchStddev(2)(f))


def test_equal_samples_have_finite_slopes():
    for layer in (MinibatchStddev(2), MinibatchDiscrimination(3, 2)):
        f = torch.ones(4, 3, requires_grad=True)
        (slope,) = torch.autograd.grad(layer(f).sum(), f, create_graph=True)
        (second,) = torch.autograd.grad(slope.square().sum(), f)
        assert torch.isfinite(second).all()


def build(**fields):
    with seeded(0, "weights"):
        return MLP(d_widths=(7,), **fields).discriminator(Spec((2,)))


def test_a_packed_d_gives_one_logit_for_each_pack():
    D = build(pack=3)
    assert D.mixes
    x = torch.randn(6, 2)
    logits, found = D(x, None, features=True)
    assert logits.shape == (2,)
    assert found["layer0"].shape == (2, 7)
    assert D.layers[0][0].in_features == 6
    other = x.clone()
    other[0] += 1
    assert_close(D(other)[1], logits[1])
    assert D(other)[0] != logits[0]


@pytest.mark.parametrize("fields", [{"kernels": 4}, {"stddev": 2}, {"kernels": 4, "stddev": 2}])
def test_a_d_with_minibatch_layers_mixes(fields):
    D = build(**fields)
    assert D.mixes
    x = torch.randn(4, 2)
    other = x.clone()
    other[1] += 1
    assert D(x).shape == (4,)
    assert D(other)[0] != D(x)[0]


def test_a_plain_d_has_none_of_it():
    D = build()
    assert not D.mixes
    assert [name for name in D.state_dict() if "head" in name] == ["head.weight", "head.bias"]


def convolutional(shape=(2, 16, 16), **fields):
    with seeded(0, "weights"):
        return DCGAN(width=3, d_norm="none", **fields).discriminator(Spec(shape))


def test_a_packed_convolutional_d_gives_one_logit_for_each_pack():
    D = convolutional(pack=2)
    assert D.mixes
    x = torch.randn(6, 2, 16, 16)
    logits, found = D(x, None, features=True)
    assert logits.shape == (3,)
    assert found["layer0"].shape == (3, 3, 8, 8)
    assert D.layers[0][0].in_channels == 4
    other = x.clone()
    other[0] += 1
    assert_close(D(other)[1:], logits[1:])
    assert D(other)[0] != logits[0]


@pytest.mark.parametrize("fields", [{"kernels": 4}, {"stddev": 2}, {"kernels": 4, "stddev": 2}])
def test_a_convolutional_d_with_minibatch_layers_mixes(fields):
    D = convolutional(**fields)
    assert D.mixes
    x = torch.randn(4, 2, 16, 16)
    other = x.clone()
    other[1] += 1
    assert D(x).shape == (4,)
    assert D(other)[0] != D(x)[0]
    D(x).sum().backward()
    assert all(p.grad is not None and bool(p.grad.abs().max() > 0) for p in D.parameters())


def test_the_convolutional_heads_by_hand():
    """The standard deviation as one more channel of the last maps; kernels behind them all."""
    D, x = convolutional(stddev=4), torch.randn(4, 2, 16, 16)
    _, found = D(x, None, features=True)
    last = MinibatchStddev(4)(found["layer1"])
    assert last.shape == (4, 7, 4, 4)
    assert_close(D(x), (last * D.head[1].weight).sum((1, 2, 3)) + D.head[1].bias)
    D = convolutional(kernels=5)
    _, found = D(x, None, features=True)
    h = found["layer1"].flatten(1)
    assert h.shape == (4, 96)
    assert_close(D(x), (D.head[1](h) @ D.head[2].weight.T).squeeze(1) + D.head[2].bias)


def test_a_plain_convolutional_d_has_none_of_it():
    D = convolutional()
    assert not D.mixes
    assert [name for name in D.state_dict() if "head" in name] == ["head.weight", "head.bias"]


@pytest.mark.parametrize(
    "field", [{"pack": 0}, {"kernels": -1}, {"stddev": 1}, {"virtual": 1}], ids=str
)
def test_bad_fields_of_a_convolutional_pair(field):
    with pytest.raises(RecipeError, match=next(iter(field))):
        DCGAN(**field)


@pytest.mark.parametrize(
    "bad", [lambda: MLP(pack=0), lambda: MLP(kernels=-1), lambda: MLP(stddev=1)]
)
def test_bad_fields(bad):
    with pytest.raises(RecipeError):
        bad()
