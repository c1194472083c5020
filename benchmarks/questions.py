"""The questions of a store, each timed until its last row is fetched."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias

import batchflow as bf
import orders
from sample import Sample

Store: TypeAlias = "bf.Engine | bf.StoreClient"


@dataclass(frozen=True)
class Known:
    """What is known of a store: a run, and the moment in the middle of its transitions."""

    run_id: str
    middle: datetime


QUESTIONS: Final[Mapping[str, Callable[[Store, Known], bf.Relation]]] = {
    "counts()": lambda store, _: store.counts(),
    "counts(as_of=…)": lambda store, known: store.counts(as_of=known.middle),
    "runs(as_of=…).limit(20)": lambda store, known: store.runs(as_of=known.middle).limit(20),
    "diff(since)": lambda store, known: store.diff(known.middle),
    "runs(where).limit(20)": lambda store, _: store.runs("items = 3").limit(20),
    "history(run_id)": lambda store, known: store.history(known.run_id),
    "errors()": lambda store, _: store.errors(),
    "costs()": lambda store, _: store.costs(),
    "transitions()": lambda store, _: store.transitions(),
    "throughput()": lambda store, _: store.throughput(),
    "durations()": lambda store, _: store.durations(),
    "funnel()": lambda store, _: store.funnel(),
    "ages()": lambda store, _: store.ages(),
}


def time_question(store: str, question: str) -> Sample:
    """Return the time in the engine's process, with that through its socket as a fact."""
    with bf.Engine(store, orders.sql_orders(), workers=0) as engine:
        query = "SELECT max(run_id)::VARCHAR, count(*) FROM orders.runs"
        [(run_id, runs)] = engine.sql(query).fetchall()
        middle = "min(committed_at) + (max(committed_at) - min(committed_at)) / 2"
        [(moment,)] = engine.sql(f"SELECT {middle} FROM orders.transitions").fetchall()
        known = Known(run_id, moment)
        seconds = _seconds(engine, question, known)
        with bf.connect(store) as client:
            by_socket = _seconds(client, question, known)
    return Sample(seconds, {"runs": runs}, {"by_socket": by_socket})


def checked(store: str) -> Sample:
    """Count the runs, and those whose status and version aren't what their log says."""
    with bf.connect(store) as client:
        ((runs, versions),) = client.sql(
            "SELECT count(*), sum(version - 1)::BIGINT FROM orders.runs"
        ).fetchall()
        ((moves,),) = client.sql("SELECT count(*) FROM orders.transitions").fetchall()
        # Each run's last transition leads to its status, with its version.
        ((agreeing,),) = client.sql(
            "SELECT count(*) FROM orders.runs AS r JOIN orders.transitions AS t "
            "ON t.seq = r.seq AND t.version = r.version AND t.to_status = r.status"
        ).fetchall()
    return Sample(0.0, {"runs": runs, "broken": abs(moves - versions) + abs(agreeing - runs)})


def time_check(store: str) -> Sample:
    """Return the time to check whether the store is sane."""
    with bf.Engine(store, orders.sql_orders(), workers=0) as engine:
        began = time.perf_counter()
        report = engine.check()
        seconds = time.perf_counter() - began
    return Sample(seconds, {}, {"problems": len(report.problems)})


def time_picture(store: str) -> Sample:
    """Return the time to draw the engine's picture for a notebook."""
    with bf.Engine(store, orders.sql_orders(), workers=0) as engine:
        began = time.perf_counter()
        drawn = engine._repr_html_()
        seconds = time.perf_counter() - began
    return Sample(seconds, {"characters": len(drawn)})


def _seconds(store: Store, question: str, known: Known) -> float:
    began = time.perf_counter()
    QUESTIONS[question](store, known).to_arrow_table()
    return time.perf_counter() - began
