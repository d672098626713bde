"""Architectures: tensors to tensors; they never see losses, optimisers or files."""

from sparring.nets.architecture import Discriminator, Generator, Nets, Spec
from sparring.nets.condition import Auxiliary, Concat, Condition, Projection, conditional
from sparring.nets.dcgan import DCGAN
from sparring.nets.fast import Fast
from sparring.nets.fewshot import FewShot
from sparring.nets.mlp import MLP
from sparring.nets.progressive import ProGAN, StyleGAN
from sparring.nets.r3 import R3
from sparring.nets.residual import ResidualTranslator
from sparring.nets.resnet import ResNet
from sparring.nets.spectral import settle
from sparring.nets.stylegan2 import StyleGAN2
from sparring.nets.superresolver import SuperResolver
from sparring.nets.translator import Translator
from sparring.nets.unet import UNet

__all__ = [
    "DCGAN",
    "MLP",
    "R3",
    "Auxiliary",
    "Concat",
    "Condition",
    "Discriminator",
    "Fast",
    "FewShot",
    "Generator",
    "Nets",
    "ProGAN",
    "Projection",
    "ResNet",
    "ResidualTranslator",
    "Spec",
    "StyleGAN",
    "StyleGAN2",
    "SuperResolver",
    "Translator",
    "UNet",
    "conditional",
    "settle",
]
