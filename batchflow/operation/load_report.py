"""The result of a load."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from batchflow.picture import html_table
from batchflow.short_form import counted

_SHOWN: Final = 5

DUPLICATE: Final = "duplicate"
FINISHED: Final = "finished"
RUNNING: Final = "running"
UNFINISHED_RUN: Final = "unfinished"

CONFLICT_DETAILS: Final = {
    DUPLICATE: "an earlier row has the same foreign id",
    FINISHED: "the run of the foreign id has finished",
    RUNNING: "the run of the foreign id is being executed",
    UNFINISHED_RUN: "the foreign id has an unfinished run",
}
"""The reasons for which rows are left out because of their foreign ids."""


@dataclass(frozen=True)
class InvalidColumn:
    """The rows that don't fit in one column.

    Attributes:
        column: The source's column.
        expected: The field's type.
        count: The number of rows that don't fit; a row counts only for its first such column.
        sample: The first few, with row number (from 1) and foreign id, and with the value if
            values may be shown.
        file: The file that has these rows; None where the source isn't a file.
    """

    column: str
    expected: str
    count: int
    sample: tuple[str, ...]
    file: str | None = None

    def __str__(self) -> str:
        rows = f"{self.count:,} row{'' if self.count == 1 else 's'}"
        more = ", …" if self.count > len(self.sample) else ""
        shown = f"{', '.join(self.sample)}{more}"
        verb = "doesn't" if self.count == 1 else "don't"
        of_file = "" if self.file is None else f" of {self.file!r}"
        return f"{rows} of column {self.column!r}{of_file} {verb} fit {self.expected} ({shown})"


@dataclass(frozen=True)
class FileReport:
    """The result of a load for one file.

    Attributes:
        path: The file.
        load_id: Its entry in the ledger ``batchflow.loads``.
        rows: The number of its rows: the sum of the next four.
        inserted: The number of runs that were started.
        updated: The number of runs whose object was replaced.
        skipped: The number of rows that were skipped because their foreign id was loaded before.
        rejected: The number of rows that were left out for another reason; ``rejected()`` returns
            them.
        changed_since: When other content was last loaded from the same path; None if never.
    """

    path: str
    load_id: int
    rows: int
    inserted: int
    updated: int
    skipped: int
    rejected: int
    changed_since: datetime | None = None


@dataclass(frozen=True)
class SkippedFile:
    """A file that a load skipped, because its content is in the ledger.

    Attributes:
        path: The file.
        loaded_path: The absolute path from which the content was loaded.
        loaded_at: When it was loaded.
    """

    path: str
    loaded_path: str
    loaded_at: datetime


@dataclass(frozen=True)
class FilledColumns:
    """A file that has no value for some fields, whose rows took the fields' defaults.

    It lacks the columns, or some of its JSON records lack the keys, or nested values in it lack
    members, which are named like ``field.member``.

    Attributes:
        path: The file.
        columns: The fields.
    """

    path: str
    columns: tuple[str, ...]

    def __str__(self) -> str:
        return f"{', '.join(self.columns)} in {self.path!r}"


@dataclass(frozen=True)
class LoadReport:
    """The number of runs that a load started, and the rows and files that it left out.

    Attributes:
        workflow: The workflow's name.
        status: The name of the status where the runs begin.
        code: The code of that status.
        loaded: The number of runs that were started.
        first_seq: The number of the first run; the others follow without a gap. If several shards
            have them, there is no such range, and this is 0.
        last_seq: The number of the last run; one less than `first_seq` if there is no range.
        skipped_conflicts: The number of rows that were left out because of the run that their
            foreign id has, or because it occurs in an earlier row of the source.
        conflict_reasons: The numbers of these rows by reason: ``unfinished``, ``duplicate``,
            ``running`` or ``finished``.
        conflict_sample: A few of these foreign ids.
        skipped_invalid: The number of rows that were left out because they don't fit the fields'
            types.
        invalid: These rows by column.
        skipped_loaded: The number of rows that ``once`` skipped, because their foreign id was
            loaded before.
        updated: The number of runs whose object was replaced.
        files: The files that were loaded.
        skipped_files: The files that were skipped, because their content was loaded before.
        filled: The files that lack columns or keys, and the fields and members that took their
            defaults in a row that was loaded.
    """

    workflow: str
    status: str
    code: int
    loaded: int
    first_seq: int
    last_seq: int
    skipped_conflicts: int = 0
    conflict_sample: tuple[str, ...] = ()
    skipped_invalid: int = 0
    invalid: tuple[InvalidColumn, ...] = ()
    skipped_loaded: int = 0
    updated: int = 0
    files: tuple[FileReport, ...] = ()
    skipped_files: tuple[SkippedFile, ...] = ()
    filled: tuple[FilledColumns, ...] = ()
    conflict_reasons: Mapping[str, int] = field(default_factory=dict)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences on files with other content than before, and on rows that were left out."""
        return tuple(self._warnings())

    def __add__(self, later: LoadReport) -> LoadReport:
        """Return the report of two sources, of which `later` was loaded next."""
        return replace(
            self,
            loaded=self.loaded + later.loaded,
            last_seq=later.last_seq,
            skipped_conflicts=self.skipped_conflicts + later.skipped_conflicts,
            conflict_sample=(*self.conflict_sample, *later.conflict_sample)[:_SHOWN],
            skipped_invalid=self.skipped_invalid + later.skipped_invalid,
            invalid=(*self.invalid, *later.invalid),
            skipped_loaded=self.skipped_loaded + later.skipped_loaded,
            updated=self.updated + later.updated,
            files=(*self.files, *later.files),
            filled=(*self.filled, *later.filled),
            conflict_reasons=dict(Counter(self.conflict_reasons) + Counter(later.conflict_reasons)),
        )

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterable[str]:
        of_files = f" from {counted(len(self.files), 'file')}" if self.files else ""
        yield f"{self.workflow}: {counted(self.loaded, 'run')} loaded at {self.status}{of_files}"
        if self.updated:
            yield f"  updated: {counted(self.updated, 'run')}"
        if self.skipped_files:
            shown = _listed([_skipped(each) for each in self.skipped_files])
            files = counted(len(self.skipped_files), "file")
            yield f"  skipped: {files}, already loaded ({shown}); again=True or --again overrides"
        yield from (f"  filled with defaults: {each}" for each in self.filled[:_SHOWN])
        if len(self.filled) > _SHOWN:
            yield f"  filled with defaults: {counted(len(self.filled) - _SHOWN, 'more file')}"
        if self.skipped_loaded:
            their = "its foreign id was" if self.skipped_loaded == 1 else "their foreign ids were"
            yield f"  skipped: {counted(self.skipped_loaded, 'row')}, because {their} loaded before"
        yield from (f"  {warning}" for warning in self.warnings)

    def _warnings(self) -> Iterable[str]:
        changed = [_changed(each) for each in self.files if each.changed_since is not None]
        if changed:
            files = counted(len(changed), "file")
            yield f"changed: {files}, loaded like a new one ({_listed(changed)})"
        for reason, count in self.conflict_reasons.items():
            later = ""
            if reason == RUNNING:
                later = "; load the source again later, a file with again=True or --again"
            because = CONFLICT_DETAILS[reason]
            yield f"left out: {counted(count, 'row')}, because {because}{later}"
        if self.skipped_conflicts:
            more = ", …" if self.skipped_conflicts > len(self.conflict_sample) else ""
            yield f"foreign ids left out: {', '.join(self.conflict_sample)}{more}"
        yield from (f"left out: {column}" for column in self.invalid)

    def _repr_html_(self) -> str:
        counts = [
            (f"runs loaded at {self.status}", self.loaded),
            ("runs updated", self.updated),
            ("files loaded", len(self.files)),
            ("files skipped: already loaded", len(self.skipped_files)),
            ("rows skipped: foreign id loaded before", self.skipped_loaded),
            ("rows left out: foreign id conflicts", self.skipped_conflicts),
            *((f"rows left out: column {each.column!r}", each.count) for each in self.invalid),
        ]
        rows = [(name, f"{count:,}") for at, (name, count) in enumerate(counts) if count or not at]
        return html_table((self.workflow, "number"), rows, numbers={1})


def _skipped(file: SkippedFile) -> str:
    return f"{file.path!r} on {_utc(file.loaded_at)}"


def _changed(file: FileReport) -> str:
    return f"{file.path!r} had other content on {_utc(file.changed_since)}"


def _utc(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _listed(texts: Sequence[str]) -> str:
    return ", ".join([*texts[:_SHOWN], *(["…"] if len(texts) > _SHOWN else [])])
