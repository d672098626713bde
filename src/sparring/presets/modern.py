"""Presets that came after: spectral norm, residual and growing networks, styles; small sets."""

from __future__ import annotations

from dataclasses import replace

from sparring.losses import Hinge, NonSaturating, RelativisticPaired, Wasserstein
from sparring.nets import R3, Fast, FewShot, ProGAN, Projection, ResNet, StyleGAN, StyleGAN2
from sparring.optim import Adam
from sparring.recipe import Recipe
from sparring.schedules import Cosine
from sparring.tricks import (
    ADA,
    R1,
    R2,
    DiffAugment,
    Drift,
    GradientPenalty,
    PathLength,
    Reconstruction,
)


def sngan() -> Recipe:
    """SNGAN: residual networks, spectral norm in D, hinge loss, five steps of D.

    Paper: Miyato et al. 2018, arXiv:1802.05957. Command: `sparring train cifar10 --preset sngan`.
    Score: scaled down, 300 s of one core, domain-fid 236, one seed; in full not yet measured.
    """
    optim = Adam(lr=2e-4, betas=(0.0, 0.9))
    return Recipe(
        nets=ResNet(),
        loss=Hinge(),
        g_optim=optim,
        d_optim=optim,
        d_steps=5,
        batch=64,
        images=10_000_000,
    )


def projection() -> Recipe:
    """`sngan` for labelled images: conditional BatchNorm in G, a projection in D.

    Paper: Miyato & Koyama 2018, arXiv:1802.05637. Command:
    `sparring train cifar10 --preset projection`.
    Score: scaled down, 321 s of one core, domain-fid 262, one seed; in full not yet measured.
    """
    return replace(sngan(), nets=ResNet(condition=Projection()))


def sagan() -> Recipe:
    """SAGAN: `sngan` with spectral norm and self-attention in both, and D faster than G.

    The paper's is told classes: `--condition Projection`.
    Paper: Zhang et al. 2019, arXiv:1805.08318. Command: `sparring train cifar10 --preset sagan`.
    Score: scaled down, 103 s of one core, domain-fid 361, one seed; in full not yet measured.
    """
    return replace(
        sngan(),
        nets=ResNet(g_spectral=True, attention=32),
        g_optim=Adam(lr=1e-4, betas=(0.0, 0.9)),
        d_optim=Adam(lr=4e-4, betas=(0.0, 0.9)),
        d_steps=1,
    )


def progan() -> Recipe:
    """Progressive growing: sizes faded in one by one, WGAN-GP and drift, minibatch stddev.

    Paper: Karras et al. 2018, arXiv:1710.10196. Command: `sparring train cifar10 --preset progan`.
    Score: scaled down, 307 s of one core, domain-fid 342, one seed; in full not yet measured.
    """
    optim = Adam(lr=1e-3, betas=(0.0, 0.99))
    return Recipe(
        nets=ProGAN(),
        loss=Wasserstein(),
        tricks=(GradientPenalty(), Drift()),
        g_optim=optim,
        d_optim=optim,
        batch=16,
        images=12_000_000,
    )


def stylegan() -> Recipe:
    """The first StyleGAN: mapping network, AdaIN, noise, mixing, growing; R1.

    gamma is for up to 128 pixels and grows with their number: 6.4 at 1024, the paper's is 10.
    Paper: Karras et al. 2019, arXiv:1812.04948.
    Command: `sparring train cifar10 --preset stylegan`.
    Score: scaled down, 273 s of one core, domain-fid 256, one seed; in full not yet measured.
    """
    return replace(
        progan(),
        nets=StyleGAN(),
        loss=NonSaturating(),
        tricks=(R1(gamma=0.1, side=128),),
        images=25_000_000,
    )


def stylegan2() -> Recipe:
    """StyleGAN2: styles, demodulation, noise, mixing, lazy R1 and path length.

    gamma of R1 is for up to 128 pixels and grows with their number by StyleGAN2-ADA's rule (0.0002
    times the pixels by the batch): 0.4 at 256, 6.4 at 1024.
    Paper: Karras et al. 2020, arXiv:1912.04958.
    Command: `sparring train cifar10 --preset stylegan2`.
    Score: scaled down, 332 s of one core, domain-fid 282, one seed; in full not yet measured.
    """
    optim = Adam(lr=2e-3, betas=(0.0, 0.99))
    return Recipe(
        nets=StyleGAN2(),
        loss=NonSaturating(),
        tricks=(R1(gamma=0.1, every=16, side=128), PathLength(every=8)),
        g_optim=optim,
        d_optim=optim,
        batch=32,
        images=25_000_000,
    )


