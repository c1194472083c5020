"""The questions of a store, each timed until its last row is fetched."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import batchflow as bf
import orders
from sample import Sample

Store: TypeAlias = "bf.Engine | bf.StoreClient"

QUESTIONS: Final[Mapping[str, Callable[[Store, str], bf.Relation]]] = {
    "counts()": lambda store, _: store.counts(),
    "runs(where).limit(20)": lambda store, _: store.runs("items = 3").limit(20),
    "history(run_id)": lambda store, run_id: store.history(run_id),
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
        seconds = _seconds(engine, question, run_id)
        with bf.connect(store) as client:
            by_socket = _seconds(client, question, run_id)
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


def time_picture(store: str) -> Sample:
    """Return the time to draw the engine's picture for a notebook."""
    with bf.Engine(store, orders.sql_orders(), workers=0) as engine:
        began = time.perf_counter()
        drawn = engine._repr_html_()
        seconds = time.perf_counter() - began
    return Sample(seconds, {"characters": len(drawn)})


def _seconds(store: Store, question: str, run_id: str) -> float:
    began = time.perf_counter()
    QUESTIONS[question](store, run_id).to_arrow_table()
    return time.perf_counter() - began
