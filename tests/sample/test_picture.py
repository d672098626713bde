"""What samples become on disk."""

from __future__ import annotations

import pytest
import torch

from sparring.errors import RecipeError
from sparring.sample import save_samples

X = torch.linspace(-1, 1, 4 * 3 * 8 * 8).view(4, 3, 8, 8)


def test_a_folder_that_holds_anything_is_refused(tmp_path):
    save_samples(X, tmp_path / "new")
    assert len(list((tmp_path / "new").glob("*.png"))) == 4
    with pytest.raises(RecipeError, match="is not empty"):
        save_samples(X[:1], tmp_path / "new")
    (tmp_path / "empty").mkdir()
    save_samples(X, tmp_path / "empty")


def test_each_class_has_a_folder_of_its_own_inside(tmp_path):
    names = ("..", "a/b", "a:b", "plain one")
    save_samples(X, tmp_path / "in/out", torch.arange(4), names, by_class=True)
    found = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.png"))
    assert found == [
        "in/out/0-../000000.png",
        "in/out/2-a_b/000002.png",
        "in/out/a_b/000001.png",
        "in/out/plain one/000003.png",
    ]
