"""With ``on_conflict="update"``, a corrected row replaces the object of a run that waits."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from loading_kit import NOW, Item, Loader

from batchflow.errors import InvalidOptionError
from batchflow.operation.requests import Prune, TriggerMany
from batchflow.store.runs.prune import prune


@pytest.fixture(params=["parquet", "table"])
def source_of(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Return a function that makes a source of names with prices."""

    def make(**prices: float) -> Any:
        table = pa.table({"name": list(prices), "price": list(prices.values())})
        if request.param == "table":
            return table
        path = tmp_path / f"{'-'.join(prices)}.parquet"
        pq.write_table(table, path)
        return path

    return make


def set_run(loader: Loader, name: str, assignments: str) -> None:
    with loader.connection.write() as cursor:
        cursor.execute(f"UPDATE items.runs SET {assignments} WHERE name = '{name}'")


def runs(loader: Loader) -> dict[str, tuple[Any, ...]]:
    found = loader.query("SELECT name, price, version, run_state FROM items.runs ORDER BY seq")
    return {row["name"]: (row["price"], row["version"], row["run_state"]) for row in found}


def test_unfinished_runs_that_no_drain_has_claimed_get_the_values_of_the_source(
    loader: Loader, source_of: Any
) -> None:
    loader.load([Item(name, 1.0, count=7) for name in ("new", "paused", "retried", "due", "moved")])
    set_run(loader, "paused", "run_state = 'PAUSED', reason = 'wrong price'")
    later = NOW + timedelta(minutes=5)
    set_run(loader, "retried", f"run_state = 'RUNNING', next_attempt_at = '{later}', attempt = 2")
    set_run(loader, "due", f"run_state = 'RUNNING', next_attempt_at = '{NOW}', attempt = 2")
    set_run(loader, "moved", "run_state = 'RUNNING'")

    report = loader.load(
        source_of(new=2.0, paused=3.0, retried=4.0, due=6.0, moved=7.0, added=5.0),
        on_conflict="update",
    )

    assert (report.loaded, report.updated, report.skipped_conflicts) == (1, 5, 0)
    assert runs(loader) == {
        "new": (2.0, 2, "INITIATED"),
        "paused": (3.0, 2, "PAUSED"),
        "retried": (4.0, 2, "RUNNING"),
        "due": (6.0, 2, "RUNNING"),
        "moved": (7.0, 2, "RUNNING"),
        "added": (5.0, 1, "INITIATED"),
    }
    kept = loader.query("SELECT count, reason, attempt FROM items.runs WHERE name = 'paused'")
    assert kept == [{"count": 7, "reason": "wrong price", "attempt": 1}]
    assert "updated: 5 runs" in str(report)


def test_an_update_is_recorded_in_the_log(loader: Loader, source_of: Any) -> None:
    loader.load([Item("a", 1.0)])
    source = source_of(a=2.0)

    loader.load(source, on_conflict="update")

    name = str(source) if isinstance(source, Path) else "The Table"
    [logged] = loader.query("FROM items.transitions")
    assert (logged["outcome"], logged["version"], logged["from_status"], logged["to_status"]) == (
        *("edited", 2, "CREATED", "CREATED"),
    )
    assert logged["reason"] == f"updated from {name}"
    [operation] = loader.query("FROM batchflow.operations")
    assert (operation["operation"], operation["changed"]) == ("trigger_many", 1)


def test_finished_runs_are_not_touched_and_are_reported(loader: Loader, source_of: Any) -> None:
    loader.load([Item(name, 1.0) for name in ("finished", "pruned")])
    loader.finish("name = 'pruned'")
    later = NOW + timedelta(days=2)
    prune(loader.connection, [loader.layout], Prune(finished_before=timedelta(days=1)), later)
    loader.finish("name = 'finished'")

    report = loader.load(source_of(finished=2.0, pruned=2.0), on_conflict="update")

    assert (report.loaded, report.updated, report.skipped_conflicts) == (0, 0, 2)
    assert report.conflict_reasons == {"finished": 2}
    assert runs(loader) == {"finished": (1.0, 1, "COMPLETED")}
    kept = loader.query("SELECT foreign_id, reason FROM batchflow.rejected ORDER BY source_row")
    assert [tuple(row.values()) for row in kept] == [
        ("finished", "finished"),
        ("pruned", "finished"),
    ]


def test_the_first_of_several_rows_updates_a_run(loader: Loader) -> None:
    loader.load([Item("a", 1.0)])

    report = loader.load([Item("a", 2.0), Item("a", 3.0)], on_conflict="update")

    assert (report.updated, report.conflict_reasons) == (1, {"duplicate": 1})
    assert report.warnings[0] == "left out: 1 row, because an earlier row has the same foreign id"
    assert loader.column("price") == [2.0]


def test_an_invalid_row_updates_nothing(loader: Loader) -> None:
    loader.load([Item("a", 1.0), Item("b", 1.0)])
    source = pa.table({"name": ["a", "b"], "price": ["x", "2"]})

    report = loader.load(source, on_conflict="update", on_invalid="skip")

    assert (report.updated, report.skipped_invalid) == (1, 1)
    assert loader.column("price") == [1.0, 2.0]


def test_a_file_with_corrections_updates_and_is_entered_in_the_ledger(
    loader: Loader, tmp_path: Path
) -> None:
    path = tmp_path / "items.csv"
    path.write_text("name,price\na,1\nb,1\n")
    loader.load(path)
    path.write_text("name,price\na,1\nb,2\nc,3\n")

    report = loader.load(path, on_conflict="update")

    [file] = report.files
    assert (file.rows, file.inserted, file.updated, file.rejected) == (3, 1, 2, 0)
    assert loader.column("price") == [1.0, 2.0, 3.0]


def test_once_and_update_contradict_each_other() -> None:
    with pytest.raises(InvalidOptionError, match="once skips the rows"):
        TriggerMany(source=[], once=True, on_conflict="update")
