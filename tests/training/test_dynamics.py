"""Convergence where it is proven: the Dirac-GAN of Mescheder et al. 2018, through the real step.

"Which training methods for GANs do actually converge?", arXiv:1801.04406. Data are a point mass at
0, G makes theta, D(x) = psi x; (0, 0) is the equilibrium. With the sign of psi as here, f'(0) > 0
and rate h, a = h f'(0), the linearised gradient field is (psi, theta)' = (-f'(0) theta, f'(0) psi):

- simultaneous: the eigenvalues are 1 +- i a, |.| = sqrt(1 + a^2) > 1;
- alternating: z^2 - (2 - a^2) z + 1, so |.| = 1 while a < 2 (their lemmas 2.3 and 2.4);
- R1 of strength gamma adds -gamma psi to psi': the simultaneous eigenvalues are
  1 + h (-gamma/2 +- sqrt(gamma^2/4 - f'(0)^2)), below 1 for small h (their theorem 4.1);
- instance noise of standard deviation s does as gamma = -2 f''(0) s^2 (their section 3.2);
- Wasserstein with clipping, and the penalty that pulls the slope to 1, do not converge (sections
  3.1 and 3.3).

f'(0) is 1/2 for the logistic losses and 1 for Wasserstein; f''(0) is -1/4 and 0. Least squares is
taken with labels 1 and -1 and G's target 1, where its linear part is Wasserstein's, as is that of
the hinge. The paired relativistic loss has the linear part of the logistic ones, the average one
twice it. Nothing is proven of these, nor of the non-saturating G beyond the linear part, so these
cells say `measured` where they go 500 steps. `benchmarks/dirac.py` draws the whole table.
"""

from __future__ import annotations

import cmath
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close
from toys import ToyOrigin, set_up, toy

from sparring.losses import (
    Hinge,
    LeastSquares,
    Loss,
    Minimax,
    NonSaturating,
    RelativisticAverage,
    RelativisticPaired,
    Wasserstein,
)
from sparring.nets import Discriminator, Generator, Nets, Spec
from sparring.optim import SGD
from sparring.parts import catalogue
from sparring.tricks import R1, R2, GradientPenalty, InstanceNoise, Trick, WeightClipping


def name(value: object) -> str:
    return str(value).split("(")[0]


H = 0.1
SIGMA = 0.8
SQUARES = LeastSquares(real=1, fake=-1, target=1)
LOSSES = {
    NonSaturating(): 0.5,
    Minimax(): 0.5,
    Wasserstein(): 1.0,
    SQUARES: 1.0,
    Hinge(): 1.0,
    RelativisticPaired(): 0.5,
    RelativisticAverage(): 1.0,
}
# -f''(0), as far as noise on real and fake feels it.
CURVATURES = {
    NonSaturating(): 0.25,
    Minimax(): 0.25,
    Wasserstein(): 0.0,
    SQUARES: 1.0,
    Hinge(): 0.0,
    RelativisticPaired(): 0.25,
    RelativisticAverage(): 0.25,
}


class DiracG(Generator):
    """x = theta."""

    def __init__(self) -> None:
        super().__init__()
        self.latent = 1
        self.theta = nn.Parameter(torch.zeros(1, dtype=torch.float64))

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        return self.theta.expand(len(z), 1)


class DiracD(Discriminator):
    """D(x) = psi x."""

    def __init__(self) -> None:
        super().__init__()
        self.psi = nn.Parameter(torch.zeros(1, dtype=torch.float64))

    def forward(self, x: Tensor, c: Tensor | None = None, features: bool = False) -> Any:
        logits = (self.psi * x).squeeze(1)
        return (logits, {}) if features else logits


class Dirac(Nets):
    """The pair of Mescheder et al. 2018."""

    def generator(self, spec: Spec) -> Generator:
        return DiracG()

    def discriminator(self, spec: Spec) -> Discriminator:
        return DiracD()


class Path:
    """(psi, theta) and the real step that moves it."""

    def __init__(self, loss: Loss, tricks: tuple[Trick, ...], updates: str, **changes: Any) -> None:
        recipe = toy(
            data=ToyOrigin(),
            nets=Dirac(),
            loss=loss,
            tricks=tricks,
            updates=updates,
            g_optim=SGD(lr=H),
            d_optim=SGD(lr=H),
            **({"batch": 2, "images": 2000} | changes),
        )
        self.setup = set_up(recipe)
        self.players = (self.setup.players["D"].psi, self.setup.players["G"].theta)

    def put(self, psi: float, theta: float) -> None:
        with torch.no_grad():
            for p, x in zip(self.players, (psi, theta), strict=True):
                p.fill_(x)

    def at(self) -> Tensor:
        return torch.cat([p.detach().clone() for p in self.players])

    def step(self, number: int = 0) -> Tensor:
        self.setup.step(number, self.setup.feed)
        return self.at()

    def jacobian(self, d: float = 1e-4) -> Tensor:
        """Of one step at the equilibrium, by central differences."""
        columns = []
        for e in ((d, 0.0), (0.0, d)):
            self.put(*e)
            plus = self.step()
            self.put(-e[0], -e[1])
            columns.append((plus - self.step()) / (2 * d))
        return torch.stack(columns, dim=1)

    def walk(self, steps: int, psi: float = 1.0, theta: float = 1.0) -> Tensor:
        """(psi, theta) at the start and after each step: (steps + 1, 2)."""
        self.put(psi, theta)
        return torch.stack([self.at(), *(self.step(n) for n in range(steps))])


