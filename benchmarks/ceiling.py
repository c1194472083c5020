"""Measure the most transitions a second that one coordinator can claim, send, collect and commit.

Its workers do nothing: they take the chunks that the coordinator has written, and their replies are
made in no time that counts. They claim that a step takes so long for a run, which decides how large
chunks are. The number of workers that would keep the coordinator busy follows.

All figures are for a second of CPU of the coordinator's process, so that other programs on the
machine change them little. A coordinator that has two cores uses about one and a half.

    python benchmarks/ceiling.py --runs 1000000
"""

from __future__ import annotations

import argparse
import enum
import time
from collections import deque
from collections.abc import Sequence, Set
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

import batchflow as bf
from batchflow.chunk.result import FAILURE_SCHEMA, REASON_SCHEMA, Change
from batchflow.chunk.result_check import checked_result
from batchflow.chunk.serialization import write_chunk, write_result
from batchflow.executor import Capability
from batchflow.worker.transport import anonymous_file

_MICROSECONDS = (1, 10, 100, 1_000)


class Stage(enum.Enum):
    """The statuses of an order."""

    NEW = "new"
    DONE = "done"


@dataclass
class Order:
    """Two fields, one of which the step writes."""

    number: int
    label: str
    total: int = 0


def price(run: bf.Run[Order, Stage]) -> Stage:
    """Never called."""
    raise NotImplementedError


@dataclass
class IdleWorkers:
    """Claims to have so many workers, and that a run takes so long.

    Attributes:
        workers: The number of workers.
        seconds_per_run: What a step takes.
        replying_seconds: The time in which replies were made, which real workers spend elsewhere.
        sent_bytes: The bytes of all chunks and replies.
        chunks: The number of chunks.
    """

    workers: int
    seconds_per_run: float
    replying_seconds: float = 0.0
    sent_bytes: int = 0
    chunks: int = 0
    capabilities: Set[Capability] = field(default_factory=frozenset)

    def open(self, context: bf.ExecutorContext) -> IdlePool:
        """Open the executor."""
        return IdlePool(self, context)


class IdlePool:
    """Takes chunks as a pool does, and has a reply for each."""

    expects_workers = False

    def __init__(self, settings: IdleWorkers, context: bf.ExecutorContext) -> None:
        self.workers = settings.workers
        self._settings, self._context = settings, context
        self._replies: deque[tuple[bf.Chunk, pa.Buffer]] = deque()

    @property
    def slots(self) -> int:
        """Two chunks for each worker."""
        return 2 * self.workers - len(self._replies)

    suspect_slots = slots

    def start(self) -> None:
        """Do nothing."""

    def submit(self, chunk: bf.Chunk, *, suspect: bool = False) -> None:  # noqa: ARG002 - none is
        """Write the chunk where a worker would read it."""
        with anonymous_file("batchflow") as file:
            write_chunk(chunk, file)
            self._settings.sent_bytes += file.tell()
        began = time.thread_time()
        reply = _reply(chunk, self._settings.seconds_per_run)
        self._settings.replying_seconds += time.thread_time() - began
        self._settings.sent_bytes += reply.size
        self._settings.chunks += 1
        self._replies.append((chunk, reply))

    def completed(self, timeout_seconds: float | None) -> Sequence[bf.ChunkResult | bf.LostChunk]:
        """Return half of the results, as if the others were still executed."""
        if not self._replies:
            time.sleep(min(timeout_seconds or 0.001, 0.001))
        taken = [self._replies.popleft() for _ in range(-(-len(self._replies) // 2))]
        workflows = self._context.workflows
        return [checked_result(reply, chunk, workflows[chunk.workflow]) for chunk, reply in taken]

    def wake(self) -> None:
        """Do nothing: `completed` doesn't wait."""

    def request_stop(self, *, stop: bool) -> None:
        """Do nothing: each chunk is done."""

    def interrupt(self) -> None:
        """Do nothing: no step is executed."""

    def abandon(self) -> None:
        """Drop the replies."""
        self._replies.clear()

    close = abandon


def _reply(chunk: bf.Chunk, seconds_per_run: float) -> pa.Buffer:
    rows = chunk.num_rows
    result = bf.ChunkResult(
        chunk_id=chunk.chunk_id,
        outcomes=np.full(rows, bf.Outcome.ADVANCED, np.int8),
        to_codes=np.ones(rows, np.int16),
        changes={"total": Change(pa.array(np.ones(rows, np.int64)), None)},
        failures=FAILURE_SCHEMA.empty_table(),
        reasons=REASON_SCHEMA.empty_table(),
        seconds=rows * seconds_per_run,
    )
    sink = pa.BufferOutputStream()
    write_result(result, sink)
    return sink.getvalue()


def measured(runs: int, microseconds: float, workers: int) -> tuple[float, float, float]:
    """Return the transitions, bytes and chunks for each second of CPU."""
    workflow = bf.Workflow("orders", Order, Stage)
    workflow.add_step(Stage.NEW, price, Stage.DONE)
    settings = IdleWorkers(workers, microseconds * 1e-6)
    source = f"SELECT range AS number, 'order ' || range AS label FROM range({runs})"
    with bf.Engine(":memory:", workflow, executor=settings) as engine:
        engine.trigger_many(source, foreign_id="number")
        began = time.process_time()
        engine.run(progress=False)
        used = time.process_time() - began - settings.replying_seconds
    return runs / used, settings.sent_bytes / used, settings.chunks / used


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--microseconds", type=int, nargs="*", default=_MICROSECONDS)
    arguments = parser.parse_args()
    print("| step, µs per run | workers | transitions | saturated by | MB | chunks |")
    print("| --- | --- | --- | --- | --- | --- |")
    for microseconds in arguments.microseconds:
        # So many workers would keep a coordinator busy that moves a million runs a second.
        workers = microseconds
        rounds = [measured(arguments.runs, microseconds, workers) for _ in range(arguments.rounds)]
        rate, sent, chunks = max(rounds)
        print(
            f"| {microseconds:,} | {workers:,} | {rate:,.0f} | "
            f"{rate * microseconds * 1e-6:,.1f} workers | {sent / 1e6:,.0f} | {chunks:,.0f} |"
        )


if __name__ == "__main__":
    main()
