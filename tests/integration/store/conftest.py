from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from loading_kit import Loader, close_kept, opened
from store_kit import NOW, Bench, close_kept_bench, kept_bench, parcels

from batchflow.definition.retry import Retry
from batchflow.definition.workflow import Workflow
from batchflow.store import Store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "parcels.duckdb"


@pytest.fixture
def open_bench(path: Path) -> Iterator[Callable[..., Bench]]:
    """Open a store with one workflow; each is closed at the end of the test."""
    opened: list[Store] = []

    def open_one(workflow: Workflow[Any, Any] | None = None, at: Path | str = path) -> Bench:
        known = workflow or parcels()
        store = Store.open(at, [known], clock=lambda: NOW)
        opened.append(store)
        return Bench(store, known)

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Return an empty store in memory, which other tests use too.

    A test that closes it, changes its tables or triggers single runs opens one of its own.
    """
    with kept_bench() as found:
        yield found


@pytest.fixture
def file_bench(open_bench: Callable[..., Bench]) -> Bench:
    return open_bench()


@pytest.fixture(scope="session", autouse=True)
def _closed_at_the_end() -> Iterator[None]:
    yield
    close_kept()
    close_kept_bench()


@pytest.fixture
def loader() -> Iterator[Loader]:
    with opened() as found:
        yield found


@pytest.fixture
def never_retried() -> Retry:
    return Retry(pause_after=1)
