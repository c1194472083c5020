"""The ledger of a store: the files that were loaded into each workflow, known by their content."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from batchflow.credentials import without_credentials
from batchflow.errors import SourceError
from batchflow.operation.load_report import FileReport, LoadReport, SkippedFile
from batchflow.store.database.instance import Cursor
from batchflow.store.loading.source_errors import translated
from batchflow.store.loading.source_files import matching_files
from batchflow.store.loading.source_instance import source_instance
from batchflow.store.loading.sources import is_sql, paths_of

_DIGEST: Final = "sha256"


@dataclass(frozen=True)
class SourceFile:
    """A file that is to be loaded, as it was when its content was hashed.

    Attributes:
        name: Its path, relative if it was given so.
        given: The path or glob that the caller gave for it, without the passwords of a URL.
        path: Its absolute path, without the passwords of a URL.
        size: Its size in bytes.
        modified_ns: When it was modified, in nanoseconds since the epoch.
        digest: The SHA-256 of its bytes; None for what can't be read twice, such as a pipe.
    """

    name: str
    given: str
    path: str
    size: int = 0
    modified_ns: int = 0
    digest: str | None = None

    @property
    def shown(self) -> str:
        """Its path without the passwords of a URL, for reports."""
        return without_credentials(self.name)

    @property
    def modified_at(self) -> datetime | None:
        """When it was modified; None where it has no digest."""
        seconds = self.modified_ns / 1e9
        return None if self.digest is None else datetime.fromtimestamp(seconds, UTC)

    def require_unchanged(self) -> None:
        """Raise SourceError if the file was written to since its content was hashed."""
        if self.digest is None:
            return
        now = os.stat(self.name)
        if (now.st_size, now.st_mtime_ns) != (self.size, self.modified_ns):
            raise SourceError(f"{self.name!r} changed while it was read. Load it again.")


def source_files(cursor: Cursor, source: Any) -> list[SourceFile]:
    """Return the files of a source, with their content hashed; none where it is something else.

    Hashing reads each file once, at about a gigabyte a second and without the store's write lock.

    Raises:
        SourceError: There is no file at a path, or one can't be read.
    """
    paths = paths_of(source)
    if not paths or is_sql(source):
        return []
    label = f"The source {str(paths[0])!r}" + (" and others" if len(paths) > 1 else "")
    with translated(label), source_instance(cursor) as instance:
        found = matching_files(instance, paths)
    return [_hashed(name, given) for name, given in found.items()]


def _hashed(name: str, given: str) -> SourceFile:
    path = name if "://" in name else os.path.abspath(name)
    file = SourceFile(name, without_credentials(given), without_credentials(path))
    try:
        before = os.stat(name)
        if not stat.S_ISREG(before.st_mode):
            return file
        with open(name, "rb") as content:
            digest = hashlib.file_digest(content, _DIGEST).hexdigest()
    except FileNotFoundError:
        return file
    except OSError as error:
        raise SourceError(f"The source {name!r} can't be read: {error.strerror}.") from None
    return replace(file, size=before.st_size, modified_ns=before.st_mtime_ns, digest=digest)


class Ledger:
    """The ledger of one workflow, within a writing transaction.

    Args:
        cursor: The transaction's cursor.
        workflow: The workflow's name.
    """

    def __init__(self, cursor: Cursor, workflow: str) -> None:
        self._cursor = cursor
        self._workflow = workflow

    def skipped(self, file: SourceFile) -> SkippedFile | None:
        """Return when and from where the content of a file was loaded; None if it is new."""
        if file.digest is None:
            return None
        found = self._cursor.execute(
            "SELECT path, loaded_at FROM batchflow.loads WHERE workflow = ? AND sha256 = ? "
            "ORDER BY load_id DESC LIMIT 1",
            [self._workflow, file.digest],
        ).fetchall()
        return SkippedFile(file.shown, *found[0]) if found else None

    def changed_since(self, file: SourceFile) -> datetime | None:
        """Return when other content was last loaded from the path of a file; None if never."""
        [(loaded_at,)] = self._cursor.execute(
            "SELECT max(loaded_at) FROM batchflow.loads "
            "WHERE workflow = ? AND path = ? AND sha256 IS DISTINCT FROM ?",
            [self._workflow, file.path, file.digest],
        ).fetchall()
        changed: datetime | None = loaded_at
        return changed

    def next_id(self) -> int:
        """Return the id of the next entry."""
        [(load_id,)] = self._cursor.execute(
            "SELECT coalesce(max(load_id), 0) + 1 FROM batchflow.loads"
        ).fetchall()
        return int(load_id)

    def enter(
        self, load_id: int, file: SourceFile, report: LoadReport, now: datetime
    ) -> FileReport:
        """Enter a file that was loaded in this transaction, and return its part of the report."""
        rejected = report.skipped_conflicts + report.skipped_invalid
        entry = FileReport(
            path=file.shown,
            load_id=load_id,
            rows=report.loaded + report.updated + report.skipped_loaded + rejected,
            inserted=report.loaded,
            updated=report.updated,
            skipped=report.skipped_loaded,
            rejected=rejected,
            changed_since=self.changed_since(file),
        )
        values: Sequence[Any] = (
            *(load_id, now, self._workflow, report.status, file.given, file.path, file.size),
            *(file.modified_at, file.digest, entry.rows),
            *(entry.inserted, entry.updated, entry.skipped, entry.rejected),
        )
        marks = ", ".join("?" * len(values))
        self._cursor.execute(f"INSERT INTO batchflow.loads VALUES ({marks})", values).fetchall()
        return entry
