"""The U-Net: the generator of pix2pix."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from sparring.channels import coloured
from sparring.errors import RecipeError
from sparring.nets.architecture import Spec
from sparring.nets.normalise import Norm, normalising
from sparring.nets.patches import Translating
from sparring.nets.translator import Translator, Up, doubling, padded, published, same_size
from sparring.parts import require

_NEARLY = 0.99  # what tanh can reach: white stays white but for a level


class UNet(Translating):
    """A U-Net and a discriminator of patches: the input is halved to the smallest, then doubled.

    Each resolution on the way up also sees the one of the way down. width: channels at half the
    size, doubled with each halving up to eight times as many. depth: halvings; 0 as many as leave a
    pixel, at most 8. dropout: on the way up, of the layers of the full width below the innermost,
    as published, which images of fewer than 64 pixels do not have. up: transposed convolutions as
    published, or resize, nearest neighbours and a convolution, which leave no checkerboard.
    residual: what it makes is added to its input, before the tanh, and is zero at the start:
    training begins at the identity, for images that need little change (in the manner of Kim et al.
    2016, VDSR, arXiv:1511.04587). It is added to as many channels of the input as it has, or to the
    mean of its colours where it is grey or the input has fewer.
    """

    paper: ClassVar[str] = "Isola et al. 2017, pix2pix, arXiv:1611.07004"
    width: int = 64
    depth: int = 0
    dropout: float = 0.5
    norm: Norm = "instance"
    up: Up = "transposed"
    residual: bool = False

    def check(self) -> None:
        super().check()
        require(self.width >= 1, "width must be at least 1")
        require(self.depth >= 0, "depth must not be negative")
        require(0 <= self.dropout < 1, "dropout must lie in [0, 1)")

    def generator(self, spec: Spec) -> Translator:
        return _UNet(spec, self)


class _UNet(Translator):
    def __init__(self, spec: Spec, nets: UNet) -> None:
        super().__init__()
        channels, made = same_size(spec, "UNet")
        self.mixes, self.residual = nets.norm == "batch", nets.residual
        self.depth = nets.depth or min(8, min(spec.shape[1:]).bit_length() - 1)
        if self.depth < 1:
            raise RecipeError("UNet cannot halve images of one pixel", fix="--size 64")
        most = (min(spec.shape[1:]) - 1).bit_length()
        if self.depth > most:  # each more doubles what is padded
            raise RecipeError(
                f"UNet(depth={self.depth}) halves images of {min(spec.shape[1:])} pixels too often",
                fix=f"depth={most} or less; 0 as often as they bear",
            )
        self.grain = 2**self.depth
        # Three pixels of each level, on the way down or up, to each side.
        self.reach = 3 * (self.grain - 1)
        widths = [nets.width * min(8, 2**k) for k in range(self.depth)]
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for k, (i, o) in enumerate(zip([channels, *widths], widths)):
            layers: list[nn.Module] = [nn.LeakyReLU(0.2)] if k else []
            layers += [nn.Conv2d(i, o, 4, 2, 1)]
            # Of one pixel a norm over the image leaves nothing.
            layers += [normalising(nets.norm, o)] if 0 < k < self.depth - 1 else []
            self.down.append(nn.Sequential(*layers))
        for k in reversed(range(self.depth)):
            i = widths[k] * (1 if k == self.depth - 1 else 2)
            o = widths[k - 1] if k else made
            layers = [nn.ReLU(), doubling(i, o, nets.up)]
            layers += [normalising(nets.norm, o)] if k else []
            # The paper's three, which are those at the full width below the innermost.
            layers += [nn.Dropout(nets.dropout)] if 0 < k < self.depth - 1 and k >= 4 else []
            self.up.append(nn.Sequential(*layers))
        published(self)
        if nets.residual:
            *_, last = (
                m for m in self.up.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d))
            )
            nn.init.zeros_(last.weight)

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        x, skips = padded(z, self.grain), []
        for layer in self.down:
            x = layer(x)
            skips.append(x)
        skips.pop()
        for layer in self.up:
            x = layer(x)
            if skips:
                x = torch.cat([x, skips.pop()], 1)
        x = x[..., : z.shape[2], : z.shape[3]]
        if self.residual:
            made = x.shape[1]
            # A mask beside the image is not part of it; grey and colour meet at the mean.
            whole = z.shape[1] >= made > 1
            start = z[:, :made] if whole else z[:, : coloured(z.shape[1])].mean(1, keepdim=True)
            x = x + torch.atanh(_NEARLY * start.clamp(-1, 1))
        return torch.tanh(x)
