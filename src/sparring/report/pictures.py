"""Pictures small enough to live inside a page."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from sparring.data import Images
from sparring.randomness import generator
from sparring.report.markup import image
from sparring.sample import Model, grid
from sparring.sample.morph import walk

_LOOKED = 500_000_000


def embed(picture: Image.Image, budget: int, alt: str, more: str = "") -> str:
    """A picture as HTML in about `budget` bytes: PNG where that fits, else WebP."""
    data, kind = _png(picture), "png"
    if len(data) > budget:
        data, kind = _within([picture], budget), "webp"
    return image(data, kind, alt, picture.width, picture.height, more)


def embed_file(file: Path, budget: int, alt: str, more: str = "") -> str:
    """The same for a PNG file, which is taken as it is where it fits. OSError if it is damaged."""
    data = file.read_bytes()
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        if len(data) <= budget:
            return image(data, "png", alt, picture.width, picture.height, more)
        return image(_within([picture], budget), "webp", alt, picture.width, picture.height, more)


def reals(train: Images, n: int, seed: int) -> Tensor:
    """n images drawn from the training split, uint8 (n, C, H, W)."""
    order = torch.randperm(len(train), generator=generator("report", "reals", seed))
    return train.uint8(order[:n]).cpu()


def neighbours(train: Images, x: Tensor, k: int, seed: int) -> tuple[Tensor, int]:
    """The k images nearest to each x uint8 (n, C, H, W) in pixels, (n, k, C, H, W), nearest first;
    and among how many they were looked for: all, or as many as 500 MB of pixels are."""
    most = max(k, min(len(train), _LOOKED // max(1, x[0].numel())))
    order = torch.randperm(len(train), generator=generator("report", "nearest", seed))[:most]
    flat = x.flatten(1).float()
    distances = []
    for block in order.sort().values.split(1024):
        y = train.uint8(block).flatten(1).float()
        distances.append(torch.cdist(flat, y))
    best = torch.cat(distances, 1).topk(k, largest=False).indices
    index = order.sort().values[best.flatten()]
    # A file is read row by row in the order that is asked for.
    return train.uint8(index).cpu().unflatten(0, best.shape), most


def how_many(shape: tuple[int, ...]) -> int:
    """Images in a grid: as many as training draws."""
    return 64 if max(shape[1:]) <= 64 else 36


def morph(model: Model, budget: int, seed: int) -> tuple[bytes, Image.Image]:
    """An animated WebP of closed walks through latent space, and its first frame."""
    side = max(model.spec.shape[1:])
    tracks, columns = (12, 6) if side <= 64 else (6, 3) if side <= 128 else (3, 3)
    stops, between = 4, 8
    steps = walk(model, stops=stops, frames=between, tracks=tracks, seed=seed)
    frames = [grid(step, columns=columns) for step in steps]
    return _within(frames, budget), frames[0]


def _within(frames: list[Image.Image], budget: int) -> bytes:
    """The frames as WebP of at most `budget` bytes, coarser and then smaller until they fit."""
    scale = min(1.0, 1000 / max(frames[0].size))
    while True:
        width, height = (max(1, round(side * scale)) for side in frames[0].size)
        sized = [f.resize((width, height), Image.Resampling.BOX) for f in frames]
        for quality in (80, 55):
            data = _webp(sized, quality)
            if len(data) <= budget or max(width, height) <= 64:
                return data
        scale *= 0.7


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def _webp(frames: list[Image.Image], quality: int) -> bytes:
    buffer = io.BytesIO()
    ready = [f if f.mode in ("RGB", "RGBA") else f.convert("RGB") for f in frames]
    more = {"save_all": True, "append_images": ready[1:], "duration": 110, "loop": 0}
    ready[0].save(buffer, "WEBP", quality=quality, method=2, **(more if len(ready) > 1 else {}))
    return buffer.getvalue()
