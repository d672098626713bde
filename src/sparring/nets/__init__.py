"""Architectures: tensors to tensors; they never see losses, optimisers or files."""

from sparring.nets.architecture import Discriminator, Generator, Nets, Spec
from sparring.nets.condition import Auxiliary, Concat, Condition, Projection, conditional
from sparring.nets.dcgan import DCGAN
from sparring.nets.fast import Fast
from sparring.nets.mlp import MLP

__all__ = [
    "DCGAN",
    "MLP",
    "Auxiliary",
    "Concat",
    "Condition",
    "Discriminator",
    "Fast",
    "Generator",
    "Nets",
    "Projection",
    "Spec",
    "conditional",
]
