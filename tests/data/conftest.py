"""Image files for the tests to read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """write(name, value=.., size=(height, width), grey=False): a flat image below tmp_path."""

    def one(
        name: str, value: int = 0, size: tuple[int, int] = (32, 32), grey: bool = False
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = size if grey else (*size, 3)
        Image.fromarray(np.full(shape, value, np.uint8)).save(path)
        return path

    return one
