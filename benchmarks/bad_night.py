"""The twelve questions of the morning after, over a night in which some orders failed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import batchflow as bf
import orders
from orders import Order, OrderStatus, OrderWorkflow
from sample import Sample

_STOPPED: Final = "run_state = 'PAUSED'"
_SOME_STOPPED: Final = f"{_STOPPED} AND seq % 500 < 1"
_HALF: Final = "hash(seq) % 2 = 0"


@dataclass(frozen=True)
class Morning:
    """What the questions are about.

    Attributes:
        engine: The engine of the store.
        began: The beginning of the night.
        failed: The id of a run that failed.
        cause: The cause of its failure.
    """

    engine: bf.Engine
    began: datetime
    failed: str
    cause: str


def _rehearse(morning: Morning, where: str) -> None:
    with morning.engine.rehearse(where, workflow=_orders(broken=False)) as shown:
        assert not shown.failures


QUESTIONS: Final[Mapping[str, Callable[[Morning], object]]] = {
    "how far: counts()": lambda it: it.engine.counts().fetchall(),
    "when done: progress()": lambda it: it.engine.progress(),
    "what stopped: runs()": lambda it: it.engine.runs(_STOPPED).limit(20).fetchall(),
    "why, by cause: errors()": lambda it: it.engine.errors().fetchall(),
    "what do they share: explain()": lambda it: it.engine.explain(_STOPPED).fetchall(),
    "which worker: errors(by='worker')": lambda it: it.engine.errors(by="worker").fetchall(),
    "what changed: diff()": lambda it: it.engine.diff(it.began).fetchall(),
    "would the fix work, for some: rehearse()": lambda it: _rehearse(it, _SOME_STOPPED),
    "would the fix work, for all: rehearse()": lambda it: _rehearse(it, _STOPPED),
    "put these back: retry()": lambda it: it.engine.retry(cause=it.cause, dry_run=True),
    "show me one: get()": lambda it: it.engine.get(it.failed),
    "what did it cost: costs()": lambda it: it.engine.costs().fetchall(),
    "is the file sane: check()": lambda it: it.engine.check(),
}


def spend(store: str, source: str, workers: int) -> Sample:
    """Load a new store and drain it; some orders fail."""
    with bf.Engine(store, _orders(broken=True), workers=workers) as engine:
        loaded = engine.trigger_many(source, foreign_id="order_id").loaded
        began = time.perf_counter()
        report = engine.run(progress=False)
        seconds = time.perf_counter() - began
    return Sample(seconds, {"runs": loaded, "failed": report.outcome("failed")})


def ask(store: str, workers: int) -> Sample:
    """Return the time of each question, and of each while a drain is running."""
    began = datetime(2000, 1, 1, tzinfo=UTC)
    with bf.Engine(store, _orders(broken=True), workers=workers) as engine:
        [(cause, failed)] = engine.errors().select("cause", "run_id").fetchall()
        morning = Morning(engine, began, failed, cause)
        alone = {name: _seconds(question, morning) for name, question in QUESTIONS.items()}
        engine.retry(_HALF, at=OrderStatus.CREATED, reason="so that a drain is running")
        engine.start()
        beside = {f"{name}, beside": _seconds(each, morning) for name, each in QUESTIONS.items()}
        outlasted = engine.progress() is not None
        engine.stop()
    facts = alone | beside | {"the drain outlasted the questions": float(outlasted)}
    return Sample(sum(alone.values()), {}, facts)


def _seconds(question: Callable[[Morning], object], morning: Morning) -> float:
    began = time.perf_counter()
    question(morning)
    return time.perf_counter() - began


def _orders(*, broken: bool) -> OrderWorkflow:
    workflow = bf.Workflow("orders", Order, OrderStatus, retry=bf.Retry(pause_after=1))
    s = OrderStatus

    def charge(batch: bf.Batch[Order, OrderStatus]) -> Any:
        if broken:
            batch.fail((batch["method"] == "card") & (batch["items"] == 7), "no answer")
        return orders.charge_batch(batch)

    workflow.batch_step(s.CREATED, to=[s.VALIDATED, s.REJECTED], columns=["items", "subtotal"])(
        orders.validate_batch
    )
    workflow.batch_step(
        s.VALIDATED, to=[s.PAID, s.PAYMENT_FAILED], columns=["order_id", "method", "items"]
    )(charge)
    workflow.batch_step(s.PAID, to=[s.FULFILLED], columns=["order_id"])(orders.ship_batch)
    return workflow
