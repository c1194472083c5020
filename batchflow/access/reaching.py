"""Reaching a store for one call: through the engine that has it open, or by opening its file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from batchflow.access.socket import is_served, reachable, socket_of
from batchflow.errors import EngineGoneError, StoreError, StoreHeldError
from batchflow.operation.parameters import Params
from batchflow.store.database.file_mark import FileMark, file_mark
from batchflow.store.query.source import Columns, ResultT, Rows

if TYPE_CHECKING:
    from batchflow.access.file_store import FileStore
    from batchflow.access.reached import ReachedStore
    from batchflow.access.remote_store import RemoteStore

# An engine that has just opened the store listens soon, and one that stopped has closed it soon.
_PATIENCE_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 0.02

CallT = TypeVar("CallT")


class Reach(Protocol):
    """Knows how to reach one store."""

    @property
    def served(self) -> bool:
        """Whether an engine has the store open and answers."""

    @contextmanager
    def kept_open(self) -> Iterator[None]:
        """Open the file once for all queries in the block, unless an engine has it open."""

    def mark(self) -> FileMark | None:
        """Return what stays the same until the store is changed; None if that isn't known."""

    def call(self, action: Callable[[ReachedStore], CallT], *, repeatable: bool = True) -> CallT:
        """Reach the store and carry out one call.

        Args:
            action: The call.
            repeatable: Whether it may be carried out again where an engine ended meanwhile.
        """


class ReachFile:
    """Reaches the store with a path, whether or not an engine has it open.

    Args:
        path: The store's real path.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    @property
    def served(self) -> bool:
        """Whether an engine has the store open and answers."""
        return is_served(self._path)

    @contextmanager
    def kept_open(self) -> Iterator[None]:
        """Open the file once for all queries in the block, unless an engine has it open."""
        with ExitStack() as stack:
            if not self.served:
                # An engine that is opening it answers the calls soon.
                with suppress(StoreHeldError):
                    stack.enter_context(self._file.kept_open())
            yield

    def mark(self) -> FileMark | None:
        """Return what stays the same until the file is changed; None while a process has it."""
        return file_mark(Path(self._path))

    def call(self, action: Callable[[ReachedStore], CallT], *, repeatable: bool = True) -> CallT:
        """Reach the store and carry out one call; see `Reach`."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            late = time.monotonic() > deadline
            if self.served:
                # Imported where it is needed, as a caller that opens the file needs no Flight.

                try:
                    return action(self._remote)
                except EngineGoneError as error:
                    if late or (error.reached and not repeatable):
                        raise
            try:
                return action(self._file)
            except StoreHeldError:
                if late:
                    raise
            time.sleep(_LOOK_SECONDS)

    @cached_property
    def _file(self) -> FileStore:
        from batchflow.access.file_store import FileStore

        return FileStore(self._path)

    @cached_property
    def _remote(self) -> RemoteStore:
        from batchflow.access.remote_store import RemoteStore

        return RemoteStore(self._path, self._location)

    @contextmanager
    def _location(self) -> Iterator[str]:
        try:
            with reachable(socket_of(self._path)) as address:
                yield f"grpc+unix://{address}"
        except OSError as error:
            raise StoreError(f"The engine's socket can't be reached: {error}.") from error


class ReachAddress:
    """Reaches the store of an engine that listens on a network.

    Args:
        remote: The engine.
    """

    served = True

    def __init__(self, remote: RemoteStore) -> None:
        self._remote = remote

    @contextmanager
    def kept_open(self) -> Iterator[None]:
        """Do nothing, as the engine has the file open."""
        yield

    def mark(self) -> None:
        """Return None, as the file is elsewhere."""

    def call(self, action: Callable[[ReachedStore], CallT], *, repeatable: bool = True) -> CallT:  # noqa: ARG002
        """Reach the store and carry out one call; see `Reach`."""
        return action(self._remote)


class ReachedSource:
    """Executes queries in a store that is reached for each of them; see `Source`."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach

    @contextmanager
    def rows(self, query: str, params: Params) -> Iterator[Rows]:
        """Execute a query."""
        with ExitStack() as stack:
            yield self._reach.call(lambda store: stack.enter_context(store.rows(query, params)))

    def read(self, query: str, params: Params, action: Callable[[Rows], ResultT]) -> ResultT:
        """Execute a query and read its rows, once more where the engine ends meanwhile."""
        return self._reach.call(lambda store: store.read(query, params, action))

    def describe(self, query: str, params: Params) -> Columns:
        """Return the columns of a query."""
        return self._reach.call(lambda store: store.describe(query, params))
