"""Presets of the textbooks: the first methods, each on plain networks."""

from __future__ import annotations

from dataclasses import replace

from sparring.data import Mixture1D
from sparring.losses import LeastSquares, Minimax, NonSaturating, Wasserstein
from sparring.nets import DCGAN, MLP, Auxiliary
from sparring.optim import Adam, AdamW, RMSprop
from sparring.recipe import Recipe
from sparring.tricks import AuxiliaryClassifier, GradientPenalty, WeightClipping


def mixture1d() -> Recipe:
    """A one-dimensional mixture of Gaussians, where the optimal D is known exactly.

    Paper: Goodfellow et al. 2014, arXiv:1406.2661. Command: `sparring train --preset mixture1d`.
    Score: two cores, 9 s, five seeds: both modes; Wasserstein distance 0.21 (0.13 to 0.36).
    """
    return Recipe(
        data=Mixture1D(),
        nets=MLP(),
        loss=NonSaturating(),
        g_optim=AdamW(lr=2e-4, betas=(0.5, 0.999)),
        d_optim=AdamW(lr=2e-4, betas=(0.5, 0.999)),
        batch=256,
        images=256 * 3000,
        precision="fp32",  # bfloat16 keeps three digits of a point
        ema=0,  # D is compared with the best D against the very generator it plays
    )


def gan() -> Recipe:
    """The textbook GAN: fully connected networks, non-saturating loss.

    Paper: Goodfellow et al. 2014, arXiv:1406.2661. Command: `sparring train --preset gan`.
    Score: two cores, 150 s, three seeds: domain-fid 274 (266 to 282).
    """
    return Recipe(nets=MLP(), loss=NonSaturating(), batch=128, images=1_000_000)


def nsgan() -> Recipe:
    """The lesson's pair, non-saturating: fully connected with BatchNorm in G, batches of 64.

    Paper: Goodfellow et al. 2014, arXiv:1406.2661. Command: `sparring train --preset nsgan`.
    Score: scaled down, 86 s of one core, domain-fid 402, one seed; in full not yet measured.
    """
    return Recipe(nets=MLP(batchnorm=True), loss=NonSaturating(), batch=64, images=1_000_000)


def minimax() -> Recipe:
    """The lesson's pair, minimax: `nsgan` with the loss that saturates.

    Paper: Goodfellow et al. 2014, arXiv:1406.2661. Command: `sparring train --preset minimax`.
    Score: scaled down, 80 s of one core, domain-fid 346, one seed; in full not yet measured.
    """
    return replace(nsgan(), loss=Minimax())


def dcgan() -> Recipe:
    """DCGAN as published: strided convolutions, BatchNorm, Adam 2e-4 with beta1 0.5.

    Paper: Radford et al. 2016, arXiv:1511.06434. Command: `sparring train --preset dcgan`.
    Score: scaled down, 96 s of one core, domain-fid 233;
    in full, two cores, 150 s, three seeds: 302 (293 to 318).
    """
    return Recipe(nets=DCGAN(), loss=NonSaturating(), batch=128, images=200_000)


def acgan() -> Recipe:
    """AC-GAN: `dcgan` whose D guesses the class, which both networks answer for.

    Without the paper's dropout in D.
    Paper: Odena et al. 2017, arXiv:1610.09585. Command: `sparring train --preset acgan`.
    Score: scaled down, 74 s of one core, domain-fid 417, one seed; in full not yet measured.
    """
    nets = DCGAN(condition=Auxiliary())
    return replace(dcgan(), nets=nets, tricks=(AuxiliaryClassifier(),))


def lsgan() -> Recipe:
    """Least squares GAN on the networks of `dcgan`.

    Paper: Mao et al. 2017, arXiv:1611.04076. Command: `sparring train --preset lsgan`.
    Score: scaled down, 88 s of one core, domain-fid 256, one seed; in full not yet measured.
    """
    return replace(dcgan(), loss=LeastSquares(), batch=64)


def wgan() -> Recipe:
    """Wasserstein GAN: weights of the critic clipped, five critic steps, RMSprop.

    Paper: Arjovsky et al. 2017, arXiv:1701.07875. Command: `sparring train --preset wgan`.
    Score: scaled down, 88 s of one core, domain-fid 479, one seed; in full not yet measured.
    """
    return Recipe(
        nets=DCGAN(),
        loss=Wasserstein(),
        tricks=(WeightClipping(limit=0.01),),
        g_optim=RMSprop(lr=5e-5),
        d_optim=RMSprop(lr=5e-5),
        d_steps=5,
        batch=64,
        images=2_000_000,
    )


def wgan_gp() -> Recipe:
    """WGAN with a gradient penalty in place of clipping; layer norm in the critic.

    Paper: Gulrajani et al. 2017, arXiv:1704.00028. Command: `sparring train --preset wgan-gp`.
    Score: scaled down, 94 s of one core, domain-fid 395, one seed; in full not yet measured.
    """
    optim = Adam(lr=1e-4, betas=(0.0, 0.9))
    return Recipe(
        nets=DCGAN(d_norm="layer"),
        loss=Wasserstein(),
        tricks=(GradientPenalty(),),
        g_optim=optim,
        d_optim=optim,
        d_steps=5,
        batch=64,
        images=2_000_000,
    )
