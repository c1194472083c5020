"""The work of the baselines, done with batchflow's public interface."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import batchflow as bf
import crashing_orders
import orders
from orders import Order, OrderStatus, OrderWorkflow
from sample import Sample

QUERYING = Path(__file__).with_name("querying.py")
WORKFLOWS: dict[str, Callable[[], OrderWorkflow]] = {
    "row": orders.row_orders,
    "row without visits": partial(orders.row_orders, visits=False),
    "committed row": partial(orders.row_orders, commit="after"),
    "batch": orders.batch_orders,
    "sql": orders.sql_orders,
}


def load(source: str, store: str, at: str = "CREATED") -> Sample:
    """Load the source into a store."""
    with bf.Engine(store, orders.row_orders(), workers=0) as engine:
        began = time.perf_counter()
        report = engine.trigger_many(source, foreign_id="order_id", at=at)
        seconds = time.perf_counter() - began
    return Sample(seconds, {"loaded": report.loaded})


def run(store: str, steps: str, workers: int) -> Sample:
    """Open a loaded store and drain it. The time includes opening, and the start of the workers."""
    workflow, open_engine = WORKFLOWS[steps](), bf.Engine
    began = time.perf_counter()
    with open_engine(store, workflow, workers=workers) as engine:
        opened = time.perf_counter()
        engine.run(progress=False)
        seconds = time.perf_counter() - began
        return Sample(seconds, _counts(engine), {"open_seconds": opened - began})


def rehearse(store: str, steps: str, workers: int) -> Sample:
    """Rehearse a workflow over all finished runs, and count the tables that differ afterwards."""
    with bf.Engine(store, WORKFLOWS[steps](), workers=workers) as engine:
        before = _sums(engine)
        began = time.perf_counter()
        with engine.rehearse("true", at=OrderStatus.CREATED) as shown:
            seconds = time.perf_counter() - began
            differ = sum(old != new for old, new in zip(before, _sums(engine), strict=True))
            facts = {"same": shown.same, "drain_seconds": shown.seconds}
            return Sample(seconds, {"runs": shown.runs, "differ": differ}, facts)


def _sums(engine: bf.Engine) -> list[list[tuple[object, ...]]]:
    """Return a sum over all rows of each table."""
    tables = ("orders.runs", "orders.transitions", "orders.errors", "batchflow.operations")
    query = "SELECT count(*), bit_xor(hash(t)), sum(hash(t) % 1000003) FROM {} AS t"
    return [engine.sql(query.format(table)).fetchall() for table in tables]


def load_and_run(store: str, source: str, steps: str, workers: int) -> Sample:
    """Load a new store and drain it, as the README does. The time is that of the drain."""
    with bf.Engine(store, WORKFLOWS[steps](), workers=workers) as engine:
        engine.trigger_many(source, foreign_id="order_id")
        began = time.perf_counter()
        engine.run(progress=False)
        seconds = time.perf_counter() - began
        return Sample(seconds, _counts(engine))


def load_and_run_with_queries(
    store: str, source: str, steps: str, workers: int, queries: int
) -> Sample:
    """Load a new store and drain it while another process, already connected, queries it."""
    with bf.Engine(store, WORKFLOWS[steps](), workers=workers) as engine:
        engine.trigger_many(source, foreign_id="order_id")
        command = [sys.executable, str(QUERYING), store, str(queries)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as querying:
            assert querying.stdin is not None
            assert querying.stdout is not None
            querying.stdout.readline()
            querying.stdin.write("go\n")
            querying.stdin.flush()
            began = time.perf_counter()
            engine.run(progress=False)
            seconds = time.perf_counter() - began
            finished = querying.stdout.readline()
        return Sample(seconds, _counts(engine), {"queries": float(finished)})


def load_and_run_with_crashes(
    store: str, source: str, steps: str, workers: int, runs: int, crashing: int
) -> Sample:
    """Load a new store and drain it; some runs crash the worker that executes their first step."""
    ids = crashing_orders.crashing_ids(runs, crashing) if crashing else frozenset()
    with bf.Engine(
        store, crashing_orders.workflow_with_crashes(steps, ids), workers=workers
    ) as engine:
        engine.trigger_many(source, foreign_id="order_id")
        began = time.perf_counter()
        report = engine.run(progress=False)
        seconds = time.perf_counter() - began
        return Sample(seconds, _counts(engine), {"failed": report.outcome("failed")})


def run_opened(store: str, steps: str) -> Sample:
    """Drain a store inline. The time excludes opening it, which is a fact of the sample."""
    began = time.perf_counter()
    with bf.Engine(store, WORKFLOWS[steps](), workers=0) as engine:
        opened = time.perf_counter()
        engine.run(progress=False)
        seconds = time.perf_counter() - opened
        return Sample(seconds, {}, {"open_seconds": opened - began})


def trigger_and_wait(store: str, times: int) -> Sample:
    """Return the median time to trigger a run and wait until it has passed two inline steps."""
    seconds = []
    with bf.Engine(store, _two_steps(), workers=0) as engine:
        engine.start()
        for i in range(times):
            began = time.perf_counter()
            run_id = engine.trigger(f"order-{i}", Order(f"order-{i}", 10.0, 1, "card"))
            engine.wait(run_id, OrderStatus.PAID, timeout_seconds=10)
            seconds.append(time.perf_counter() - began)
        engine.stop()
    seconds.sort()
    return Sample(seconds[times // 2], {}, {"slowest_seconds": seconds[-1]})


def _two_steps() -> OrderWorkflow:
    workflow = bf.Workflow("orders", Order, OrderStatus)
    s = OrderStatus
    workflow.add_step(s.CREATED, orders.validate, s.VALIDATED, s.REJECTED)
    workflow.add_step(s.VALIDATED, orders.charge, s.PAID, s.PAYMENT_FAILED)
    return workflow


def _counts(engine: bf.Engine) -> dict[str, int]:
    query = "SELECT status::VARCHAR, count(*) FROM orders.runs GROUP BY ALL"
    return dict(engine.sql(query).fetchall())
