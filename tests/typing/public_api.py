"""The public API, used in every supported way: type-checked as a user's file, never run."""

from __future__ import annotations

import enum
import io
import signal
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, assert_type
from uuid import UUID

import numpy as np
import numpy.typing as npt
import pyarrow as pa

import batchflow as bf
from batchflow import testing
from batchflow.executor import Capability, read_chunk, write_chunk
from batchflow.testing import FakeClock, inline_engine, make_run


class OrderStatus(enum.Enum):
    CREATED = "created"
    PAID = "paid"
    SENT = "sent"
    LOST = "lost"


@dataclass
class Order:
    order_id: str
    total: float = 0.0
    price: Annotated[Decimal, bf.Precision(12, 2)] = Decimal(0)
    paid_at: Annotated[datetime | None, bf.UTC] = None


@dataclass
class Refund:
    order_id: str


# A workflow, with every option.

orders = bf.Workflow(
    "orders",
    Order,
    OrderStatus,
    retry=bf.Retry(
        backoff_seconds=1.0,
        max_backoff_seconds=60.0,
        multiplier=2.0,
        jitter=0.1,
        pause_after=5,
        on=(OSError,),
        never_on=(ValueError,),
        resume_after=timedelta(hours=1),
        resume_most=3,
        breaker=0.2,
    ),
    resources={"db": lambda: sqlite3.connect(":memory:")},
    parallel=2,
    chunk_rows=1_000,
    timeout_seconds=30.0,
    record_transitions=True,
    visits=False,
)
refunds = bf.Workflow("refunds", Refund, OrderStatus)
assert_type(orders, bf.Workflow[Order, OrderStatus])

# Steps: rows, async rows, threads, columns, SQL, and by a call.


@orders.step(
    OrderStatus.CREATED,
    to=[OrderStatus.PAID, OrderStatus.LOST],
    threads=4,
    commit="before",
    side_effects=True,
)
def pay(run: bf.Run[Order, OrderStatus]) -> OrderStatus | bf.Answer:
    assert_type(run.object, Order)
    assert_type(run.run_id, UUID)
    assert_type(run.foreign_id, str)
    assert_type(run.status, OrderStatus)
    assert_type(run.attempt, int)
    assert_type(run.created_at, datetime)
    assert_type(run.now, datetime)
    assert_type(run.stopping, bool)
    run.object = Order(run.foreign_id)
    run.resources["db"].execute("SELECT 1")
    if run.attempt > 3:
        return run.pause("why")
    if run.attempt > 2:
        return run.skip()
    if run.attempt > 1:
        return run.repeat()
    return run.cancel("why") if run.stopping else OrderStatus.PAID


async def send(run: bf.Run[Order, OrderStatus]) -> OrderStatus:
    return OrderStatus.SENT


def answers(run: bf.Run[Order, OrderStatus]) -> list[bf.Answer]:
    return [run.skip(), run.repeat(), run.pause("why"), run.cancel("why")]


@refunds.batch_step(OrderStatus.CREATED, to=OrderStatus.PAID, columns=["order_id"])
def refund(batch: bf.Batch[Refund, OrderStatus]) -> OrderStatus:
    count: int = len(batch)
    batch["order_id"] = batch["order_id"]
    table: pa.Table = batch.arrow
    mask = np.zeros(count, np.bool_)
    batch.fail(mask, ValueError("why"))
    batch.skip(mask)
    batch.repeat(mask)
    batch.pause(mask, "why")
    batch.cancel(mask, "why")
    assert table.num_rows == count
    return OrderStatus.PAID


refunds.sql_step(
    OrderStatus.PAID,
    to=[OrderStatus.SENT, OrderStatus.LOST],
    set={"order_id": "upper(order_id)"},
    status="CASE WHEN order_id = 'A' THEN 'SENT' ELSE 'LOST' END",
    retry=bf.Retry(),
)
orders.add_step(OrderStatus.PAID, send, OrderStatus.SENT, concurrency=100)
orders.check()
assert_type(orders.mermaid(), str)


def choose(batch: bf.Batch[Order, OrderStatus]) -> npt.NDArray[Any]:
    assert_type(batch.now, datetime)
    either = batch.where(batch["total"] > 1, OrderStatus.PAID, OrderStatus.LOST)
    return batch.where(batch["total"] > 0, either, [OrderStatus.LOST, None])


def code(batch: bf.Batch[Order, OrderStatus]) -> bf.StatusCodes:
    return batch.codes(np.where(batch["total"] > 1, 1, 3))


# An engine, with every option.


class MyClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def seconds_until(self, moment: datetime) -> float:
        return max(0.0, (moment - self.now()).total_seconds())


