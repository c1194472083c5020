"""The run that a row step receives."""

from __future__ import annotations

import datetime
import enum
import time
import uuid
from collections.abc import Mapping
from typing import Any, Final, Generic, TypeVar, cast

from batchflow.definition.outcome import Outcome
from batchflow.definition.reason import checked_reason
from batchflow.view.answer import Answer
from batchflow.view.context import ChunkContext

ObjectT = TypeVar("ObjectT")
StatusT = TypeVar("StatusT", bound=enum.Enum)

_SKIP: Final = Answer(Outcome.SKIPPED)
_REPEAT: Final = Answer(Outcome.REPEATED)


class Run(Generic[ObjectT, StatusT]):
    """One record on its way through the workflow, as its step receives it.

    Attributes:
        object: The run's data, an instance of the workflow's object type. You may change it, or
            assign another instance. The changes are stored if the step returns a status or
            `repeat`.
    """

    __slots__ = ("__weakref__", "_context", "_deadline", "_row", "object")

    def __init__(
        self, object: ObjectT, context: ChunkContext, row: int, deadline: float | None = None
    ) -> None:
        """Create the run at `row` of the context's chunk; `deadline` is on the monotonic clock."""
        self.object = object
        self._context = context
        self._row = row
        self._deadline = deadline

    def __repr__(self) -> str:
        # A run that is made for a test may have no status.
        status = getattr(self.status, "name", None)
        return f"<Run {self.run_id} ({self.foreign_id!r}) at {status}>"

    @property
    def run_id(self) -> uuid.UUID:
        """The engine's id of the run. A retry doesn't change it: use it as an idempotency key."""
        return self._context.run_id(self._row)

    @property
    def foreign_id(self) -> str:
        """The user's key of the record."""
        return self._context.foreign_ids[self._row]

    @property
    def status(self) -> StatusT:
        """The run's status."""
        return cast(StatusT, self._context.status)

    @property
    def attempt(self) -> int:
        """The number of consecutive failures of the run at this status, plus one."""
        return self._context.attempts[self._row]

    @property
    def created_at(self) -> datetime.datetime:
        """The time at which the run was triggered, in UTC."""
        return self._context.created_at[self._row]

    @property
    def now(self) -> datetime.datetime:
        """The time of the engine's clock when it submitted the run, in UTC; ``$now`` in SQL.

        It is the same for all runs of a chunk, and stands still during a step.
        """
        return self._context.chunk.now

    @property
    def resources(self) -> Mapping[str, Any]:
        """The workflow's `resources` that this worker opened, by name."""
        return self._context.resources

    @property
    def stopping(self) -> bool:
        """Whether the engine is stopping, or the step's time is up; check it in long loops."""
        if self._deadline is not None and time.monotonic() >= self._deadline:
            return True
        return self._context.stopping()

    def skip(self) -> Answer:
        """Return the answer that leaves the run unchanged until something else changes it."""
        return _SKIP

    def repeat(self) -> Answer:
        """Return the answer that stores the changes and queues the run behind the others."""
        return _REPEAT

    def pause(self, reason: str) -> Answer:
        """Return the answer that pauses the run until it is resumed.

        Raises:
            TypeError: The reason is no text.
        """
        return Answer(Outcome.PAUSED, checked_reason(reason))

    def cancel(self, reason: str) -> Answer:
        """Return the answer that cancels the run, for good.

        Raises:
            TypeError: The reason is no text.
        """
        return Answer(Outcome.CANCELLED, checked_reason(reason))


def context_of(run: Run[Any, Any]) -> ChunkContext:
    """Return what the run knows of its chunk."""
    return run._context
