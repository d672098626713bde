"""Every network with every conditioning: golden values, gradients by class, what None leaves."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.testing import assert_close
from toys import SMALL

from sparring.errors import RecipeError
from sparring.layers import CLASS_LOGITS, CLASS_WANTED, DECODED
from sparring.nets import Auxiliary, Concat, Condition, Projection, Spec, conditional
from sparring.nets.condition import (
    Chain,
    Columns,
    ConditionalNorm,
    Embedding,
    Given,
    Plane,
)
from sparring.parts import catalogue
from sparring.randomness import Draws, seeded
from sparring.tricks import AuxiliaryClassifier

CONDITIONS: dict[type[Condition], Condition] = {
    Concat: Concat(width=3),
    Projection: Projection(width=3),
    Auxiliary: Auxiliary(width=3),
}
ROWS = ((0.0, 10.0), (1.0, 30.0), (0.0, 20.0), (1.0, 20.0))
CLASSES = Spec((1, 16, 16), ("a", "b", "c"), shares=(0.5, 0.25, 0.25))
VECTORS = Spec((1, 16, 16), ("tall", "age"), vectors=True, rows=ROWS)
every_net = pytest.mark.parametrize("nets", SMALL.values(), ids=lambda n: type(n).__name__)
every_condition = pytest.mark.parametrize(
    "condition", CONDITIONS.values(), ids=lambda c: type(c).__name__
)


def build(nets, condition, spec):
    with seeded(0, "weights"):
        nets = replace(nets, condition=condition)
        return nets.generator(spec), nets.discriminator(spec)


def images(n=6):
    return torch.randn(n, 1, 16, 16, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)


def last_layer(features):
    return [f for name, f in features.items() if name.startswith("layer")][-1]


def told(D, x, c):
    """D's answer in eval mode, where dropout and BatchNorm leave samples alone."""
    return D.eval()(x, c, features=True)


def test_every_conditioning_is_tested():
    found = {c for c in catalogue(Condition) if c.__module__.startswith("sparring.")}
    assert set(CONDITIONS) == found


@every_net
@every_condition
@pytest.mark.parametrize("spec", [CLASSES, VECTORS], ids=["classes", "vectors"])
def test_forward_and_backward(nets, condition, spec):
    G, D = build(nets, condition, spec)
    assert conditional(G)
    assert conditional(D)
    c = torch.tensor(ROWS)[:3] if spec.vectors else torch.tensor([0, 1, 2])
    x = G(G.noise(3, Draws(0, "z")), c)
    assert x.shape == (3, 1, 16, 16)
    logits, features = D(x, c, features=True)
    assert logits.shape == (3,)
    assert condition.guesses == (CLASS_LOGITS in features)
    answers = [f for n, f in features.items() if n == CLASS_LOGITS or n.startswith(DECODED)]
    torch.stack([logits.sum(), *(f.square().sum() for f in answers)]).sum().backward()
    for net in (G, D):
        for name, p in net.named_parameters():
            if net.grows and p.grad is None:  # once grown it shows its last size alone
                assert name.startswith("images."), name
                continue
            assert p.grad is not None, name
            assert torch.isfinite(p.grad).all(), name


@every_net
@every_condition
def test_another_class_is_another_image(nets, condition):
    G, _ = build(nets, condition, CLASSES)
    for m in G.modules():
        if isinstance(m, ConditionalNorm):  # starts as the plain layer
            with torch.no_grad():
                m.gain.weight.normal_(generator=torch.Generator().manual_seed(1))
    G.eval()
    z = G.noise(1, Draws(0, "z")).expand(3, -1)
    x = G(z, torch.arange(3))
    assert (x[0] - x[1]).abs().max() > 1e-4
    assert (x[1] - x[2]).abs().max() > 1e-4
    assert_close(G(z, torch.tensor([1, 1, 0])), x[[1, 1, 0]])


