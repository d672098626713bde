"""Resident memory against the size of the set: decoded images in memory, in a file, or nowhere.

Each run is a process of its own that opens a simulated folder of N images, 32 x 32 in colour, holds
out a part and reads 200 batches of 64. Files and decoder are simulated: what is measured is memory,
and its time would be that of the decoder. `python benchmarks/memory.py` measures, resumes where it
was, and draws docs/pictures/memory.png.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, cast

import numpy as np
from record import HERE, Results

from sparring.data import listing, pixels, split, take
from sparring.data.decode import Facts, Form, Header
from sparring.data.files import Files
from sparring.data.listing import Listing
from sparring.training.feed import Feed

SIDE = 32
Keep = Literal["memory", "cache", "stream"]
SIZES: dict[Keep, tuple[int, ...]] = {
    "memory": (1_000, 10_000, 100_000, 300_000),
    "cache": (1_000, 10_000, 100_000, 1_000_000),
    "stream": (1_000, 10_000, 100_000, 1_000_000),
}


class Simulated(Files):
    """Images that exist only when they are opened: a header and noise, another for each number."""

    n: int = 1000

    @contextmanager
    def listing(self):
        noise = np.random.default_rng(0).integers(0, 256, 4 * 3 * SIDE**2, np.uint8).tobytes()

        def image(i: int) -> io.BytesIO:
            start = i * 7919 % (3 * 3 * SIDE**2)
            return io.BytesIO(noise[start : start + 3 * SIDE**2])

        names = tuple(f"{i:07}.ppm" for i in range(self.n))
        yield Listing(where="simulated", names=names, open=image, stamp=str)


def header(file: io.BytesIO, ranged: bool = False) -> Header:
    return Header(SIDE, SIDE, False)


def decode(file: io.BytesIO, ending: str, form: Form) -> tuple[np.ndarray, Facts]:
    pixels = np.frombuffer(file.read(), np.uint8).reshape(SIDE, SIDE, 3)
    return pixels, Facts("PPM", "RGB", SIDE, SIDE, ())


def memory() -> dict[str, float]:
    """Megabytes of this process: its own (anonymous), of mapped files, and the peak of both."""
    rows = dict(r.split(":", 1) for r in Path("/proc/self/status").read_text().splitlines())
    return {k: int(rows[k].split()[0]) / 1024 for k in ("RssAnon", "RssFile", "VmHWM")}


def one(keep: Keep, n: int) -> dict[str, float]:
    listing.header, pixels.decode = header, decode  # pyright: ignore
    before, start = memory(), time.perf_counter()
    images = Simulated(n=n, keep=keep).open((SIDE, SIDE))
    opened = time.perf_counter() - start
    feed = Feed(take(images, split(len(images))[0]), batch=64, seed=0)
    start, peak = time.perf_counter(), 0.0
    for turn in range(200):
        feed(turn)
        if turn % 10 == 0:
            now = memory()
            peak = max(peak, now["RssAnon"] + now["RssFile"])
    rate = 200 * 64 / (time.perf_counter() - start)
    return {
        "before": before["RssAnon"] + before["RssFile"],
        "training": peak,
        "peak": memory()["VmHWM"],
        "open_seconds": opened,
        "img_per_s": rate,
    }


def measure() -> None:
    results = Results("memory")
    for keep, sizes in SIZES.items():
        for n in sizes:
            if results.done(keep=keep, n=n):
                continue
            with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as cache:
                environment = os.environ | {"SPARRING_CACHE": cache}
                rows = []
                # A second start of the cache finds its file; it is the one that trains.
                for _ in range(2 if keep == "cache" else 1):
                    done = subprocess.run(
                        [sys.executable, __file__, keep, str(n)],
                        env=environment,
                        capture_output=True,
                        text=True,
                        check=True,
                    )
                    rows.append(_numbers(done.stdout))
            first = {"first_" + k: v for k, v in rows[0].items()} if rows[1:] else {}
            results.add(keep=keep, n=n, pixel_mb=n * 3 * SIDE**2 / 2**20, **first, **rows[-1])


def _numbers(text: str) -> dict[str, float]:
    return {k: float(v) for k, v in (line.split() for line in text.splitlines())}


def draw() -> None:
    import matplotlib.pyplot as plt

    rows = Results("memory").rows()
    looks = {"memory": ("o-", "in memory"), "cache": ("s--", "in a file of the cache")}
    looks["stream"] = ("^:", "nowhere (stream)")
    figure, axes = plt.subplots(figsize=(6.4, 3.8), dpi=110)
    for keep, (look, name) in looks.items():
        found = sorted((r["n"], r["peak"] - r["before"]) for r in rows if r["keep"] == keep)
        axes.plot(*zip(*found), look, label=name)
    n = sorted({r["n"] for r in rows})
    axes.plot(n, [i * 3 * SIDE**2 / 2**20 for i in n], color="0.7", label="the pixels themselves")
    axes.set(xscale="log", yscale="log", xlabel="images (32 x 32, colour)")
    axes.set_ylabel("peak of resident memory, MB")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(HERE.parent / "docs" / "pictures" / "memory.png")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        keep = cast(Keep, sys.argv[1])  # one of SIZES: `measure` starts it so
        for key, value in one(keep, int(sys.argv[2])).items():
            print(key, value)
    else:
        measure()
        draw()
