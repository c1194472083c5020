"""The pool executes chunks in real processes, and knows whose chunk was lost with a worker."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

import batchflow as bf
from batchflow.chunk import Chunk, ChunkResult
from batchflow.chunk.search import Search
from batchflow.definition import Outcome
from batchflow.executor import ExecutorContext, LostChunk
from batchflow.executor.pool import WorkerPool
from kit.things import Stage, Thing, things


def workflow_of(function: Callable[..., Any], **options: Any) -> bf.Workflow[Thing, Stage]:
    workflow = things(function, **options)
    workflow.check()
    return workflow


def chunk_of(numbers: list[int], chunk_id: int = 0, **calls: Any) -> Chunk:
    count = len(numbers)
    rows = pa.table(
        {
            "#seq": pa.array(range(count), pa.int64()),
            "#attempt": pa.array([1] * count, pa.int32()),
            "#foreign_id": pa.array([str(number) for number in numbers]),
            "#created_at": pa.array([0] * count, pa.timestamp("us", "UTC")),
            "number": pa.array(numbers, pa.int64()),
        }
    )
    return Chunk(
        chunk_id=chunk_id,
        workflow="things",
        from_code=0,
        rows=rows,
        run_id_base=0,
        now=datetime(2000, 1, 1, tzinfo=UTC),
        **calls,
    )


@pytest.fixture
def pools() -> Iterator[Callable[..., WorkerPool]]:
    opened = []

    def open_pool(
        function: Callable[..., Any],
        workers: int = 1,
        worker_memory_limit: str | None = None,
        beside: WorkerPool | None = None,
        **options: Any,
    ) -> WorkerPool:
        context = ExecutorContext(
            workflows={"things": workflow_of(function, **options)},
            worker_memory_limit=worker_memory_limit,
        )
        pool = WorkerPool(context, workers, beside)
        opened.append(pool)
        pool.start()
        return pool

    yield open_pool
    for pool in opened:
        pool.close()


def next_done(pool: WorkerPool) -> ChunkResult | LostChunk:
    while True:
        for done in pool.completed(30):
            return done


def test_a_chunk_is_executed_in_another_process(pools: Any) -> None:
    def step(run: Any) -> Stage:
        run.object.number = os.getpid()
        return Stage.DONE

    pool = pools(step)
    pool.submit(chunk_of([1, 2]))
    done = next_done(pool)

    assert isinstance(done, ChunkResult)
    assert done.changes["number"].values.to_pylist() == [pool.pids[0]] * 2
    assert pool.pids[0] != os.getpid()


def test_a_pool_beside_another_has_workers_of_its_fork_server_while_that_runs(
    pools: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(run: Any) -> Stage:
        run.object.number = os.getppid()
        return Stage.DONE

    def fork_server_of(pool: WorkerPool) -> int:
        pool.submit(chunk_of([1]))
        while isinstance(done := next_done(pool), LostChunk):
            assert not done.blamed
            pool.submit(chunk_of([1]))
        [parent] = done.changes["number"].values.to_pylist()
        return int(parent)

    pool = pools(step)
    other = pools(step, beside=pool)
    first = fork_server_of(pool)
    assert fork_server_of(other) == first

    other.abandon()
    assert fork_server_of(pool) == first

    monkeypatch.setenv("BATCHFLOW_TEST_OF_POOLS", "another environment")
    elsewhere = pools(step, beside=pool)
    assert fork_server_of(elsewhere) != first
    monkeypatch.undo()

    ended = {pid for each in (pool, other) for pid in each.pids}
    os.kill(first, signal.SIGKILL)
    for each in (other, pool):
        while ended & set(each.pids):
            each.completed(1)
        assert fork_server_of(each) != first


def test_the_row_that_ended_its_worker_is_blamed(pools: Any) -> None:
    ends: dict[int, Callable[[], object]] = {
        21: lambda: os.kill(os.getpid(), signal.SIGKILL),
        22: lambda: os.kill(os.getpid(), signal.SIGSEGV),
        23: lambda: os._exit(7),
    }

    def step(run: Any) -> Stage:
        if run.object.number in ends:
            ends[run.object.number]()
        return Stage.DONE

    pool = pools(step)
    for deadly, cause in zip(ends, ("SIGKILL", "SIGSEGV", "exit code 7"), strict=True):
        pool.submit(chunk_of([11, 12, deadly, 14]))
        lost = next_done(pool)
        assert isinstance(lost, LostChunk)
        assert (lost.blamed, lost.rows, lost.error_type) == (True, range(2, 3), "WorkerDied")
        assert cause in lost.cause


PARTS: list[tuple[dict[str, Any], range]] = [
    ({"search": Search(10, 2)}, range(4, 7)),
    ({"search": Search(0, 1)}, range(3, 7)),
    ({"call_rows": 4}, range(4, 8)),
    ({}, range(10)),
]


@pytest.mark.parametrize("kind", ["batch", "async", "threads"])
def test_the_part_of_a_chunk_that_ended_its_worker_is_blamed(pools: Any, kind: str) -> None:
    def step(given: Any) -> Stage:
        if 14 in (given["number"].tolist() if kind == "batch" else [given.object.number]):
            os._exit(7)
        return Stage.DONE

    async def async_step(run: Any) -> Stage:
        return step(run)

    options = {"batch": {"batch": True}, "async": {"concurrency": 3}, "threads": {"threads": 3}}
    pool = pools(async_step if kind == "async" else step, **options[kind])
    for calls, blamed in PARTS:
        pool.submit(chunk_of(list(range(10, 20)), **calls))
        lost = next_done(pool)
        assert isinstance(lost, LostChunk)
        assert lost.rows == blamed, calls


def test_a_single_suspect_run_gets_a_worker_that_executed_nothing_before(pools: Any) -> None:
    def step(run: Any) -> Stage:
        if run.object.number == 13:
            os._exit(7)
        return Stage.DONE

    pool = pools(step)
    for numbers in ([11, 12], [13]):
        pool.submit(chunk_of(numbers), suspect=True)
        done = next_done(pool)

    assert isinstance(done, LostChunk)
    assert not done.used


def test_a_batch_that_is_called_in_parts_has_the_same_results_as_the_whole(pools: Any) -> None:
    def step(batch: Any) -> Any:
        batch.skip(batch["number"] == 13)
        batch.fail(batch["number"] == 15, "fifteen")
        batch["number"] = batch["number"] + 1
        return Stage.DONE

    pool = pools(step, batch=True)
    results = []
    for calls in ({}, {"search": Search(10, 2)}, {"call_rows": 3}):
        pool.submit(chunk_of(list(range(10, 20)), **calls))
        results.append(next_done(pool))

    whole, *others = results
    for other in others:
        assert other.outcomes.tolist() == whole.outcomes.tolist()
        assert other.changes["number"].values.to_pylist() == list(range(11, 21))
        assert other.failures["row"].to_pylist() == whole.failures["row"].to_pylist() == [5]


def test_a_chunk_that_merely_waited_is_not_blamed(pools: Any) -> None:
    def step(run: Any) -> Stage:
        if run.object.number == 13:
            os._exit(1)
        return Stage.DONE

    pool = pools(step)
    pool.submit(chunk_of([13], chunk_id=1))
    pool.submit(chunk_of([1], chunk_id=2))
    blamed: dict[int, bool] = {}
    while len(blamed) < 2:
        blamed |= {lost.chunk_id: lost.blamed for lost in pool.completed(30)}

    assert blamed == {1: True, 2: False}


def test_a_dead_worker_is_replaced_at_once(pools: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchflow.executor.pool._LOOK_SECONDS", 3600.0)
    pool = pools(lambda run: Stage.DONE)
    pool.submit(chunk_of([1]))
    next_done(pool)
    pid = pool.pids[0]
    os.kill(pid, signal.SIGKILL)
    while pid in pool.pids:
        assert list(pool.completed(None)) == []
    pool.submit(chunk_of([1]))

    assert isinstance(next_done(pool), ChunkResult)


def test_a_hanging_step_is_ended_and_its_row_named(pools: Any) -> None:
    def step(run: Any) -> Stage:
        while run.object.number == 13:
            time.sleep(0.01)
        return Stage.DONE

    pool = pools(step, timeout_seconds=0.2)
    pool.submit(chunk_of([1, 13, 2]))
    lost = next_done(pool)

    assert isinstance(lost, LostChunk)
    assert (lost.blamed, lost.rows, lost.error_type) == (True, range(1, 2), "StepTimeout")


def test_a_step_that_ignores_sigterm_is_killed(pools: Any) -> None:
    def step(run: Any) -> Stage:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            time.sleep(0.01)

    pool = pools(step, timeout_seconds=0.1)
    pool.submit(chunk_of([1]))
    lost = next_done(pool)

    assert isinstance(lost, LostChunk)
    assert lost.error_type == "StepTimeout"


def test_a_step_that_checks_stopping_may_return_when_its_time_is_up(pools: Any) -> None:
    def step(run: Any) -> Any:
        while not run.stopping:
            time.sleep(0.01)
        return run.repeat()

    pool = pools(step, timeout_seconds=0.2)
    pool.submit(chunk_of([1]))
    done = next_done(pool)

    assert isinstance(done, ChunkResult)
    assert done.outcomes.tolist() == [Outcome.REPEATED]


def test_a_stop_returns_the_runs_that_were_not_started(pools: Any) -> None:
    def step(run: Any) -> Any:
        while not run.stopping:
            time.sleep(0.01)
        return Stage.DONE

    pool = pools(step)
    pool.submit(chunk_of([1, 2, 3]))
    pool.request_stop(stop=True)
    done = next_done(pool)

    assert isinstance(done, ChunkResult)
    assert done.outcomes.tolist()[0] == Outcome.ADVANCED
    assert done.outcomes.tolist()[1:] == [Outcome.RETURNED] * 2


def test_waking_ends_the_wait(pools: Any) -> None:
    pool = pools(lambda run: Stage.DONE)
    pool.wake()

    assert list(pool.completed(30)) == []


def test_a_suspect_chunk_has_an_isolated_worker(pools: Any) -> None:
    def step(run: Any) -> Stage:
        run.object.number = os.getpid()
        return Stage.DONE

    pool = pools(step)
    shared = pool.pids
    pool.submit(chunk_of([1]), suspect=True)
    assert pool.suspect_slots == 0
    done = next_done(pool)

    assert isinstance(done, ChunkResult)
    assert done.changes["number"].values.to_pylist()[0] not in shared
    assert pool.suspect_slots == 1


def test_code_that_can_not_be_sent_is_one_clear_error() -> None:
    rows = (number for number in range(3))

    def helper() -> None:
        next(rows)

    def step(run: Any) -> Stage:
        helper()
        return Stage.DONE

    with pytest.raises(
        bf.StepCodeError, match=r"step 'step' of workflow 'things' can't be sent .*: 'rows' is of"
    ):
        bf.ProcessPool(1).open(ExecutorContext(workflows={"things": workflow_of(step)}))


def test_a_module_that_can_not_be_imported_in_the_worker_is_one_clear_error(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, pools: Any
) -> None:
    module = tmp_path / "fails_elsewhere.py"
    module.write_text(
        f"import os\nif os.getpid() != {os.getpid()}: raise OSError('not here')\ndef f(run): ...\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    function = __import__("fails_elsewhere").f
    pool = pools(function)
    pool.submit(chunk_of([1]))

    with pytest.raises(bf.StepCodeError, match=r"(?s)step 'f' of workflow 'things'.*not here"):
        next_done(pool)
    sys.modules.pop("fails_elsewhere")


def test_a_module_that_ends_the_worker_on_import_is_one_clear_error(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, pools: Any
) -> None:
    module = tmp_path / "ends_elsewhere.py"
    module.write_text(f"import os\nif os.getpid() != {os.getpid()}: os._exit(5)\ndef f(run): ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    pool = pools(__import__("ends_elsewhere").f)
    for _ in range(2):
        pool.submit(chunk_of([1]))
        lost = next_done(pool)
        assert isinstance(lost, LostChunk)
        assert not lost.blamed
    pool.submit(chunk_of([1]))

    with pytest.raises(bf.StepCodeError, match=r"exit code 5 while .* the code of step 'f' of"):
        next_done(pool)
    sys.modules.pop("ends_elsewhere")


def test_a_worker_is_replaced_after_the_fork_server_died(pools: Any) -> None:
    def step(run: Any) -> Stage:
        run.object.number = os.getppid()
        return Stage.DONE

    pool = pools(step, workers=2)
    fork_servers = []
    for _ in range(2):
        pool.submit(chunk_of([1]))
        done = next_done(pool)
        assert isinstance(done, ChunkResult)
        fork_servers += done.changes["number"].values.to_pylist()
        before = pool.pids
        os.kill(fork_servers[-1], signal.SIGKILL)
        while set(pool.pids) & set(before):
            pool.completed(30)

    assert len(set(fork_servers)) == 2


def test_a_fork_server_that_is_ended_many_times_at_once_says_nothing(
    pools: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    def step(run: Any) -> Stage:
        run.object.number = os.getppid()
        return Stage.DONE

    pool = pools(step)
    pool.submit(chunk_of([1]))
    done = next_done(pool)
    assert isinstance(done, ChunkResult)
    [fork_server] = done.changes["number"].values.to_pylist()
    before = pool.pids

    # As Linux does when a coordinator with many threads ends.
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        os.kill(fork_server, signal.SIGTERM)
    while set(pool.pids) & set(before):
        pool.completed(30)

    assert "Traceback" not in capfd.readouterr().err


def test_workers_that_end_before_any_call_are_one_clear_error(pools: Any) -> None:
    pool = pools(lambda run: Stage.DONE, resources={"line": lambda: os._exit(3)})

    for _ in range(9):
        pool.submit(chunk_of([1]))
        lost = next_done(pool)
        assert isinstance(lost, LostChunk)
        assert not lost.blamed
    pool.submit(chunk_of([1]))

    with pytest.raises(bf.EngineStateError, match=r"ended 10 times.*exit code 3\. Look for"):
        next_done(pool)


def test_a_worker_that_holds_on_to_memory_is_replaced_and_its_row_tried_again(pools: Any) -> None:
    def step(run: Any) -> Stage:
        kept = step.__dict__.setdefault("kept", [])
        kept.append(bytearray(10_000_000))
        return Stage.DONE

    pool = pools(step, worker_memory_limit="100MB")
    pool.submit(chunk_of(list(range(20))))
    lost = next_done(pool)

    assert isinstance(lost, LostChunk)
    assert (lost.blamed, lost.error_type) == (True, "WorkerDied")
    assert lost.rows is not None
    assert lost.rows.start in range(8, 12)
    assert "worker_memory_limit" in lost.cause


def test_a_call_that_wants_too_much_memory_fails_and_its_worker_goes_on(pools: Any) -> None:
    def step(run: Any) -> Stage:
        if run.object.number == 13:
            grown = []
            while True:
                grown.append(bytearray(10_000_000))
        return Stage.DONE

    pool = pools(step, worker_memory_limit="100MB")
    pool.submit(chunk_of([12, 13, 14]))
    done = next_done(pool)

    assert isinstance(done, ChunkResult)
    assert done.outcomes.tolist() == [Outcome.ADVANCED, Outcome.FAILED, Outcome.ADVANCED]
    assert done.failures["type"].to_pylist() == ["MemoryError"]


def test_closing_leaves_no_process(pools: Any) -> None:
    def step(run: Any) -> Stage:
        while True:
            time.sleep(0.01)

    pool = pools(step, workers=2)
    pids = pool.pids
    pool.submit(chunk_of([1]))
    pool.abandon()

    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
