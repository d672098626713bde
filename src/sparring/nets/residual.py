"""Residual blocks from image to image: the generator of CycleGAN."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from sparring.nets.architecture import Spec
from sparring.nets.normalise import Norm, normalising
from sparring.nets.patches import Translating
from sparring.nets.translator import Translator, Up, doubling, padded, published, same_size
from sparring.parts import require


class ResidualTranslator(Translating):
    """Residual blocks at a quarter of the size: the generator of CycleGAN, and a D of patches.

    width: channels at the whole size, twice and four times as many below; blocks: 9 for 256 pixels,
    6 for 128. up: as of `UNet`.
    """

    paper: ClassVar[str] = (
        "Johnson et al. 2016, Perceptual losses, arXiv:1603.08155; "
        "Zhu et al. 2017, CycleGAN, arXiv:1703.10593"
    )
    width: int = 64
    blocks: int = 9
    norm: Norm = "instance"
    up: Up = "resize"

    def check(self) -> None:
        super().check()
        require(self.width >= 1, "width must be at least 1")
        require(self.blocks >= 0, "blocks must not be negative")

    def generator(self, spec: Spec) -> Translator:
        return _ResidualTranslator(spec, self)


class _ResidualTranslator(Translator):
    def __init__(self, spec: Spec, nets: ResidualTranslator) -> None:
        super().__init__()
        channels, made = same_size(spec, "ResidualTranslator")
        self.mixes = nets.norm == "batch"
        self.grain = 8  # of one pixel a norm over the image leaves nothing
        # For each block two pixels that are four wide; the rest is of the ways down and up.
        self.reach = 8 * nets.blocks + 15
        w = nets.width

        def then(conv: nn.Module, width: int) -> list[nn.Module]:
            return [conv, normalising(nets.norm, width), nn.ReLU()]

        self.down = nn.Sequential(
            *then(_edged(channels, w, 7), w),
            *then(nn.Conv2d(w, 2 * w, 3, 2, 1), 2 * w),
            *then(nn.Conv2d(2 * w, 4 * w, 3, 2, 1), 4 * w),
        )
        self.blocks = nn.ModuleList(
            nn.Sequential(
                *then(_edged(4 * w, 4 * w, 3), 4 * w),
                _edged(4 * w, 4 * w, 3),
                normalising(nets.norm, 4 * w),
            )
            for _ in range(nets.blocks)
        )
        self.up = nn.Sequential(
            *then(doubling(4 * w, 2 * w, nets.up), 2 * w),
            *then(doubling(2 * w, w, nets.up), w),
            _edged(w, made, 7),
            nn.Tanh(),
        )
        published(self)

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        x = self.down(padded(z, self.grain))
        for block in self.blocks:
            x = x + block(x)
        return self.up(x)[..., : z.shape[2], : z.shape[3]]


def _edged(i: int, o: int, kernel: int) -> nn.Conv2d:
    """A convolution that keeps the size, with the edges repeated."""
    return nn.Conv2d(i, o, kernel, padding=kernel // 2, padding_mode="replicate")
