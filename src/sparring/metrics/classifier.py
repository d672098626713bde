"""The domain classifier: a small network trained once per labelled data set, for its features.

The features of ImageNet's Inception say little about 28-pixel greyscale clothes; those of a
classifier of the data themselves do, as in the scores of MNIST since Salimans et al. 2016
(arXiv:1606.03498) and the stacked-MNIST test of Metz et al. 2017 (arXiv:1611.02163).
It is kept in the cache folder by the content of the data, so that everybody who scores the same
data on the same machine uses the same weights; their digest goes into every protocol.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional

from sparring.data.digest import digest
from sparring.data.source import Images
from sparring.data.split import take
from sparring.errors import DataError
from sparring.metrics.metric import Real
from sparring.randomness import generator, seeded
from sparring.storage import cache_folder

# Raise it with any change below that changes the weights: it is part of the cache's key.
VERSION = 1
WIDTH = 128
_BATCH = 64
_log = logging.getLogger("sparring")


@dataclass(frozen=True, eq=False)
class DomainClassifier:
    """A trained classifier, on the CPU and in float32 whatever trains the GAN.

    names: the classes; digest: 16 hexadecimal digits of the SHA-256 of its weights; accuracy: in
    [0, 1], on `tested` images it was not fitted on.
    """

    net: Net
    names: tuple[str, ...]
    digest: str
    accuracy: float
    tested: int

    @classmethod
    def of(cls, real: Real) -> DomainClassifier:
        """The classifier of these data, from the cache or trained now (half a minute at most).

        Raises DataError when there are no labelled images of at least two classes.
        """
        images, names = _labelled(real)
        path = cache_folder() / "classifiers" / f"{_key(real, images)}.safetensors"
        with seeded("domain classifier"):  # only to leave the global generator as it is
            net = Net(images.shape, len(names))
        known = _load(path, net)
        if known is None:
            known = _train(real, images, net)
            _save(path, net, known)
        accuracy, tested = float(known["accuracy"]), int(known["tested"])
        return cls(net, names, weights_digest(net), accuracy, tested)

    @property
    def resize(self) -> str:
        """What is done to the size of the images before the first convolution."""
        side = self.net.shrink
        return "none" if side == 1 else f"mean of {side}x{side} pixels"

    @torch.no_grad()
    def features(self, batch: Tensor) -> Tensor:
        """float32 (B, 128) >= 0, the penultimate layer, of images uint8 (B, C, H, W)."""
        if batch.dtype != torch.uint8:
            raise TypeError(f"the domain classifier reads uint8 images, not {batch.dtype}")
        with _one_thread():
            return torch.cat([self.net.features(part.cpu()) for part in batch.split(256)])

    @torch.no_grad()
    def probabilities(self, features: Tensor) -> Tensor:
        """float32 (B, classes), rows adding up to 1, of features (B, 128)."""
        return self.net.head(features).softmax(dim=1)

    @torch.no_grad()
    def classes(self, features: Tensor) -> Tensor:
        """int64 (B,), the likeliest class, of features (B, 128)."""
        return self.net.head(features).argmax(dim=1)


class Net(nn.Module):
    """Two 3x3 convolutions, each pooled by two, a ReLU layer of 128 and the classes.

    Images uint8 (B, C, H, W), shape = (C, H, W), of any size: an image is first shrunk by the whole
    number that brings its shorter side nearest to 32 pixels, which bounds the time of training.
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        channels, *sides = shape
        self.shrink = max(1, round(min(sides) / 32))
        height, width = (-(-side // self.shrink // 4) for side in sides)
        self.register_buffer("pixel_mean", torch.zeros(1, channels, 1, 1))
        self.register_buffer("pixel_std", torch.ones(1, channels, 1, 1))
        self.body = nn.Sequential(
            *_stage(channels, 32),
            *_stage(32, 64),
            nn.Flatten(),
            nn.Linear(64 * height * width, WIDTH),
            nn.ReLU(),
        ).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self.head = nn.Linear(WIDTH, classes)

    def features(self, images: Tensor, shift: tuple[int, int] = (1, 1)) -> Tensor:
        """float32 (B, 128); shift: the image moved by shift - 1 in {-1, 0, 1} pixels each way."""
        x = (images.float() - self.pixel_mean) / self.pixel_std
        if self.shrink > 1:
            x = functional.avg_pool2d(x, self.shrink, ceil_mode=True, count_include_pad=False)
        if shift != (1, 1):
            height, width = x.shape[2:]
            x = functional.pad(x, (1, 1, 1, 1), mode="replicate")
            x = x[:, :, shift[0] : shift[0] + height, shift[1] : shift[1] + width]
        return self.body(x.contiguous(memory_format=torch.channels_last))

    def forward(self, images: Tensor, shift: tuple[int, int] = (1, 1)) -> Tensor:
        """Logits float32 (B, classes)."""
        return self.head(self.features(images, shift))


def _stage(inside: int, outside: int) -> list[nn.Module]:
    # Pooling before the normalisation costs a quarter of it after, and learns as well.
    return [
        nn.Conv2d(inside, outside, 3, padding=1, bias=False),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.BatchNorm2d(outside),
        nn.ReLU(),
    ]


def weights_digest(net: nn.Module) -> str:
    """16 hexadecimal digits of the SHA-256 of a network's names and tensors, in their order."""
    sha = hashlib.sha256()
    for name, tensor in net.state_dict().items():
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        sha.update(tensor.cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()[:16]


# ------------------------------------------------------------------------------------ the data


def _labelled(real: Real) -> tuple[Images, tuple[str, ...]]:
    """The training images and the names of their classes."""
    images = real.train
    if images is None:
        raise DataError("the domain classifier needs images", where=real.name)
    if images.labels is None or len(images) == 0:
        raise DataError(
            "the domain classifier needs labelled images",
            where=real.name,
            why="these have no classes",
            fix="put the images of each class into a folder of its own",
        )
    if images.vectors:
        raise DataError(
            "the domain classifier needs one class for each image",
            where=real.name,
            why=f"these have {images.labels.shape[1]} labels each",
        )
    names = images.classes or tuple(map(str, range(int(images.labels.max()) + 1)))
    if len(images.labels.unique()) < 2:
        raise DataError(
            "the domain classifier needs two classes", where=real.name, why="there is only one"
        )
    return images, names


def _key(real: Real, images: Images) -> str:
    """What decides the weights and their accuracy, as the name of a file."""
    tested = real.held_out
    parts = (VERSION, _digest(images), "" if tested is None else _digest(tested))
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]


def _digest(images: Images) -> str:
    return images.digest or digest(images.pixels, images.labels)


# -------------------------------------------------------------------------------- the training


def _train(real: Real, images: Images, net: Net) -> dict[str, str]:
    """Fits the network in place; returns what is known of it: accuracy, tested, digest."""
    _log.info("training the domain classifier once for this data set (%s)", real.name)
    key = _key(real, images)
    if real.held_out is not None and real.held_out.labels is not None and len(real.held_out):
        tested = real.held_out
    else:
        order = torch.randperm(len(images), generator=generator("domain classifier split", key))
        out, fit = order.tensor_split([max(1, len(images) // 10)])
        tested, images = take(images, out), take(images, fit)
    with seeded("domain classifier", key), _one_thread(), torch.enable_grad():
        _initialise(net, images)
        _fit(net, images, generator("domain classifier batches", key))
    net.eval().requires_grad_(False)
    accuracy = _accuracy(net, tested)
    _log.info("domain classifier: %.1f %% right of %d images", 100 * accuracy, len(tested))
    return {"accuracy": repr(accuracy), "tested": str(len(tested)), "digest": weights_digest(net)}


@contextmanager
def _one_thread() -> Iterator[None]:
    """The same weights however many cores there are; and beside other work on the same cores,
    where threads that wait for each other took ten times as long, the same time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@torch.no_grad()
def _accuracy(net: Net, tested: Images) -> float:
    """The share of images, in [0, 1], whose class is the likeliest."""
    assert tested.labels is not None
    right = 0
    for rows in torch.arange(len(tested)).split(256):
        guesses = net(tested.uint8(rows)).argmax(dim=1)
        right += int((guesses == tested.labels[rows]).sum())
    return right / len(tested)


def _initialise(net: Net, images: Images) -> None:
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear, nn.BatchNorm2d)):
            module.reset_parameters()
    some = images.uint8(slice(None, None, max(1, len(images) // 1000))).double()
    net.pixel_mean.copy_(some.mean(dim=(0, 2, 3))[None, :, None, None])
    net.pixel_std.copy_(some.std(dim=(0, 2, 3)).clamp_min(1)[None, :, None, None])


def _fit(net: Net, images: Images, rng: torch.Generator) -> None:
    """AdamW and one cycle of the rate over four epochs, within 25,000 to 80,000 images."""
    assert images.labels is not None
    steps = min(max(4 * len(images), 25_000), 80_000) // _BATCH
    epochs = -(-steps * _BATCH // len(images))
    order = torch.cat([torch.randperm(len(images), generator=rng) for _ in range(epochs)])
    shifts = torch.randint(3, (steps, 2), generator=rng).tolist()
    optimiser = torch.optim.AdamW(net.parameters(), betas=(0.9, 0.99), weight_decay=0.01)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps, pct_start=0.2)
    net.train().requires_grad_(True)
    for rows, shift in zip(order.split(_BATCH), shifts):
        logits = net(images.uint8(rows), tuple(shift))
        loss = functional.cross_entropy(logits, images.labels[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        cycle.step()


# ------------------------------------------------------------------------------------- the file


def _load(path: Path, net: Net) -> dict[str, str] | None:
    """Fills the network from the cache; None when there is no file, or none that verifies."""
    if not path.is_file():
        return None
    try:
        with safetensors.safe_open(path, "pt") as file:
            known = file.metadata() or {}
            net.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
        if known.get("digest") != weights_digest(net) or not {"accuracy", "tested"} <= set(known):
            raise ValueError("its digest does not match")
    except (OSError, ValueError, KeyError, RuntimeError, safetensors.SafetensorError) as e:
        reason = " ".join(str(e).split())[:120]
        _log.warning("the cached domain classifier %s does not verify: %s", path, reason)
        return None
    net.eval().requires_grad_(False)
    return known


def _save(path: Path, net: Net, known: dict[str, str]) -> None:
    """Writes the whole file or nothing; a cache one cannot write costs time, not the score."""
    tensors = {name: t.contiguous() for name, t in net.state_dict().items()}
    content = safetensors.torch.save(tensors, {**known, "version": str(VERSION)})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            draft = Path(folder) / path.name
            with draft.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, path)
    except OSError as e:
        _log.warning("the domain classifier is not kept: %s", e)
