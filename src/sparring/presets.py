"""Presets: named recipes. One per method; size and channels come from the data.

Each docstring: paper, command, hardware, time, the score measured with its spread.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from sparring.data import Mixture1D, Source
from sparring.errors import RecipeError, SparringError
from sparring.losses import NonSaturating, RelativisticPaired
from sparring.nets import DCGAN, MLP, Auxiliary, Concat, Fast, Projection
from sparring.optim import Adam, AdamW
from sparring.parts import nearest
from sparring.recipe import Recipe
from sparring.schedules import Cosine
from sparring.tricks import R1, R2, AuxiliaryClassifier


def mixture1d() -> Recipe:
    """A one-dimensional mixture of Gaussians, where the optimal D is known exactly.

    Paper: Goodfellow et al. 2014, arXiv:1406.2661. Command: `sparring train --preset mixture1d`.
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
    """
    return Recipe(nets=MLP(), loss=NonSaturating(), batch=128, images=1_000_000)


def dcgan() -> Recipe:
    """DCGAN as published: strided convolutions, BatchNorm, Adam 2e-4 with beta1 0.5.

    Paper: Radford et al. 2016, arXiv:1511.06434. Command: `sparring train --preset dcgan`.
    """
    return Recipe(nets=DCGAN(), loss=NonSaturating(), batch=128, images=200_000)


def fast() -> Recipe:
    """The small pair for CPUs: paired relativistic loss, R1 and R2 on a quarter of the batch.

    Paper: Huang et al. 2024, R3GAN, arXiv:2501.05441. Command: `sparring train --preset fast`.
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
    """A conditional GAN: `fast` with the class joined to G's noise and to D's input.

    Paper: Mirza & Osindero 2014, arXiv:1411.1784. Command: `sparring train --preset cgan`.
    """
    return replace(fast(), nets=Fast(condition=Concat()))


def acgan() -> Recipe:
    """AC-GAN: `dcgan` whose D guesses the class, which both networks answer for.

    Paper: Odena et al. 2017, arXiv:1610.09585. Command: `sparring train --preset acgan`.
    """
    nets = DCGAN(condition=Auxiliary())
    return replace(dcgan(), nets=nets, tricks=(AuxiliaryClassifier(),))


def projection() -> Recipe:
    """`fast` with a projection in D and conditional BatchNorm in G.

    Paper: Miyato & Koyama 2018, arXiv:1802.05637. Command: `sparring train --preset projection`.
    """
    return replace(fast(), nets=Fast(condition=Projection()))


PRESETS: dict[str, Callable[[], Recipe]] = {
    f.__name__: f for f in (mixture1d, gan, dcgan, fast, cgan, acgan, projection)
}


def preset(name: str, data: Source | None, device: str) -> tuple[str, Recipe]:
    """The name and the recipe of a preset, of `auto`, or of FILE.py:FUNCTION.

    auto: `mixture1d` for points, `fast` for images on a CPU, `dcgan` on a GPU.
    """
    if name == "auto":
        points = data is not None and type(data).points
        name = "mixture1d" if points else "fast" if device == "cpu" else "dcgan"
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
