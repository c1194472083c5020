from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest
from store_kit import LATER, NOW, Bench, Status, parcels

from batchflow.definition.run_state import RunState
from batchflow.store import Store, WorkLeft


def test_a_claim_has_the_columns_that_chunks_and_commits_need(bench: Bench) -> None:
    bench.seed(3, weight="range * 10")
    claimed = bench.claim(fields=("label", "weight"))
    assert claimed.schema.names == [
        "#seq",
        "#version",
        "#attempt",
        "#run_state",
        "#foreign_id",
        "#created_at",
        "label",
        "weight",
    ]
    assert claimed.schema.types == [
        pa.int64(),
        pa.int32(),
        pa.int32(),
        pa.uint8(),
        pa.string(),
        pa.timestamp("us", "UTC"),
        pa.string(),
        pa.int64(),
    ]
    assert claimed.to_pylist()[2] == {
        "#seq": 2,
        "#version": 1,
        "#attempt": 1,
        "#run_state": RunState.INITIATED,
        "#foreign_id": "f2",
        "#created_at": NOW,
        "label": "none",
        "weight": 20,
    }


# By default.
LONGEST_WAIT = dt.timedelta(seconds=300)


@pytest.mark.parametrize(
    ("columns", "claimed"),
    [
        ({}, True),
        ({"run_state": "'RUNNING'"}, True),
        ({"run_state": "'PAUSED'"}, False),
        ({"run_state": "'CANCELLED'"}, False),
        ({"status": "'CHECKED'"}, False),
        ({"next_attempt_at": f"TIMESTAMPTZ '{NOW}'"}, True),
        ({"next_attempt_at": f"TIMESTAMPTZ '{NOW + LONGEST_WAIT}'"}, False),
        # No step has so long a wait, so the clock was set back.
        ({"next_attempt_at": f"TIMESTAMPTZ '{LATER}'"}, True),
    ],
)
def test_only_runnable_due_runs_of_the_status_are_claimed_and_counted(
    bench: Bench, columns: dict[str, str], claimed: bool
) -> None:
    bench.seed(5, **columns)
    assert bench.claim().num_rows == (5 if claimed else 0)
    waiting = bench.store.backlog(bench.workflow, NOW).waiting.to_pylist()
    counted = sum(row["rows"] for row in waiting if row["status"] == 0)
    assert counted == (5 if claimed else 0)


def test_a_claim_has_only_runs_of_its_range(bench: Bench) -> None:
    bench.seed(100)
    claimed = bench.store.claim(bench.workflow, 0, 10, 19, NOW, ())
    assert sorted(claimed["#seq"].to_pylist()) == list(range(10, 20))


def test_the_backlog_counts_by_status_and_bucket(bench: Bench) -> None:
    bench.seed(40_000, status="CASE WHEN range < 20000 THEN 'CHECKED' ELSE 'NEW' END")
    waiting = bench.store.backlog(bench.workflow, NOW).waiting
    assert waiting.schema == pa.schema(
        [("status", pa.uint8()), ("bucket", pa.int64()), ("rows", pa.int64())]
    )
    counted = {(row["status"], row["bucket"]): row["rows"] for row in waiting.to_pylist()}
    assert counted == {(1, 0): 16_384, (1, 1): 3_616, (0, 1): 12_768, (0, 2): 7_232}


def test_the_backlog_has_the_time_of_the_first_retry(bench: Bench) -> None:
    minute = "INTERVAL 1 MINUTE"
    bench.seed(5, next_attempt_at=f"TIMESTAMPTZ '{NOW}' + range * {minute}")
    backlog = bench.store.backlog(bench.workflow, NOW)
    assert backlog.next_attempt_at == NOW + dt.timedelta(minutes=1)
    assert backlog.waiting["rows"].to_pylist() == [1]


def test_an_empty_backlog_has_no_time_of_a_retry(bench: Bench) -> None:
    bench.seed(5, status="'DONE'", run_state="'COMPLETED'")
    backlog = bench.store.backlog(bench.workflow, NOW)
    assert backlog.waiting.num_rows == 0
    assert backlog.next_attempt_at is None


def test_runs_that_wait_for_a_retry_are_counted(bench: Bench) -> None:
    bench.seed(5, next_attempt_at=f"TIMESTAMPTZ '{NOW}' + (range - 2) * INTERVAL 1 MINUTE")
    assert bench.store.work_left(bench.workflow, NOW) == WorkLeft(due=3, waiting=2, retried=5)


def test_a_workflow_may_be_named_like_the_file_or_the_catalog() -> None:
    for name in ("store", "memory", "STORE_", "select"):
        workflow = parcels(name)
        store = Store.open(":memory:", [workflow], clock=lambda: NOW)
        named = Bench(store, workflow)
        named.seed(2)
        assert named.claim(Status.NEW).num_rows == 2
        store.close()