clock: bf.Clock = MyClock()
config = bf.EngineConfig(
    batch_rows=1_000,
    sql_batch_rows=1_000,
    bytes_in_flight=1_000_000,
    grace_seconds=5.0,
    seed=1,
    memory_limit="1GB",
    log_values=True,
    allowed_urls=["s3://bucket/nightly/"],
)


def sources() -> Iterator[object]:
    yield "orders-*.parquet"
    yield Path("orders.csv")
    yield pa.table({"order_id": ["a"]})
    yield (Order(str(number)) for number in range(10))


def load_and_run() -> None:
    with bf.Engine(
        Path("orders.duckdb"), orders, refunds, workers=2, clock=clock, config=config
    ) as engine:
        assert_type(engine, bf.Engine)
        for source in sources():
            loaded = engine.trigger_many(
                source,
                foreign_id="order_id",
                at=OrderStatus.CREATED,
                workflow="orders",
                on_conflict="error",
                on_invalid="skip",
                strict=True,
            )
            assert_type(loaded, bf.LoadReport)
            assert_type(loaded.loaded, int)
        engine.trigger_many("orders-*.csv", foreign_id="order_id", again=True, once=True)
        engine.trigger_many("orders.csv", foreign_id="order_id", on_conflict="update")
        engine.trigger_many("s3://bucket/*.parquet", storage_options={"anon": True})
        exported = engine.export(Path("runs.csv"), where="total > ?", params=[1], replace=True)
        assert_type(exported, bf.ExportReport)
        engine.export("errors/", "errors", format="json", partition_by=["step"])
        engine.export("s3://bucket/", since="nightly", storage_options={"anon": True})
        engine.export("postgresql://host/name", table="orders_done", since="nightly")
        engine.trigger_many(bf.sources.query("postgresql://host/name", "SELECT 1 AS order_id"))
        part = engine.begin_export("nightly", to="elsewhere")
        assert_type(part, bf.ExportPart)
        assert_type(engine.end_export(part.number or 0), bool)
        assert_type(engine.rejected(workflow=orders).fetchall(), list[tuple[Any, ...]])
        assert_type(engine.run(canary=0.01, canary_failures=0.05), bf.Report)
        assert_type(engine.run(rerun_share=0.2), bf.Report)
        shown = engine.rehearse("total > ?", [1], workflow=orders, reset={"total": 0.0})
        assert_type(shown.promote(reason="checked"), bf.ControlReport)
        assert_type(engine.explain("total > ?", [1], workflow=orders), bf.PlottableRelation)
        assert_type(engine.last_report, bf.Report | None)
        report = engine.run(
            wait_for_retries=True,
            limit=10,
            until=datetime.now(UTC) + timedelta(hours=1),
            progress=False,
        )
        assert_type(report, bf.Report)
        show(report)


def show(report: bf.Report) -> None:
    assert_type(report.runs, int)
    assert_type(report.paused, int)
    assert_type(report.refused, int)
    assert_type(report.waiting_for_retry, int)
    assert_type(report.seconds, float)
    assert_type(report.left, int)
    assert_type(report.newly_paused, int)
    assert_type(report.paused_before, int)
    assert_type(report.older_failures, int)
    assert_type(report.ended_by, Literal["idle", "limit", "until", "stopped", "canary", "breaker"])
    assert_type(report.headline, str)
    assert_type(report.count("SENT"), int)
    assert_type(report.outcome("advanced"), int)
    assert_type(report.as_dict(), dict[str, Any])
    for step in report.steps:
        assert_type(step.outcomes, dict[str, int])
        assert_type(step.runs_per_second, float)
    for failure in report.failures:
        assert_type(failure.count, int)
    for status in report.statuses:
        assert_type(status.run_state, str)


def open_engines() -> tuple[bf.Engine, ...]:
    return bf.engines()


def in_the_background(engine: bf.Engine) -> None:
    engine.start()
    run_id = engine.trigger("a", Order("a"), at="CREATED", workflow=orders)
    assert_type(run_id, UUID)
    run = engine.wait(run_id, OrderStatus.SENT, timeout_seconds=1.0)
    assert_type(run, bf.StoredRun[Any, Any])
    engine.wait(run_id, [OrderStatus.SENT, "LOST"])
    assert_type(engine.wait(run_id, workflow=orders), bf.StoredRun[Order, OrderStatus])
    assert_type(run.run_state, bf.RunState)
    assert_type(run.next_attempt_at, datetime | None)
    engine.stop()
    engine.close()


def declare() -> None:
    orders.invariant("totals are positive", "total >= 0")
    assert_type(orders.invariants, Mapping[str, str])