def eigenvalues(matrix: Tensor) -> list[complex]:
    found = torch.linalg.eigvals(matrix).tolist()
    return sorted(found, key=lambda z: (z.imag, z.real))


def closed_form(updates: str, a: float, damping: float = 0.0) -> list[complex]:
    """The roots for a rotation `a` and a damping h gamma of psi.

    Simultaneous: [[1 - damping, -a], [a, 1]]. Alternating: theta answers the new psi, so the
    determinant is 1 - damping and the trace 2 - damping - a^2.
    """
    trace, det = 2 - damping, 1 - damping + a * a
    if updates == "alternating":
        trace, det = trace - a * a, det - a * a
    root = cmath.sqrt(trace * trace / 4 - det)
    return sorted([trace / 2 + root, trace / 2 - root], key=lambda z: (z.imag, z.real))


def assert_eigenvalues(path: Path, expected: list[complex], tolerance: float = 1e-6) -> None:
    found = eigenvalues(path.jacobian())
    assert_close(torch.tensor(found), torch.tensor(expected), atol=tolerance, rtol=0)


UPDATES = ("simultaneous", "alternating")


# ------------------------------------------------------------------------------------- eigenvalues


def test_every_loss_is_in_the_table():
    ours = {c for c in catalogue(Loss) if c.__module__ == "sparring.losses"}
    assert {type(loss) for loss in LOSSES} == ours


@pytest.mark.parametrize("updates", UPDATES)
@pytest.mark.parametrize(("loss", "slope"), LOSSES.items(), ids=name)
def test_unregularised(loss, slope, updates):
    a = H * slope
    expected = closed_form(updates, a)
    moduli = [abs(z) for z in expected]
    if updates == "simultaneous":
        assert moduli == pytest.approx([(1 + a * a) ** 0.5] * 2)
    else:
        assert moduli == pytest.approx([1, 1])
    assert_eigenvalues(Path(loss, (), updates), expected)


@pytest.mark.parametrize("updates", UPDATES)
@pytest.mark.parametrize(("loss", "slope"), LOSSES.items(), ids=name)
@pytest.mark.parametrize(
    ("trick", "gamma"),
    [
        (R1(gamma=1.0), 1.0),
        (R1(gamma=4.0), 4.0),
        (R2(gamma=1.0), 1.0),
        (GradientPenalty(weight=0.5, target=0.0), 1.0),
    ],
    ids=lambda v: str(v)[:30],
)
def test_penalties_centred_at_zero_converge(loss, slope, updates, trick, gamma):
    expected = closed_form(updates, H * slope, H * gamma)
    assert max(abs(z) for z in expected) < 1
    if updates == "simultaneous":
        root = cmath.sqrt(gamma**2 / 4 - slope**2)
        assert_close(
            torch.tensor(expected),
            torch.tensor(
                sorted(
                    [1 + H * (-gamma / 2 + root), 1 + H * (-gamma / 2 - root)],
                    key=lambda z: (z.imag, z.real),
                )
            ),
        )
    # The penalty's square root is smoothed at zero by 1e-12, far below the differences taken.
    assert_eigenvalues(Path(loss, (trick,), updates), expected, 1e-6)


@pytest.mark.parametrize("updates", UPDATES)
@pytest.mark.parametrize(("loss", "slope"), LOSSES.items(), ids=name)
def test_clipping_is_no_cure_at_the_equilibrium(loss, slope, updates):
    assert_eigenvalues(
        Path(loss, (WeightClipping(limit=1.0),), updates), closed_form(updates, H * slope)
    )


@pytest.mark.parametrize("updates", UPDATES)
@pytest.mark.parametrize(("loss", "slope"), LOSSES.items(), ids=name)
def test_instance_noise_damps_by_the_curvature_of_the_loss(loss, slope, updates):
    """Wasserstein has no curvature, so noise does nothing; least squares has f'' = -1 for D."""
    n = 2**16
    curvature = CURVATURES[loss]
    damping = 2 * H * curvature * SIGMA**2
    path = Path(loss, (InstanceNoise(sigma=SIGMA),), updates, batch=n, images=n)
    expected = closed_form(updates, H * slope, damping)
    # E of a batch: s^2 has the error s^2 sqrt(2 / n), the means of the noise 1 / sqrt(n); the
    # eigenvalues of this matrix move by about as much.
    found = eigenvalues(path.jacobian())
    assert_close(torch.tensor(found), torch.tensor(expected), atol=5e-3 * H * 4, rtol=0)
    if curvature:
        assert max(abs(z) for z in found) < 1 - damping / 8 or updates == "simultaneous"


