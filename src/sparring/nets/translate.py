"""Networks from image to image: a generator that is shown an image, a discriminator of patches.

Such a generator serves images of any size: it pads them to what it can halve, repeating the edge,
and cuts the result to the size it was given.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, leaky_relu, pad

from sparring.errors import RecipeError
from sparring.nets.architecture import Discriminator, Generator, Nets, Spec
from sparring.nets.condition import Condition
from sparring.nets.normalise import Norm, normalising
from sparring.parts import require
from sparring.randomness import Draws

Up = Literal["transposed", "resize"]


class Translator(Generator):
    """a -> x: images (n, Ca, h, w) in [-1, 1] to (n, C, h * factor, w * factor), of any h and w.

    factor: how much larger what it makes is. reach: how many pixels of a away from a place may
    still change the result there; None where all may, as with normalisation over the image.
    """

    latent: int = 0
    factor: int = 1
    reach: int | None = None

    def noise(self, n: int, rng: Draws) -> Tensor:
        raise RecipeError(
            f"{type(self).__name__} makes nothing from noise",
            why="it translates images",
            fix="sparring translate RUN INPUT --out DIR",
        )

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """(n, Ca, h, w) -> (n, C, h * factor, w * factor)"""
        raise NotImplementedError


class Translating(Nets, abstract=True):
    """Networks that translate; what they have in common is D, which judges patches.

    d_layers: strided layers of D, of which each patch spans 16 pixels (1), 34 (2), 70 (3) or 142
    (4); 0 judges single pixels; no more than the image bears. d_whole: it judges the image as one,
    by as many layers as leave 4 to 7 pixels, in place of patches. d_width: channels of the first
    one. scales: how many such D look at it, each at half the size of the one before.
    """

    translates: ClassVar[bool] = True
    d_width: int = 64
    d_layers: int = 3
    d_whole: bool = False
    d_norm: Norm = "instance"
    scales: int = 1

    def check(self) -> None:
        require(self.d_width >= 1, "d_width must be at least 1")
        require(self.d_layers >= 0, "d_layers must not be negative")
        require(self.scales >= 1, "scales must be at least 1")
        require(self.condition is None, "networks that translate are told no condition")

    def discriminator(self, spec: Spec) -> Discriminator:
        return _Discriminator(spec, self)


class UNet(Translating):
    """A U-Net and a discriminator of patches: the input is halved to the smallest, then doubled.

    Each resolution on the way up also sees the one of the way down. width: channels at half the
    size, doubled with each halving up to eight times as many. depth: halvings; 0 as many as leave a
    pixel, at most 8. up: transposed convolutions as published, or resize, nearest neighbours and a
    convolution, which leave no checkerboard.
    """

    paper: ClassVar[str] = "Isola et al. 2017, pix2pix, arXiv:1611.07004"
    width: int = 64
    depth: int = 0
    dropout: float = 0.5
    norm: Norm = "instance"
    up: Up = "transposed"

    def check(self) -> None:
        super().check()
        require(self.width >= 1, "width must be at least 1")
        require(self.depth >= 0, "depth must not be negative")
        require(0 <= self.dropout < 1, "dropout must lie in [0, 1)")

    def generator(self, spec: Spec) -> Translator:
        return _UNet(spec, self)


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


class SuperResolver(Translating):
    """Residual blocks at the input's size, then sub-pixel convolutions: x2, x3, x4 or x8 as large.

    Without normalisation, so that what it makes of a place hangs on its surroundings alone, and a
    large image may be taken piece by piece. It learns what bicubic interpolation lacks. width:
    channels; blocks: two convolutions each. dense: each block is one of ESRGAN instead (RRDB), of
    fifteen convolutions that add so many channels each, which looks 15 pixels far and not 2; the
    paper has 23 of them and 32 channels.
    """

    paper: ClassVar[str] = (
        "Ledig et al. 2017, SRGAN, arXiv:1609.04802; Lim et al. 2017, EDSR, arXiv:1707.02921; "
        "Wang et al. 2018, ESRGAN, arXiv:1809.00219"
    )
    width: int = 64
    blocks: int = 16
    dense: int = 0
    d_norm: Norm = "none"

    def check(self) -> None:
        super().check()
        require(self.width >= 1, "width must be at least 1")
        require(self.blocks >= 1, "blocks must be at least 1")
        require(self.dense >= 0, "dense must not be negative")

    def generator(self, spec: Spec) -> Translator:
        return _SuperResolver(spec, self)


# --------------------------------------------------------------------------------------- generators


def padded(x: Tensor, multiple: int) -> Tensor:
    """(n, C, h, w) with its edges repeated until both sides are multiples of a number."""
    height, width = x.shape[2:]
    below, right = -height % multiple, -width % multiple
    return pad(x, (0, right, 0, below), mode="replicate") if below or right else x


def doubling(i: int, o: int, up: Up) -> nn.Module:
    """(n, i, h, w) -> (n, o, 2h, 2w)"""
    if up == "transposed":
        return nn.ConvTranspose2d(i, o, 4, 2, 1)
    return nn.Sequential(nn.Upsample(scale_factor=2.0), nn.Conv2d(i, o, 3, padding=1))


def published(net: nn.Module) -> None:
    """Weights from N(0, 0.02), biases 0, as in pix2pix and CycleGAN."""
    for layer in net.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(layer.weight, 0.0, 0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def same_size(spec: Spec, name: str) -> tuple[int, int]:
    """Channels of the input and of the output; RecipeError unless both are of one size."""
    require_inputs(spec, name)
    if spec.inputs[1:] != spec.shape[1:]:
        given, wanted = ("x".join(map(str, s[1:])) for s in (spec.inputs, spec.shape))
        raise RecipeError(
            f"{name} makes images of the size of its input",
            why=f"inputs are {given}, targets {wanted}",
        )
    return spec.inputs[0], spec.shape[0]


def require_inputs(spec: Spec, name: str) -> None:
    if not spec.inputs:
        raise RecipeError(
            f"{name} translates images, and this game makes them from noise",
            fix="--preset pix2pix",
        )


class _UNet(Translator):
    def __init__(self, spec: Spec, nets: UNet) -> None:
        super().__init__()
        channels, made = same_size(spec, "UNet")
        self.mixes = nets.norm == "batch"
        self.depth = nets.depth or min(8, min(spec.shape[1:]).bit_length() - 1)
        if self.depth < 1:
            raise RecipeError("UNet cannot halve images of one pixel", fix="--size 64")
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
            layers += [normalising(nets.norm, o)] if k else [nn.Tanh()]
            # The paper's three, which are those at the full width below the innermost.
            layers += [nn.Dropout(nets.dropout)] if 0 < k < self.depth - 1 and k >= 4 else []
            self.up.append(nn.Sequential(*layers))
        published(self)

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        x, skips = padded(z, 2**self.depth), []
        for layer in self.down:
            x = layer(x)
            skips.append(x)
        skips.pop()
        for layer in self.up:
            x = layer(x)
            if skips:
                x = torch.cat([x, skips.pop()], 1)
        return x[..., : z.shape[2], : z.shape[3]]


class _ResidualTranslator(Translator):
    def __init__(self, spec: Spec, nets: ResidualTranslator) -> None:
        super().__init__()
        channels, made = same_size(spec, "ResidualTranslator")
        self.mixes = nets.norm == "batch"
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
        x = self.down(padded(z, 8))  # of one pixel a norm over the image leaves nothing
        for block in self.blocks:
            x = x + block(x)
        return self.up(x)[..., : z.shape[2], : z.shape[3]]


def _edged(i: int, o: int, kernel: int) -> nn.Conv2d:
    """A convolution that keeps the size, with the edges repeated."""
    return nn.Conv2d(i, o, kernel, padding=kernel // 2, padding_mode="replicate")


class _SuperResolver(Translator):
    def __init__(self, spec: Spec, nets: SuperResolver) -> None:
        super().__init__()
        require_inputs(spec, "SuperResolver")
        (made, *large), (channels, *small) = spec.shape, spec.inputs
        self.factor = large[0] // small[0]
        steps = {2: [2], 3: [3], 4: [2, 2], 8: [2, 2, 2]}.get(self.factor)
        if steps is None or large != [self.factor * s for s in small] or channels != made:
            given, wanted = ("x".join(map(str, s)) for s in (spec.inputs, spec.shape))
            raise RecipeError(
                "SuperResolver makes images 2, 3, 4 or 8 times as large",
                why=f"inputs are {given}, targets {wanted}",
                fix='--game "Pix2Pix(inputs=Downscale(factor=4))"',
            )
        w = nets.width
        self.head = _conv(channels, w)
        kind = partial(_ResidualDense, w, nets.dense) if nets.dense else partial(_Residual, w)
        blocks = [kind() for _ in range(nets.blocks)]
        self.blocks = nn.ModuleList(blocks)
        last = _conv(w, made)
        self.up = nn.Sequential(*(_larger(w, k) for k in steps), last)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, 0.2)
                nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]
        with torch.no_grad():  # at first it is bicubic interpolation, or nearly
            for conv in self.up.modules():
                if isinstance(conv, _SubPixel):
                    conv.even()
            for layer in (last, *(end for block in blocks for end in block.ends)):
                layer.weight.mul_(0.1)
        # A pixel for each convolution; those behind the first sub-pixel step have one together.
        self.reach = (15 if nets.dense else 2) * nets.blocks + 3

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        first = x = self.head(z)
        for block in self.blocks:
            x = x + block(x)
        size = (self.factor * z.shape[2], self.factor * z.shape[3])
        base = interpolate(z, size, mode="bicubic", align_corners=False)
        made = base + self.up(x + first)
        return made if self.training else made.clamp(-1, 1)


def _conv(i: int, o: int) -> nn.Conv2d:
    return nn.Conv2d(i, o, 3, padding=1)


class _Residual(nn.Sequential):
    """What a block of two convolutions adds."""

    def __init__(self, width: int) -> None:
        last = _conv(width, width)
        super().__init__(_conv(width, width), nn.LeakyReLU(0.2), last)
        self.ends = (last,)


class _Dense(nn.Module):
    """Five convolutions that each see what all before them made, a fifth of it added to x."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_conv(width + k * growth, growth) for k in range(4))
        self.last = _conv(width + 4 * growth, width)

    def forward(self, x: Tensor) -> Tensor:
        seen = [x]
        for layer in self.layers:
            seen.append(leaky_relu(layer(torch.cat(seen, 1)), 0.2))
        return x + 0.2 * self.last(torch.cat(seen, 1))


