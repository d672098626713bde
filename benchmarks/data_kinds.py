"""A picture of each kind of data, read by sparring's own sources from files made here.

`python benchmarks/data_kinds.py` writes docs/pictures/data-*.png. All of it is synthetic, bundled
(Fashion-MNIST) or comes with scikit-learn (digits).
"""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from PIL import Image
from record import HERE

from sparring.data import (
    Folder,
    Images,
    Moons,
    Npz,
    Points,
    Ring,
    Shards,
    Source,
    SwissRoll,
    source,
)
from sparring.randomness import generator
from sparring.sample import grid

OUT = HERE.parent / "docs" / "pictures"


def disc(size: tuple[int, int], radius: float, square: bool, rng: np.random.Generator):
    """bool (h, w): a disc or a square somewhere."""
    height, width = size
    at = rng.uniform(0.3, 0.7, 2) * size
    y, x = np.mgrid[:height, :width] - at[:, None, None]
    return (np.maximum(abs(x), abs(y)) if square else np.hypot(x, y)) < radius


def coloured(size: tuple[int, int], i: int, rng: np.random.Generator) -> np.ndarray:
    """uint8 (h, w, 3): discs are warm, squares cold; 0.1 to 0.4 of the height in radius."""
    inside = disc(size, size[0] * (0.1 + 0.3 * (i % 16) / 15), i % 2 == 1, rng)
    ground, colour = rng.integers(0, 60, 3), rng.integers(120, 255, 3)
    colour[2 if i % 2 == 0 else 0] //= 4
    return np.where(inside[..., None], colour, ground).astype(np.uint8)


def folder(path: Path, rng: np.random.Generator) -> Source:
    for i in range(32):
        file = path / ("square" if i % 2 else "disc") / f"{i:02}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(coloured((32, 32), i, rng)).save(file)
    return Folder(path=str(path))


def labels(path: Path, rng: np.random.Generator) -> Source:
    path.mkdir()
    rows = ["file,radius,square"]
    for i in range(32):
        Image.fromarray(coloured((32, 32), i, rng)).save(path / f"{i:02}.png")
        rows.append(f"{i:02}.png,{(i % 16) / 15:.3f},{i % 2}")
    (path / "labels.csv").write_text("\n".join(rows))
    return Folder(path=str(path))


def shards(path: Path, rng: np.random.Generator) -> Source:
    path.mkdir()
    for s in range(2):
        with tarfile.open(path / f"train-{s}.tar", "w") as tar:
            for i in range(16 * s, 16 * s + 16):
                buffer = io.BytesIO()
                Image.fromarray(coloured((32, 32), i, rng)).save(buffer, "PNG")
                label = json.dumps({"label": "square" if i % 2 else "disc"}).encode()
                for name, content in ((f"{i}.png", buffer.getvalue()), (f"{i}.json", label)):
                    info = tarfile.TarInfo(name)
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
    return Shards(path=str(path), keep="stream")


def alpha(path: Path, rng: np.random.Generator) -> Source:
    path.mkdir()
    for i in range(32):
        inside = disc((32, 32), 11, i % 2 == 1, rng)
        pixels = np.dstack([coloured((32, 32), 0, rng), inside * 255]).astype(np.uint8)
        pixels[..., :3] = rng.integers(90, 255, 3)
        Image.fromarray(pixels).save(path / f"{i:02}.png")
    return Folder(path=str(path), channels="rgba")


def deep(path: Path, rng: np.random.Generator) -> Source:
    path.mkdir()
    for i in range(32):
        y, x = np.mgrid[:32, :32]
        values = (x + y * rng.uniform(0, 1) + rng.uniform(0, 32)) * 700
        Image.fromarray(values.clip(0, 65535).astype(np.uint16)).save(path / f"{i:02}.png")
    return Folder(path=str(path), range=(0, 65535))


def channels(count: int):
    def make(path: Path, rng: np.random.Generator) -> Source:
        kinds = [(2 + c, c % 2 == 1) for _ in range(12) for c in range(count)]
        x = np.stack([disc((24, 24), radius, square, rng) for radius, square in kinds])
        x = x.reshape(12, count, 24, 24).transpose(0, 2, 3, 1).astype(np.uint8)
        np.savez(path, x=x * 255)
        return Npz(path=f"{path}.npz")

    return make


def shape(height: int, width: int):
    def make(path: Path, rng: np.random.Generator) -> Source:
        x = np.stack([coloured((height, width), i, rng) for i in range(12)])
        np.savez(path, x=x)
        return Npz(path=f"{path}.npz")

    return make


KINDS = {
    "class-folders": folder,
    "labels": labels,
    "shards": shards,
    "alpha": alpha,
    "16-bit": deep,
    "2-channels": channels(2),
    "8-channels": channels(8),
    "64x256": shape(64, 256),
    "48x36": shape(48, 36),
    "fashion": lambda path, rng: source("fashion"),
    "digits": lambda path, rng: source("digits"),
    "moons": lambda path, rng: Moons(),
    "swiss-roll": lambda path, rng: SwissRoll(),
    "ring": lambda path, rng: Ring(sigma=0.05),
}


def draw(data: Images | Points, file: Path) -> None:
    if isinstance(data, Images):
        n = min(len(data), 32 if max(data.shape[1:]) <= 32 else 12)
        picture = grid(
            data.uint8(torch.arange(n)), columns=8 if n == 32 else 4 if n == 12 else None
        )
        picture.save(file, optimize=True)
        return
    low, high = (end.numpy() + sign * 5 * data.sigma for end, sign in zip(data.ends, (-1, 1)))
    axes = [torch.linspace(a, b, 160, dtype=torch.float64) for a, b in zip(low, high)]
    density = data.log_density(torch.cartesian_prod(*axes)).exp().view(160, 160)
    points = data.sample(400, generator("picture"))
    figure, ax = plt.subplots(figsize=(2.6, 2.4), dpi=90)
    extent = (low[0], high[0], low[1], high[1])
    ax.imshow(density.T, origin="lower", extent=extent, cmap="Greys", aspect="equal")
    ax.plot(*points.T, ".", markersize=1.6, color="tab:orange")
    ax.set_axis_off()
    figure.tight_layout(pad=0.2)
    figure.savefig(file)
    plt.close(figure)


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        for name, make in KINDS.items():
            part = make(Path(place) / name, np.random.default_rng(0))
            data = part.open()
            draw(data, OUT / f"data-{name}.png")
            print(name, part, data.shape, getattr(data, "classes", ""))
