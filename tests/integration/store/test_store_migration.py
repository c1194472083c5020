from __future__ import annotations

import datetime as dt
import enum
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from store_kit import Bench, Parcel, Status, moved, parcels

from batchflow.definition.workflow import Workflow
from batchflow.errors import MigrationError

Open = Callable[..., Bench]


@dataclass
class Size:
    height: int


def changed(object_type: type[Any] = Parcel, status_type: type[enum.Enum] = Status) -> Any:
    """Return the workflow as its author changed it later."""
    workflow: Workflow[Any, Any] = Workflow("parcels", object_type, status_type)
    workflow.sql_step(status_type["NEW"], to=[status_type["CHECKED"]])
    return workflow


def stored(open_bench: Open, **columns: str) -> None:
    bench = open_bench()
    bench.seed(3, **columns)
    bench.store.close()


def differences(open_bench: Open, workflow: Any) -> tuple[str, ...]:
    with pytest.raises(MigrationError) as caught:
        open_bench(workflow)
    for difference in caught.value.differences:
        assert difference in str(caught.value)
    unchanged = open_bench()
    assert len(unchanged.rows("seq, weight, label, note")) == 3
    unchanged.store.close()
    return caught.value.differences


def test_an_unchanged_workflow_leaves_the_store_unchanged(open_bench: Open) -> None:
    stored(open_bench)
    assert open_bench().rows("weight, label, status") == [(n, "none", "NEW") for n in range(3)]


def test_new_statuses_may_be_added_anywhere(open_bench: Open) -> None:
    bench = open_bench()
    bench.seed(3)
    bench.commit(moved(bench, bench.claim(), Status.CHECKED))
    bench.store.close()
    more = enum.Enum("Status", "DRAFT DONE NEW CHECKED LOST REFUSED")
    again = open_bench(changed(status_type=more))
    assert again.rows("status, enum_code(status)") == [("CHECKED", 3)] * 3
    assert again.transitions("from_status, to_status") == [("NEW", "CHECKED")] * 3
    [(members,)] = again.rows("enum_range(status)::VARCHAR[]", "seq = 0")
    assert members == ["DRAFT", "DONE", "NEW", "CHECKED", "LOST", "REFUSED"]


def test_new_fields_get_their_defaults(open_bench: Open) -> None:
    @dataclass
    class Wider(Parcel):
        price: float = 1.5
        sent: dt.date | None = None
        tags: list[str] = field(default_factory=lambda: ["new"])
        size: Size = field(default_factory=lambda: Size(3))
        kind: Status = Status.DONE
        waits: dt.timedelta = dt.timedelta(days=2)
        status: str = "mine"

    stored(open_bench)
    bench = open_bench(changed(Wider))
    found = bench.questions.get(bench.run_id(1)).object
    assert found.weight == 1
    assert (found.price, found.sent, found.tags, found.size) == (1.5, None, ["new"], Size(3))
    assert found.kind.name == "DONE"
    assert found.waits == dt.timedelta(days=2)
    assert found.status == "mine"
    nullable = dict(
        bench.questions.sql(
            "SELECT column_name, is_nullable FROM duckdb_columns() "
            "WHERE schema_name = 'parcels' AND table_name = 'runs'"
        ).fetchall()
    )
    assert not nullable["price"]
    assert not nullable["size"]
    assert nullable["sent"]


def test_a_default_factory_with_varying_values_is_called_for_each_run(open_bench: Open) -> None:
    numbers = itertools.count()

    @dataclass
    class Numbered(Parcel):
        token: int = field(default_factory=lambda: next(numbers))

    stored(open_bench)
    tokens = [token for (token,) in open_bench(changed(Numbered)).rows("token")]
    assert len(set(tokens)) == 3


def test_a_migrated_store_opens_again_and_drains(open_bench: Open) -> None:
    @dataclass
    class Wider(Parcel):
        price: float = 1.5

    more = enum.Enum("Status", "NEW CHECKED REFUSED LOST DONE")
    stored(open_bench)
    for _ in range(2):
        bench = open_bench(changed(Wider, more))
        bench.store.close()
    bench = open_bench(changed(Wider, more))
    bench.execute()
    assert bench.rows("status, price") == [("CHECKED", 1.5)] * 3


def test_a_new_field_without_default_is_refused(open_bench: Open) -> None:
    @dataclass
    class Wider:
        weight: int
        price: float
        label: str = "none"
        note: str | None = None

    stored(open_bench)
    [difference] = differences(open_bench, changed(Wider))
    assert difference == "field 'price' (float) is new and has no default; give it one"


def test_removed_and_retyped_fields_are_refused_all_at_once(open_bench: Open) -> None:
    @dataclass
    class Other:
        weight: float
        label: str | None = None

    stored(open_bench)
    found = differences(open_bench, changed(Other))
    assert found == (
        "field 'note' (VARCHAR) was removed",
        "field 'weight' was BIGINT and is now DOUBLE",
        "field 'label' was VARCHAR and is now VARCHAR or NULL",
    )


def test_removing_a_status_that_runs_have_is_refused(open_bench: Open) -> None:
    stored(open_bench, status="'REFUSED'", run_state="'COMPLETED'")
    fewer = enum.Enum("Status", "NEW CHECKED DONE")
    [difference] = differences(open_bench, changed(status_type=fewer))
    assert difference == "status REFUSED was removed, but 3 runs have it"


def test_a_removed_status_stays_in_the_history(open_bench: Open) -> None:
    bench = open_bench()
    bench.seed(1)
    bench.commit(moved(bench, bench.claim(), Status.REFUSED))
    with bench.store.connection.write() as cursor:
        cursor.execute("UPDATE parcels.runs SET status = 'DONE'")
    bench.store.close()
    fewer = enum.Enum("Status", "DONE CHECKED NEW")
    again = open_bench(changed(status_type=fewer))
    assert again.rows("status, enum_code(status)") == [("DONE", 0)]
    assert again.transitions("to_status") == [("REFUSED",)]


def test_transitions_are_recorded_once_they_are_switched_on(
    open_bench: Open,
) -> None:
    silent = open_bench(parcels(record_transitions=False))
    silent.seed(2)
    silent.commit(moved(silent, silent.claim(), Status.CHECKED))
    silent.store.close()
    bench = open_bench()
    assert bench.transitions("seq") == []
    bench.questions.pause("true", reason="look")
    assert bench.transitions("outcome") == [("paused",), ("paused",)]
