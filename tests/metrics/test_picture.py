"""Pictures of evidence: what is where, within their budget."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from sparring.data import Ring
from sparring.errors import DataError
from sparring.metrics import Fake, Real
from sparring.metrics.picture import picture, samples
from sparring.randomness import generator


def opened(found: dict) -> tuple[np.ndarray, str]:
    kind, data = found["image"].split(";base64,")
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    assert (image.width, image.height) == (found["width"], found["height"])
    return np.asarray(image), kind


def noise(n: int, c: int, side: int) -> torch.Tensor:
    return torch.randint(256, (n, c, side, side), generator=generator("p")).to(torch.uint8)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_images_are_where_they_belong(channels: int) -> None:
    x = noise(3, channels, 12)
    array, kind = opened(picture([[x[0], x[1]], [None, x[2]]], ("a", "b"), "c"))
    assert kind == "data:image/png"
    wanted = x.permute(0, 2, 3, 1).numpy()
    wanted = wanted if channels == 3 else wanted[..., 0]
    assert (array[:12, :12] == wanted[0]).all()
    assert (array[:12, 16:28] == wanted[1]).all()
    assert (array[16:28, :12] == 255).all()
    assert (array[16:28, 16:28] == wanted[2]).all()


def test_large_pictures_are_made_small() -> None:
    x = noise(24, 3, 256)
    found = picture([list(x[3 * i : 3 * i + 3]) for i in range(8)], ("a", "b", "c"), "d")
    array, kind = opened(found)
    assert kind == "data:image/webp"
    assert array.shape[:2] == (8 * 90, 3 * 90)  # 256 by whole thirds, and the gap
    assert len(found["image"]) < 120_000


def test_samples_come_in_the_order_asked_for() -> None:
    x = noise(30, 1, 4)
    fake = Fake("a test", lambda n: iter(x[:n].split(7)))
    real = Real("points", points=Ring().open())
    with pytest.raises(DataError, match="do not compare"):
        samples(fake, real, [3])
    from sparring.data import Images

    found = samples(fake, Real("images", train=Images(x)), [20, 3, 3, 29])
    assert (torch.stack(found) == x[[20, 3, 3, 29]]).all()
