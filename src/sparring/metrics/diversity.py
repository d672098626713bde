"""How different samples are from one another: a value that means nothing without the data's own.

Both are means over pairs that share no sample, so their standard errors are those of independent
numbers. The score of as many pairs of real images stands beside it in the detail, as `real`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from sparring.errors import DataError
from sparring.metrics.metric import Fake, Metric, Real, Score, protocol
from sparring.metrics.perceptual import lpips, refuse_small
from sparring.parts import require
from sparring.randomness import generator

SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003
_WINDOW, _SIGMA, _C1, _C2 = 11, 1.5, (0.01 * 255) ** 2, (0.03 * 255) ** 2
_BATCH = 64


class Diversity(Metric, abstract=True):
    """The mean of a measure over `n // 2` pairs of samples, drawn at random without repetition."""

    n: int = 2000

    def check(self) -> None:
        require(self.n >= 4, "n must be at least 4")

    def _compare(self, x: Tensor, y: Tensor) -> Tensor:
        """float64 (B,) of images uint8 (B, C, H, W)."""
        raise NotImplementedError

    def _pairs(self, images: Tensor) -> Tensor:
        order = torch.randperm(len(images), generator=generator("pairs", len(images)))
        first, second = order[: len(order) // 2 * 2].view(2, -1)
        parts = zip(first.split(_BATCH), second.split(_BATCH))
        return torch.cat([self._compare(images[a], images[b]).double() for a, b in parts])

    @torch.no_grad()
    def _score(self, name: str, real: Real, fake: Fake, n: int | None, **more: object) -> Score:
        n = fake.enough(n or self.n)
        if n < 4:
            raise DataError("too few samples for pairs", where=fake.name, why="4 are needed")
        images = real.some(n)
        own = self._pairs(images.uint8(torch.arange(len(images))))
        found = self._pairs(fake.draw(n, real.shape))
        seen = protocol(self, real, fake, split="train", n_fake=n, pairs=len(found), **more)
        detail = {
            "real": float(own.mean()),
            "real_se": float(own.std() / len(own) ** 0.5),
            "real_pairs": len(own),
        }
        error = float(found.std() / len(found) ** 0.5)
        return Score(name, float(found.mean()), error, seen, detail, "data")


class MSSSIM(Diversity):
    """Mean structural similarity of random pairs of samples over several scales: high is uniform.

    In [0, 1] for images, 1 for one image again and again. Five scales from 176 pixels on; smaller
    images have fewer, with the weights of those there are scaled to a sum of 1, and the protocol
    says how many: numbers of different scales do not compare. At least 11 pixels.
    """

    paper = "Odena et al. 2017, arXiv:1610.09585; Wang et al. 2003, Asilomar"

    def score(self, real: Real, fake: Fake, n: int | None = None) -> list[Score]:
        count = scales(real.shape[1:])
        return [
            self._score(
                "ms-ssim", real, fake, n, scales=f"{count} of {len(SCALES)}", dtype="float64"
            )
        ]

    def _compare(self, x: Tensor, y: Tensor) -> Tensor:
        return ms_ssim(x, y)


class LPIPS(Diversity):
    """Mean perceptual distance of random pairs of samples: high is diverse, but noise scores low.

    By LPIPS 0.1 with AlexNet, of images of 31 pixels or more, grey ones repeated to three channels.
    """

    yields = ("lpips-diversity",)
    paper = "Zhang et al. 2018, arXiv:1801.03924"

    n: int = 1000

    def score(self, real: Real, fake: Fake, n: int | None = None) -> list[Score]:
        refuse_small(real.shape)
        _, digest = lpips()
        more = {"features": "LPIPS 0.1, AlexNet", "features_digest": digest, "dtype": "float32"}
        return [self._score("lpips-diversity", real, fake, n, **more)]

    def _compare(self, x: Tensor, y: Tensor) -> Tensor:
        network, _ = lpips()
        x, y = (z.expand(-1, 3, -1, -1) / 127.5 - 1 for z in (x, y))
        return network(x, y)


def scales(size: tuple[int, ...]) -> int:
    """How many of the five scales images of this height and width have room for."""
    side, count = min(size), 0
    while count < len(SCALES) and side >= _WINDOW:
        side, count = side // 2, count + 1
    if count == 0:
        raise DataError(f"MS-SSIM needs {_WINDOW} pixels", why=f"these have {min(size)}")
    return count


def ms_ssim(x: Tensor, y: Tensor) -> Tensor:
    """float64 (B,): MS-SSIM of x and y (B, C, H, W) in 0..255, the mean over the channels.

    At as many scales as there is room for. Negative contrast terms count as 0, as usual.
    """
    a, b = x.double(), y.double()
    count = scales(tuple(a.shape[2:]))
    weights = torch.tensor(SCALES[:count], dtype=torch.float64)
    if count < len(SCALES):  # the paper's five add up to 1.0001, and stay as they are
        weights /= weights.sum()
    terms = []
    for scale in range(count):
        if scale:
            a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
        similar, contrast = ssim(a, b)
        terms.append(similar if scale == count - 1 else contrast)
    powers = torch.stack(terms, dim=1).relu() ** weights
    return powers.prod(dim=1)


def ssim(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """The similarity and its contrast term, both (B,), of float64 images (B, C, H, W) in 0..255.

    Means over the channels and all places where the window of 11 x 11 fits (Wang et al. 2004).
    """
    channels = a.shape[1]
    window = torch.arange(_WINDOW, dtype=torch.float64) - _WINDOW // 2
    window = torch.exp(-window.square() / (2 * _SIGMA**2))
    window = (window / window.sum()).expand(channels, 1, 1, -1)
    fields = torch.cat([a, b, a * a, b * b, a * b])
    fields = F.conv2d(fields, window, groups=channels)
    fields = F.conv2d(fields, window.transpose(2, 3), groups=channels)
    mean_a, mean_b, aa, bb, ab = fields.chunk(5)
    spread = aa - mean_a.square() + bb - mean_b.square()
    contrast = (2 * (ab - mean_a * mean_b) + _C2) / (spread + _C2)
    light = (2 * mean_a * mean_b + _C1) / (mean_a.square() + mean_b.square() + _C1)
    return (light * contrast).mean((1, 2, 3)), contrast.mean((1, 2, 3))
