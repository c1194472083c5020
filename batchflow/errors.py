"""Every error that batchflow raises: one root, one class per remedy.

    BatchflowError
    ├── DefinitionError         the workflow is wrong: change its definition
    ├── StoreError
    │   ├── StoreHeldError      another process has the store open: end it, or wait
    │   ├── StoreFormatError    the file is no store, or one of another version
    │   ├── MigrationError      the store's columns or statuses don't fit the workflow any more
    │   ├── StoreClosedError    the store was closed: open it again
    │   ├── ForkedStoreError    the store was opened before a fork: open one in the child
    │   ├── CommitError         a commit wasn't applied: run again, nothing was lost
    │   ├── DiskFullError       no room is left to write in: make room, then run again
    │   ├── EngineGoneError     the engine ended before it replied: look whether it was done
    │   └── QueryError          a query or a predicate is wrong: correct it
    ├── LoadError
    │   ├── SourceError         the source can't be read, or lacks a column
    │   ├── InvalidRowsError    rows don't fit the fields' types
    │   └── ConflictError       foreign ids have an unfinished run already
    ├── InvalidOptionError      an option has a value that isn't allowed (a ValueError too)
    ├── WorkflowNotFoundError   no such workflow (a LookupError too)
    ├── RunNotFoundError        no such run (a LookupError too)
    ├── RunUnreachableError     a run can't get to the awaited status any more
    ├── StepCodeError           a step's code can't be sent to a worker
    ├── ResourceError           a resource didn't open
    ├── EngineStateError        the call doesn't fit what the engine is doing
    ├── ExportError             a file or a table of a database can't be written
    ├── PlotError               a plot can't be drawn, or not written as it was asked to
    └── StepError               becomes the failure of a run, and is seen in ``engine.errors()``
        ├── InvalidOutcome      a step answered with what it hadn't declared
        ├── InvariantBroken     a step's result would break an invariant
        ├── InvalidObject       a step left a value that doesn't fit its field
        ├── StepTimeout         a step ran past its ``timeout_seconds``
        ├── StepAbandoned       a step was executing when the time for a stop was over
        └── WorkerDied          the process that executed the step died

The first paragraph of a class's docstring is its message where none is given. What a handler
needs is in attributes, and every error comes out of ``pickle`` as it went in.
"""

from __future__ import annotations

import errno
import inspect
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypeVar
from uuid import UUID

from batchflow.credentials import without_credentials

ErrorT = TypeVar("ErrorT", bound="BatchflowError")


class BatchflowError(Exception):
    """Something in batchflow went wrong; the message says what to do."""

    def __init__(self, message: str | None = None) -> None:
        text = _default_message(type(self)) if message is None else message
        # Paths, SQL and the errors of other libraries may contain URLs with passwords.
        super().__init__(without_credentials(text))

    def __reduce__(self) -> tuple[Any, ...]:
        # The default calls the class with `args`, which breaks (and with it every process pool)
        # as soon as a subclass takes other parameters than its message.
        return _restore, (type(self), self.args), self.__dict__


def _default_message(error_type: type[BatchflowError]) -> str:
    documentation = inspect.cleandoc(error_type.__doc__ or error_type.__name__)
    return " ".join(documentation.partition("\n\n")[0].split())


def _restore(error_type: type[ErrorT], args: tuple[object, ...]) -> ErrorT:
    return error_type.__new__(error_type, *args)


class DefinitionError(BatchflowError):
    """The workflow's definition is wrong; correct each problem that is listed.

    Attributes:
        problems: one sentence for each problem; the message alone where only one is known.
    """

    def __init__(self, message: str | None = None, *, problems: Iterable[str] = ()) -> None:
        listed = tuple(map(without_credentials, problems))
        super().__init__("\n".join([message or "", *listed]).strip() or None)
        self.problems: tuple[str, ...] = listed or (str(self),)


class StoreError(BatchflowError):
    """The store can't do what was asked; see the message of the cause."""


