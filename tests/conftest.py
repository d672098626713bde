"""Real data for the tests that need them, from the folder that SPARRING_TEST_DATA names."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest

_VARIABLE = "SPARRING_TEST_DATA"


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real data."""
    if not os.environ.get(_VARIABLE):
        pytest.skip(f"{_VARIABLE} is not set")
    return Path(os.environ[_VARIABLE])


@pytest.fixture(autouse=True)
def no_downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test fetches weights, except from a server of its own."""
    from sparring.metrics import weights

    fetch = weights._fetch

    def local(file: weights.File, path: Path) -> None:
        if not file.url.startswith("http://127.0.0.1"):
            raise OSError("no network in tests")
        fetch(file, path)

    monkeypatch.setattr(weights, "_fetch", local)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where the data are said to be, a test on real data that is skipped has failed."""
    report = yield
    skipped = report.skipped and not hasattr(report, "wasxfail")
    if skipped and os.environ.get(_VARIABLE) and item.get_closest_marker("realdata"):
        report.outcome = "failed"
        report.longrepr = f"skipped although {_VARIABLE} is set: {report.longrepr}"
    return report
