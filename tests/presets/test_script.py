"""A user's own Python file: what happens when two have one name."""

from __future__ import annotations

import pytest

from sparring.errors import RecipeError
from sparring.presets import load_parts


def test_two_files_of_parts_with_one_name(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same_name.py").write_text("X = 1\n")
    load_parts(tmp_path / "a" / "same_name.py")
    load_parts(tmp_path / "a" / "same_name.py")
    with pytest.raises(RecipeError, match="two files of parts"):
        load_parts(tmp_path / "b" / "same_name.py")
