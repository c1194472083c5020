"""The run that a row step is given."""

from __future__ import annotations

import datetime
import enum
import time
import uuid
from collections.abc import Mapping
from typing import Any, Generic, TypeVar, cast

from batchflow.view.answer import REPEAT, SKIP, Answer, cancel, pause
from batchflow.view.context import ChunkContext

ObjectT = TypeVar("ObjectT")
StatusT = TypeVar("StatusT", bound=enum.Enum)


class Run(Generic[ObjectT, StatusT]):
    """One record on its way through the workflow, as its step sees it.

    Attributes:
        object: the run's data, an instance of the workflow's object type. What the step changes on
            it, or puts in its place, is stored if the step answers with a status or `repeat`.
    """

    __slots__ = ("__weakref__", "_context", "_deadline", "_row", "object")

    def __init__(
        self, object: ObjectT, context: ChunkContext, row: int, deadline: float | None = None
    ) -> None:
        """Take the run at `row` of the context's chunk; `deadline` is on the monotonic clock."""
        self.object = object
        self._context = context
        self._row = row
        self._deadline = deadline

    def __repr__(self) -> str:
        # One that is made for a test needn't stand anywhere.
        status = getattr(self.status, "name", None)
        return f"<Run {self.run_id} ({self.foreign_id!r}) at {status}>"

    @property
    def run_id(self) -> uuid.UUID:
        """The engine's id of the run, the same over all retries: an idempotency key."""
        return self._context.run_id(self._row)

    @property
    def foreign_id(self) -> str:
        """The user's own key of the record."""
        return self._context.foreign_ids[self._row]

    @property
    def status(self) -> StatusT:
        """The status that the run stands at."""
        return cast(StatusT, self._context.status)

    @property
    def attempt(self) -> int:
        """How many times in a row the run has failed at this status, plus one."""
        return self._context.attempts[self._row]

    @property
    def created_at(self) -> datetime.datetime:
        """When the run was triggered, in UTC."""
        return self._context.created_at[self._row]

    @property
    def resources(self) -> Mapping[str, Any]:
        """What the workflow's `resources` opened in this worker, by name."""
        return self._context.resources

    @property
    def stopping(self) -> bool:
        """Whether the engine is to stop, or the step's time is up; long loops look at it."""
        if self._deadline is not None and time.monotonic() >= self._deadline:
            return True
        return self._context.stopping()

    def skip(self) -> Answer:
        """Return the answer that leaves the run as it was, until something changes it."""
        return SKIP

    def repeat(self) -> Answer:
        """Return the answer that saves the object, and queues the run behind the others."""
        return REPEAT

    def pause(self, reason: str) -> Answer:
        """Return the answer that stops the run until somebody resumes it."""
        return pause(reason)

    def cancel(self, reason: str) -> Answer:
        """Return the answer that ends the run for good."""
        return cancel(reason)
