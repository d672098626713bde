"""The images that come with the package."""

from __future__ import annotations

from importlib import resources
from typing import ClassVar

import numpy as np

from sparring.data.arrays import images
from sparring.data.source import Images, Source

CLASSES = (
    "t-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle-boot",
)


class Fashion(Source):
    """The 10,000 grey 28 x 28 test images of Fashion-MNIST in ten classes, bundled.

    Not mirrored: shoes all point the same way.
    """

    paper: ClassVar[str] = "Xiao, Rasul, Vollgraf 2017, Fashion-MNIST, arXiv:1708.07747"

    def open(self, size: tuple[int, int] | None = None) -> Images:
        """Images (10000, 1, 28, 28) with labels, or resized to `size`."""
        bundled = resources.files("sparring.data") / "fashion-mnist-test.npz"
        with bundled.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            pixels, labels = arrays["images"], arrays["labels"]
        return images(pixels, (labels, CLASSES), "the bundled Fashion-MNIST", size)
