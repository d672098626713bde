"""Every example runs, in seconds, as the page says: `python examples/NAME.py`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sparring.runs import open_run

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_makes_a_run(path: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(path)],
        cwd=tmp_path,
        env={**os.environ, "SPARRING_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    run = open_run(tmp_path / "runs" / path.stem.replace("_", "-"))
    assert done.stdout.startswith(f"{run.path.relative_to(tmp_path)}: ")
    assert run.report.exists()
    assert run.stats()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_short_and_needs_public_names_only(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 55
    assert "from sparring" not in text


def test_there_are_three_examples() -> None:
    assert [path.stem for path in EXAMPLES] == ["own_data", "own_loss", "own_network"]