class StoreHeldError(StoreError):
    """Another process holds the store; end that process or wait for it, then open it again.

    Attributes:
        path: the store's file.
        holder: what is known of the process (pid, host, since, command); may be empty.
    """

    def __init__(
        self,
        message: str | None = None,
        *,
        path: str = "",
        holder: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.path = without_credentials(path)
        self.holder: dict[str, Any] = dict(holder or {})


class StoreFormatError(StoreError):
    """The file is no batchflow store, or one of another format; give the path of a store."""


class MigrationError(StoreError):
    """The store doesn't fit the changed workflow; undo the listed changes or use a new store.

    Attributes:
        differences: one sentence for each change that can't be made in place.
    """

    def __init__(self, message: str | None = None, *, differences: Iterable[str] = ()) -> None:
        listed = tuple(map(without_credentials, differences))
        super().__init__("\n".join([message or "", *listed]).strip() or None)
        self.differences: tuple[str, ...] = listed


class StoreClosedError(StoreError):
    """The store is closed; open it again before using it."""


class ForkedStoreError(StoreError):
    """The store was opened by the parent process; open one of its own in the forked child."""


class CommitError(StoreError):
    """A commit wasn't applied, and nothing of it was stored; run the engine again."""


class DiskFullError(StoreError):
    """There is no room left to write in; make room and run again, nothing was lost.

    It may be the disk of the store, of its log or of its temporary files, a quota, a limit on the
    size of files, or the memory in which chunks travel to the workers.

    Attributes:
        numbers: by which the operating system says so.
    """

    numbers: ClassVar[frozenset[int]] = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class QueryError(StoreError):
    """The query can't be executed; correct its SQL.

    Attributes:
        found: what DuckDB found, without the words around it.
    """

    def __init__(self, message: str | None = None, *, found: str = "") -> None:
        super().__init__(message)
        self.found = found


class LoadError(BatchflowError):
    """The source wasn't loaded, and nothing of it was stored; correct it and load it again."""


class SourceError(LoadError):
    """The source can't be read or lacks a column; give one with the object's fields."""


class InvalidRowsError(LoadError):
    """Rows don't fit the object's fields; correct them, or load with on_invalid="skip".

    Attributes:
        column: the first column that doesn't fit.
        count: how many rows don't fit it.
        sample: a few of them, as text.
    """

    def __init__(
        self,
        message: str | None = None,
        *,
        column: str = "",
        count: int = 0,
        sample: Iterable[str] = (),
    ) -> None:
        super().__init__(message)
        self.column = column
        self.count = count
        self.sample: tuple[str, ...] = tuple(sample)


class ConflictError(LoadError):
    """Foreign ids have an unfinished run already; let it finish, or skip them.

    Attributes:
        count: how many rows conflict.
        foreign_ids: a few of their foreign ids.
    """

    def __init__(
        self,
        message: str | None = None,
        *,
        count: int = 0,
        foreign_ids: Iterable[str] = (),
    ) -> None:
        super().__init__(message)
        self.count = count
        self.foreign_ids: tuple[str, ...] = tuple(foreign_ids)


class InvalidOptionError(BatchflowError, ValueError):
    """An option has a value that isn't allowed; give one that is.

    Attributes:
        option: The option's name.
    """

    def __init__(self, message: str | None = None, *, option: str = "") -> None:
        super().__init__(message)
        self.option = option


class WorkflowNotFoundError(BatchflowError, LookupError):
    """There is no such workflow; give the name of one of the store's workflows."""


class EngineGoneError(StoreError):
    """The engine ended before it replied; query the store to see whether it did what you asked.

    Attributes:
        reached: Whether it may have received the call.
    """

    def __init__(self, message: str | None = None, *, reached: bool = True) -> None:
        super().__init__(message)
        self.reached = reached


class RunNotFoundError(BatchflowError, LookupError):
    """There is no such run in this store; check the run id and the store's path."""


class RunUnreachableError(BatchflowError):
    """The run can't reach the awaited status any more; see its history for the reason.

    Attributes:
        run_id: the run that was waited for.
        status: the name of the status it stands at.
        run_state: the name of its run state.
        reason: why it was paused or cancelled, if a reason was given.
    """

    def __init__(
        self,
        message: str | None = None,
        *,
        run_id: UUID | None = None,
        status: str = "",
        run_state: str = "",
        reason: str | None = None,
    ) -> None:
        super().__init__(message)
        self.run_id = run_id
        self.status = status
        self.run_state = run_state
        self.reason = reason


class StepCodeError(BatchflowError):
    """A step's code can't be sent to a worker; define it in a module that workers can import."""


class ResourceError(BatchflowError):
    """A resource of the workflow didn't open; correct its factory, then run again.

    Attributes:
        name: the resource's name in the workflow's `resources`.
    """

    def __init__(self, message: str | None = None, *, name: str = "") -> None:
        super().__init__(message)
        self.name = name


class EngineStateError(BatchflowError):
    """The engine can't do that in its present state; start or stop it first."""


class ExportError(BatchflowError):
    """A file or a table of a database can't be written; see the message."""


class PlotError(BatchflowError):
    """The plot can't be drawn, or not be written as it was asked to."""


class StepError(BatchflowError):
    """A step failed a run; it is tried again after its backoff, or paused."""


class InvalidOutcome(StepError):
    """The step answered with what it hadn't declared; answer with a status of its `to`."""


class InvalidObject(StepError):
    """The step left a value that doesn't fit its field; leave one of the field's type."""


class InvariantBroken(StepError):
    """The step's result would break an invariant; correct the step, or the runs with `edit`."""


class StepTimeout(StepError):
    """The step ran past its time; make it faster, or raise its timeout_seconds."""


class StepAbandoned(StepError):
    """The step was still executing when the time for a stop was over; find out where it hangs.

    Give it a timeout_seconds, have it check ``stopping``, or raise ``grace_seconds``.
    """


class WorkerDied(StepError):
    """The worker process died while it executed the step; look for a crash or lack of memory."""
