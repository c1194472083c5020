"""The operations of other processes, carried out by an engine."""

from __future__ import annotations

import math
import sys
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

import pyarrow as pa

from batchflow.access.memory_growth import MemoryGrowth
from batchflow.access.query_watch import OPERATIONS, QueryWatch
from batchflow.columns.value_reading import read_values
from batchflow.errors import EngineStateError, InvalidOptionError
from batchflow.operation import Request, ResultT
from batchflow.operation.json_form import to_json
from batchflow.operation.request import request_from_json
from batchflow.operation.requests import Trigger, TriggerMany
from batchflow.store.loading.url_copies import require_allowed
from batchflow.store.perform import evaluates_sql, reads_files

if TYPE_CHECKING:
    from batchflow.coordinator import Progress
    from batchflow.store import Store


# As for a query, and one more for the instance that reads the files of SQL.
_MEMORY_LIMITS: Final = 3


class ServedEngine(Protocol):
    """The part of an engine that its socket's clients use."""

    def perform(self, request: Request[ResultT]) -> ResultT:
        """Carry out an operation."""

    def progress(self) -> Progress | None:
        """Return how far the running drain is; None where none is running."""


class ServedRequests:
    """Carries out each call of a client; used by Flight's threads.

    Args:
        path: The store's file, for messages.
        store: The store, whose queries are executed here.
        engine: Carries out operations; it may be gone without having been closed.
        timeout_seconds: The longest time for an operation that has SQL of its caller.
        allowed_urls: The folders from which clients may load.
    """

    def __init__(
        self,
        path: str,
        store: Store,
        engine: weakref.ref[ServedEngine],
        timeout_seconds: float,
        allowed_urls: Sequence[str] = (),
    ) -> None:
        self._path = path
        self._allowed_urls = allowed_urls
        self._store = store
        self._engine = engine
        self._performing: set[threading.Thread] = set()
        # Each waits for the write lock anyway, so they need no limit of their number.
        growth = MemoryGrowth.of_store(store.connection.cursor(), times=_MEMORY_LIMITS)
        self._watch = QueryWatch(timeout_seconds, sys.maxsize, growth, OPERATIONS)
        # A load takes as long as its files are large, and as much memory as a load of the engine.
        self._loads = QueryWatch(math.inf, sys.maxsize, MemoryGrowth(sys.maxsize), OPERATIONS)

    def close(self) -> None:
        """End the threads that watch operations."""
        self._watch.close()
        self._loads.close()

    def cancel(self, name: bytes) -> None:
        """End the operation with a name, if it is still being carried out."""
        self._watch.cancel(name)
        self._loads.cancel(name)

    @property
    def performing(self) -> bool:
        """Whether an operation is being carried out."""
        return bool(self._performing)

    def interrupt(self) -> None:
        """End the operations that are being carried out; nothing of them is stored."""
        self._store.connection.interrupt(self._performing)

    def performed(self, name: str, options: Mapping[str, Any], **apart: Any) -> Any:
        """Carry out an operation and return the JSON form of its result."""
        return self._performed(request_from_json(name, options, **apart))

    def performed_within_limits(self, call: dict[str, Any], cancelled: Callable[[], bool]) -> Any:
        """Carry out an operation; one that has SQL is ended like a query that takes too long.

        One that has SQL or reads files is also ended if its client disconnects or cancels it.
        """
        name, options = call.pop("operation"), call.pop("options")
        call_name = str(call.pop("name", "")).encode()
        request = request_from_json(name, options, **call)
        if isinstance(request, TriggerMany):
            require_allowed(request, self._allowed_urls)
        if not (evaluates_sql(request) or reads_files(request)):
            return self._performed(request)
        watch = self._loads if reads_files(request) else self._watch
        watched = watch.begin(call_name, cancelled)
        interrupt = partial(self._store.connection.interrupt, (threading.current_thread(),))
        watched.holds(interrupt, lambda: None)
        try:
            return watched.do(partial(self._performed, request))
        finally:
            watch.end(watched)

    def _performed(self, request: Request[Any]) -> Any:
        thread = threading.current_thread()
        self._performing.add(thread)
        try:
            return to_json(self._alive().perform(request))
        finally:
            self._performing.discard(thread)

    def performed_with_rows(
        self, name: str, options: Mapping[str, Any], rows: pa.RecordBatchReader
    ) -> Any:
        """Carry out an operation whose rows travel apart from its options."""
        if name == TriggerMany.name:
            return self.performed(name, options, source=rows)
        if name == Trigger.name:
            return self.performed(name, options, object=self._object(options, rows.read_all()))
        raise InvalidOptionError(f"The operation {name!r} takes no rows.")

    def _object(self, options: Mapping[str, Any], row: pa.Table) -> dict[str, Any]:
        """Return the fields of an object that was sent as one row."""
        workflow = self._store.workflow(options.get("workflow"))
        columns = {name: row[name].combine_chunks() for name in row.column_names}
        return {
            field.name: read_values(columns[field.name], field.type)[0]
            for field in workflow.fields
            if field.name in columns
        }

    def progress(self) -> Any:
        """Return how far the running drain is, in JSON."""
        return to_json(self._alive().progress())

    def _alive(self) -> ServedEngine:
        engine = self._engine()
        if engine is None:
            raise EngineStateError(f"The engine that had the store {self._path!r} open is gone.")
        return engine
