"""Presets from image to image: pairs, two sets, and inputs that are made of the images."""

from __future__ import annotations

from dataclasses import replace

from sparring.games import CycleGAN, Downscale, Greyscale, Pix2Pix
from sparring.losses import LeastSquares, NonSaturating
from sparring.nets import ResidualTranslator, SuperResolver, UNet
from sparring.optim import Adam
from sparring.recipe import Recipe
from sparring.schedules import FlatThenLinear
from sparring.tricks import Replay


def pix2pix() -> Recipe:
    """pix2pix as published, for pairs of images: U-Net, patches of 70 pixels, L1, batches of one.

    The rate falls in the second half as in the authors' later code; the paper's is constant.
    Paper: Isola et al. 2017, arXiv:1611.07004. Command:
    `sparring train A/ --to B/ --preset pix2pix --size 256`.
    Score: not yet measured.
    """
    optim = Adam(lr=2e-4, betas=(0.5, 0.999), schedule=FlatThenLinear(end=0.0))
    return Recipe(
        nets=UNet(),
        game=Pix2Pix(),
        loss=NonSaturating(),
        g_optim=optim,
        d_optim=optim,
        flip=True,
        jitter=0.117,  # 286 pixels cropped to 256
        batch=1,
        images=80_000,  # 200 epochs of 400 pairs
        share_fakes=True,
        ema=0,
    )


def pix2pix_fast() -> Recipe:
    """pix2pix for small images and CPUs: a quarter of the width, a higher rate, an average of G.

    No jitter: on facades at 64 pixels LPIPS was better without it, FID worse, one seed.

    Paper: Isola et al. 2017, arXiv:1611.07004. Command:
    `sparring train A/ --to B/ --preset pix2pix-fast --minutes 5`.
    Score: facades at 64 pixels, 434 s of one core, LPIPS 0.287, FID 228, one seed.
    """
    optim = Adam(lr=5e-4, betas=(0.5, 0.999), schedule=FlatThenLinear())
    return replace(
        pix2pix(),
        nets=UNet(width=16, d_width=16, d_layers=2, up="resize"),
        g_optim=optim,
        d_optim=optim,
        jitter=0.0,
        ema=1000,
    )


def cyclegan() -> Recipe:
    """CycleGAN as published, for two sets without pairs: residual blocks, least squares, a pool.

    Paper: Zhu et al. 2017, arXiv:1703.10593. Command:
    `sparring train A/ --to B/ --preset cyclegan --size 256`.
    Score: not yet measured.
    """
    optim = Adam(lr=2e-4, betas=(0.5, 0.999), schedule=FlatThenLinear(end=0.0))
    return Recipe(
        nets=ResidualTranslator(),
        game=CycleGAN(cycle=5.0),  # half of the paper's, as the loss is
        loss=LeastSquares(),
        tricks=(Replay(size=50),),
        g_optim=optim,
        d_optim=optim,
        flip=True,
        jitter=0.117,  # 286 pixels cropped to 256
        batch=1,
        images=200_000,  # 200 epochs of 1000
        share_fakes=True,
        ema=0,
    )


def cyclegan_fast() -> Recipe:
    """CycleGAN for small images and CPUs: narrow U-Nets, a higher rate, an average of G.

    Its generators begin at the identity and add to their input; the residual blocks of the paper,
    made as small, have to paint every pixel anew and blur it.
    Paper: Zhu et al. 2017, arXiv:1703.10593. Command:
    `sparring train A/ --to B/ --preset cyclegan-fast --minutes 30`.
    Score: faces to portraits at 64 pixels, 1,352 s of one core, FID 102.1 (107.7 before), one seed.
    """
    optim = Adam(lr=5e-4, betas=(0.5, 0.999), schedule=FlatThenLinear())
    return replace(
        cyclegan(),
        nets=UNet(width=16, d_width=16, d_layers=2, up="resize", residual=True),
        g_optim=optim,
        d_optim=optim,
        ema=1000,
    )


def super_resolution() -> Recipe:
    """Images four times as large: what bicubic interpolation lacks, by L1, LPIPS and patches of D.

    Needs nothing but images: patches of them are cut at their own scale and shrunk. Another factor:
    `--game "Pix2Pix(inputs=Downscale(factor=2), ...)"`. Paper: Ledig et al. 2017, arXiv:1609.04802.
    Command: `sparring train photos/ --preset super-resolution --size 128`.
    Score: faces of 16 pixels made 64, smaller networks, 492 s of one core, LPIPS 0.047 (bicubic
    0.334), PSNR 24.0 dB (23.6), one seed.
    """
    optim = Adam(lr=2e-4, betas=(0.9, 0.99), schedule=FlatThenLinear())
    return Recipe(
        nets=SuperResolver(),
        game=Pix2Pix(inputs=Downscale(), l1=100.0, perceptual=100.0, conditional=False),
        loss=NonSaturating(),
        g_optim=optim,
        d_optim=optim,
        patches=32,
        flip=True,
        batch=16,
        images=500_000,
        share_fakes=True,
        ema=5_000,
    )


def colorize() -> Recipe:
    """Colours for grey images: `pix2pix` on any colour images, which are made grey.

    Paper: Isola et al. 2017, arXiv:1611.07004. Command:
    `sparring train photos/ --preset colorize --size 128`.
    Score: not yet measured.
    """
    return replace(pix2pix(), game=Pix2Pix(inputs=Greyscale()), batch=4, images=200_000)
