"""Architectures: tensors to tensors; they never see losses, optimisers or files."""

from sparring.nets.architecture import Discriminator, Generator, Nets, Spec
from sparring.nets.dcgan import DCGAN
from sparring.nets.fast import Fast
from sparring.nets.mlp import MLP

__all__ = ["DCGAN", "MLP", "Discriminator", "Fast", "Generator", "Nets", "Spec"]
