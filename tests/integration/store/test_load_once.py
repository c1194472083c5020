"""With ``once``, a foreign id that was ever loaded starts no other run."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from loading_kit import NOW, Loader

from batchflow.errors import ConflictError
from batchflow.operation.requests import Prune
from batchflow.store.runs.prune import prune

LATER = NOW + timedelta(days=2)


@pytest.fixture(params=["parquet", "table"])
def source_of(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    def make(*names: str) -> Any:
        table = pa.table({"name": names, "price": [1.0] * len(names)})
        if request.param == "table":
            return table
        path = tmp_path / f"{'-'.join(names)}.parquet"
        pq.write_table(table, path)
        return path

    return make


def prune_finished(loader: Loader, **options: Any) -> int:
    request = Prune(finished_before=timedelta(days=1), **options)
    return prune(loader.connection, [loader.layout], request, LATER).runs


def test_finished_and_pruned_runs_are_not_started_again(loader: Loader, source_of: Any) -> None:
    loader.load(source_of("pruned", "finished", "waiting"))
    loader.finish("name = 'pruned'")
    assert prune_finished(loader) == 1
    loader.finish("name = 'finished'")

    report = loader.load(source_of("waiting", "new", "finished", "pruned"), once=True)

    assert (report.loaded, report.skipped_loaded, report.skipped_conflicts) == (1, 3, 0)
    assert loader.column("foreign_id") == ["finished", "waiting", "new"]
    assert "3 rows, because their foreign ids were loaded before" in str(report)


def test_rows_that_once_skips_are_not_rejected(loader: Loader, source_of: Any) -> None:
    loader.load(source_of("a"))

    report = loader.load(source_of("a", "b", "b"), once=True)

    assert (report.loaded, report.skipped_loaded, report.skipped_conflicts) == (1, 1, 1)
    kept = loader.query("SELECT foreign_id, reason FROM batchflow.rejected")
    assert kept == [{"foreign_id": "b", "reason": "duplicate"}]


def test_rows_that_once_skips_are_no_conflict(loader: Loader, source_of: Any) -> None:
    loader.load(source_of("a"))

    assert loader.load(source_of("a", "b"), once=True, on_conflict="error").loaded == 1
    with pytest.raises(ConflictError):
        loader.load(source_of("c", "c"), once=True, on_conflict="error")


def test_a_dry_prune_keeps_no_id(loader: Loader, source_of: Any) -> None:
    loader.load(source_of("a"))
    loader.finish("true")

    prune_finished(loader, dry_run=True)

    assert loader.query("FROM batchflow.pruned_ids") == []


def test_a_prune_that_forgets_keeps_no_id(loader: Loader, source_of: Any) -> None:
    loader.load(source_of("a"))
    loader.finish("true")

    prune_finished(loader, forget=True)

    assert loader.load(source_of("a"), once=True, again=True).loaded == 1


def test_without_once_a_pruned_foreign_id_starts_another_run(
    loader: Loader, source_of: Any
) -> None:
    loader.load(source_of("a"))
    loader.finish("true")
    prune_finished(loader)

    assert loader.load(source_of("a"), again=True).loaded == 1
