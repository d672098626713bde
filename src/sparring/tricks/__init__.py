"""Stabilisers and regularisers: `trick.py` is the contract, the other files are by mechanism."""

from sparring.tricks.memory import HistoricalAveraging, Replay, WeightClipping
from sparring.tricks.penalties import R1, R2, FeatureMatching, GradientPenalty
from sparring.tricks.trick import State, Trick, View, Weights, slopes
from sparring.tricks.unroll import Unrolled
from sparring.tricks.views import InstanceNoise

__all__ = [
    "R1",
    "R2",
    "FeatureMatching",
    "GradientPenalty",
    "HistoricalAveraging",
    "InstanceNoise",
    "Replay",
    "State",
    "Trick",
    "Unrolled",
    "View",
    "WeightClipping",
    "Weights",
    "slopes",
]
