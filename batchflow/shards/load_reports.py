"""The reports of the loads of all shards from one source, as that of one load."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from operator import add
from typing import Final

from batchflow.operation import InvalidColumn, LoadReport
from batchflow.operation.load_report import FileReport, FilledColumns, SkippedFile
from batchflow.shards.by_key import merged_by_key

_SHOWN: Final = 5
_NO_RANGE: Final = (0, -1)


def loads_of_all(reports: Sequence[LoadReport]) -> LoadReport:
    """Return one report; only if one shard has all new runs, their numbers are a range.

    A file that some shards had loaded before counts as loaded.
    """
    started = [report for report in reports if report.loaded]
    one = started[0] if len(started) == 1 else None
    first_seq, last_seq = _NO_RANGE if one is None else (one.first_seq, one.last_seq)
    files = merged_by_key(
        (each for report in reports for each in report.files), lambda each: each.path, _one_file
    )
    invalid = merged_by_key(
        (each for report in reports for each in report.invalid),
        lambda each: (each.file, each.column),
        _one_column,
    )
    filled = merged_by_key(
        (each for report in reports for each in report.filled),
        lambda each: each.path,
        _filled_in_one_file,
    )
    return replace(
        reduce(add, reports),
        first_seq=first_seq,
        last_seq=last_seq,
        invalid=tuple(invalid.values()),
        files=tuple(files.values()),
        skipped_files=_skipped(reports, files),
        filled=tuple(filled.values()),
    )


def _one_file(first: FileReport, second: FileReport) -> FileReport:
    return replace(
        first,
        rows=first.rows + second.rows,
        inserted=first.inserted + second.inserted,
        updated=first.updated + second.updated,
        skipped=first.skipped + second.skipped,
        rejected=first.rejected + second.rejected,
        changed_since=first.changed_since or second.changed_since,
    )


def _skipped(
    reports: Sequence[LoadReport], loaded: dict[str, FileReport]
) -> tuple[SkippedFile, ...]:
    skipped = {each.path: each for report in reports for each in report.skipped_files}
    return tuple(each for path, each in skipped.items() if path not in loaded)


def _one_column(first: InvalidColumn, second: InvalidColumn) -> InvalidColumn:
    return replace(
        first,
        count=first.count + second.count,
        sample=(*first.sample, *second.sample)[:_SHOWN],
    )


def _filled_in_one_file(first: FilledColumns, second: FilledColumns) -> FilledColumns:
    return replace(first, columns=tuple(dict.fromkeys((*first.columns, *second.columns))))
