"""What the coordinator asks of whatever executes chunks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchflow.chunk import Chunk, ChunkResult


@dataclass(frozen=True)
class LostChunk:
    """A chunk without a result, because its worker ended.

    Attributes:
        chunk_id: which one.
        blamed: whether the worker was executing it; a chunk that merely waited isn't to blame.
        rows: those whose call was under way; ``None`` where none was.
        error_type: ``WorkerDied`` or ``StepTimeout``.
        cause: how the worker ended, for the error of the run that it is traced to.
        exhausted: whether it had no memory left, which earlier calls may have taken.
        used: whether it had executed other chunks before.
    """

    chunk_id: int
    blamed: bool
    rows: range | None
    error_type: str
    cause: str
    exhausted: bool = False
    used: bool = False


class Executor(Protocol):
    """Executes chunks in any order.

    It is called from the coordinator's thread alone, but where a method says otherwise.
    """

    @property
    def workers(self) -> int:
        """How many chunks can be executed at the same time; may change at any time."""

    @property
    def slots(self) -> int:
        """How many more chunks are taken at present; may change at any time.

        An executor whose slots grow for another reason than a result makes a waiting `completed`
        return.
        """

    @property
    def expects_workers(self) -> bool:
        """Whether more slots are expected without further action by the caller.

        While this is true, the coordinator waits in `completed` even if there is no slot and no
        chunk is under way.
        """

    @property
    def suspect_slots(self) -> int:
        """How many more suspect chunks are taken at present."""

    def start(self) -> None:
        """Get ready to execute; returns at once and may be called again."""

    def submit(self, chunk: Chunk, *, suspect: bool = False) -> None:
        """Take one chunk; a suspect one never shares a worker with others."""

    def completed(self, timeout_seconds: float | None) -> Sequence[ChunkResult | LostChunk]:
        """Wait until something is done, ``wake`` is called or the time is up.

        Raises:
            StepCodeError: a worker couldn't load the workflows.
            ResourceError: a worker couldn't open a resource.
        """

    def wake(self) -> None:
        """Make a waiting ``completed`` return; from any thread or signal handler."""

    def request_stop(self, *, stop: bool) -> None:
        """Ask the steps to give back what they haven't started, or take the request back.

        From any thread or signal handler.
        """

    def interrupt(self) -> None:
        """Break into a step that is executed in this very thread; from a signal handler.

        Raises:
            KeyboardInterrupt: there is such a step; its results are dropped.
        """

    def abandon(self) -> None:
        """End all workers, those at work at once: their chunks are lost. ``start`` begins anew."""

    def close(self) -> None:
        """End all workers for good."""
