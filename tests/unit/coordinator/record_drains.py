"""Record the progress of real drains, with which `test_forecast_of_recorded_drains.py` continues.

    python tests/unit/coordinator/record_drains.py [NAME...]

It takes a minute, and writes a file for each drain: the tally after each commit, thinned out.
"""

from __future__ import annotations

import asyncio
import enum
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent / "drains"
sys.path.insert(0, str(HERE.parents[2]))

import batchflow as bf  # noqa: E402
from batchflow.coordinator import Tally  # noqa: E402
from kit.open_store import open_store  # noqa: E402

SAMPLES = 60


class Stage(enum.Enum):
    NEW = "new"
    CHECKED = "checked"
    PRICED = "priced"
    SENT = "sent"
    REFUSED = "refused"


@dataclass
class Parcel:
    number: int


def workflow_of(*steps: Any, retry: bf.Retry | None = None) -> bf.Workflow[Parcel, Stage]:
    workflow = bf.Workflow("parcels", Parcel, Stage, retry=retry or bf.Retry())
    for from_status, step, to, options in steps:
        workflow.add_step(from_status, step, *to, **options)
    return workflow


def thinning() -> tuple[bf.Workflow[Parcel, Stage], int]:
    async def check(run: Any) -> Stage:
        await asyncio.sleep(0.02)
        return Stage.CHECKED if run.object.number % 2 else Stage.REFUSED

    async def price(run: Any) -> Stage:
        await asyncio.sleep(0.02)
        return Stage.PRICED if run.object.number % 3 else Stage.REFUSED

    async def send(run: Any) -> Stage:
        await asyncio.sleep(0.02)
        return Stage.SENT

    return workflow_of(
        (Stage.NEW, check, (Stage.CHECKED, Stage.REFUSED), {"concurrency": 16}),
        (Stage.CHECKED, price, (Stage.PRICED, Stage.REFUSED), {"concurrency": 16}),
        (Stage.PRICED, send, (Stage.SENT,), {"concurrency": 16}),
    ), 6_000


def bursts() -> tuple[bf.Workflow[Parcel, Stage], int]:
    async def check(run: Any) -> Stage:
        await asyncio.sleep(0.1 if run.object.number // 100 % 4 == 0 else 0.02)
        return Stage.SENT

    return workflow_of((Stage.NEW, check, (Stage.SENT,), {"concurrency": 16})), 5_000


def slow_late_step() -> tuple[bf.Workflow[Parcel, Stage], int]:
    def check(batch: Any) -> Stage:
        return Stage.CHECKED

    async def send(run: Any) -> Stage:
        await asyncio.sleep(0.04)
        return Stage.SENT

    return workflow_of(
        (Stage.NEW, check, (Stage.CHECKED,), {"batch": True}),
        (Stage.CHECKED, send, (Stage.SENT,), {"concurrency": 16}),
    ), 5_000


def retries() -> tuple[bf.Workflow[Parcel, Stage], int]:
    async def send(run: Any) -> Stage:
        await asyncio.sleep(0.03)
        if run.object.number % 4 == 0 and run.attempt < 3:
            raise ConnectionError("busy")
        return Stage.SENT

    retry = bf.Retry(backoff_seconds=0.5)
    step = (Stage.NEW, send, (Stage.SENT,), {"concurrency": 16})
    return workflow_of(step, retry=retry), 5_000


def waiting() -> tuple[bf.Workflow[Parcel, Stage], int]:
    async def send(run: Any) -> Stage:
        await asyncio.sleep(0.3)
        return Stage.SENT

    return workflow_of((Stage.NEW, send, (Stage.SENT,), {"concurrency": 16})), 1_000


DRAINS: dict[str, Callable[[], tuple[bf.Workflow[Parcel, Stage], int]]] = {
    each.__name__: each for each in (thinning, bursts, slow_late_step, retries, waiting)
}


def sample(tally: Tally, began: float) -> dict[str, Any]:
    (counts,) = tally.status_counts.values()
    now = time.time()
    return {
        "seconds": round(time.monotonic() - began, 4),
        "workers": tally.workers,
        "awaits_retries": tally.awaits_retries,
        "steps": [
            [step.counts.tolist(), round(step.seconds, 5), step.chunks]
            for step in tally.steps.values()
        ],
        "runs": counts.runs.tolist(),
        "retrying": counts.retrying.tolist(),
        "retries_in": [
            None if moment is None else round(moment.timestamp() - now, 3)
            for moment in (counts.next_retry_at, counts.last_retry_at)
        ],
        "executed": counts.executed.tolist(),
        "moved": counts.moved.tolist(),
        "retried": counts.retried.tolist(),
        "by_attempt": counts.by_attempt.tolist(),
        "retried_by_attempt": counts.retried_by_attempt.tolist(),
    }


def record(name: str) -> None:
    workflow, runs = DRAINS[name]()
    samples: list[dict[str, Any]] = []
    with open_store(":memory:", workflow) as store:
        store.trigger_many(f"SELECT range AS number FROM range({runs})", foreign_id="number")
        began = time.monotonic()
        store.drain(
            executor=bf.ProcessPool(2),
            listeners=[lambda tally: samples.append(sample(tally, began))],
            wait_for_retries=True,
        )
    step = max(1, len(samples) // SAMPLES)
    kept = samples[:-1:step] + samples[-1:]
    lines = ",\n".join(json.dumps(each) for each in kept)
    (HERE / f"{name}.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    for name in sys.argv[1:] or DRAINS:
        record(name)