# --------------------------------------------------------------------------------------- 500 steps


@pytest.mark.parametrize(
    "loss", [NonSaturating(), SQUARES], ids=lambda v: f"{str(v)[:14]} measured"
)
def test_simultaneous_spirals_out(loss):
    """The linear part grows by 1.87 or 12 in 500 steps; the bend of the loss slows it."""
    norm = Path(loss, (), "simultaneous").walk(500, 0.1, 0.1).norm(dim=1)
    assert (norm[1:100] > norm[:99]).all()
    assert norm[-1] > 1.6 * norm[0]


def test_simultaneous_wasserstein_grows_by_its_eigenvalue():
    """Its field is linear: the norm after n steps is (1 + h^2)^(n / 2) times the first."""
    norm = Path(Wasserstein(), (), "simultaneous").walk(500).norm(dim=1)
    assert_close((norm[-1] / norm[0]).item(), (1 + H * H) ** 250)


@pytest.mark.parametrize(
    "loss", [NonSaturating(), SQUARES], ids=lambda v: f"{str(v)[:14]} measured"
)
def test_alternating_cycles(loss):
    norm = Path(loss, (), "alternating").walk(500, 0.1, 0.1).norm(dim=1)
    assert norm.min() > 0.09
    assert norm.max() < 0.2
    turn = 130  # a little more than 2 pi / 0.05 steps
    assert_close(norm[-turn:].mean(), norm[:turn].mean(), atol=0.02, rtol=0)


def test_alternating_wasserstein_conserves_its_ellipse():
    """Linear too: psi^2 + theta^2 - h psi theta stays what it was, for ever."""
    psi, theta = Path(Wasserstein(), (), "alternating").walk(500).T
    energy = psi**2 + theta**2 - H * psi * theta
    assert_close(energy, energy[:1].expand(501))


@pytest.mark.parametrize(
    ("loss", "updates", "trick"),
    [
        (NonSaturating(), "simultaneous", R1(gamma=1.0)),
        (NonSaturating(), "alternating", R1(gamma=1.0)),
        (Wasserstein(), "simultaneous", R1(gamma=1.0)),
        (NonSaturating(), "alternating", GradientPenalty(weight=0.5, target=0.0)),
        (RelativisticPaired(), "alternating", R2(gamma=1.0)),
        (RelativisticAverage(), "simultaneous", R1(gamma=2.0)),
        (Hinge(), "simultaneous", R2(gamma=1.0)),
    ],
    ids=lambda v: str(v)[:30],
)
def test_penalties_centred_at_zero_reach_the_equilibrium(loss, updates, trick):
    norm = Path(loss, (trick,), updates).walk(500, 0.5, 0.5).norm(dim=1)
    assert norm[-1] < 1e-6 * norm[0]


@pytest.mark.parametrize(
    ("loss", "updates"),
    [(NonSaturating(), "simultaneous"), (Minimax(), "alternating")],
    ids=str,
)
def test_instance_noise_reaches_the_equilibrium_but_for_its_sampling(loss, updates):
    trick = InstanceNoise(sigma=2.0)
    path = Path(loss, (trick,), updates, batch=1024, images=512_000).walk(500, 0.5, 0.5)
    assert path[-100:].norm(dim=1).max() < 0.2
    assert path[-200:].mean(0).abs().max() < 0.05


def test_instance_noise_does_not_save_wasserstein_measured():
    path = Path(Wasserstein(), (InstanceNoise(sigma=0.1),), "simultaneous", batch=64, images=32_000)
    assert path.walk(500).norm(dim=1)[-100:].min() > 1.4


@pytest.mark.parametrize("updates", UPDATES)
def test_wasserstein_with_clipping_does_not_converge(updates):
    psi, theta = Path(Wasserstein(), (WeightClipping(limit=1.0),), updates).walk(500, 0.5, 0.5).T
    assert psi[1:].abs().max() <= 1
    assert theta[-200:].max() > 0.5
    assert theta[-200:].min() < -0.5


def test_clipping_does_not_save_the_logistic_loss_measured():
    path = Path(NonSaturating(), (WeightClipping(limit=1.0),), "alternating").walk(500, 0.5, 0.5)
    assert path.norm(dim=1)[-150:].min() > 0.3


@pytest.mark.parametrize(
    ("loss", "proof", "updates"),
    [
        (Wasserstein(), "Mescheder", "simultaneous"),
        (Wasserstein(), "Mescheder", "alternating"),
        (NonSaturating(), "measured", "alternating"),
    ],
    ids=lambda v: str(v)[:14],
)
def test_the_penalty_centred_at_one_does_not_converge(loss, proof, updates):
    """D's slope is pulled away from 0, where it would have to be at the equilibrium."""
    path = Path(loss, (GradientPenalty(weight=1.0),), updates).walk(500, 0.5, 0.5)
    assert path[-150:].norm(dim=1).min() > 0.3
