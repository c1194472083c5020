"""Fixtures for all tests; this file also puts `tests`, and so the package `kit`, on the path."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

WITHOUT_PANDAS = str(Path(__file__).with_name("kit") / "without_pandas")
MEMORY = Path("/dev/shm")
MEMORY_BYTES = 4 * 1024**3


def pytest_configure() -> None:
    """Keep the files of tests in memory, where a commit needn't wait for a disk."""
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > MEMORY_BYTES:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect tests without the garbage collector, and let it never look at them later.

    All of it stays. Looking through it takes as long as collecting.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _no_pandas_in_children() -> Iterator[None]:
    """Start processes as with the core dependencies alone, which takes them half as long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", WITHOUT_PANDAS, prepend=os.pathsep)
        # Some tests give their processes this path as PYTHONPATH.
        patch.syspath_prepend(WITHOUT_PANDAS)
        yield


@pytest.fixture
def pandas_in_children(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the processes of this test import pandas."""
    others = os.environ["PYTHONPATH"].split(os.pathsep)
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join(each for each in others if each != WITHOUT_PANDAS)
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a store that doesn't exist yet."""
    return tmp_path / "things.duckdb"
