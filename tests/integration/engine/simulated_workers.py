"""An executor whose workers wait in simulated time, so that hours of slow calls take no time."""

from __future__ import annotations

import heapq
import threading
from collections import deque
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pyarrow as pa

import batchflow as bf
from batchflow.chunk.result import FAILURE_SCHEMA, REASON_SCHEMA
from batchflow.coordinator.chunk_sizer import lanes
from batchflow.definition import Outcome, Step
from batchflow.executor import Capability
from batchflow.testing import FakeClock

CHUNKS_PER_WORKER = 2


@dataclass
class SimulatedWorkers:
    """Workers that execute chunks as real ones do, but by a clock that jumps.

    Attributes:
        clock: Moves to the end of the next chunk whenever the drain waits.
        count: The number of workers.
        latency: The seconds of a call, by the run's seq and its attempt from 1.
        fails: Whether a call fails, likewise.
        fixed: The seconds that a batch takes besides.
        arrivals: Calls at a time, in seconds from the beginning; the earliest first.
        calls: The seconds of all calls together.
        executed: The rows of each chunk, and its seconds.
    """

    clock: FakeClock
    count: int
    latency: Callable[[int, int], float]
    fails: Callable[[int, int], bool] = lambda seq, attempt: False
    fixed: float = 0.0
    arrivals: deque[tuple[float, Callable[[], object]]] = field(default_factory=deque)
    calls: float = 0.0
    executed: list[tuple[int, float]] = field(default_factory=list)
    capabilities: ClassVar[Set[Capability]] = frozenset()

    def __post_init__(self) -> None:
        self.began = self.clock.now()

    @property
    def now(self) -> float:
        """The seconds since the beginning."""
        return (self.clock.now() - self.began).total_seconds()

    def open(self, context: bf.ExecutorContext) -> SimulatedPool:
        return SimulatedPool(self, context)


class SimulatedPool:
    """The executor of `SimulatedWorkers`."""

    expects_workers = False
    suspect_slots = 0

    def __init__(self, settings: SimulatedWorkers, context: bf.ExecutorContext) -> None:
        self.workers = settings.count
        self._settings, self._context = settings, context
        self._queues: list[deque[bf.Chunk]] = [deque() for _ in range(settings.count)]
        self._ends: list[tuple[float, bf.ChunkResult] | None] = [None] * settings.count
        self._writes = threading.Event()
        self._is_writing = False

    @property
    def slots(self) -> int:
        return CHUNKS_PER_WORKER * self.workers - sum(map(self._held, range(self.workers)))

    def _held(self, worker: int) -> int:
        return len(self._queues[worker]) + (self._ends[worker] is not None)

    def submit(self, chunk: bf.Chunk, *, suspect: bool = False) -> None:
        assert not suspect
        worker = min(range(self.workers), key=self._held)
        self._queues[worker].append(chunk)
        self._begin(worker)

    def completed(self, timeout_seconds: float | None) -> Sequence[bf.ChunkResult]:
        if self._is_writing:
            # A write takes no simulated time.
            self._writes.wait(10.0)
            self._is_writing = False
            return []
        self._writes.clear()
        return self._next(np.inf if timeout_seconds is None else timeout_seconds)

    def _next(self, timeout_seconds: float) -> Sequence[bf.ChunkResult]:
        now, arrivals = self._settings.now, self._settings.arrivals
        ends = [end[0] for end in self._ends if end is not None]
        arrival = arrivals[0][0] if arrivals else np.inf
        moment = max(now, min([now + timeout_seconds, arrival, *ends]))
        assert moment < np.inf
        # A microsecond more, as the clock counts in whole ones.
        self._settings.clock.advance(moment - now + 1e-6)
        if arrival <= moment:
            arrivals.popleft()[1]()
            return []
        done = []
        for worker, end in enumerate(self._ends):
            if end is not None and end[0] <= moment:
                done.append(end[1])
                self._ends[worker] = None
                self._begin(worker)
        self._is_writing = bool(done)
        return done

    def _begin(self, worker: int) -> None:
        if self._ends[worker] is None and self._queues[worker]:
            result = self._execute(self._queues[worker].popleft())
            self._ends[worker] = (self._settings.now + result.seconds, result)

    def _execute(self, chunk: bf.Chunk) -> bf.ChunkResult:
        step = self._context.workflows[chunk.workflow].steps[chunk.from_code]
        seqs, attempts = (chunk.rows[name].to_pylist() for name in ("#seq", "#attempt"))
        runs = list(zip(seqs, attempts, strict=True))
        seconds = [self._settings.latency(*run) for run in runs]
        begun, took = _in_lanes(seconds, lanes(step), chunk.slice_seconds)
        took += 0.0 if step.kind.calls_each_run else self._settings.fixed
        self._settings.calls += sum(seconds[:begun])
        self._settings.executed.append((begun, took))
        failed = [row for row in range(begun) if self._settings.fails(*runs[row])]
        return _result(chunk, step, begun, failed, took)

    def start(self) -> None:
        pass

    def wake(self) -> None:
        self._writes.set()

    def request_stop(self, *, stop: bool) -> None:
        pass

    def interrupt(self) -> None:
        pass

    def abandon(self) -> None:
        pass

    def close(self) -> None:
        pass


def _in_lanes(seconds: list[float], count: int, limit: float | None) -> tuple[int, float]:
    """Return how many calls begin within the limit, and when the last of them ends."""
    free = [0.0] * count
    end = 0.0
    for begun, call in enumerate(seconds):
        start = heapq.heappop(free)
        if begun and limit is not None and start >= limit:
            return begun, end
        heapq.heappush(free, start + call)
        end = max(end, start + call)
    return len(seconds), end


def _result(
    chunk: bf.Chunk, step: Step, begun: int, failed: list[int], seconds: float
) -> bf.ChunkResult:
    outcomes = np.full(chunk.num_rows, Outcome.RETURNED, np.int8)
    outcomes[:begun] = Outcome.ADVANCED
    outcomes[failed] = Outcome.FAILED
    texts = dict.fromkeys(("message", "traceback", "fingerprint", "cause"), "")
    failure = {"type": "E", "retryable": True, **texts}
    return bf.ChunkResult(
        chunk_id=chunk.chunk_id,
        outcomes=outcomes,
        to_codes=np.where(outcomes == Outcome.ADVANCED, step.to_codes[0], -1).astype(np.int16),
        changes={},
        failures=pa.Table.from_pylist([{"row": row, **failure} for row in failed], FAILURE_SCHEMA),
        reasons=REASON_SCHEMA.empty_table(),
        seconds=seconds,
    )
