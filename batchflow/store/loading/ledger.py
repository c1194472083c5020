"""The ledger of a store: the files that were loaded into each workflow, known by their content."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

import pyarrow as pa

from batchflow.credentials import without_credentials
from batchflow.errors import SourceError
from batchflow.operation.load_report import FileReport, LoadReport, SkippedFile
from batchflow.store.database.instance import Cursor
from batchflow.store.database.staging import STAGED, staged
from batchflow.store.loading.source_errors import translated
from batchflow.store.loading.source_files import FilePath, matching_files

_DIGEST: Final = "sha256"
_TIME: Final = pa.timestamp("us", tz="UTC")
_COLUMNS: Final = {
    "load_id": pa.int64(),
    "loaded_at": _TIME,
    **dict.fromkeys(("workflow", "status", "given", "path"), pa.string()),
    "bytes": pa.int64(),
    "modified_at": _TIME,
    "sha256": pa.string(),
    **dict.fromkeys(("rows", "inserted", "updated", "skipped", "rejected"), pa.int64()),
    **dict.fromkeys(("first_seq", "last_seq"), pa.int64()),
}


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


def source_files(instance: Cursor, paths: Sequence[FilePath]) -> list[SourceFile]:
    """Return the files at paths and globs, with their content hashed.

    Hashing reads each file once, at about a gigabyte a second and without the store's write lock.

    Raises:
        SourceError: There is no file at a path, or one can't be read.
    """
    label = f"The source {str(paths[0])!r}" + (" and others" if len(paths) > 1 else "")
    with translated(label):
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

    It is read once and written once, however many files there are.

    Args:
        cursor: The transaction's cursor.
        workflow: The workflow's name.
        now: The time of the load.
        files: The files of the load.
    """

    def __init__(
        self, cursor: Cursor, workflow: str, now: datetime, files: Sequence[SourceFile]
    ) -> None:
        self._cursor = cursor
        self._workflow = workflow
        self._now = now
        self._entries: list[tuple[Any, ...]] = []
        self._loaded: dict[str, tuple[str, datetime]] = {}
        self._at_path: dict[str, list[tuple[str | None, datetime]]] = {}
        self._read(files)
        query = "SELECT coalesce(max(load_id), 0) FROM batchflow.loads"
        self._last_id = int(cursor.execute(query).fetchall()[0][0])

    def new_files(
        self, files: Sequence[SourceFile]
    ) -> tuple[list[SourceFile], tuple[SkippedFile, ...]]:
        """Return the files whose content is new, and the others with when it was loaded."""
        new, skipped = [], []
        for file in files:
            known = self._loaded.get(file.digest or "")
            if known is None:
                new.append(file)
                if file.digest is not None:
                    self._loaded[file.digest] = (file.path, self._now)
            else:
                skipped.append(SkippedFile(file.shown, *known))
        return new, tuple(skipped)

    def next_id(self) -> int:
        """Return the id of the next entry."""
        self._last_id += 1
        return self._last_id

    def enter(self, load_id: int, file: SourceFile, report: LoadReport) -> FileReport:
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
            changed_since=self._changed_since(file),
        )
        seqs = (report.first_seq, report.last_seq) if report.loaded else (None, None)
        self._entries.append(
            (
                *(load_id, self._now, self._workflow, report.status, file.given, file.path),
                *(file.size, file.modified_at, file.digest, entry.rows),
                *(entry.inserted, entry.updated, entry.skipped, entry.rejected, *seqs),
            )
        )
        return entry

    def write(self) -> None:
        """Store the entries."""
        rows = [dict(zip(_COLUMNS, entry, strict=True)) for entry in self._entries]
        entries = pa.Table.from_pylist(rows, pa.schema(_COLUMNS))
        with staged(self._cursor, entries):
            self._cursor.execute(f"INSERT INTO batchflow.loads FROM {STAGED}").fetchall()

    def _read(self, files: Sequence[SourceFile]) -> None:
        """Read the entries with the content or the path of one of the files."""
        content = pa.array([file.digest for file in files], pa.string())
        wanted = pa.table({"sha256": content, "path": [file.path for file in files]})
        with staged(self._cursor, wanted):
            found = self._cursor.execute(
                "SELECT path, sha256, max(loaded_at), max(load_id) AS last FROM batchflow.loads "
                f"WHERE workflow = ? AND (path IN (SELECT path FROM {STAGED}) "
                f"OR sha256 IN (SELECT sha256 FROM {STAGED} WHERE sha256 IS NOT NULL)) "
                "GROUP BY path, sha256 ORDER BY last",
                [self._workflow],
            ).fetchall()
        for path, digest, loaded_at, _ in found:
            self._at_path.setdefault(path, []).append((digest, loaded_at))
            if digest is not None:
                self._loaded[digest] = (path, loaded_at)

    def _changed_since(self, file: SourceFile) -> datetime | None:
        """Return when other content was last loaded from the path of a file; None if never."""
        earlier = self._at_path.get(file.path, ())
        times = [loaded_at for digest, loaded_at in earlier if digest != file.digest]
        return max(times, default=None)
