"""Presets: named recipes. One per method; size and channels come from the data.

Each docstring: paper, command, hardware, time, the score measured with its spread.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from sparring.data import Mixture1D, Pairs, SideBySide, Source, Unpaired
from sparring.errors import RecipeError, SparringError
from sparring.games import CycleGAN, Downscale, Greyscale, Pix2Pix
from sparring.losses import (
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    RelativisticPaired,
    Wasserstein,
)
from sparring.nets import (
    DCGAN,
    MLP,
    R3,
    Auxiliary,
    Fast,
    FewShot,
    ProGAN,
    Projection,
    ResidualTranslator,
    ResNet,
    StyleGAN,
    StyleGAN2,
    SuperResolver,
    UNet,
)
from sparring.optim import Adam, AdamW, RMSprop
from sparring.parts import nearest
from sparring.recipe import Recipe
from sparring.schedules import Cosine, FlatThenLinear
from sparring.tricks import (
    ADA,
    R1,
    R2,
    AuxiliaryClassifier,
    DiffAugment,
    Drift,
    GradientPenalty,
    PathLength,
    Reconstruction,
    Replay,
    WeightClipping,
)


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


def dcgan() -> Recipe:
    """DCGAN as published: strided convolutions, BatchNorm, Adam 2e-4 with beta1 0.5.

    Paper: Radford et al. 2016, arXiv:1511.06434. Command: `sparring train --preset dcgan`.
    Score: scaled down, 65 s of one core, domain-fid 217;
    in full, two cores, 150 s, three seeds: 302 (293 to 318).
    """
    return Recipe(nets=DCGAN(), loss=NonSaturating(), batch=128, images=200_000)


def fast() -> Recipe:
    """The small pair for CPUs: paired relativistic loss, R1 and R2 on a quarter of the batch.

    Paper: Huang et al. 2024, R3GAN, arXiv:2501.05441. Command: `sparring train --preset fast`.
    Score: two cores, 150 s, three seeds: FID of 2,000 28.9 (28.6 to 29.1).
    """
    gamma = Cosine(start=0.5, end=0.05)
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


def acgan() -> Recipe:
    """AC-GAN: `dcgan` whose D guesses the class, which both networks answer for.

    Without the paper's dropout in D.
    Paper: Odena et al. 2017, arXiv:1610.09585. Command: `sparring train --preset acgan`.
    Score: scaled down, 58 s of one core, domain-fid 484, one seed; in full not yet measured.
    """
    nets = DCGAN(condition=Auxiliary())
    return replace(dcgan(), nets=nets, tricks=(AuxiliaryClassifier(),))


def nsgan() -> Recipe:
    """The lesson's pair, non-saturating: fully connected with BatchNorm in G, batches of 64.

    Paper: Goodfellow et al. 2014, arXiv:1406.2661. Command: `sparring train --preset nsgan`.
    Score: scaled down, 60 s of one core, domain-fid 347, one seed; in full not yet measured.
    """
    return Recipe(nets=MLP(batchnorm=True), loss=NonSaturating(), batch=64, images=1_000_000)


def minimax() -> Recipe:
    """The lesson's pair, minimax: `nsgan` with the loss that saturates.

    Paper: Goodfellow et al. 2014, arXiv:1406.2661. Command: `sparring train --preset minimax`.
    Score: scaled down, 58 s of one core, domain-fid 313, one seed; in full not yet measured.
    """
    return replace(nsgan(), loss=Minimax())


def lsgan() -> Recipe:
    """Least squares GAN on the networks of `dcgan`.

    Paper: Mao et al. 2017, arXiv:1611.04076. Command: `sparring train --preset lsgan`.
    Score: scaled down, 65 s of one core, domain-fid 200, one seed; in full not yet measured.
    """
    return replace(dcgan(), loss=LeastSquares(), batch=64)


def wgan() -> Recipe:
    """Wasserstein GAN: weights of the critic clipped, five critic steps, RMSprop.

    Paper: Arjovsky et al. 2017, arXiv:1701.07875. Command: `sparring train --preset wgan`.
    Score: scaled down, 241 s of one core, domain-fid 294, one seed; in full not yet measured.
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
    Score: scaled down, 59 s of one core, domain-fid 379, one seed; in full not yet measured.
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


def sngan() -> Recipe:
    """SNGAN: residual networks, spectral norm in D, hinge loss, five steps of D.

    Paper: Miyato et al. 2018, arXiv:1802.05957. Command: `sparring train cifar10 --preset sngan`.
    Score: scaled down, 234 s of one core, domain-fid 370, one seed; in full not yet measured.
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
    Score: scaled down, 62 s of one core, domain-fid 399, one seed; in full not yet measured.
    """
    return replace(sngan(), nets=ResNet(condition=Projection()))