@every_net
@every_condition
def test_whether_d_is_told(nets, condition):
    _, D = build(nets, condition, CLASSES)
    x = images(1).expand(3, -1, -1, -1)
    logits, features = told(D, x, torch.arange(3))
    same = torch.allclose(logits, logits[:1].expand(3), rtol=1e-5, atol=1e-7)
    assert same == condition.guesses
    if condition.guesses:
        assert features[CLASS_LOGITS].shape == (3, 3)


@every_net
def test_none_ignores_the_class_and_adds_no_weight(nets):
    G, D = build(nets, None, CLASSES)
    plain = [set(net.state_dict()) for net in (G, D)]
    assert not conditional(G)
    assert not conditional(D)
    assert not any(list(m.parameters()) for m in G.modules() if isinstance(m, Given))
    G.eval()
    z, c = G.noise(3, Draws(0, "z")), torch.arange(3)
    assert_close(G(z, c), G(z), rtol=0, atol=0)
    assert_close(told(D, images(3), c)[0], told(D, images(3), None)[0], rtol=0, atol=0)
    for condition in CONDITIONS.values():
        for names, net in zip(plain, build(nets, condition, CLASSES), strict=True):
            words = {w for n in set(net.state_dict()) - names for w in n.split(".")}
            assert words & {"embedding", "verdict", "gain"}


# ---------------------------------------------------------------------------------- golden values


@every_net
def test_the_projection_adds_the_inner_product(nets):
    """logit(x, y) = logit(x) + <e_y, h>, with h what the head reads."""
    _, D = build(nets, Projection(), CLASSES)
    x, c = images(), torch.tensor([0, 1, 2, 2, 1, 0])
    heads = []
    D.verdict.register_forward_pre_hook(lambda m, args: heads.append(args[1]))
    logits, _ = told(D, x, c)
    with torch.no_grad():
        e = D.verdict.embedding.weight.clone()
        D.verdict.embedding.weight.zero_()
    plain, features = told(D, x, c)
    h = last_layer(features).flatten(1)
    assert_close(heads[0], h)
    assert_close(logits - plain, (e[c] * h).sum(1), rtol=1e-5, atol=1e-6)
    assert (logits - plain).abs().max() > 1e-4


@every_net
def test_auxiliary_logits_are_linear_in_the_last_layer(nets):
    _, D = build(nets, Auxiliary(), CLASSES)
    _, features = told(D, images(), None)
    h = last_layer(features).flatten(1)
    wanted = h @ D.verdict.head.weight.T + D.verdict.head.bias
    assert_close(features[CLASS_LOGITS], wanted)


@every_net
def test_auxiliary_numbers_are_guessed_in_standard_units(nets):
    """In their own, a number up to 90 would drown all else in the losses."""
    _, D = build(nets, Auxiliary(), VECTORS)
    c = torch.tensor([[1.0, 27.0], [0.0, 13.0], [1.0, 20.0]])
    _, features = told(D, images(3), c)
    wanted = torch.tensor([[1.0, 7 / 50**0.5], [-1.0, -7 / 50**0.5], [1.0, 0.0]])
    assert_close(features[CLASS_WANTED], wanted)
    by_hand = (features[CLASS_LOGITS] - wanted).square().mean() / 2
    view = SimpleNamespace(fake_features=features, fake_c=c)
    term = AuxiliaryClassifier(g_weight=3.0).g_term(view, {})  # pyright: ignore
    assert_close(term, 3 * by_hand)


