"""The ledger of a store: the files that were loaded into each workflow, known by their content."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

import pyarrow as pa

from batchflow.credentials import without_credentials
from batchflow.errors import SourceError
from batchflow.operation.load_report import FileReport, LoadReport, SkippedFile
from batchflow.store.database.instance import Cursor
from batchflow.store.database.staging import STAGED, staged
from batchflow.store.loading.file_name import refuse_several_formats
from batchflow.store.loading.source_errors import translated
from batchflow.store.loading.source_files import FilePath, matching_files
from batchflow.store.urls.url import local_path

_DIGEST: Final = "sha256"
_TIME: Final = pa.timestamp("us", tz="UTC")
_ETAGS: Final = pa.schema([("path", pa.string()), ("etag", pa.string())])
_COLUMNS: Final = {
    "load_id": pa.int64(),
    "loaded_at": _TIME,
    **dict.fromkeys(("workflow", "status", "given", "path"), pa.string()),
    "bytes": pa.int64(),
    "modified_at": _TIME,
    "sha256": pa.string(),
    **dict.fromkeys(("rows", "inserted", "updated", "skipped", "rejected"), pa.int64()),
    **dict.fromkeys(("first_seq", "last_seq"), pa.int64()),
    "etag": pa.string(),
}


@dataclass(frozen=True)
class SourceFile:
    """A file that is to be loaded, as it was when its content was hashed.

    Attributes:
        name: The path to read, relative if it was given so. Of a file at a URL it is that of a
            copy, or empty if there is none because its content is in the ledger.
        given: The path or glob that the caller gave for it, without the passwords of a URL.
        path: Its absolute path or its URL, without the passwords of a URL.
        size: Its size in bytes.
        modified_ns: When it was modified, in nanoseconds since the epoch; 0 if that isn't known.
        digest: The SHA-256 of its bytes; None for what can't be read twice, such as a pipe.
        etag: What the server of its URL calls its content, if it does.
        is_copy: Whether it is the copy of a file at a URL.
    """

    name: str
    given: str
    path: str
    size: int = 0
    modified_ns: int = 0
    digest: str | None = None
    etag: str | None = None
    is_copy: bool = False

    @property
    def shown(self) -> str:
        """Its path without the passwords of a URL, for reports."""
        return self.path if self.is_copy else without_credentials(self.name)

    @property
    def modified_at(self) -> datetime | None:
        """When it was modified; None where it has no digest, or where that isn't known."""
        known = self.digest is not None and self.modified_ns != 0
        return datetime.fromtimestamp(self.modified_ns / 1e9, UTC) if known else None

    def require_unchanged(self) -> None:
        """Raise SourceError if the file was written to since its content was hashed."""
        if self.digest is None or self.is_copy:
            return
        now = os.stat(self.name)
        if (now.st_size, now.st_mtime_ns) != (self.size, self.modified_ns):
            raise SourceError(f"{self.name!r} changed while it was read. Load it again.")


def source_files(
    instance: Cursor, paths: Sequence[FilePath], copies: Mapping[str, Sequence[SourceFile]]
) -> list[SourceFile]:
    """Return the files at paths, globs and URLs in their order, with their content hashed.

    Hashing reads each file once, at about a gigabyte a second and without the store's write lock.

    Args:
        instance: A cursor of the instance that reads files.
        paths: The paths, globs and URLs.
        copies: The files of each URL.

    Raises:
        SourceError: There is no file at a path, or one can't be read, or the files have several
            formats or an unknown one.
    """
    label = f"The source {str(paths[0])!r}" + (" and others" if len(paths) > 1 else "")
    found: dict[str, str | SourceFile] = {}
    for path in paths:
        of_url = copies.get(str(path))
        if of_url is None:
            with translated(label):
                matching = matching_files(instance, local_path(path))
            for name in matching:
                found.setdefault(name, os.fspath(path))
        else:
            for file in of_url:
                found.setdefault(file.path, file)
    refuse_several_formats(found)
    return [_hashed(name, each) if isinstance(each, str) else each for name, each in found.items()]


def known_digests(cursor: Cursor, workflow: str, etags: Mapping[str, str]) -> dict[str, str]:
    """Return the SHA-256 of the URLs that were loaded into a workflow with these ETags.

    Args:
        cursor: A cursor of the store.
        workflow: The workflow's name.
        etags: What the server of each URL calls its content now.
    """
    wanted = pa.table({"path": [*etags], "etag": [*etags.values()]}, _ETAGS)
    with staged(cursor, wanted):
        found = cursor.execute(
            f"SELECT path, any_value(sha256) FROM batchflow.loads JOIN {STAGED} USING (path, etag) "
            "WHERE workflow = ? GROUP BY path",
            [workflow],
        ).fetchall()
    return dict(found)


def _hashed(name: str, given: str) -> SourceFile:
    path = without_credentials(os.path.abspath(name))
    file = SourceFile(name, without_credentials(given), path)
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
                *(entry.inserted, entry.updated, entry.skipped, entry.rejected, *seqs, file.etag),
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