def hold(engine: bf.Engine, run_id: UUID) -> None:
    assert_type(engine.pause("total > ?", [1], reason="why", workflow=orders), bf.ControlReport)
    assert_type(engine.resume(run_ids=[run_id]).changed, int)
    assert_type(engine.cancel(run_ids=[str(run_id)]).refused, int)
    assert_type(engine.retry("total > ?", [1], at=OrderStatus.SENT, reason="why"), bf.ControlReport)
    assert_type(engine.retry(cause="7d1e0c6b").changed, int)
    assert_type(engine.retry(run_ids=[run_id], dry_run=True).refusals, Mapping[str, int])


def prune(engine: bf.Engine) -> None:
    assert_type(engine.prune(timedelta(days=30)), bf.PruneReport)
    engine.prune(datetime.now(UTC), "total > 1", workflow=orders, dry_run=True)
    engine.prune(timedelta(days=30), forget=True)
    pruned = engine.prune(timedelta(0), where="total > 1", workflow="orders")
    removed: int = pruned.runs + pruned.transitions + pruned.errors
    assert_type(pruned.bytes_before - pruned.bytes_after + removed, int)


def ask(engine: bf.Engine, run_id: UUID) -> None:
    engine.sql("SELECT ?", [1]).show()
    engine.sql("SELECT $number", {"number": 1}).fetchall()
    engine.runs("total > 1", workflow=orders).fetchall()
    engine.runs("total > $least", {"least": 1}).filter("total < ?", [9]).fetchall()
    engine.counts(workflow=refunds).fetchall()
    engine.errors(workflow="orders", tracebacks=True).fetchall()
    assert_type(engine.metrics(workflow="orders"), str)
    assert_type(engine.repro("order-17", "repro", values=True, workflow="orders"), Path)
    engine.costs(since=timedelta(days=7), workflow="orders").fetchall()
    failures = engine.errors("5f0c2a9be1d4", where="total > ?", params=[5], by=["step", "total"])
    failures.filter("count > 3").runs(affected=True).filter("total > 3").fetchall()
    failures.all().select("traceback").fetchall()
    engine.history(run_id, tracebacks=True).fetchall()
    assert_type(engine.get(str(run_id)), bf.StoredRun[Any, Any])
    assert_type(engine.get(run_id, workflow=orders).object, Order)
    assert_type(engine.path, str)


def ask_how_runs_move(asked: bf.Engine | bf.StoreClient) -> None:
    assert_type(asked.throughput(), bf.PlottableRelation)
    assert_type(asked.throughput(0.5, workflow="orders"), bf.PlottableRelation)
    assert_type(asked.durations(workflow=orders), bf.PlottableRelation)
    assert_type(asked.transitions(workflow=orders), bf.PlottableRelation)
    assert_type(asked.funnel(workflow=orders), bf.PlottableRelation)
    assert_type(asked.ages(workflow=refunds), bf.PlottableRelation)
    evening, morning = datetime.now(UTC) - timedelta(hours=12), datetime.now(UTC)
    assert_type(asked.funnel(since=evening, until=morning), bf.PlottableRelation)
    assert_type(asked.counts(as_of=evening), bf.PlottableRelation)
    assert_type(asked.diff(evening), bf.Relation)
    report = asked.check()
    assert_type(report, bf.CheckReport)
    assert_type([problem.count for problem in report.problems], list[int])
    assert_type(bf.repair("orders.duckdb"), bf.RepairReport)
    assert_type(bf.shard_of("order-1", 8), int)
    with bf.Stores("night-{shard}.duckdb", shards=4) as stores:
        assert_type(stores.clients, tuple[bf.StoreClient, ...])
        assert_type(stores.sql(each="SELECT 1 AS n", then="SELECT sum(n) FROM shards"), bf.Relation)
        assert_type(stores.counts(), bf.PlottableRelation)
        assert_type(stores.pause("true"), bf.ControlReport)
        stores.reshard(6)
    made = bf.Stores.from_store("orders.duckdb", "night-{shard}.duckdb", shards=4)
    assert_type(made, bf.Stores)
    assert_type(asked.runs("total > 1", as_of=morning), bf.Relation)


def read_only(path: Path) -> None:
    with bf.connect(path) as reader:
        ask_how_runs_move(reader)
        assert_type(reader, bf.StoreClient)
        reader.counts(workflow="orders").fetchall()
        reader.sql("SELECT 1").fetchall()


def errors(engine: bf.Engine) -> None:
    try:
        engine.run()
    except bf.RunUnreachableError as unreachable:
        assert_type(unreachable.run_id, UUID | None)
        assert_type(unreachable.reason, str | None)
    except bf.StoreHeldError as held:
        assert_type(held.path, str)
        assert_type(held.holder, dict[str, Any])
    except bf.ConflictError as conflict:
        assert_type(conflict.foreign_ids, tuple[str, ...])
    except bf.DefinitionError as wrong:
        assert_type(wrong.problems, tuple[str, ...])
    except (bf.ResourceError, bf.StepCodeError, bf.EngineStateError, bf.BatchflowError):
        raise


