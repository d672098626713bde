"""Games: who plays against whom."""

from sparring.games.game import Batch, Game, Pair, Players
from sparring.games.inputs import Downscale, Edges, Greyscale, Hole, Inputs, Stored
from sparring.games.noise import Noise
from sparring.games.translate import CycleGAN, Pix2Pix, Translation, turned

__all__ = [
    "Batch",
    "CycleGAN",
    "Downscale",
    "Edges",
    "Game",
    "Greyscale",
    "Hole",
    "Inputs",
    "Noise",
    "Pair",
    "Pix2Pix",
    "Players",
    "Stored",
    "Translation",
    "turned",
]