def stylegan2_ada() -> Recipe:
    """StyleGAN2 for small sets: what D sees is augmented as much as it overfits.

    For CIFAR-10 the paper has a tenth of this gamma.
    Paper: Karras et al. 2020, arXiv:2006.06676. Command: `sparring train --preset stylegan2-ada`.
    Score: scaled down, 91 s of one core, domain-fid 389, one seed; in full not yet measured.
    """
    nets = StyleGAN2(mapping=2, mixing=0.0)  # the paper's settings for small images
    return replace(stylegan2(), nets=nets, tricks=(R1(gamma=0.1, every=16, side=128), ADA()))


def fewshot() -> Recipe:
    """For 100 to 1000 images, in the spirit of FastGAN: D also decodes its layers, DiffAugment.

    Paper: Liu et al. 2021, arXiv:2101.04775. Command: `sparring train photos/ --preset fewshot`.
    Score: scaled down, 283 s of one core, domain-fid 485, one seed; in full not yet measured.
    """
    optim = Adam(lr=2e-4, betas=(0.5, 0.999))
    return Recipe(
        nets=FewShot(),
        loss=Hinge(),
        tricks=(DiffAugment(), Reconstruction()),
        g_optim=optim,
        d_optim=optim,
        batch=8,
        images=400_000,
        share_fakes=True,
        ema=6_000,
    )


def r3() -> Recipe:
    """R3GAN with dense convolutions: paired relativistic loss, R1 and R2, no normalisation.

    gamma is for 28 to 32 pixels, for CIFAR-10 the paper has a tenth of it. It grows with the number
    of pixels: 2 at 64, as the paper has it for faces, and 32 at 256, where the paper has 150.
    Paper: Huang et al. 2024, arXiv:2501.05441. Command: `sparring train cifar10 --preset r3`.
    Score: scaled down, 90 s of one core, domain-fid 214, one seed; in full not yet measured.
    """
    gamma = Cosine(start=0.5, end=0.05)
    optim = Adam(lr=4e-4, betas=(0.0, 0.99), schedule=Cosine(start=1.0, end=0.125))
    return Recipe(
        nets=R3(),
        loss=RelativisticPaired(),
        tricks=(R1(gamma=gamma, share=0.25, side=32), R2(gamma=gamma, share=0.25, side=32)),
        g_optim=optim,
        d_optim=optim,
        batch=128,
        images=5_000_000,
        share_fakes=True,
        ema=150_000,
    )


def fast() -> Recipe:
    """The small pair for CPUs: paired relativistic loss, R1 and R2 on a quarter of the batch.

    Paper: Huang et al. 2024, R3GAN, arXiv:2501.05441. Command: `sparring train --preset fast`.
    Score: two cores, 150 s, three seeds: FID of 2,000 30.8 (30.5 to 31.4).
    """
    gamma = Cosine(start=2.0, end=0.05)
    optim = Adam(lr=3e-3, betas=(0.0, 0.99), schedule=Cosine(start=1.0, end=0.1))
    return Recipe(
        nets=Fast(),
        loss=RelativisticPaired(),
        tricks=(R1(gamma=gamma, share=0.25, every=8), R2(gamma=gamma, share=0.25, every=8)),
        g_optim=optim,
        d_optim=optim,
        batch=32,
        images=200_000,
        share_fakes=True,
        ema=10_000,
    )


def cgan() -> Recipe:
    """A conditional GAN for CPUs: `fast`, gentler, with conditional BatchNorm and a projection.

    Paper: Mirza & Osindero 2014, arXiv:1411.1784; Miyato & Koyama 2018, arXiv:1802.05637. Command:
    `sparring train --preset cgan`. One core, five minutes: the class that was asked for in 98 % of
    1,000 samples of MNIST and 92 % of Fashion-MNIST, three seeds.
    """
    gamma = Cosine(start=1.0, end=0.2)
    optim = Adam(lr=1.5e-3, betas=(0.0, 0.99), schedule=Cosine(start=1.0, end=0.1))
    return replace(
        fast(),
        nets=Fast(condition=Projection()),
        tricks=(R1(gamma=gamma, share=0.25, every=4), R2(gamma=gamma, share=0.25, every=4)),
        g_optim=optim,
        d_optim=optim,
    )
