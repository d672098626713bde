"""Random numbers by name: they depend on their words and on nothing else."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from sparring.randomness import Draws, generator, mix, seeded

DRAWS = {
    "normal": lambda d, n: d.normal(n, 3),
    "uniform": lambda d, n: d.uniform(n, 2, 2),
    "integers": lambda d, n: d.integers(10, n),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS.keys())
def test_a_draw_depends_on_its_words_alone(draw):
    first = draw(Draws(7, "z", 3, "d"), 5)
    torch.manual_seed(99)
    Draws(7, "other", 3, "d").normal(100)
    assert_close(draw(Draws(7, "z", 3, "d"), 5), first, rtol=0, atol=0)
    others = [(8, "z", 3, "d"), (7, "y", 3, "d"), (7, "z", 4, "d"), (7, "z", 3, "g")]
    for words in others:
        assert not torch.equal(draw(Draws(*words), 5), first)


@pytest.mark.parametrize("world", [2, 3])
@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS.keys())
def test_processes_share_one_draw(draw, world):
    """The rows of all processes, one after the other, are what one process would draw."""
    one, many = Draws(1, "z"), [Draws(1, "z", rank=r, world=world) for r in range(world)]
    for n in (4, 2):  # the second call goes on where the first ended, everywhere
        together = torch.cat([draw(d, n) for d in many])
        assert_close(together, draw(one, n * world), rtol=0, atol=0)


def test_a_permutation_is_the_same_everywhere():
    one, other = (Draws(1, "p", rank=r, world=2).permutation(9) for r in (0, 1))
    assert_close(one, other)
    assert sorted(one.tolist()) == list(range(9))


def test_nothing_touches_the_global_generator():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    draws = Draws(1, "z")
    for draw in DRAWS.values():
        draw(draws, 4)
    draws.permutation(4)
    generator("a")
    assert torch.equal(torch.get_rng_state(), before)


def test_seeded_seeds_inside_and_restores_after():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    with seeded(1, "weights"):
        first = torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before)
    with seeded(1, "weights"):
        assert_close(torch.rand(3), first, rtol=0, atol=0)
    with pytest.raises(ZeroDivisionError), seeded(1, "weights"):
        1 / 0  # noqa: B018
    assert torch.equal(torch.get_rng_state(), before)
    with seeded(2, "weights"):
        assert not torch.equal(torch.rand(3), first)


def test_mix_gives_32_bits_and_keeps_words_apart():
    assert mix("a") == mix("a")
    assert min(map(mix, range(1000))) >= 0
    assert max(map(mix, range(1000))) < 2**32
    assert len({mix(0, "z", i, "d") for i in range(2000)}) == 2000
    assert mix("ab", "c") != mix("a", "bc")
    assert mix(1, 23) != mix(12, 3)
    # Neighbouring words differ in about half the bits, so their generators have nothing in common.
    flipped = [bin(mix(0, "z", i) ^ mix(0, "z", i + 1)).count("1") for i in range(500)]
    assert 15 < sum(flipped) / len(flipped) < 17


def test_mix_is_the_same_in_every_version():
    """Changing these numbers breaks every stored run and every published seed."""
    # printf '0\0z\0003\0d' | b2sum -l 32, its bytes from the last to the first
    assert mix(0, "z", 3, "d") == 0xD3E018B4


def test_normal_and_uniform_are_what_they_say():
    x, n = Draws(3, "x").normal(200_000), 200_000
    assert abs(x.mean()) < 4 / math.sqrt(n)
    assert_close(x.var().item(), 1.0, atol=4 * math.sqrt(2 / n), rtol=0)
    u = Draws(3, "u").uniform(n)
    assert 0 <= u.min() < 1e-4
    assert 1 - 1e-4 < u.max() < 1
    assert_close(u.mean().item(), 0.5, atol=4 / math.sqrt(12 * n), rtol=0)
    k = Draws(3, "k").integers(4, n)
    assert k.dtype == torch.int64
    assert_close(k.bincount() / n, torch.full((4,), 0.25), atol=0.005, rtol=0)


@given(st.integers(0, 2**63), st.text(max_size=10), st.integers(0, 10**9))
def test_any_word_will_do(seed, name, number):
    assert_close(
        Draws(seed, name, number).uniform(2), Draws(seed, name, number).uniform(2), rtol=0, atol=0
    )


def test_float64_on_request():
    assert Draws(0, dtype=torch.float64).normal(2).dtype == torch.float64
