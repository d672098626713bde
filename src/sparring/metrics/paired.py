"""How near translations are to their targets, image by image, and how near the inputs were.

All are means over pairs that share no image, so their standard errors are those of independent
numbers. `OfInputs` asks any metric about the inputs in the place of the translations: what one had
without a generator.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from sparring.errors import DataError
from sparring.metrics.diversity import ssim
from sparring.metrics.metric import Better, Fake, Metric, Real, Score, protocol
from sparring.metrics.perceptual import lpips, refuse_small
from sparring.parts import require

_BATCH = 64
_WINDOW = 11  # pixels of SSIM's


class Paired(Metric, abstract=True):
    """The mean of a measure over translations and their targets, of the first `n` examples."""

    n: int = 2000

    def check(self) -> None:
        require(self.n >= 2, "n must be at least 2")

    def _compare(self, x: Tensor, y: Tensor) -> Tensor:
        """float64 (B,) of images uint8 (B, C, H, W)."""
        raise NotImplementedError

    @torch.no_grad()
    def _score(
        self, name: str, better: Better, real: Real, fake: Fake, n: int | None, **more: object
    ) -> list[Score]:
        if fake.targets is None:
            raise DataError("these samples have no targets", where=fake.name)
        n = fake.enough(n or self.n)
        x, y = fake.draw(n, real.shape), fake.targets(n)
        parts = zip(x.split(_BATCH), y.split(_BATCH), strict=True)
        found = torch.cat([self._compare(a, b).double() for a, b in parts])
        seen = protocol(self, real, fake, pairs=n, **more)
        error = float(found.std() / n**0.5) if n > 1 else None
        return [Score(name, float(found.mean()), error, seen, better=better)]


class PSNR(Paired):
    """Peak signal-to-noise ratio of translations against their targets, in dB.

    The mean of the images' own. Equal images have an infinite one, in other tools too, and with one
    such pair the mean would say nothing: they count as if a single value were off by one level, the
    most that different images of 8 bits can have.
    """

    paper: ClassVar[str] = "ITU-T J.340 2010"

    def score(self, real: Real, fake: Fake, n: int | None = None) -> list[Score]:
        return self._score(
            "psnr", "higher", real, fake, n, peak=255, equal="as one value off by one"
        )

    def _compare(self, x: Tensor, y: Tensor) -> Tensor:
        error = (x.double() - y.double()).square().flatten(1).mean(1)
        return 10 * torch.log10(255**2 / error.clamp(min=1 / x[0].numel()))


class SSIM(Paired):
    """Structural similarity of translations and their targets, in windows of 11 x 11."""

    paper: ClassVar[str] = "Wang et al. 2004, Image quality assessment, IEEE TIP 13"

    def score(self, real: Real, fake: Fake, n: int | None = None) -> list[Score]:
        if min(real.shape[1:]) < _WINDOW:
            side = min(real.shape[1:])
            raise DataError(f"SSIM needs {_WINDOW} pixels", why=f"these have {side}")
        return self._score("ssim", "higher", real, fake, n, window="Gaussian, 11 x 11, sigma 1.5")

    def _compare(self, x: Tensor, y: Tensor) -> Tensor:
        return ssim(x.double(), y.double())[0]


class PairedLPIPS(Paired):
    """LPIPS between translations and their targets: how different they look."""

    yields: ClassVar[tuple[str, ...]] = ("lpips",)
    paper: ClassVar[str] = "Zhang et al. 2018, LPIPS, arXiv:1801.03924"

    def score(self, real: Real, fake: Fake, n: int | None = None) -> list[Score]:
        refuse_small(real.shape)
        _, digest = lpips()
        more = {"features": "LPIPS 0.1, AlexNet", "features_digest": digest, "dtype": "float32"}
        return self._score("lpips", "lower", real, fake, n, **more)

    def _compare(self, x: Tensor, y: Tensor) -> Tensor:
        x, y = (z.expand(-1, 3, -1, -1) / 127.5 - 1 for z in (x, y))
        return lpips()[0](x, y)


class OfInputs(Metric):
    """The same metric of the inputs in the place of their translations: what one had before.

    Smaller inputs are enlarged by bicubic interpolation, grey ones shown in colour.
    """

    ending: ClassVar[str] = "-of-inputs"

    metric: Metric = PSNR()

    def check(self) -> None:
        require(not isinstance(self.metric, OfInputs), "the metric is of the inputs already")

    def score(self, real: Real, fake: Fake, n: int | None = None) -> list[Score]:
        if fake.inputs is None:
            raise DataError("these samples were made of no images", where=fake.name)
        scores = self.metric.score(real, fake.inputs, n)
        return [replace(s, metric=s.metric + self.ending) for s in scores]
