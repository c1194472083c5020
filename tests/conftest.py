"""Fixtures for all tests; this file also puts `tests`, and so the package `kit`, on the path."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a store that doesn't exist yet."""
    return tmp_path / "things.duckdb"