def sagan() -> Recipe:
    """SAGAN: `sngan` with spectral norm and self-attention in both, and D faster than G.

    The paper's is told classes: `--condition Projection`.
    Paper: Zhang et al. 2019, arXiv:1805.08318. Command: `sparring train cifar10 --preset sagan`.
    Score: scaled down, 58 s of one core, domain-fid 322, one seed; in full not yet measured.
    """
    return replace(
        sngan(),
        nets=ResNet(g_spectral=True, attention=32),
        g_optim=Adam(lr=1e-4, betas=(0.0, 0.9)),
        d_optim=Adam(lr=4e-4, betas=(0.0, 0.9)),
        d_steps=1,
    )


def r3() -> Recipe:
    """R3GAN with dense convolutions: paired relativistic loss, R1 and R2, no normalisation.

    gamma is for 28 to 32 pixels, for CIFAR-10 the paper has a tenth of it; about 2 at 64, 16 at
    128 and 150 at 256.
    Paper: Huang et al. 2024, arXiv:2501.05441. Command: `sparring train cifar10 --preset r3`.
    Score: scaled down, 55 s of one core, domain-fid 182, one seed; in full not yet measured.
    """
    gamma = Cosine(start=0.5, end=0.05)
    optim = Adam(lr=4e-4, betas=(0.0, 0.99), schedule=Cosine(start=1.0, end=0.125))
    return Recipe(
        nets=R3(),
        loss=RelativisticPaired(),
        tricks=(R1(gamma=gamma, share=0.25), R2(gamma=gamma, share=0.25)),
        g_optim=optim,
        d_optim=optim,
        batch=128,
        images=5_000_000,
        share_fakes=True,
        ema=150_000,
    )


def stylegan2() -> Recipe:
    """StyleGAN2: styles, demodulation, noise, mixing, lazy R1 and path length.

    gamma of R1 is for 64 pixels; it goes as the number of pixels: 1 at 256, 10 at 1024.
    Paper: Karras et al. 2020, arXiv:1912.04958.
    Command: `sparring train cifar10 --preset stylegan2`.
    Score: scaled down, 68 s of one core, domain-fid 498, one seed; in full not yet measured.
    """
    optim = Adam(lr=2e-3, betas=(0.0, 0.99))
    return Recipe(
        nets=StyleGAN2(),
        loss=NonSaturating(),
        tricks=(R1(gamma=0.1, every=16), PathLength(every=8)),
        g_optim=optim,
        d_optim=optim,
        batch=32,
        images=25_000_000,
    )


def stylegan2_ada() -> Recipe:
    """StyleGAN2 for small sets: what D sees is augmented as much as it overfits.

    For CIFAR-10 the paper has a tenth of this gamma.
    Paper: Karras et al. 2020, arXiv:2006.06676. Command: `sparring train --preset stylegan2-ada`.
    Score: scaled down, 59 s of one core, domain-fid 386, one seed; in full not yet measured.
    """
    nets = StyleGAN2(mapping=2, mixing=0.0)  # the paper's settings for small images
    return replace(stylegan2(), nets=nets, tricks=(R1(gamma=0.1, every=16), ADA()))