def test_the_conditional_norm():
    """(1 + g_y) norm(x) + b_y, per channel; at first the plain layer."""
    norm = nn.BatchNorm2d(4)
    layer = ConditionalNorm(CLASSES, norm, 4)
    x = torch.randn(5, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    c = torch.tensor([0, 1, 2, 1, 0])
    plain = nn.BatchNorm2d(4)(x)
    assert_close(layer(x, c), plain)
    with torch.no_grad():
        layer.gain.weight.copy_(torch.arange(12.0).view(3, 4) / 10)
        layer.shift.weight.copy_(-torch.arange(12.0).view(3, 4))
    g, b = layer.gain.weight[c], layer.shift.weight[c]
    assert_close(layer(x, c), plain * (1 + g)[:, :, None, None] + b[:, :, None, None])
    rows = ConditionalNorm(CLASSES, nn.BatchNorm1d(4), 4)
    assert rows(x[:, :, 0, 0], c).shape == (5, 4)


def test_the_embedding_of_classes_is_a_table_and_mixes():
    embedding = Embedding(CLASSES, 5)
    c = torch.tensor([2, 0])
    assert_close(embedding(c), embedding.weight[c])
    between = torch.tensor([[0.25, 0.0, 0.75]])
    wanted = 0.25 * embedding.weight[:1] + 0.75 * embedding.weight[2:]
    assert_close(embedding(between), wanted)


def test_the_embedding_of_numbers_is_linear_in_standard_units():
    embedding = Embedding(VECTORS, 5)
    assert_close(embedding.mean, torch.tensor([0.5, 20.0]))
    assert_close(embedding.std, torch.tensor([0.5, 50.0**0.5]))
    c = torch.tensor([[1.0, 27.0]])
    standard = torch.tensor([[1.0, 7 / 50.0**0.5]])
    assert_close(embedding(c), standard @ embedding.weight + embedding.bias)
    still = Embedding(Spec((1,), ("a",), vectors=True, rows=((3.0,), (3.0,))), 2)
    assert torch.isfinite(still(torch.tensor([[4.0]]))).all()


def test_what_is_joined():
    columns, plane = Columns(CLASSES, 4), Plane(CLASSES)
    x, c = images(2), torch.tensor([1, 2])
    assert_close(columns(x.flatten(1), c)[:, -4:], columns.embedding.weight[c])
    seen = plane(x, c)
    assert_close(seen[:, :1], x)
    assert_close(seen[:, 1], plane.embedding.weight[c].view(2, 16, 16))
    # A network that grows: the plane is as strong at every size as it is at the last.
    small = plane(x[:, :, ::4, ::4], c)
    assert_close(small[:, 1], seen[:, 1, ::4, ::4])


@every_condition
def test_a_class_moves_its_own_rows_alone(condition):
    """The gradient of one class's images is zero in the embeddings of the others."""
    for nets in SMALL.values():
        G, D = build(nets, condition, CLASSES)
        c = torch.ones(4, dtype=torch.int64)
        logits, features = D(G(G.noise(4, Draws(0, "z")), c), c, features=True)
        terms = [logits.sum(), *(f.sum() for n, f in features.items() if n == CLASS_LOGITS)]
        torch.stack(terms).sum().backward()
        tables = [m for net in (G, D) for m in net.modules() if isinstance(m, Embedding)]
        assert tables
        for m in tables:
            assert m.weight.grad[1].abs().max() > 0
            assert_close(m.weight.grad[[0, 2]], torch.zeros_like(m.weight.grad[[0, 2]]))


def test_a_chain_passes_the_condition_to_those_who_are_given_it():
    class Add(Given):
        def forward(self, x, c=None):
            return x + c

    chain = Chain(nn.Identity(), Add(), Chain(Add(), nn.ReLU()))
    assert_close(chain(torch.tensor([-3.0]), torch.tensor([2.0])), torch.tensor([1.0]))


@every_net
@every_condition
def test_without_classes_there_is_no_conditional_network(nets, condition):
    with pytest.raises(RecipeError, match="needs labelled data"):
        build(nets, condition, Spec((1, 16, 16)))[1]


@pytest.mark.parametrize("condition", [Concat, Projection, Auxiliary])
def test_bad_widths(condition):
    with pytest.raises(RecipeError, match="width must be at least 1"):
        condition(width=0)
