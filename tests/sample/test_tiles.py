"""Large images piece by piece: the same as the whole, and no seam where that cannot be."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from sparring.nets import ResidualTranslator, Spec, SuperResolver, Translator, UNet
from sparring.randomness import seeded
from sparring.sample.tiles import cheap, large, tiled


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


def translator(nets: UNet | ResidualTranslator, channels: int = 3) -> Translator:
    with seeded(0, "weights"):
        G = nets.generator(Spec((channels, 64, 64), inputs=(channels, 64, 64)))
        for p in G.parameters():  # so that everything it can see matters
            nn.init.normal_(p, 0, 0.2)
    return G.eval()


@pytest.mark.parametrize("tile", [16, 50])
@pytest.mark.parametrize("norm", ["instance", "layer", "batch", "pixel", "none"])
@pytest.mark.parametrize("up", ["resize", "transposed"])
@pytest.mark.parametrize("kind", ["unet", "residual"])
def test_norms_over_the_image_have_the_statistics_of_the_whole(kind, up, norm, tile):
    """Sides that neither the tile nor the halvings divide, dark above and bright below."""
    G = translator(
        UNet(width=4, depth=3, norm=norm, up=up)
        if kind == "unet"
        else ResidualTranslator(width=4, blocks=1, norm=norm, up=up)
    )
    a = image(2, 3, 131, 83)
    a[:, :, :60] *= 0.1
    with torch.no_grad():
        whole, pieces = G(a), tiled(G, a, tile)
        assert whole.std() > 0.05
        assert_close(pieces, whole, atol=1e-4, rtol=0)
        if norm in ("instance", "layer"):  # a piece's own statistics are others
            assert not cheap(G)
            assert (G(a[:, :, :64, :64])[..., :16, :16] - whole[..., :16, :16]).abs().max() > 1e-3
        assert_close(G(a), whole, atol=0, rtol=0)  # nothing is left behind


def test_statistics_are_of_the_whole_in_float64():
    G = translator(ResidualTranslator(width=3, blocks=0)).double()
    a = image(1, 3, 70, 90).double()
    with torch.no_grad():
        assert_close(tiled(G, a, 16), G(a), atol=1e-11, rtol=0)


@pytest.mark.parametrize("up", ["resize", "transposed"])
@pytest.mark.parametrize("kind", ["unet", "residual"])
def test_reach_is_exact(kind, up):
    """With the mean of what it sees as each convolution, all slopes are positive."""
    nets = (
        UNet(width=1, depth=3, norm="none", up=up)
        if kind == "unet"
        else ResidualTranslator(width=1, blocks=1, norm="none", up=up)
    )
    G = translator(nets, 1).double()
    for p in G.parameters():
        nn.init.constant_(p, p.shape[0] / p.numel() if p.dim() > 1 else 0.01)
    a = torch.ones(1, 1, 8, 96, dtype=torch.float64).requires_grad_()
    made, far = G(a), []
    for x in range(48, 56):  # all places in a piece of eight
        (slope,) = torch.autograd.grad(made[..., x].sum(), a, retain_graph=True)
        far.append((slope.abs().sum((0, 1, 2)).nonzero().squeeze(1) - x).abs().max())
    assert max(far) == G.reach == (21 if kind == "unet" else 23)


def test_pieces_of_no_size_given_are_twice_what_is_shown_around_them():
    G = translator(UNet(width=1, depth=6))
    seen = []
    G.register_forward_hook(lambda m, args, made: seen.append(tuple(args[0].shape[2:])))
    a = image(1, 3, 64, 1200)
    with torch.no_grad():
        whole = G(a)
        seen.clear()
        assert_close(tiled(G, a), whole, atol=1e-4, rtol=0)
    assert max(seen) == (64, 384 + 2 * 192)


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
