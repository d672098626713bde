"""Large images piece by piece: the same as the whole, and no seam where that cannot be."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from sparring.nets import Spec, SuperResolver, Translator
from sparring.randomness import seeded
from sparring.sample.tiles import large, tiled


class Shift(Translator):
    """Each pixel is its left neighbour at some distance, times a weight; anything may matter."""

    def __init__(self, reach: int | None, distance: int = 0) -> None:
        super().__init__()
        self.reach, self.distance = reach, distance
        self.w = nn.Parameter(torch.tensor(1.0))

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        return self.w * z.roll(self.distance, 3)


def image(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
@pytest.mark.parametrize("tile", [16, 33])
@pytest.mark.parametrize("dense", [0, 3])
def test_super_resolution_in_tiles_is_that_of_the_whole(factor, tile, dense):
    side, nets = 8 * factor, SuperResolver(width=4, blocks=1 if dense else 2, dense=dense)
    with seeded(0, "weights"):
        G = nets.generator(Spec((3, side, side), inputs=(3, 8, 8)))
    for p in G.parameters():  # so that everything it can see matters
        nn.init.normal_(p, 0, 0.2)
    G.eval()
    a = image(2, 3, 41, 57)
    with torch.no_grad():
        whole, pieces = G(a), tiled(G, a, tile)
    assert whole.shape == (2, 3, factor * 41, factor * 57)
    assert_close(pieces, whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize("dense", [0, 3])
def test_nothing_beyond_its_reach_matters_and_what_is_nearer_may(dense):
    with seeded(0, "weights"):
        nets = SuperResolver(width=4, blocks=1, dense=dense)
        G = nets.generator(Spec((1, 16, 16), inputs=(1, 8, 8))).double().eval()
    for p in G.parameters():
        nn.init.uniform_(p, 0.1, 0.5)  # nothing cancels
    a = torch.zeros(1, 1, 3, 61, dtype=torch.float64).requires_grad_()
    made = G.train()(a)
    (slope,) = torch.autograd.grad(made[..., 60:62].sum(), a)
    far = (slope.abs().sum((0, 1, 2)).nonzero().squeeze(1) - 30).abs().max()
    assert G.reach == (18 if dense else 5)
    assert G.reach - 1 <= far <= G.reach


def test_a_reach_of_one_less_would_show():
    """So it is told exactly, or larger."""
    with seeded(0, "weights"):
        G = SuperResolver(width=4, blocks=1).generator(Spec((1, 32, 32), inputs=(1, 16, 16)))
    for p in G.parameters():
        nn.init.normal_(p, 0, 0.3)
    G.eval()
    a = image(1, 1, 48, 48)
    with torch.no_grad():
        whole = G(a)
        assert G.reach == 5
        G.reach = 2
        assert (tiled(G, a, 16) - whole).abs().max() > 1 / 255


def test_what_leaves_all_as_it_is_has_no_seam():
    a = image(1, 2, 70, 45)
    for reach in (0, 3, None):
        assert_close(tiled(Shift(reach), a, 16), a)


def test_neighbours_fade_into_one_another():
    """Each piece is made brighter than the one before: the steps are spread over the margins."""

    class Brighter(Shift):
        count = 0

        def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
            self.count += 1
            return torch.full_like(z, float(self.count))

    x = tiled(Brighter(None), torch.zeros(1, 1, 16, 96), 32)[0, 0, 0]
    assert x[:20].eq(1).all()
    assert x[-20:].eq(3).all()
    assert x.diff().max() < 0.15
    hard = tiled(Brighter(8), torch.zeros(1, 1, 16, 96), 32)[0, 0, 0]
    assert hard.diff().max() == 1


def test_large_is_more_than_a_square_of_512():
    assert not large(torch.zeros(1, 1, 512, 512))
    assert large(torch.zeros(1, 1, 512, 513))
