"""A user's own Python file: what happens when two have one name."""

from __future__ import annotations

import pytest

from sparring.errors import RecipeError
from sparring.presets import load_parts, preset


def test_two_files_of_parts_with_one_name(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same_name.py").write_text("X = 1\n")
    load_parts(tmp_path / "a" / "same_name.py")
    load_parts(tmp_path / "a" / "same_name.py")
    with pytest.raises(RecipeError, match="two files of parts"):
        load_parts(tmp_path / "b" / "same_name.py")


def test_a_function_that_is_not_there_or_makes_no_recipe(tmp_path):
    """What the file imports is none of its functions."""
    file = tmp_path / "my_presets.py"
    file.write_text("from math import sqrt\n\n\ndef small():\n    return 3\n")
    says = r"no function 'smal', did you mean 'small'\? Its functions are small. Fix: .*py:small"
    with pytest.raises(RecipeError, match=says):
        preset(f"{file}:smal", None, "cpu")
    with pytest.raises(RecipeError, match=r"returns 3, which is no Recipe. Fix: return a sparring"):
        preset(f"{file}:small", None, "cpu")
