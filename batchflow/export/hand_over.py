"""Write one part of a hand-over: a folder that is complete, or isn't there."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from batchflow import crash_point
from batchflow.errors import ExportError
from batchflow.export.files import SUCCESS, write_export
from batchflow.export.uploads import UrlFolder, success_text

if TYPE_CHECKING:
    from batchflow.export.target import ExportTarget
    from batchflow.operation import ExportPart
    from batchflow.operation.parameters import Params
    from batchflow.store.query.relation import Relation

# Enough for the names to sort by their positions.
_DIGITS: Final = 12


@dataclass(frozen=True)
class HandOver:
    """Which runs are handed over.

    Attributes:
        since: The name of the hand-over.
        where: The predicate that chooses among the finished runs; None for all of them.
        params: The values of its parameters.
        workflow: The name of their workflow.
        replace: Whether a part that was begun for another destination goes to this one.
    """

    since: str
    where: str | None
    params: Params
    workflow: str
    replace: bool


class Parts(Protocol):
    """Writes the parts of a hand-over."""

    @property
    def shown(self) -> str:
        """Their destination, without what is secret in it."""

    @property
    def destination(self) -> str:
        """The same, from whatever folder it is given."""

    def within(self, folder: str) -> Parts:
        """Return the same for one of several stores."""

    def write(self, part: ExportPart, since: str, relation: Relation) -> tuple[int, list[str]]:
        """Write the runs of a part; return the number of rows and the files within `shown`."""


@dataclass(frozen=True)
class FolderParts:
    """Parts that are folders.

    Attributes:
        target: The folder of all parts, and how they are written.
    """

    target: ExportTarget

    @property
    def shown(self) -> str:
        """The folder of all parts."""
        return self.target.shown

    @property
    def destination(self) -> str:
        """Its URL or its absolute path."""
        return self.target.shown if self.target.is_url else os.path.abspath(self.target.to)

    def within(self, folder: str) -> FolderParts:
        """Return a folder in it."""
        return FolderParts(self.target.within(folder))

    def write(self, part: ExportPart, since: str, relation: Relation) -> tuple[int, list[str]]:
        """Write a part, unless it is complete already; return its rows and its files."""
        return write_part(self.target, part, since, relation)


def write_part(
    target: ExportTarget, part: ExportPart, since: str, relation: Relation
) -> tuple[int, list[str]]:
    """Write a part, unless it is complete already; return its rows and its files within `to`.

    Raises:
        ExportError: It can't be written.
    """
    name = f"{part.first:0{_DIGITS}}-{part.last:0{_DIGITS}}"
    facts = {"hand_over": since, "first": part.first, "last": part.last}
    if target.is_url:
        rows, files = _at_url(target, name, facts, relation)
    else:
        rows, files = _on_disk(target, name, facts, relation)
    return rows, [f"{name}/{file}" for file in files]


def _at_url(
    target: ExportTarget, name: str, facts: dict[str, object], relation: Relation
) -> tuple[int, list[str]]:
    folder = UrlFolder(f"{target.to.rstrip('/')}/{name}", target.storage_options)
    if folder.has(SUCCESS):
        return 0, []
    with tempfile.TemporaryDirectory(prefix="batchflow-export-") as temporary:
        written = Path(temporary) / name
        rows = write_export(written, relation, target)
        folder.clear()
        files = folder.upload(written)
    crash_point.reached("before_success")
    folder.succeed(success_text({**facts, "rows": rows}, files))
    return rows, files


def _on_disk(
    target: ExportTarget, name: str, facts: dict[str, object], relation: Relation
) -> tuple[int, list[str]]:
    path = Path(target.to) / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path.parent):
            if (path / SUCCESS).exists():
                return 0, []
            return _written(target, path, facts, relation)
    except OSError as error:
        raise ExportError(
            f"{str(path)!r} can't be written: {error.strerror}. Make the folder writable and free "
            "space in it, then export again."
        ) from error


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let no other process write a part into a folder at the same time.

    Raises:
        ExportError: One does.
    """
    opened = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ExportError(
                f"Another process is writing a part of a hand-over into {str(folder)!r}. Wait for "
                "its end, then export again."
            ) from None
        yield
    finally:
        os.close(opened)


def _written(
    target: ExportTarget, path: Path, facts: dict[str, object], relation: Relation
) -> tuple[int, list[str]]:
    beside = path.with_name(f".{path.name}.part")
    try:
        # A killed export may have left it.
        shutil.rmtree(beside, ignore_errors=True)
        rows = write_export(beside, relation, target)
        files = sorted(each for each in beside.rglob("*") if each.is_file())
        names = [each.relative_to(beside).as_posix() for each in files]
        crash_point.reached("before_success")
        (beside / SUCCESS).write_text(success_text({**facts, "rows": rows}, names))
        _sync(beside)
        os.rename(beside, path)
        _sync_folder(path.parent)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return rows, names


def _sync(folder: Path) -> None:
    """Write all files to the disk before the store records that they were handed over."""
    for each in [*folder.rglob("*"), folder]:
        _sync_folder(each)


def _sync_folder(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
