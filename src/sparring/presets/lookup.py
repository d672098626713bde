"""A recipe by name: of a preset, of `auto`, or of FILE.py:FUNCTION."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sparring.data import Pairs, SideBySide, Source, Unpaired
from sparring.errors import RecipeError
from sparring.parts import elsewhere, key, nearest
from sparring.presets import modern, textbook, translation
from sparring.presets.script import recipe_of
from sparring.recipe import Recipe

PRESETS: dict[str, Callable[[], Recipe]] = {
    f.__name__.replace("_", "-"): f
    for f in (
        textbook.mixture1d,
        textbook.gan,
        textbook.nsgan,
        textbook.minimax,
        textbook.dcgan,
        modern.fast,
        modern.cgan,
        textbook.acgan,
        modern.projection,
        textbook.lsgan,
        textbook.wgan,
        textbook.wgan_gp,
        modern.sngan,
        modern.sagan,
        modern.r3,
        modern.progan,
        modern.stylegan,
        modern.stylegan2,
        modern.stylegan2_ada,
        modern.fewshot,
        translation.pix2pix,
        translation.pix2pix_fast,
        translation.cyclegan,
        translation.cyclegan_fast,
        translation.super_resolution,
        translation.colorize,
    )
}


def preset(name: str, data: Source | None, device: str) -> tuple[str, Recipe]:
    """The name and the recipe of a preset, of `auto`, or of FILE.py:FUNCTION.

    auto: `mixture1d` for points, `pix2pix` for pairs of images, `cyclegan` for two sets, `fast` for
    images on a CPU, `dcgan` on a GPU.
    """
    if key(name) == "auto":
        name = _automatic(data, device)
    known = {key(n): n for n in PRESETS}.get(key(name))
    if known:
        return known, PRESETS[known]()
    if ":" in name:
        file, function = name.rsplit(":", 1)
        return function, recipe_of(Path(file), function)
    if elsewhere(name):
        raise RecipeError(f"no preset is called '{name}'", fix=elsewhere(name))
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
