"""Stabilisers and regularisers: `trick.py` is the contract, the other files are by mechanism."""

from sparring.tricks.auxiliary import AuxiliaryClassifier, Reconstruction
from sparring.tricks.consistency import Consistency, LatentConsistency
from sparring.tricks.memory import HistoricalAveraging, LeCam, Replay, WeightClipping
from sparring.tricks.penalties import DRAGAN, R1, R2, Drift, FeatureMatching, GradientPenalty
from sparring.tricks.trick import State, Trick, View, Weights, slopes
from sparring.tricks.unroll import Unrolled
from sparring.tricks.variety import ModeSeeking, PathLength
from sparring.tricks.views import ADA, DiffAugment, InstanceNoise

__all__ = [
    "ADA",
    "DRAGAN",
    "R1",
    "R2",
    "AuxiliaryClassifier",
    "Consistency",
    "DiffAugment",
    "Drift",
    "FeatureMatching",
    "GradientPenalty",
    "HistoricalAveraging",
    "InstanceNoise",
    "LatentConsistency",
    "LeCam",
    "ModeSeeking",
    "PathLength",
    "Reconstruction",
    "Replay",
    "State",
    "Trick",
    "Unrolled",
    "View",
    "WeightClipping",
    "Weights",
    "slopes",
]
