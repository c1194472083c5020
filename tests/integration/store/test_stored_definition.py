"""A store describes its workflows, and opens with them as it does with the caller's own."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from store_kit import LATER, NOW, Bench, Status, parcels, sql_parcels

from batchflow.definition import Workflow
from batchflow.definition.description import RestoredWorkflow
from batchflow.errors import DefinitionError, StoreFormatError
from batchflow.store import Store
from batchflow.store.schema.stored_definition import stored_workflows


def restored(path: Path, name: str = "parcels") -> RestoredWorkflow:
    with duckdb.connect(str(path), read_only=True) as cursor:
        found = stored_workflows(cursor)[name]
    assert found is not None
    return found


def definition(path: Path) -> str:
    with duckdb.connect(str(path), read_only=True) as cursor:
        [(text,)] = cursor.execute("SELECT definition FROM batchflow.workflows").fetchall()
    return str(text)


def test_a_store_opens_with_the_workflow_that_it_describes(
    open_bench: Callable[..., Bench], path: Path
) -> None:
    workflow = sql_parcels(values={"weight": "weight + 1"}, status="if(weight > 5, 'CHECKED', 'x')")
    bench = open_bench(workflow)
    bench.seed(3)
    rows = bench.rows("*")
    bench.store.close()
    before = definition(path)
    again = open_bench(restored(path))
    assert again.rows("*") == rows
    again.store.close()
    assert definition(path) == before


def test_runs_are_triggered_and_controlled_by_a_restored_workflow(
    open_bench: Callable[..., Bench], path: Path
) -> None:
    open_bench().store.close()
    bench = open_bench(restored(path))
    workflow = bench.workflow
    bench.questions.trigger("a", workflow.object_type(weight=3))
    source = pa.table({"key": ["b", "c"], "weight": [1, 2]})
    bench.questions.trigger_many(source, foreign_id="key")
    bench.at(LATER).pause("weight = 1", reason="look")
    assert bench.rows("foreign_id, weight, label, status, run_state") == [
        ("a", 3, "none", "NEW", "INITIATED"),
        ("b", 1, "none", "NEW", "PAUSED"),
        ("c", 2, "none", "NEW", "INITIATED"),
    ]
    assert bench.questions.get("a").object.weight == 3


def test_a_load_needs_the_column_whose_default_code_computes(
    open_bench: Callable[..., Bench], path: Path
) -> None:
    @dataclass
    class Keyed:
        weight: int
        key: uuid.UUID = field(default_factory=uuid.uuid4)

    workflow: Workflow[Any, Any] = Workflow("parcels", Keyed, Status)
    workflow.sql_step(Status.NEW, to=[Status.DONE])
    open_bench(workflow).store.close()
    bench = open_bench(restored(path))
    with pytest.raises(DefinitionError, match="'key' is computed by the workflow's code"):
        bench.questions.trigger_many(pa.table({"weight": [1]}), foreign_id="weight")
    keys = pa.table({"weight": [1], "key": [str(uuid.UUID(int=7))]})
    bench.questions.trigger_many(keys, foreign_id="weight")
    assert bench.rows("weight, key::VARCHAR") == [(1, str(uuid.UUID(int=7)))]


def test_a_sql_step_of_a_restored_workflow_moves_no_run(
    open_bench: Callable[..., Bench], path: Path
) -> None:
    bench = open_bench(sql_parcels())
    bench.seed(2)
    bench.store.close()
    again = open_bench(restored(path))
    again.execute()
    assert again.rows("status") == [("NEW",)] * 2
    assert all("without the code" in message for (message,) in again.errors("message"))


def test_the_description_follows_the_workflow(open_bench: Callable[..., Bench], path: Path) -> None:
    open_bench().store.close()
    before = definition(path)
    open_bench(sql_parcels()).store.close()
    assert definition(path) != before
    assert restored(path).steps[0].kind is sql_parcels().steps[0].kind


def test_an_unchanged_description_is_not_written_again(
    open_bench: Callable[..., Bench], path: Path
) -> None:
    open_bench().store.close()
    before = path.read_bytes()
    store = Store.open(path, [parcels()], clock=lambda: NOW)
    assert not Path(f"{path}.wal").exists() or not Path(f"{path}.wal").stat().st_size
    store.close()
    assert path.read_bytes() == before


def test_a_description_that_was_edited_is_refused_and_written_again_by_an_engine(
    open_bench: Callable[..., Bench], path: Path
) -> None:
    open_bench().store.close()
    with duckdb.connect(str(path)) as cursor:
        cursor.execute("UPDATE batchflow.workflows SET definition = '{}'")
        with pytest.raises(StoreFormatError, match="description of workflow 'parcels'"):
            stored_workflows(cursor)
    open_bench().store.close()
    assert restored(path).name == "parcels"
