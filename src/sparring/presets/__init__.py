"""Presets: named recipes. One per method; size and channels come from the data.

Each docstring: paper, command, hardware, time, the score measured with its spread.
"""

from sparring.presets.lookup import PRESETS, preset
from sparring.presets.modern import (
    cgan,
    fast,
    fewshot,
    progan,
    projection,
    r3,
    sagan,
    sngan,
    stylegan,
    stylegan2,
    stylegan2_ada,
)
from sparring.presets.script import load_parts
from sparring.presets.textbook import (
    acgan,
    dcgan,
    gan,
    lsgan,
    minimax,
    mixture1d,
    nsgan,
    wgan,
    wgan_gp,
)
from sparring.presets.translation import (
    colorize,
    cyclegan,
    cyclegan_fast,
    pix2pix,
    pix2pix_fast,
    super_resolution,
)

__all__ = [
    "PRESETS",
    "acgan",
    "cgan",
    "colorize",
    "cyclegan",
    "cyclegan_fast",
    "dcgan",
    "fast",
    "fewshot",
    "gan",
    "load_parts",
    "lsgan",
    "minimax",
    "mixture1d",
    "nsgan",
    "pix2pix",
    "pix2pix_fast",
    "preset",
    "progan",
    "projection",
    "r3",
    "sagan",
    "sngan",
    "stylegan",
    "stylegan2",
    "stylegan2_ada",
    "super_resolution",
    "wgan",
    "wgan_gp",
]
