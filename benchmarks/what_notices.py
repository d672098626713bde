"""Which metric notices what: real images, spoilt on purpose in known ways, scored by every metric.

A set is cut into images that were "trained on", images held out, and four folds of fresh images.
The folds as they are say how a score spreads for a perfect generator; the first of them, spoilt,
says how far a fault moves it. One line for each set, fault and group of metrics.

    SPARRING_TEST_DATA=... python benchmarks/what_notices.py fashion [cifar10=FILE.npz]
                                                            [faces=FILE.zip] [--table]

The weights of Inception and LPIPS are taken from the folder that SPARRING_TEST_DATA names.

--table prints what is recorded, as Markdown; --scores names those of its lines that are wanted.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from record import Results
from torch import Tensor

from sparring.data import Fashion, Images, Npz, Source, Zip, take
from sparring.metrics import (
    FID,
    KID,
    LPIPS,
    MSSSIM,
    Birthday,
    ClusterCoverage,
    DensityCoverage,
    DomainFeatures,
    DomainFid,
    Extractor,
    Fake,
    Features,
    Inception,
    Memorisation,
    Metric,
    Pixels,
    PrecisionRecall,
    Real,
    SlicedFeatures,
    offer,
)
from sparring.metrics.neighbours import Clusters
from sparring.randomness import generator

FOLDS = 4


class Remembered(Features):
    """Other features, each image's computed once: folds and faults share many images."""

    of: Features = Inception()

    def open(self, real: Real) -> Extractor:
        inner = self.of.open(real)

        def compute(images: Tensor) -> Tensor:
            keys = [image.numpy().tobytes() for image in images.cpu()]
            new = {k: i for i, k in enumerate(keys) if k not in _known}
            if new:
                made = inner.compute(images[list(new.values())]).cpu()
                _known.update(zip(new, made))
            return torch.stack([_known[k] for k in keys])

        return replace(inner, compute=compute)


_known: dict[bytes, Tensor] = {}


def compared(features: Features) -> tuple[Metric, ...]:
    return (
        FID(features=features),
        KID(features=features),
        PrecisionRecall(features=features),
        DensityCoverage(features=features),
    )


DOMAIN = DomainFeatures()
GROUPS: dict[str, tuple[Metric, ...]] = {
    "pixels": (
        Memorisation(),
        Birthday(),
        ClusterCoverage(),
        MSSSIM(),
        SlicedFeatures(features=Pixels()),
    ),
    "domain": (
        DomainFid(),
        *compared(DOMAIN),
        Memorisation(features=DOMAIN),
        Birthday(features=DOMAIN),
        ClusterCoverage(features=DOMAIN),
        SlicedFeatures(features=DOMAIN),
    ),
    "inception": compared(Remembered()),
    "perception": (LPIPS(),),
}
SIZES = {"pixels": 500, "domain": 1000, "inception": 200, "perception": 500}


@dataclass(frozen=True)
class Subject:
    """One set: the reference, fresh images, and the kind (class or cluster) of each of these."""

    real: Real
    fresh: Tensor
    kinds: Tensor

    @classmethod
    def of(cls, name: str, images: Images) -> Subject:
        order = torch.randperm(len(images), generator=generator("what notices", len(images)))
        half, tenth = len(images) // 2, len(images) // 10
        trained, held, fresh = order.tensor_split([half, half + tenth])
        pixels = images.uint8(fresh)
        if images.labels is not None:
            kinds = images.labels[fresh]
        else:
            small = torch.nn.functional.adaptive_avg_pool2d(pixels.float(), 8).flatten(1)
            kinds = Clusters.of(small, 10).assign(small)
        real = Real(name, train=take(images, trained), held_out=take(images, held))
        return cls(real, pixels, kinds)

    def fold(self, i: int, n: int) -> Tensor:
        return self.fresh[i * n : (i + 1) * n]


Fault = Callable[[Subject, int], Tensor]


