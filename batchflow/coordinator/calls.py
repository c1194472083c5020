"""The calls of steps that don't return: they are logged while they run, and named at the end."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

from batchflow.executor.protocol import CallUnderWay, WatchedExecutor
from batchflow.short_form import counted, short_seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchflow.coordinator.drain_context import DrainContext
    from batchflow.coordinator.flight import ChunksInFlight

log = logging.getLogger("batchflow")

# A call that takes longer is logged, and again after twice the time.
FIRST_LOGGED_AFTER_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 0.5


@dataclass(frozen=True)
class UnfinishedCall:
    """A call of a step that hasn't returned.

    Attributes:
        run_id: The run that it is for; None for several runs.
        runs: The number of runs that it is for, or that are called at the same time.
        since: When it began, to half a second.
        worker: The id of the process that executes it; None if that isn't known.
    """

    workflow: str
    step: str
    status: str
    run_id: UUID | None
    runs: int
    since: datetime
    worker: int | None

    def __str__(self) -> str:
        runs = f"run {self.run_id}" if self.run_id is not None else counted(self.runs, "run")
        worker = "" if self.worker is None else f", in process {self.worker}"
        return (
            f"step {self.step!r} of workflow {self.workflow!r} for {runs}, "
            f"since {self.since:%Y-%m-%d %H:%M:%S %Z}{worker}"
        )


@dataclass
class _Seen:
    """A call, since when it is known, and after how long it is logged next."""

    call: CallUnderWay
    began: float
    since: datetime
    log_after_seconds: float


class Calls:
    """Watches the calls under way from a thread of its own, as a drain waits for them."""

    def __init__(self, context: DrainContext, flight: ChunksInFlight) -> None:
        self._store, self._clock, self._executor = context.store, context.clock, context.executor
        self._flight = flight
        self._seen: dict[tuple[int, int | None, range], _Seen] = {}
        self._looking = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="batchflow-calls", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join()

    def under_way(self) -> dict[int, UnfinishedCall]:
        """Return the calls under way by the id of their chunk."""
        with self._looking:
            self._look()
            seen = list(self._seen.values())
        named = ((each.call.chunk_id, self._named(each)) for each in seen)
        return {chunk_id: call for chunk_id, call in named if call is not None}

    def _watch(self) -> None:
        while not self._ended.wait(_LOOK_SECONDS):
            with self._looking:
                self._look()
                self._log_long()

    def _look(self) -> None:
        now, moment = time.monotonic(), self._clock.now()
        found: dict[tuple[int, int | None, range], _Seen] = {}
        for call in self._calls():
            key = call.chunk_id, call.from_code, call.rows
            found[key] = self._seen.get(key) or _Seen(call, now, moment, FIRST_LOGGED_AFTER_SECONDS)
        self._seen = found

    def _calls(self) -> Sequence[CallUnderWay]:
        return self._executor.calls() if isinstance(self._executor, WatchedExecutor) else ()

    def _log_long(self) -> None:
        now = time.monotonic()
        for seen in self._seen.values():
            if now - seen.began < seen.log_after_seconds:
                continue
            seen.log_after_seconds *= 2
            call = self._named(seen)
            if call is not None:
                _log("A call has been executing for %s: %s.", call, short_seconds(now - seen.began))

    def _named(self, seen: _Seen) -> UnfinishedCall | None:
        chunk = self._flight.chunk(seen.call.chunk_id)
        if chunk is None:
            return None
        workflow, rows = chunk.claim.workflow, seen.call.rows
        code = seen.call.from_code
        step = chunk.claim.step if code is None else workflow.steps.get(code, chunk.claim.step)
        run_id = None
        if len(rows) == 1 and rows.start < chunk.rows.num_rows:
            seq = chunk.rows["#seq"][rows.start].as_py()
            run_id = UUID(int=self._store.run_id_base(workflow) + seq)
        status = workflow.statuses[step.from_code].name
        return UnfinishedCall(
            workflow.name, step.name, status, run_id, len(rows), seen.since, seen.call.worker
        )


def log_abandoned(calls: Sequence[UnfinishedCall]) -> None:
    """Log the calls that don't return before the drain ends."""
    for call in calls:
        _log("A call is abandoned, because the time for the stop is over: %s.", call)


def _log(text: str, call: UnfinishedCall, *values: str) -> None:
    log.warning(
        text,
        *values,
        call,
        extra={
            "action": "unfinished_call",
            "workflow": call.workflow,
            "step": call.step,
            "runs": call.runs,
            "run_id": None if call.run_id is None else str(call.run_id),
            "since": call.since,
            "worker": call.worker,
        },
    )
