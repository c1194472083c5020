"""The protocol of executors; docs/executors.md explains it with an example."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from batchflow.definition.named import NamedEnum

if TYPE_CHECKING:
    from collections.abc import Sequence, Set

    from batchflow.chunk import Chunk, ChunkResult
    from batchflow.executor.context import ExecutorContext


class Capability(NamedEnum):
    """An optional ability of an executor, beyond the rules that hold for all of them."""

    SEPARATE_PROCESSES = "steps are executed in processes that can die or be killed by themselves"
    NAMES_CALLS = "a lost chunk names the runs whose call was under way"
    ENFORCES_TIMEOUTS = "a call that takes longer than timeout_seconds is ended"
    LIMITS_MEMORY = "a call can't take more memory than worker_memory_limit"
    INTERRUPTS = "steps are executed in the calling thread, and interrupt() breaks into them"
    VARIES_WORKERS = "workers may appear late, leave, and come back"


@dataclass(frozen=True)
class LostChunk:
    """A chunk without a result, because its worker ended.

    Attributes:
        chunk_id: The id of the chunk.
        blamed: Whether the worker was executing the chunk, which may therefore have ended it. The
            runs of a chunk that isn't blamed are executed again like any others.
        rows: The rows whose call was under way; None if there was no call, or if it is unknown.
        error_type: ``WorkerDied`` or ``StepTimeout``.
        cause: How the worker ended, as a clause; it becomes the message of the run's failure.
            Failures of one cause are counted together, so it has no ids, times or addresses.
        used: Whether the worker had executed other chunks before, whose calls may have ended it.
        from_code: The status whose step was called last; None if it is the chunk's, or unknown.
        worker: The machine and the process that had it, like ``web-1:4242``; None if unknown.
    """

    chunk_id: int
    blamed: bool
    rows: range | None
    error_type: str
    cause: str
    used: bool = False
    from_code: int | None = None
    worker: str | None = None


@dataclass(frozen=True)
class CallUnderWay:
    """A call of a step that hasn't returned.

    Attributes:
        chunk_id: The id of its chunk.
        rows: The rows that it is for, or that are called at the same time.
        worker: The id of the process that executes it.
        from_code: The status whose step is called; None if it is the chunk's.
    """

    chunk_id: int
    rows: range
    worker: int
    from_code: int | None = None


class Executor(Protocol):
    """Executes chunks, in any order.

    The engine calls it from one thread at a time, except where a method says otherwise.
    """

    @property
    def workers(self) -> int:
        """How many chunks can be executed at the same time; may change at any time."""

    @property
    def slots(self) -> int:
        """How many more chunks `submit` takes now; may change at any time.

        If slots appear for another reason than a result, a waiting `completed` returns.
        """

    @property
    def suspect_slots(self) -> int:
        """How many more suspect chunks `submit` takes now; may change at any time."""

    @property
    def expects_workers(self) -> bool:
        """Whether more slots are expected without further action by the caller.

        While this is true, the engine waits in `completed` even if there is no slot and no chunk
        is under way. If it becomes false, a waiting `completed` returns. An executor without
        workers that expects none ends the drain with an EngineStateError.
        """

    def start(self) -> None:
        """Get ready to execute. Returns without waiting for workers, and may be called again."""

    def submit(self, chunk: Chunk, *, suspect: bool = False) -> None:
        """Take one chunk; the caller has seen a free slot.

        A suspect chunk has runs that may end their worker. It never shares a worker with chunks
        that aren't suspect, neither at the same time nor one after the other.
        """

    def completed(self, timeout_seconds: float | None) -> Sequence[ChunkResult | LostChunk]:
        """Wait for results, a lost chunk, a call of `wake` or the end of the time; return the news.

        Each submitted chunk is returned exactly once, unless `abandon` drops it. The sequence may
        be empty. None waits without a limit.

        Raises:
            StepCodeError: A worker can't load the workflows.
            ResourceError: A worker can't open a resource.
        """

    def wake(self) -> None:
        """Make a waiting `completed`, or else the next one, return.

        May be called from any thread or signal handler.
        """

    def request_stop(self, *, stop: bool) -> None:
        """Request that steps return the runs they haven't started, or withdraw the request.

        It holds for chunks under way and for those submitted later. May be called from any thread
        or signal handler.
        """

    def interrupt(self) -> None:
        """Break into a step that is executed in the calling thread; called by a signal handler.

        Does nothing if steps are executed elsewhere.

        Raises:
            KeyboardInterrupt: There is such a step. Its results are dropped. If it waits in a
                coroutine, that is cancelled, and `submit` raises.
        """

    def abandon(self) -> None:
        """Drop all chunks, end the steps under way at once and the idle workers gracefully.

        `start` and `submit` begin anew.
        """

    def close(self) -> None:
        """End all workers for good, as `abandon` does; a second call does nothing."""


@runtime_checkable
class WatchedExecutor(Executor, Protocol):
    """An executor that knows the calls under way; the others don't have these methods.

    The engine logs the calls that take long, and names those that don't return before a drain
    ends.
    """

    def calls(self) -> Sequence[CallUnderWay]:
        """Return the calls under way. May be called from any thread."""

    def request_surrender(self) -> None:
        """Request the results of chunks whose call hasn't returned; `abandon` will follow.

        If `completed` returns such a chunk, the calls that have returned have their outcomes, and
        those under way have failed with a StepAbandoned.
        """


@runtime_checkable
class ScalingExecutor(Executor, Protocol):
    """An executor on several machines, whose number may follow the work; the others lack these."""

    @property
    def nodes(self) -> int:
        """The number of machines that execute chunks; may change at any time."""

    def note_work(self, seconds: float) -> None:
        """Use more machines if the waiting runs need so many seconds of a single worker."""


class ExecutorFactory(Protocol):
    """Describes an executor; `Engine` opens it. It holds settings, and no connection or process."""

    @property
    def capabilities(self) -> Set[Capability]:
        """The optional abilities of the executor."""

    def open(self, context: ExecutorContext) -> Executor:
        """Open an executor for these workflows.

        Raises:
            StepCodeError: The code of the workflows can't be sent to workers.
        """