def a_step_by_itself() -> None:
    order = Order("a")
    run = make_run(
        order,
        status=OrderStatus.CREATED,
        foreign_id="a",
        attempt=2,
        created_at=datetime.now(UTC),
        stopping=True,
        resources={"db": None},
    )
    assert_type(pay(run), OrderStatus | bf.Answer)
    checked = make_run(Order("a"), workflow=orders, run_id=UUID(int=1), now=datetime.now(UTC))
    assert_type(checked, bf.Run[Order, Any])
    assert_type(testing.call_step(orders, checked), enum.Enum | bf.Answer)
    batch = testing.make_batch([Order("a")], workflow=orders, foreign_ids=["a"], attempt=2)
    assert_type(batch, bf.Batch[Order, Any])
    testing.call_step(orders, batch)
    fake = FakeClock(datetime.now(UTC))
    fake.advance(3600.0)
    with inline_engine(orders, path=":memory:", clock=fake, seed=1) as engine:
        assert_type(engine, bf.Engine)


def what_goes_wrong() -> None:
    fragile = bf.Workflow("fragile", Order, OrderStatus)
    faults: list[testing.Fault] = [
        testing.raises(OSError("no line")),
        testing.raises(KeyError),
        testing.hangs(),
        testing.hangs(seconds=0.5),
        testing.exits(3),
        testing.segfaults(),
        testing.is_killed(signal.SIGKILL),
        testing.eats_memory(2**33),
        testing.answers("nonsense"),
        testing.leaves(total="nonsense"),
        testing.sabotages(testing.Sabotage.CLOSES_DESCRIPTORS),
    ]
    for fault in faults:
        step = testing.with_fault(pay, fault, when=lambda run: run.object.total > 7.0)
        assert_type(step(make_run(Order("a"))), OrderStatus | bf.Answer)
        fragile.add_step(OrderStatus.CREATED, step, OrderStatus.PAID)
    testing.arm_crash("within_commit", nth=3, delay_seconds=0.002)


class Cluster:
    """An executor of the user's own, by the public names alone."""

    capabilities = frozenset({Capability.SEPARATE_PROCESSES, Capability.VARIES_WORKERS})

    def open(self, context: bf.ExecutorContext) -> bf.Executor:
        return ClusterExecutor(context.to_bytes(), context.worker_memory_bytes(2))


class ClusterExecutor:
    workers = 2
    slots = 1
    suspect_slots = 0

    def __init__(self, code: bytes, memory_bytes: int) -> None:
        self.local = bf.ProcessPool(workers=2).open(bf.ExecutorContext.from_bytes(code))
        self.memory_bytes = memory_bytes

    @property
    def expects_workers(self) -> bool:
        return self.local.workers < 2

    def start(self) -> None:
        self.local.start()

    def submit(self, chunk: bf.Chunk, *, suspect: bool = False) -> None:
        sink = io.BytesIO()
        write_chunk(chunk, sink)
        self.local.submit(read_chunk(pa.py_buffer(sink.getvalue())), suspect=suspect)

    def completed(self, timeout_seconds: float | None) -> Sequence[bf.ChunkResult | bf.LostChunk]:
        done = self.local.completed(timeout_seconds)
        for one in done:
            if isinstance(one, bf.LostChunk):
                assert_type(one.rows, range | None)
        return done

    def wake(self) -> None:
        self.local.wake()

    def request_stop(self, *, stop: bool) -> None:
        self.local.request_stop(stop=stop)

    def interrupt(self) -> None:
        self.local.interrupt()

    def abandon(self) -> None:
        self.local.abandon()

    def close(self) -> None:
        self.local.close()


def executors() -> None:
    ray = bf.RayExecutor(
        "10.0.0.1:6379",
        nodes=(1, 8),
        workers=4,
        idle_seconds=60.0,
        wait_seconds=600.0,
        runtime_env={"working_dir": "."},
    )
    factories: list[bf.ExecutorFactory] = [bf.Inline(), bf.ProcessPool(), ray, Cluster()]
    for factory in factories:
        bf.Engine(":memory:", orders, executor=factory).close()
    changes = testing.WorkerChanges(
        add=ClusterExecutor.start, remove=ClusterExecutor.abandon, expect_none=ClusterExecutor.wake
    )
    contract = testing.executor_contract(
        Cluster(), changes=changes, folder=Path("shared"), patience_seconds=60.0
    )
    for check in (*contract.checks, *contract.unclaimed):
        assert_type(check.name, str)
    assert_type(contract.run(), testing.ContractReport)
