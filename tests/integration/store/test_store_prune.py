"""The runs that pruning removes, with their transitions and errors, and the runs that stay."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from store_kit import LATER, NOW, Bench, Status, fetched, moved, parcels

from batchflow.access import connect
from batchflow.definition.run_state import RunState
from batchflow.errors import CommitError, InvalidOptionError, QueryError, WorkflowNotFoundError
from batchflow.operation import PruneReport
from batchflow.store import Store
from batchflow.store.runs.pruned_part import PART_BITS

FINISHED_LONG_AGO = {
    "run_state": "'COMPLETED'",
    "status": "'DONE'",
    "updated_at": f"TIMESTAMPTZ '{NOW}'",
}


def prune(bench: Bench, where: str | None = None, *, dry_run: bool = False) -> PruneReport:
    return bench.questions.prune(LATER, where, dry_run=dry_run)


def counts(pruned: PruneReport) -> tuple[int, int, int]:
    return pruned.runs, pruned.transitions, pruned.errors


def put_log(bench: Bench, rows: int) -> None:
    """Two transitions for each of the first runs, and an error for each second one."""
    with bench.store.connection.write() as cursor:
        for table in ("transitions_without_reason", "transitions_with_reason"):
            cursor.execute(
                f"INSERT INTO parcels.{table} (seq, from_status, to_status, outcome, version) "
                f"SELECT range, 'NEW', 'DONE', 'advanced', 2 FROM range({rows})"
            )
        cursor.execute(
            "INSERT INTO parcels.errors (seq, status, step, attempt) "
            f"SELECT 2 * range, 'NEW', 'check', 1 FROM range({rows // 2})"
        )


@pytest.mark.parametrize("state", RunState)
def test_only_completed_cancelled_and_erased_runs_are_removed(
    bench: Bench, state: RunState
) -> None:
    bench.seed(3, run_state=f"'{state.name}'")

    removed = counts(prune(bench))

    gone = state in (RunState.COMPLETED, RunState.CANCELLED, RunState.DATA_DELETED)
    assert removed == ((3, 0, 0) if gone else (0, 0, 0))
    assert len(bench.rows("seq")) == (0 if gone else 3)


def test_their_transitions_and_errors_go_with_them_and_others_stay(bench: Bench) -> None:
    bench.seed(10, run_state="CASE WHEN range < 4 THEN 'COMPLETED' ELSE 'PAUSED' END")
    put_log(bench, 10)

    assert counts(prune(bench)) == (4, 8, 2)

    assert [seq for (seq,) in bench.rows("seq")] == [4, 5, 6, 7, 8, 9]
    assert sorted({seq for (seq,) in bench.transitions("seq")}) == [4, 5, 6, 7, 8, 9]
    assert [seq for (seq,) in bench.errors("seq")] == [4, 6, 8]


def test_a_run_that_finished_at_the_moment_itself_stays(bench: Bench) -> None:
    at = f"TIMESTAMPTZ '{LATER}' - to_microseconds(1 - range)"
    bench.seed(3, **FINISHED_LONG_AGO | {"updated_at": at})

    assert prune(bench).runs == 1
    assert [seq for (seq,) in bench.rows("seq")] == [1, 2]


def test_runs_far_apart_and_in_between_are_distinguished(bench: Bench) -> None:
    state = "CASE WHEN range % 7 = 0 THEN 'RUNNING' ELSE 'COMPLETED' END"
    bench.seed(7_000, seq="range * 1_000", **FINISHED_LONG_AGO | {"run_state": state})

    assert prune(bench).runs == 6_000
    assert [seq for (seq,) in bench.rows("seq")] == [7_000 * each for each in range(1_000)]


@pytest.mark.parametrize("gaps", [False, True])
def test_many_runs_are_removed_in_parts(bench: Bench, gaps: bool) -> None:
    # A thousand runs in each part, without gaps between them.
    rows = 3_000
    bench.seed(rows, seq=f"range + (range // 1_000 << {PART_BITS})", **FINISHED_LONG_AGO)
    with bench.store.connection.write() as cursor:
        for table in ("transitions_without_reason", "transitions_with_reason", "errors"):
            cursor.execute(f"INSERT INTO parcels.{table} (seq) SELECT seq FROM parcels.runs")
    where = "weight % 3 > 0" if gaps else None
    removed = rows - rows // 3 if gaps else rows

    pruned = bench.questions.prune(LATER, where, dry_run=True)
    assert counts(pruned) == (removed, 2 * removed, removed)
    assert counts(prune(bench, where)) == counts(pruned)

    assert [weight for (weight,) in bench.rows("weight")] == (
        list(range(0, rows, 3)) if gaps else []
    )
    for table, each in (("transitions", 2), ("errors", 1)):
        query = "SELECT count(*), count(*) FILTER (seq NOT IN (SELECT seq FROM parcels.runs)) "
        found = fetched(bench.questions.sql(f"{query} FROM parcels.{table}"))
        assert found == [(each * (rows - removed), 0)]
    assert fetched(bench.questions.sql("FROM batchflow.pruning")) == []


def test_other_commits_come_between_the_parts(bench: Bench) -> None:
    parts = 20
    bench.seed(parts, seq=f"range << {PART_BITS}", **FINISHED_LONG_AGO)
    bench.seed(1, seq="7", status="'NEW'")
    done = threading.Event()
    seen = set()

    def write() -> None:
        while not done.is_set():
            with bench.store.connection.write() as cursor:
                seen.add(cursor.execute("SELECT count(*) FROM parcels.runs").fetchall()[0][0])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert prune(bench).runs == parts
    finally:
        done.set()
        writer.join()
    assert len(seen) > 2


def test_a_predicate_chooses_among_them(bench: Bench) -> None:
    bench.seed(10, **FINISHED_LONG_AGO)

    assert prune(bench, "weight < 3 -- the light ones").runs == 3
    assert prune(bench, "weight < 5 OR true").runs == 7


def test_a_predicate_may_look_at_what_is_removed(bench: Bench) -> None:
    bench.seed(10, **FINISHED_LONG_AGO)
    put_log(bench, 4)

    assert counts(prune(bench, "seq IN (SELECT seq FROM parcels.transitions)")) == (4, 8, 2)


def test_a_predicate_that_raises_removes_nothing(bench: Bench) -> None:
    bench.seed(10, **FINISHED_LONG_AGO)

    with pytest.raises(QueryError, match=r"'mass > 1'.* have the columns seq, run_id, .*weight"):
        prune(bench, "mass > 1")
    with pytest.raises(QueryError, match=r"predicate .* can't be executed"):
        prune(bench, "true); DROP TABLE parcels.runs; SELECT (1")

    assert len(bench.rows("seq")) == 10
    assert prune(bench).runs == 10


def test_what_duckdbs_memory_does_not_suffice_for_removes_nothing(
    open_bench: Callable[..., Bench], path: Path
) -> None:
    rows = 1_200_000
    bench = open_bench()
    bench.seed(rows, **FINISHED_LONG_AGO)
    bench.store.close()

    small = Store.open(path, [bench.workflow], clock=lambda: NOW, memory_limit="16MB")
    little = Bench(small, bench.workflow)
    with pytest.raises(CommitError, match=r"lacks the memory .* Open the store again"):
        prune(little, "seq % 2 = 0")
    assert fetched(little.questions.counts().select("runs")) == [(rows,)]
    small.close()

    assert prune(open_bench(), "seq % 2 = 0").runs == rows / 2


def test_a_dry_run_counts_the_same_and_removes_nothing(file_bench: Bench) -> None:
    file_bench.seed(10, **FINISHED_LONG_AGO)
    put_log(file_bench, 10)

    foreseen = prune(file_bench, "weight < 4", dry_run=True)

    assert (len(file_bench.rows("seq")), len(file_bench.transitions("seq"))) == (10, 20)
    assert foreseen.bytes_before == foreseen.bytes_after > 0
    assert counts(prune(file_bench, "weight < 4")) == counts(foreseen) == (4, 8, 2)


def test_without_a_log_of_transitions_there_are_none_to_remove(
    open_bench: Callable[..., Bench],
) -> None:
    bench = open_bench(parcels(record_transitions=False))
    bench.seed(10, **FINISHED_LONG_AGO)

    assert counts(prune(bench)) == (10, 0, 0)


def test_a_late_result_for_a_run_that_is_gone_is_refused(bench: Bench) -> None:
    bench.seed(4)
    late = bench.claim()
    bench.questions.cancel("seq < 2")
    assert prune(bench).runs == 2

    [result] = bench.commit(moved(bench, late, Status.CHECKED))

    assert (result.applied, sorted(result.refused_seqs)) == (2, [0, 1])
    assert bench.rows("seq, status") == [(2, "CHECKED"), (3, "CHECKED")]


def test_no_definition_is_needed_and_all_workflows_are_pruned(path: Path) -> None:
    with_two(path)

    store = connect(path)
    assert store.prune(LATER, workflow="refunds").runs == 5
    assert store.prune(LATER).runs == 3


def test_a_predicate_is_for_one_workflow_and_it_must_be_there(path: Path) -> None:
    with_two(path)

    store = connect(path)
    with pytest.raises(InvalidOptionError, match=r"workflow= one of: 'parcels', 'refunds'"):
        store.prune(LATER, where="true")
    with pytest.raises(WorkflowNotFoundError, match=r"no workflow 'x'; .* 'parcels', 'refunds'"):
        store.prune(LATER, workflow="x")


def with_two(path: Path) -> None:
    workflows = [parcels(), parcels("refunds")]
    store = Store.open(path, workflows, clock=lambda: NOW)
    for workflow, rows in zip(workflows, (3, 5), strict=True):
        Bench(store, workflow).seed(rows, **FINISHED_LONG_AGO)
    store.close()


def test_a_reader_meanwhile_sees_the_former_runs_and_the_space_is_freed_later(
    file_bench: Bench,
) -> None:
    rows = 200_000
    label = " || ".join(f"md5('{part}' || range)" for part in range(3))
    file_bench.seed(rows, **FINISHED_LONG_AGO, label=label)
    file_bench.store.connection.fold_log()
    full = used_blocks(file_bench)
    reader = file_bench.questions.runs().select("seq").to_arrow_reader(1_000)
    read = reader.read_next_batch().num_rows

    assert prune(file_bench).runs == rows
    assert read + reader.read_all().num_rows == rows
    assert used_blocks(file_bench) >= full

    reader.close()
    file_bench.seed(1, seq=f"{rows}", **FINISHED_LONG_AGO)
    assert prune(file_bench).runs == 1
    assert used_blocks(file_bench) < full / 2


def used_blocks(bench: Bench) -> Any:
    query = (
        "SELECT used_blocks FROM pragma_database_size() WHERE database_name = current_database()"
    )
    return fetched(bench.questions.sql(query))[0][0]


def test_bytes_are_those_of_the_file_and_its_log(file_bench: Bench, path: Path) -> None:
    file_bench.seed(1_000, **FINISHED_LONG_AGO)
    log = path.with_name(f"{path.name}.wal")
    before = path.stat().st_size + log.stat().st_size

    pruned = prune(file_bench)

    after = path.stat().st_size + log.stat().st_size
    assert (pruned.bytes_before, pruned.bytes_after) == (before, after)
