"""Real data for the tests that need them, from the folder that SPARRING_TEST_DATA names."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

_VARIABLE = "SPARRING_TEST_DATA"


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real data."""
    if not os.environ.get(_VARIABLE):
        pytest.skip(f"{_VARIABLE} is not set")
    return Path(os.environ[_VARIABLE])


@pytest.fixture(scope="session", autouse=True)
def _alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test, nor a process that it starts, fetches weights or sees the user's own cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARRING_OFFLINE", "1")
        patch.setenv("SPARRING_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


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
