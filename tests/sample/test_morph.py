"""Walks through latent space, and what a notebook shows of a run and its model."""

from __future__ import annotations

import base64
import io
import math
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from sparring.errors import RecipeError
from sparring.nets import Generator, Spec
from sparring.runs import Run
from sparring.sample import Model, save_morph, to_uint8
from sparring.sample.morph import plane, slerp, straight, walk


class Shades(Generator):
    """A grey image as bright as its latent is long."""

    latent = 6

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        return (z.norm(dim=1) / 4 - 1).clamp(-1, 1).view(-1, 1, 1, 1).expand(-1, 1, 4, 5)


@pytest.fixture
def model() -> Model:
    return Model(Shades(), Spec((1, 4, 5)))


def test_the_two_ways_between_latents() -> None:
    a, b = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    torch.testing.assert_close(straight(a, b, 0.5), torch.tensor([[1.0, 1.0]]))
    torch.testing.assert_close(slerp(a, b, 0.5), torch.full((1, 2), math.sqrt(2)))
    angle = math.pi / 6
    expected = 2 * torch.tensor([[math.cos(angle), math.sin(angle)]])
    torch.testing.assert_close(slerp(a, b, 1 / 3), expected)
    for way in (slerp, straight):
        torch.testing.assert_close(way(a, b, 0.0), a)
        torch.testing.assert_close(way(a, b, 1.0), b)


def test_a_linear_walk_is_darker_between_its_stops(model: Model) -> None:
    curved, line = (walk(model, stops=3, frames=4, path=p) for p in ("spherical", "linear"))
    assert torch.equal(curved[::4], line[::4])  # the stops are the same samples
    assert (line <= curved).all()
    assert (line[2] < curved[2]).any()


def test_a_plane_has_samples_in_its_corners(model: Model) -> None:
    square = plane(model, side=5, seed=3).unflatten(0, (5, 5))
    corners = to_uint8(model.make(model.noise(4, 3)))
    got = torch.stack([square[0, 0], square[0, -1], square[-1, 0], square[-1, -1]])
    assert (got.int() - corners.int()).abs().max() <= 1
    middle = slerp(*model.noise(4, 3)[[0, 1]].split(1), 0.5)
    expected = to_uint8(model.make(middle))[0]
    assert (square[0, 2].int() - expected.int()).abs().max() <= 1


@pytest.mark.parametrize("path", ["spherical", "linear"])
@pytest.mark.parametrize("ending", ["gif", "webp", "png"])
def test_morphs_are_files(model: Model, path: str, ending: str, tmp_path: Path) -> None:
    out = tmp_path / "new" / f"a.{ending}"
    save_morph(model, out, path=path, stops=3, frames=4)
    with Image.open(out) as picture:
        if ending == "png":
            assert picture.size == (11 * 7 - 2, 8 * 6 - 2)
        else:
            assert getattr(picture, "n_frames", 1) == 12
            picture.seek(11)


@pytest.mark.parametrize(
    ("options", "match"),
    [({"path": "linaer"}, "did you mean 'linear'"), ({"stops": 1}, "two stops")],
)
def test_a_morph_that_cannot_be(
    options: dict[str, object], match: str, model: Model, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=match):
        save_morph(model, tmp_path / "a.gif", **options)  # pyright: ignore[reportArgumentType]


# ---------------------------------------------------------------------------------------- notebooks


def test_a_notebook_shows_a_grid_of_a_model(model: Model) -> None:
    data = model._repr_png_()
    assert data
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.size == (5 * 7 - 2, 4 * 6 - 2) or picture.size == (4 * 7 - 2, 4 * 6 - 2)
    assert Model(Shades(), Spec((2,)))._repr_png_() is None


def test_a_notebook_shows_a_run(tmp_path: Path) -> None:
    folder = tmp_path / "<b>"
    (folder / "samples").mkdir(parents=True)
    run = Run(folder)
    assert ElementTree.fromstring(run._repr_html_()).tag == "div"  # nothing there yet
    for images, shade in ((64, 0), (128, 200)):
        picture = Image.fromarray(np.full((4, 4), shade, np.uint8))
        picture.save(folder / "samples" / f"{images:09d}.png")
    run.add("stats", {"images": 128})
    row = {"metric": "fid<", "images": 64, "value": 3.0, "se": None}
    run.add("scores", row)
    run.add("scores", {**row, "images": 128, "value": 2.0, "se": 0.25})
    shown = ElementTree.fromstring(run._repr_html_())
    assert "2 ± 0.25" in "".join(shown.itertext())
    assert "fid<" in "".join(shown.itertext())
    (img,) = shown.iter("img")
    last = (folder / "samples" / "000000128.png").read_bytes()
    assert base64.b64decode((img.get("src") or "").split(",")[1]) == last
    assert repr(run) == f"Run({str(folder)!r})"


class Clear(Shades):
    """Black images that nobody sees."""

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        return -torch.ones(len(z), 4, 4, 5)


def test_a_gif_has_white_behind_what_is_transparent(tmp_path: Path) -> None:
    save_morph(Model(Clear(), Spec((4, 4, 5))), tmp_path / "a.gif", stops=2, frames=1)
    with Image.open(tmp_path / "a.gif") as picture:
        assert picture.convert("RGB").getextrema() == ((255, 255),) * 3