class _ResidualDense(nn.Module):
    """What a residual-in-residual dense block adds: a fifth of three dense blocks in a row."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        blocks = [_Dense(width, growth) for _ in range(3)]
        self.blocks = nn.ModuleList(blocks)
        self.ends = tuple(block.last for block in blocks)

    def forward(self, x: Tensor) -> Tensor:
        made = x
        for block in self.blocks:
            made = block(made)
        return 0.2 * made


class _SubPixel(nn.Conv2d):
    """Makes the channels that PixelShuffle lays out as factor x factor pixels."""

    def even(self) -> None:
        """The same weights for all pixels made of one, so that at first there is no checkerboard.

        Aitken et al. 2017, Checkerboard artifact free sub-pixel convolution, arXiv:1707.02937.
        """
        each = self.out_channels // self.in_channels
        self.weight.copy_(self.weight[::each].repeat_interleave(each, 0))


def _larger(width: int, factor: int) -> nn.Module:
    conv = _SubPixel(width, width * factor * factor, 3, padding=1)
    return nn.Sequential(conv, nn.PixelShuffle(factor), nn.LeakyReLU(0.2))


# ------------------------------------------------------------------------------------ discriminator


class _Patches(nn.Module):
    """(n, C, h, w) -> its layers, of which the last is the logits (n, 1, h', w')."""

    def __init__(self, channels: int, size: Sequence[int], nets: Translating) -> None:
        super().__init__()
        layers, i = [], channels
        height, width = size
        if nets.d_whole:
            for k in range(max(1, min(size).bit_length() - 3)):
                o = nets.d_width * min(8, 2**k)
                conv = nn.Conv2d(i, o, 4, 2, 1)
                layers += [_block(conv, o, nets) if k else [conv, nn.LeakyReLU(0.2)]]
                i, height, width = o, height // 2, width // 2
            layers += [[nn.Conv2d(i, 1, (height, width))]]
        elif nets.d_layers == 0:
            layers = [[nn.Conv2d(i, nets.d_width, 1), nn.LeakyReLU(0.2)]]
            wide = 2 * nets.d_width
            layers += [_block(nn.Conv2d(nets.d_width, wide, 1), wide, nets)]
            layers += [[nn.Conv2d(wide, 1, 1)]]
        else:
            # The last two convolutions of 4 need at least 3 pixels.
            bears = max(k for k in range(1, 16) if k == 1 or min(size) >> k >= 3)
            for k in range(min(nets.d_layers, bears)):
                o = nets.d_width * min(8, 2**k)
                conv = nn.Conv2d(i, o, 4, 2, 1)
                layers += [_block(conv, o, nets) if k else [conv, nn.LeakyReLU(0.2)]]
                i = o
            o = min(8 * nets.d_width, 2 * i)
            layers += [_block(nn.Conv2d(i, o, 4, 1, 1), o, nets), [nn.Conv2d(o, 1, 4, 1, 1)]]
        self.layers = nn.ModuleList(nn.Sequential(*layer) for layer in layers)

    def forward(self, x: Tensor) -> list[Tensor]:
        found = []
        for layer in self.layers:
            x = layer(x)
            found.append(x)
        return found


def _block(conv: nn.Module, width: int, nets: Translating) -> list[nn.Module]:
    return [conv, normalising(nets.d_norm, width), nn.LeakyReLU(0.2)]


class _Discriminator(Discriminator):
    """Logits (n, scales, h', w'), those of a coarser scale repeated to the size of the finest."""

    def __init__(self, spec: Spec, nets: Translating) -> None:
        super().__init__()
        self.mixes = nets.d_norm == "batch"
        channels, height, width = spec.shape
        if min(height, width) < 8 * 2 ** (nets.scales - 1):
            raise RecipeError(
                f"a discriminator of {nets.scales} scales needs images of at least "
                f"{8 * 2 ** (nets.scales - 1)} pixels",
                why=f"these are {height}x{width}",
                fix="a larger --size",
            )
        self.see = Condition().see(spec)
        self.scales = nn.ModuleList(
            _Patches(channels, (height >> k, width >> k), nets) for k in range(nets.scales)
        )
        published(self)

    def forward(
        self, x: Tensor, c: Tensor | None = None, features: bool = False
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        found: dict[str, Tensor] = {}
        logits: list[Tensor] = []
        for k, scale in enumerate(self.scales):
            layers = scale(avg_pool2d(x, 2**k) if k else x)
            name = f"scale{k}." if len(self.scales) > 1 else ""
            found |= {f"{name}layer{i}": f for i, f in enumerate(layers[:-1])}
            logits.append(layers[-1])
        size = logits[0].shape[2:]
        whole = torch.cat([logits[0], *(interpolate(f, size) for f in logits[1:])], 1)
        return (whole, found) if features else whole
