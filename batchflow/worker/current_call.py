"""The call of a step that the present thread or task executes, for the log records made in it."""

from __future__ import annotations

import contextlib
import contextvars
import logging
import os
import uuid
from collections.abc import Callable, Iterator, MutableSequence
from typing import Any, Final

from batchflow.chunk.chunk import Chunk

# The attributes that a log record gets within a step.
ATTRIBUTES: Final = ("run_id", "step", "workflow", "worker")


class CurrentCall:
    """A call of a step.

    Args:
        chunk: The chunk whose runs the step is called for.
        step: The step's name.
        rows: A cell whose only element is the row of the run; None for a step that is called for
            several runs.
    """

    __slots__ = ("_chunk", "_rows", "_step")

    def __init__(
        self,
        chunk: Chunk,
        step: str,
        rows: MutableSequence[int] | memoryview | None = None,
    ) -> None:
        self._chunk = chunk
        self._step = step
        self._rows = rows

    def attributes(self) -> dict[str, Any]:
        """Return the attributes of a log record, by name."""
        values = (self._run_id(), self._step, self._chunk.workflow, os.getpid())
        return dict(zip(ATTRIBUTES, values, strict=True))

    def _run_id(self) -> uuid.UUID | None:
        row = -1 if self._rows is None else self._rows[0]
        # A thread that a step left behind may still log after the chunk has ended.
        known = 0 <= row < self._chunk.num_rows
        return self._chunk.run_id(row) if known else None


_call: contextvars.ContextVar[CurrentCall | None] = contextvars.ContextVar(
    "batchflow_call", default=None
)


@contextlib.contextmanager
def calling(call: CurrentCall) -> Iterator[None]:
    """Attribute log records of this context to a call; does nothing until one is made."""
    token = _call.set(call)
    before = logging.getLogRecordFactory()
    added = None if isinstance(before, _RecordFactory) else _RecordFactory(before)
    if added is not None:
        logging.setLogRecordFactory(added)
    try:
        yield
    finally:
        _call.reset(token)
        if added is not None and logging.getLogRecordFactory() is added:
            logging.setLogRecordFactory(before)


def enter_call(chunk: Chunk, step: str, row: int) -> None:
    """Attribute the log records of this thread or task to a run, until the next call."""
    _call.set(CurrentCall(chunk, step, [row]))


def leave_call() -> None:
    """Attribute the log records of this thread to no call any more."""
    _call.set(None)


class _RecordFactory:
    """Makes the records of the factory before it, with the attributes of the call under way."""

    def __init__(self, before: Callable[..., logging.LogRecord]) -> None:
        self._before = before

    def __call__(self, *args: Any, **keywords: Any) -> logging.LogRecord:
        record = self._before(*args, **keywords)
        call = _call.get()
        if call is not None:
            record.__dict__ = _Attributes({**call.attributes(), **record.__dict__})
        return record


class _Attributes(dict[str, Any]):
    """The attributes of a record, of which those of a call may be replaced through ``extra``.

    `logging` refuses an ``extra`` whose names the record has. A step that logs an ``extra`` named
    "step" has to work as it does elsewhere.
    """

    def __contains__(self, name: object) -> bool:
        return name not in ATTRIBUTES and super().__contains__(name)

    def __reduce__(self) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        # A record that is sent to another process needs no class of batchflow there.
        return dict, (dict(self),)