def fewshot() -> Recipe:
    """For 100 to 1000 images, in the spirit of FastGAN: D also decodes its layers, DiffAugment.

    Paper: Liu et al. 2021, arXiv:2101.04775. Command: `sparring train photos/ --preset fewshot`.
    Score: scaled down, 65 s of one core, domain-fid 585, one seed; in full not yet measured.
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


def progan() -> Recipe:
    """Progressive growing: sizes faded in one by one, WGAN-GP and drift, minibatch stddev.

    Paper: Karras et al. 2018, arXiv:1710.10196. Command: `sparring train cifar10 --preset progan`.
    Score: scaled down, 226 s of one core, domain-fid 375, one seed; in full not yet measured.
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

    gamma is for 32 to 64 pixels; the paper's is 10, at 1024.
    Paper: Karras et al. 2019, arXiv:1812.04948.
    Command: `sparring train cifar10 --preset stylegan`.
    Score: scaled down, 61 s of one core, domain-fid 515, one seed; in full not yet measured.
    """
    return replace(
        progan(), nets=StyleGAN(), loss=NonSaturating(), tricks=(R1(gamma=0.1),), images=25_000_000
    )


def pix2pix() -> Recipe:
    """pix2pix as published, for pairs of images: U-Net, patches of 70 pixels, L1, batches of one.

    Paper: Isola et al. 2017, arXiv:1611.07004. Command:
    `sparring train A/ --to B/ --preset pix2pix --size 256`.
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

    Paper: Isola et al. 2017, arXiv:1611.07004. Command:
    `sparring train A/ --to B/ --preset pix2pix-fast --minutes 5`.
    """
    optim = Adam(lr=5e-4, betas=(0.5, 0.999), schedule=FlatThenLinear())
    return replace(
        pix2pix(),
        nets=UNet(width=16, d_width=16, d_layers=2, up="resize"),
        g_optim=optim,
        d_optim=optim,
        ema=1000,
    )


def cyclegan() -> Recipe:
    """CycleGAN as published, for two sets without pairs: residual blocks, least squares, a pool.

    Paper: Zhu et al. 2017, arXiv:1703.10593. Command:
    `sparring train A/ --to B/ --preset cyclegan --size 256`.
    """
    optim = Adam(lr=2e-4, betas=(0.5, 0.999), schedule=FlatThenLinear(end=0.0))
    return Recipe(
        nets=ResidualTranslator(),
        game=CycleGAN(cycle=5.0, identity=2.5),  # halves, as the loss is half of the paper's
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
    """CycleGAN for small images and CPUs: a quarter of the width, three blocks, an average of G.

    What changes on the way there and back weighs twice as much as published.
    Paper: Zhu et al. 2017, arXiv:1703.10593. Command:
    `sparring train A/ --to B/ --preset cyclegan-fast --minutes 30`.
    """
    optim = Adam(lr=5e-4, betas=(0.5, 0.999), schedule=FlatThenLinear())
    return replace(
        cyclegan(),
        nets=ResidualTranslator(width=16, blocks=3, d_width=16, d_layers=2),
        game=CycleGAN(),
        g_optim=optim,
        d_optim=optim,
        ema=1000,
    )


def super_resolution() -> Recipe:
    """Images four times as large: what bicubic interpolation lacks, by L1, LPIPS and patches of D.

    Needs nothing but images: patches of them are cut at their own scale and shrunk. Another factor:
    `--game "Pix2Pix(inputs=Downscale(factor=2), ...)"`. Paper: Ledig et al. 2017, arXiv:1609.04802.
    Command: `sparring train photos/ --preset super-resolution --size 128`.
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
    """
    return replace(pix2pix(), game=Pix2Pix(inputs=Greyscale()), batch=4, images=200_000)


PRESETS: dict[str, Callable[[], Recipe]] = {
    f.__name__.replace("_", "-"): f
    for f in (
        mixture1d,
        gan,
        nsgan,
        minimax,
        dcgan,
        fast,
        cgan,
        acgan,
        projection,
        lsgan,
        wgan,
        wgan_gp,
        sngan,
        sagan,
        r3,
        progan,
        stylegan,
        stylegan2,
        stylegan2_ada,
        fewshot,
        pix2pix,
        pix2pix_fast,
        cyclegan,
        cyclegan_fast,
        super_resolution,
        colorize,
    )
}


def preset(name: str, data: Source | None, device: str) -> tuple[str, Recipe]:
    """The name and the recipe of a preset, of `auto`, or of FILE.py:FUNCTION.

    auto: `mixture1d` for points, `pix2pix` for pairs of images, `cyclegan` for two sets, `fast` for
    images on a CPU, `dcgan` on a GPU.
    """
    if name == "auto":
        name = _automatic(data, device)
    name = name if ":" in name else name.lower().replace("_", "-")
    if name in PRESETS:
        return name, PRESETS[name]()
    if ":" in name:
        file, function = name.rsplit(":", 1)
        return function, _from_file(Path(file), function)
    raise RecipeError(
        f"no preset is called '{name}'{nearest(name, PRESETS)}",
        why="the presets are auto, " + ", ".join(PRESETS),
        fix="sparring list presets",
    )


def _automatic(data: Source | None, device: str) -> str:
    if data is not None and type(data).points:
        return "mixture1d"
    if isinstance(data, (Pairs, SideBySide)):
        return "pix2pix-fast" if device == "cpu" else "pix2pix"
    if isinstance(data, Unpaired):
        return "cyclegan-fast" if device == "cpu" else "cyclegan"
    return "fast" if device == "cpu" else "dcgan"


def _from_file(path: Path, function: str) -> Recipe:
    make = getattr(load_parts(path), function, None)
    if not callable(make):
        raise RecipeError(f"{path} has no function '{function}'")
    recipe = make()
    if not isinstance(recipe, Recipe):
        raise RecipeError(f"{function} in {path} returns no Recipe")
    return recipe


def load_parts(path: Path) -> object:
    """Runs a user's Python file, so that the parts it defines are known."""
    if not path.is_file():
        raise RecipeError(f"no file {path}", fix="--parts FILE.py or --preset FILE.py:FUNCTION")
    spec = importlib.util.spec_from_file_location(f"sparring_user_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    known = getattr(sys.modules.get(spec.name), "__file__", None)
    if known and Path(known).resolve() != path.resolve():
        raise RecipeError(
            f"two files of parts are called {path.name}",
            why=f"{known} is one already",
            fix="give one of them another name",
        )
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look up annotations that are text
    try:
        spec.loader.exec_module(module)
    except SparringError:
        raise
    except Exception as e:
        raise RecipeError(f"cannot run {path}", why=f"{type(e).__name__}: {e}") from e
    return module
