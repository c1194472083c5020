"""Loans that consume a list of events, one for each step, and then go around a cycle."""

from __future__ import annotations

import enum
import time
from dataclasses import dataclass, field

import pyarrow as pa

import batchflow as bf
from sample import Sample

EVENTS, LAPS = 20, 3


class LoanStatus(enum.Enum):
    """The statuses of a loan."""

    OPEN = "open"
    CHECKED = "checked"
    OFFERED = "offered"
    ANSWERED = "answered"
    CLOSED = "closed"


@dataclass
class Event:
    """What happened to a loan."""

    name: str
    hour: int


@dataclass
class Loan:
    """A loan with the events that are still to be consumed."""

    loan_id: str
    events: list[Event] = field(default_factory=list)
    hours: int = 0
    laps: int = 0


LoanRun = bf.Run[Loan, LoanStatus]


def consume(run: LoanRun) -> LoanStatus | bf.Answer:
    """Consume one event, again and again."""
    events = run.object.events
    if not events:
        return LoanStatus.CHECKED
    run.object.hours += events.pop().hour
    return run.repeat()


def check(_: LoanRun) -> LoanStatus:
    """Offer a checked loan."""
    return LoanStatus.OFFERED


def offer(_: LoanRun) -> LoanStatus:
    """Wait for the answer to an offer."""
    return LoanStatus.ANSWERED


def answer(run: LoanRun) -> LoanStatus:
    """Check the loan again, until the last lap."""
    run.object.laps += 1
    return LoanStatus.CLOSED if run.object.laps == LAPS else LoanStatus.CHECKED


def drain(store: str, runs: int, workers: int, visits: int) -> Sample:
    """Load a new store and drain it. The time is that of the drain."""
    with bf.Engine(store, _loans(visits=bool(visits)), workers=workers) as engine:
        engine.trigger_many(_source(runs), foreign_id="loan_id")
        began = time.perf_counter()
        engine.run(progress=False)
        seconds = time.perf_counter() - began
        counts = engine.sql("SELECT to_status::VARCHAR, count(*) FROM loans.transitions GROUP BY 1")
        return Sample(seconds, dict(counts.fetchall()))


def _loans(*, visits: bool) -> bf.Workflow[Loan, LoanStatus]:
    s = LoanStatus
    loans = bf.Workflow("loans", Loan, s, visits=visits)
    loans.add_step(s.OPEN, consume, s.OPEN, s.CHECKED)
    loans.add_step(s.CHECKED, check, s.OFFERED)
    loans.add_step(s.OFFERED, offer, s.ANSWERED)
    loans.add_step(s.ANSWERED, answer, s.CHECKED, s.CLOSED)
    return loans


def _source(runs: int) -> pa.Table:
    events = [{"name": f"event {i}", "hour": i} for i in range(EVENTS)]
    kind = pa.list_(pa.struct([("name", pa.string()), ("hour", pa.int64())]))
    ids = [f"loan-{i:06d}" for i in range(runs)]
    return pa.table({"loan_id": ids, "events": pa.array([events] * runs, kind)})
