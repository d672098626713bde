"""Games: who plays against whom."""

from sparring.games.game import Batch, Game, Pair, Players
from sparring.games.noise import Noise

__all__ = ["Batch", "Game", "Noise", "Pair", "Players"]
