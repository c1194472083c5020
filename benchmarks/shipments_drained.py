"""The work of the baselines of nested data, done with batchflow's public interface."""

from __future__ import annotations

import time
from collections.abc import Callable

import batchflow as bf
import shipments
from sample import Sample
from shipments import ShipmentWorkflow

WORKFLOWS: dict[str, Callable[[], ShipmentWorkflow]] = {
    "row": shipments.row_shipments,
    "batch": shipments.batch_shipments,
}


def load(store: str, source: str) -> Sample:
    """Load the source into a new store."""
    with bf.Engine(store, shipments.row_shipments(), workers=0) as engine:
        began = time.perf_counter()
        report = engine.trigger_many(source, foreign_id="shipment_id")
        seconds = time.perf_counter() - began
    return Sample(seconds, {"loaded": report.loaded})


def load_and_run(store: str, source: str, steps: str, workers: int) -> Sample:
    """Load a new store and drain it. The time is that of the drain."""
    with bf.Engine(store, WORKFLOWS[steps](), workers=workers) as engine:
        engine.trigger_many(source, foreign_id="shipment_id")
        began = time.perf_counter()
        engine.run(progress=False)
        seconds = time.perf_counter() - began
        query = "SELECT status::VARCHAR, count(*) FROM shipments.runs GROUP BY ALL"
        return Sample(seconds, dict(engine.sql(query).fetchall()))