def blur(sigma: float) -> Fault:
    """A Gaussian of `sigma` pixels."""

    def spoilt(subject: Subject, n: int) -> Tensor:
        x = subject.fold(0, n).float()
        reach = torch.arange(-6, 7).float()
        kernel = torch.exp(-(reach**2) / (2 * sigma**2))
        kernel = (kernel / kernel.sum()).expand(x.shape[1], 1, -1)
        for shape in ((1, 13), (13, 1)):
            pad = (6, 6, 0, 0) if shape[1] > 1 else (0, 0, 6, 6)
            weight = kernel.reshape(x.shape[1], 1, *shape)
            padded = torch.nn.functional.pad(x, pad, mode="reflect")
            x = torch.nn.functional.conv2d(padded, weight, groups=x.shape[1])
        return x.round().clamp(0, 255).to(torch.uint8)

    return spoilt


def noise(level: float) -> Fault:
    """White noise of this standard deviation, in grey levels."""

    def spoilt(subject: Subject, n: int) -> Tensor:
        x = subject.fold(0, n).float()
        grain = torch.randn(x.shape, generator=generator("noise", level))
        return (x + level * grain).round().clamp(0, 255).to(torch.uint8)

    return spoilt


def jpeg(quality: int) -> Fault:
    def spoilt(subject: Subject, n: int) -> Tensor:
        found = []
        for image in subject.fold(0, n):
            array = image.permute(1, 2, 0).numpy()
            buffer = io.BytesIO()
            picture = Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)
            picture.save(buffer, "JPEG", quality=quality)
            again = np.asarray(Image.open(buffer)).reshape(array.shape)
            found.append(torch.from_numpy(again.copy()).permute(2, 0, 1))
        return torch.stack(found)

    return spoilt


def contrast(share: float) -> Fault:
    """Values drawn towards white: 0.5 is a G of range [0, 1] read as one of [-1, 1]."""

    def spoilt(subject: Subject, n: int) -> Tensor:
        x = subject.fold(0, n).float()
        return (255 - share * (255 - x)).round().to(torch.uint8)

    return spoilt


def shift(levels: int) -> Fault:
    """The first channel brighter: a colour cast, or more light where there is one channel."""

    def spoilt(subject: Subject, n: int) -> Tensor:
        x = subject.fold(0, n).int()
        x[:, 0] += levels
        return x.clamp(0, 255).to(torch.uint8)

    return spoilt


def dropped(kinds: int) -> Fault:
    """Without this many of the ten classes, or clusters where there are none."""

    def spoilt(subject: Subject, n: int) -> Tensor:
        kept = subject.fresh[subject.kinds >= kinds]
        return kept[:n]

    return spoilt


def repeated(times: int) -> Fault:
    """Every image this many times."""

    def spoilt(subject: Subject, n: int) -> Tensor:
        return subject.fold(0, n)[: -(-n // times)].repeat(times, 1, 1, 1)[:n]

    return spoilt


def memorised(share: float) -> Fault:
    """This share replaced by training images."""

    def spoilt(subject: Subject, n: int) -> Tensor:
        assert subject.real.train
        count = round(share * n)
        rng = generator("memorised", n)
        chosen = torch.randperm(len(subject.real.train), generator=rng)[:count]
        return torch.cat([subject.real.train.uint8(chosen), subject.fold(0, n)[count:]])

    return spoilt


FAULTS: dict[str, Fault] = {
    **{
        f"clean {i}": lambda subject, n, i=i: subject.fold(i, n)  # type: ignore[misc]
        for i in range(FOLDS)
    },
    "blur 0.5 px": blur(0.5),
    "blur 1 px": blur(1.0),
    "noise 8": noise(8),
    "noise 32": noise(32),
    "JPEG 90": jpeg(90),
    "JPEG 50": jpeg(50),
    "range 0.9": contrast(0.9),
    "range 0.5": contrast(0.5),
    "colour +8": shift(8),
    "colour +32": shift(32),
    "1 of 10 kinds dropped": dropped(1),
    "5 of 10 kinds dropped": dropped(5),
    "each twice": repeated(2),
    "each 10 times": repeated(10),
    "10 % memorised": memorised(0.1),
    "all memorised": memorised(1.0),
}


def scored(subject: Subject, fault: str, group: str) -> dict[str, list[float | None]]:
    """Value and standard error of every score but the p-values."""
    n = min(SIZES[group], len(subject.fresh) // FOLDS)
    pixels = FAULTS[fault](subject, n)
    fake = Fake(fault, lambda m: iter(pixels[:m].split(64)), count=len(pixels))
    found = {}
    for metric in GROUPS[group]:
        for score in metric.score(subject.real, fake, n):
            found[score.metric] = [round(score.value, 6), score.se and round(score.se, 6)]
    return found


def table(rows: list[dict], data: str, wanted: list[str] | None) -> str:
    """z of each fault against the clean folds, as Markdown, one line for each score."""
    names = [f for f in FAULTS if not f.startswith("clean")]
    lines = ["| score | clean | " + " | ".join(names) + " |", "| --- " * (len(names) + 2) + "|"]
    for group in GROUPS:
        own = {r["fault"]: r["scores"] for r in rows if (r["data"], r["group"]) == (data, group)}
        clean = [own[f] for f in own if f.startswith("clean")]
        for score in own.get("clean 0", {}):
            if wanted and score not in wanted:
                continue
            values = [c[score][0] for c in clean]
            middle = statistics.mean(values)
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            spread = max(spread, statistics.mean(c[score][1] or 0.0 for c in clean))
            cell = _cell
            if score.split("[")[0] in OWN_WORDS:
                cell = OWN_WORDS[score.split("[")[0]]
            cells = [cell(own.get(f, {}).get(score), middle, spread) for f in names]
            lines.append(f"| {score} | {middle:.3g} ± {spread:.2g} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(found: list[float] | None, middle: float, spread: float) -> str:
    if found is None:
        return "–"
    if spread == 0:
        return "0" if found[0] == middle else f"**{found[0]:.3g}**"
    z = (found[0] - middle) / spread
    return f"**{z:+.0f}**" if abs(z) >= 5 else f"{z:+.1f}"


def _p(found: list[float] | None, middle: float, spread: float) -> str:
    """A p-value speaks for itself."""
    if found is None:
        return "–"
    return f"**{found[0]:.3f}**" if found[0] <= 0.01 else f"{found[0]:.2f}"


def _ratio(found: list[float] | None, middle: float, spread: float) -> str:
    """A number of different images, as a share of what the clean folds have."""
    if found is None:
        return "–"
    share = found[0] / middle
    return f"**{share:.1%}**" if share < 0.2 else f"{share:.0%}"


OWN_WORDS = {f"{test}-p": _p for test in ("authenticity", "copy-test", "copied")}
OWN_WORDS["birthday"] = _ratio


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--groups", nargs="+", default=list(GROUPS))
    parser.add_argument("--scores", nargs="+")
    parser.add_argument("--table", action="store_true", help="print the table only")
    args = parser.parse_args()
    for weights in ("fid_inception_2015_12_05_pool3_fp32", "lpips_alex_fp32"):
        if not args.table:
            offer(Path(os.environ["SPARRING_TEST_DATA"]) / f"{weights}.safetensors")
    results = Results("what_notices")
    for word in args.data:
        name, _, path = word.partition("=")
        subject = None
        for group in args.groups:
            for fault in FAULTS:
                if args.table or results.done(data=name, fault=fault, group=group):
                    continue
                subject = subject or Subject.of(name, _opened(path))
                if not _fits(group, subject.real):
                    continue
                scores = scored(subject, fault, group)
                results.add(data=name, fault=fault, group=group, n=SIZES[group], scores=scores)
        print(name, table(results.rows(), name, args.scores), sep="\n")


def _fits(group: str, real: Real) -> bool:
    """Domain features need labels, and LPIPS 31 pixels."""
    if group == "domain":
        return real.train is not None and real.train.labels is not None
    return group != "perception" or min(real.shape[1:]) >= 31


def _opened(path: str) -> Images:
    """A Fashion-MNIST that is bundled, an npz, or a zip at 64 pixels, at most 10,000 images."""
    source: Source = Fashion() if not path else Npz(path=path)
    if path.endswith(".zip"):
        source = Zip(path=path)
    images = source.open((64, 64) if path.endswith(".zip") else None)
    assert isinstance(images, Images)
    return images


if __name__ == "__main__":
    main()
